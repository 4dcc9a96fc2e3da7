-- Answers the time, the epoch, the last sequence number, and the number of
-- revocations, without that of everything. ARGV: a fresh ID.
local replid = replication()
if not replid then return replica() end
local id, last = begin(ARGV[1])
if not id then return damaged() end
local count = redis.call('HLEN', index) - (redis.call('HGET', meta, 'events') or 0) - redis.call('HEXISTS', index, 'r\4')
return {text(now()), id .. '.' .. replid, text(last), text(count)}
