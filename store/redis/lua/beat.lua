-- Writes a beat if the newest one is older than an interval, and sweeps. ARGV:
-- a fresh ID and the interval in milliseconds. Answers the time, the epoch, the
-- sequence number of the beat or 0, whether entries remain to be swept, and
-- whether the log has had replicas.
local replid, replicas = replication()
if not replid then return replica() end
local id, last = begin(ARGV[1])
if not id then return damaged() end
if replicas > 0 then redis.call('HSET', meta, 'replicas', '1') end
local at, wrote = now(), 0
local age = at - (redis.call('HGET', meta, 'beat') or 0)
if age < 0 or age >= tonumber(ARGV[2]) then
  wrote = last + 1
  redis.call('HSET', meta, 'last', text(wrote), 'beat', text(at), 'beatseq', text(wrote))
end
local more = sweep(at, 1000)
return {text(at), id .. '.' .. replid, text(wrote), more and '1' or '0', redis.call('HGET', meta, 'replicas') or '0'}
