-- Sets the count of a node for a key. KEYS: the counts, and the leases of nodes
-- unless they are in another slot. ARGV: the node, the count, the time of the
-- oldest item, the limit or 0, 1 if the sum may exceed it, and the nodes that
-- are known to be dead. Answers GONE, or OK or FULL, the sum, the node with the
-- oldest item, and all nodes that have a count.
local counts, leases, at = KEYS[1], KEYS[2], now()
local node, n, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local dead = {}
for i = 6, #ARGV do dead[ARGV[i]] = true end

local function alive(id)
  if not leases then return not dead[id] end
  return tonumber(redis.call('ZSCORE', leases, id) or 0) > at
end

if not alive(node) then return {'GONE'} end
local all, present = redis.call('HGETALL', counts), {}
local own, sum = 0, 0
for i = 1, #all, 2 do
  local id = all[i]
  if alive(id) then
    local count, oldest = string.match(all[i + 1], '^(%d+) (%d+)$')
    present[id] = {tonumber(count), tonumber(oldest)}
    sum = sum + count
    if id == node then own = tonumber(count) end
  else
    redis.call('HDEL', counts, id)
  end
end
local status = 'OK'
if n > own and limit > 0 and sum - own + n > limit and ARGV[5] ~= '1' then
  status = 'FULL'
else
  sum = sum - own + n
  if n == 0 then
    present[node] = nil
    redis.call('HDEL', counts, node)
  else
    present[node] = {n, tonumber(ARGV[3])}
    redis.call('HSET', counts, node, ARGV[2] .. ' ' .. ARGV[3])
    redis.call('PEXPIRE', counts, '2592000000')
  end
end
local answer = {status, text(sum), ''}
local oldest
for id, count in pairs(present) do
  if not oldest or count[2] < oldest then
    oldest = count[2]
    answer[3] = id
  end
  table.insert(answer, id)
end
return answer
