-- Adds changes to the numbers of items, which are stored by the period in which
-- the items expire. ARGV: the length of a period in milliseconds, then periods
-- with their changes. Answers the sum of all periods that are not over.
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
