-- Answers the time, and a session of a subject or an empty string. ARGV: the
-- ID.
return {text(now()), redis.call('HGET', KEYS[1], ARGV[1]) or ''}
