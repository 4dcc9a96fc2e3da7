-- Takes a ticket. Answers NONE, or OK, the value and the expiry. A ticket of
-- another replication ID is VOID.
local replid = replication()
if not replid then return replica() end
local value = redis.call('GET', KEYS[1])
if not value then return {'NONE'} end
local expires = text(now() + redis.call('PTTL', KEYS[1]))
redis.call('DEL', KEYS[1])
if value:sub(1, 16) ~= replid:sub(1, 16) then return {'VOID', '', expires} end
return {'OK', value:sub(17), expires}
