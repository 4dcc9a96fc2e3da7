-- Stores a record if the version of the stored one is one less. ARGV: the
-- version and the value.
local version = tonumber(string.match(redis.call('GET', KEYS[1]) or '0', '^%d+'))
if version + 1 ~= tonumber(ARGV[1]) then return {'CONFLICT'} end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2])
return {'OK'}
