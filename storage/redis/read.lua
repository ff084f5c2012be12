-- Reads rows of one partition at one moment.
--
-- KEYS: marker, rows...
if gone(KEYS[1]) then return {'gone'} end
local rows = {}
if #KEYS > 1 then rows = redis.call('MGET', unpack(KEYS, 2)) end
return {'ok', microseconds(), rows}
