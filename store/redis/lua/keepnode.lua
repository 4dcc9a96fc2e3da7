-- Starts or extends the lease of a node. ARGV: the ID, the data, the length of
-- the lease in milliseconds, and 1 if the node had a lease before. Answers
-- GONE, or OK, the start of the node and the end of the lease.
local leases, nodes, at = KEYS[1], KEYS[2], now()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', text(at), 'LIMIT', 0, 100)) do
  redis.call('ZREM', leases, id)
  redis.call('HDEL', nodes, id)
end
local node, start = redis.call('HGET', nodes, ARGV[1]), text(at)
local ends = tonumber(redis.call('ZSCORE', leases, ARGV[1]) or 0)
if node and ends > at then
  start = string.match(node, '^%d+')
elseif ARGV[4] == '1' then
  return {'GONE'}
end
ends = text(at + ARGV[3])
redis.call('ZADD', leases, ends, ARGV[1])
redis.call('HSET', nodes, ARGV[1], start .. ' ' .. ARGV[2])
return {'OK', start, ends}
