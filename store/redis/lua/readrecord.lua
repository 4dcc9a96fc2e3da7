-- Answers a record: its version, a space and the value, or nothing.
return {redis.call('GET', KEYS[1]) or ''}
