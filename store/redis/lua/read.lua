-- Reads a page. ARGV: a fresh ID, the sequence number and the epoch of the
-- cursor (empty for the beginning), and the maximum numbers of entries and
-- bytes. Answers CURSOR, or OK, the time, the epoch, the last sequence number,
-- the newest beat and its sequence number, the newest confirmed beat and its
-- sequence number, whether the log has had replicas, the revocation of
-- everything, whether the page reaches the end, and for each entry its ID,
-- field and payload.
local replid = replication()
if not replid then return replica() end
local id, last = begin(ARGV[1])
if not id then return damaged() end
local epoch = id .. '.' .. replid
if ARGV[3] ~= '' and (ARGV[3] ~= epoch or tonumber(ARGV[2]) > last) then return {'CURSOR'} end
local beats = redis.call('HMGET', meta, 'beat', 'beatseq', 'known', 'knownseq', 'replicas')
local page = {'OK', text(now()), epoch, text(last)}
for i = 1, 5 do table.insert(page, beats[i] or '0') end
table.insert(page, held() or '')
table.insert(page, '0')
local ends = #page
local limit, room, from = tonumber(ARGV[4]), tonumber(ARGV[5]), '(' .. ARGV[2] .. '-0'
while limit > 0 and room > 0 do
  local asked = math.min(limit, 100)
  local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', asked)
  for _, entry in ipairs(entries) do
    table.insert(page, entry[1])
    table.insert(page, entry[2][1])
    table.insert(page, entry[2][2])
    room = room - #entry[2][2]
    from = '(' .. entry[1]
  end
  limit = limit - #entries
  if #entries < asked then break end
end
if #redis.call('XRANGE', stream, from, '+', 'COUNT', 1) == 0 then page[ends] = '1' end
return page
