-- Records that a beat was confirmed. ARGV: a fresh ID, the epoch, and the time
-- and the sequence number of the beat.
local replid = replication()
if not replid then return replica() end
local id = begin(ARGV[1])
if not id then return damaged() end
if ARGV[2] == id .. '.' .. replid and tonumber(redis.call('HGET', meta, 'knownseq') or 0) < tonumber(ARGV[4]) then
  redis.call('HSET', meta, 'known', ARGV[3], 'knownseq', ARGV[4])
end
return {}
