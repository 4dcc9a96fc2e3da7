-- Adds changes to the numbers of items by the period in which they expire, and
-- answers the sum. ARGV: the length of a period, and a period and a change
-- each.
local length, at, sum = tonumber(ARGV[1]), now(), 0
for i = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local n = tonumber(all[i + 1])
  if (all[i] + 1) * length <= at or n == 0 then
    redis.call('HDEL', KEYS[1], all[i])
  elseif n > 0 then
    sum = sum + n
  end
end
return {text(sum)}
