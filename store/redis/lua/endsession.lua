-- Deletes a session. ARGV: the ID. Answers the session, or an empty string.
local old = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
return {old or ''}
