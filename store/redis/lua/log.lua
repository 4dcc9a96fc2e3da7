-- KEYS of all scripts of the log.
local meta, stream, index, expiry = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- begin gives the log the ID fresh if it has none, and returns its ID and the
-- last sequence number, or nothing if a part of the log is lost.
local function begin(fresh)
  local head = redis.call('HMGET', meta, 'id', 'last')
  local entries = redis.call('XLEN', stream)
  if entries ~= redis.call('HLEN', index) or entries ~= redis.call('ZCARD', expiry) then return nil end
  if head[1] then return head[1], tonumber(head[2]) end
  if entries > 0 then return nil end
  redis.call('DEL', stream)
  redis.call('HSET', meta, 'id', fresh, 'last', '0')
  return fresh, 0
end

-- damaged returns the error of a log that has lost a part.
local function damaged() return redis.error_reply('ERR a part of the log is lost') end

-- fetch returns the field and the payload of an entry.
local function fetch(sequence)
  local entry = redis.call('XRANGE', stream, sequence .. '-0', sequence .. '-0')[1]
  return entry[2][1], entry[2][2]
end

-- name returns the field of an entry in the index: the target and the ID of a
-- revocation, or the kind and the ID of an event, each preceded by its length.
local function name(field, payload)
  if field == 'r' then return 'r' .. payload:sub(1, 1) .. payload:sub(18) end
  local kind = payload:byte(1)
  return 'e' .. payload:sub(1, kind + 3 + payload:byte(kind + 2) * 256 + payload:byte(kind + 3))
end

-- remove removes an entry from all keys of the log.
local function remove(sequence, field, payload)
  redis.call('HDEL', index, name(field, payload))
  redis.call('XDEL', stream, sequence .. '-0')
  redis.call('ZREM', expiry, sequence)
  if field == 'e' then redis.call('HINCRBY', meta, 'events', -1) end
end

-- held returns the encoded revocation of everything, or nil.
local function held()
  local sequence = redis.call('HGET', index, 'r\4')
  if not sequence then return nil end
  local _, payload = fetch(sequence)
  return payload
end

-- started returns the start of a session in milliseconds if its ID is a UUIDv7.
local function started(sid)
  if #sid ~= 36 then return nil end
  local high, low = string.match(sid, '^(%x%x%x%x%x%x%x%x)%-(%x%x%x%x)%-7%x%x%x%-[89abAB]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$')
  if not high then return nil end
  return tonumber(high, 16) * 65536 + tonumber(low, 16)
end

-- covers reports whether the revocation all of everything makes another
-- redundant, as Revocation.Covers does.
local function covers(all, payload)
  local target = payload:byte(1)
  local before, expires = struct.unpack('>I8I8', all, 2)
  local since, other = struct.unpack('>I8I8', payload, 2)
  if expires < other then return false end
  if target == 3 or target == 5 then return before >= since end
  if target ~= 2 and target ~= 6 then return false end
  local start = started(payload:sub(18))
  return start ~= nil and start <= before
end

-- merge returns the union of two revocations with the same name.
local function merge(a, b)
  local since, expires = struct.unpack('>I8I8', a, 2)
  local since2, expires2 = struct.unpack('>I8I8', b, 2)
  return a:sub(1, 1) .. struct.pack('>I8I8', math.max(since, since2), math.max(expires, expires2)) .. a:sub(18)
end

-- sweep examines up to limit entries, and removes those that have expired and
-- those that the revocation of everything covers. It reports whether it left
-- any unexamined. The field covering of meta is the sequence number at which
-- the comparison with that revocation continues.
local function sweep(at, limit)
  local due = redis.call('ZRANGEBYSCORE', expiry, '-inf', text(at), 'LIMIT', 0, limit)
  for _, sequence in ipairs(due) do remove(sequence, fetch(sequence)) end
  if #due == limit then return true end
  local from = redis.call('HGET', meta, 'covering')
  if not from then return false end
  local all, last = held(), nil
  local entries = all and redis.call('XRANGE', stream, from .. '-0', '+', 'COUNT', limit) or {}
  for _, entry in ipairs(entries) do
    last = string.match(entry[1], '^%d+')
    if entry[2][1] == 'r' and covers(all, entry[2][2]) then remove(last, 'r', entry[2][2]) end
  end
  if #entries < limit then
    redis.call('HDEL', meta, 'covering')
    return false
  end
  redis.call('HSET', meta, 'covering', text(last + 1))
  return true
end
