-- Stores a ticket. ARGV: the value, the expiry, and 1 if the store is full. The
-- stored value begins with the first 16 characters of the replication ID, so
-- that the ticket is void on a server that replaces this one: that server may
-- not know that the ticket was taken.
local replid = replication()
if not replid then return replica() end
if redis.call('EXISTS', KEYS[1]) == 1 then return {'EXISTS'} end
if tonumber(ARGV[2]) <= now() then return {'EXPIRED'} end
if ARGV[3] == '1' then return {'FULL'} end
redis.call('SET', KEYS[1], replid:sub(1, 16) .. ARGV[1], 'PXAT', ARGV[2])
return {'OK'}
