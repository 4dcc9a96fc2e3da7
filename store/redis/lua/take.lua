-- Takes a token from a bucket. A bucket is stored as the time in microseconds
-- at which it is full again. ARGV: the interval in microseconds, and how many
-- tokens the bucket holds. Answers 0, or the microseconds until it has a token.
local t = redis.call('TIME')
local at, interval, burst = t[1] * 1000000 + t[2], tonumber(ARGV[1]), tonumber(ARGV[2])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), at)
full = math.min(full, at + interval * burst) + interval
if full - at > interval * burst then return {text(full - at - interval * burst)} end
redis.call('SET', KEYS[1], text(full), 'PX', text(math.ceil((full - at) / 1000)))
return {'0'}
