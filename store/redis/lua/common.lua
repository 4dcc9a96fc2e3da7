-- now returns the time of the engine in milliseconds.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- text returns a whole number as text.
local function text(n) return string.format('%.0f', n) end

-- replication returns the replication ID of this server and the number of
-- connected replicas, or nothing if the server is a replica.
local function replication()
  local info = redis.call('INFO', 'replication')
  if not string.find(info, 'role:master', 1, true) then return nil end
  return string.match(info, 'master_replid:(%x+)') or '', tonumber(string.match(info, 'connected_slaves:(%d+)') or 0)
end

-- replica returns the error of a server that is not a primary.
local function replica() return redis.error_reply('READONLY this server is a replica') end
