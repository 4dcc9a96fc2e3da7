-- Adds a session to the hash of its subject. ARGV: the ID, the encoded session,
-- its expiry, the maximum number of sessions of a subject, and 1 if the store
-- is full.
local sessions, at, expires = KEYS[1], now(), tonumber(ARGV[3])
local present = redis.call('HLEN', sessions)
if present % 64 == 63 or present >= tonumber(ARGV[4]) then -- remove the expired
  local all = redis.call('HGETALL', sessions)
  for i = 1, #all, 2 do
    if struct.unpack('>I8', all[i + 1], 17) <= at then redis.call('HDEL', sessions, all[i]) end
  end
  present = redis.call('HLEN', sessions)
end
local old = redis.call('HGET', sessions, ARGV[1])
if old and struct.unpack('>I8', old, 17) > at then return {'EXISTS'} end
if expires <= at then return {'EXPIRED'} end
if ARGV[5] == '1' or present >= tonumber(ARGV[4]) then return {'FULL'} end
redis.call('HSET', sessions, ARGV[1], ARGV[2])
if expires - at > redis.call('PTTL', sessions) then redis.call('PEXPIREAT', sessions, ARGV[3]) end
return {'OK'}
