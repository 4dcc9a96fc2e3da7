-- Answers a record (its version, a space and the value) or an empty string.
return {redis.call('GET', KEYS[1]) or ''}
