-- Answers the time and the sessions of a subject.
local all = redis.call('HVALS', KEYS[1])
table.insert(all, 1, text(now()))
return all
