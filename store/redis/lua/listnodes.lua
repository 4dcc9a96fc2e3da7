-- Answers the time, and for each node with a lease its ID, the end of the
-- lease, and its start and data.
local at = now()
local answer = {text(at)}
local live = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. text(at), '+inf', 'WITHSCORES')
for i = 1, #live, 2 do
  table.insert(answer, live[i])
  table.insert(answer, text(tonumber(live[i + 1])))
  table.insert(answer, redis.call('HGET', KEYS[2], live[i]) or '')
end
return answer
