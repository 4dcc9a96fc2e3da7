-- Makes a bucket full.
redis.call('DEL', KEYS[1])
return {}
