-- Makes a store where there is none, and says which one there is.
--
-- KEYS: the store
-- ARGV: id, format, number of partitions, what it is filled from or ''
local made = redis.call('HSETNX', KEYS[1], 'id', ARGV[1])
if made == 1 and ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'copying', ARGV[4]) end
if made == 1 and life > 0 then redis.call('PEXPIRE', KEYS[1], life) end
if ARGV[4] ~= '' and redis.call('HGET', KEYS[1], 'copying') == ARGV[4] and redis.call('HEXISTS', KEYS[1], 'opening') == 0 then redis.call('HINCRBY', KEYS[1], 'copier', 1) end
redis.call('HSETNX', KEYS[1], 'format', ARGV[2])
redis.call('HSETNX', KEYS[1], 'partitions', ARGV[3])
return redis.call('HMGET', KEYS[1], 'id', 'format', 'partitions', 'ready', 'copying', 'moved', 'copier', 'opening')
