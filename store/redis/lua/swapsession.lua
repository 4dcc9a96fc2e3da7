-- Replaces or deletes a session if it has not changed. ARGV: the ID, the old
-- session, the new session (empty to delete it), and its expiry. Answers OK, or
-- the time and the current session.
local sessions, at = KEYS[1], now()
local current = redis.call('HGET', sessions, ARGV[1]) or ''
if current ~= ARGV[2] then return {text(at), current} end
if ARGV[3] == '' then
  redis.call('HDEL', sessions, ARGV[1])
  return {'OK'}
end
redis.call('HSET', sessions, ARGV[1], ARGV[3])
if ARGV[4] - at > redis.call('PTTL', sessions) then redis.call('PEXPIREAT', sessions, ARGV[4]) end
return {'OK'}
