-- Finds out what became of a commit whose reply was lost, and sees to it that
-- it does not happen any more if it has not: it may still be on its way.
--
-- KEYS: marker, fence, rows that it puts...
-- ARGV: version, how long the fence stands
if gone(KEYS[1]) then return {'gone'} end
for i = 3, #KEYS do
  local row = parse(redis.call('GET', KEYS[i]))
  if row and row.version == ARGV[1] then return {'written'} end
end
redis.call('SET', KEYS[2], '1', 'PX', ARGV[2])
local versions = {'fenced'}
for i = 3, #KEYS do
  local row = parse(redis.call('GET', KEYS[i]))
  versions[#versions + 1] = row and row.version or ''
end
return versions
