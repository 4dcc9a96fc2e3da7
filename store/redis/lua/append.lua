-- Adds entries to the log. ARGV: a fresh ID, the limit of revocations or -1,
-- the limit of events, how many milliseconds revocations stay after they
-- expire, and a field and a payload for each entry. Answers OK or FULL, whether
-- entries remain to be swept, and whether the log has had replicas.
local slack = tonumber(ARGV[4])
local replid, replicas = replication()
if not replid then return replica() end
local id, last = begin(ARGV[1])
if not id then return damaged() end
if replicas > 0 then redis.call('HSET', meta, 'replicas', '1') end
local followed = redis.call('HGET', meta, 'replicas') or '0'
local at = now()
local more = sweep(at, 1000)

-- due returns the time at which an entry leaves the log.
local function due(field, payload)
  if field == 'r' then return (struct.unpack('>I8', payload, 10)) + slack end
  return (struct.unpack('>I8', payload, payload:byte(1) + 4 + payload:byte(payload:byte(1) + 2) * 256 + payload:byte(payload:byte(1) + 3)))
end

local all = held()
local had, entries = all ~= nil, {}
for i = 5, #ARGV, 2 do
  local entry = {field = ARGV[i], payload = ARGV[i + 1]}
  entry.everything = entry.field == 'r' and entry.payload:byte(1) == 4
  if due(entry.field, entry.payload) > at then
    table.insert(entries, entry)
    if entry.everything then all = all and merge(entry.payload, all) or entry.payload end
  end
end

local new, events = 0, 0
local puts = {}
for _, entry in ipairs(entries) do
  if entry.field == 'e' or entry.everything or not (all and covers(all, entry.payload)) then
    entry.name = name(entry.field, entry.payload)
    entry.old = redis.call('HGET', index, entry.name)
    if not entry.old then
      if entry.field == 'e' then events = events + 1 elseif not entry.everything then new = new + 1 end
    end
    table.insert(puts, entry)
  end
end
local present = tonumber(redis.call('HGET', meta, 'events') or 0)
local counted = redis.call('HLEN', index) - present - (had and 1 or 0)
local limit = tonumber(ARGV[2])
if new > 0 and limit >= 0 and counted + new > limit or events > 0 and present + events > tonumber(ARGV[3]) then
  return {'FULL', more and '1' or '0', followed}
end

for _, entry in ipairs(puts) do
  local field, payload, old = entry.field, entry.payload, entry.old
  local unchanged = false
  if old then
    if field == 'r' then
      local _, before = fetch(old)
      payload = merge(payload, before)
      unchanged = payload == before
    end
    if not unchanged then
      redis.call('XDEL', stream, old .. '-0')
      redis.call('ZREM', expiry, old)
    end
  end
  if not unchanged then
    last = last + 1
    local sequence = text(last)
    redis.call('XADD', stream, sequence .. '-0', field, payload)
    redis.call('HSET', index, entry.name, sequence)
    redis.call('ZADD', expiry, text(due(field, payload)), sequence)
    if entry.everything then redis.call('HSET', meta, 'covering', '1') end
  end
end
-- This write comes last even if nothing changed, so that WAIT on this
-- connection waits for what an earlier call wrote on another one.
redis.call('HSET', meta, 'last', text(last), 'events', text(present + events))
if all then more = sweep(at, 1000) end
return {'OK', more and '1' or '0', followed}
