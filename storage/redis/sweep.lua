-- Removes rows that have expired, the longest expired first.
--
-- KEYS: marker, queue of the sweeper
-- ARGV: store time or '', most, start of row keys, of index keys, of partition indexes
if gone(KEYS[1]) then return {'gone'} end
local now = storeTime(ARGV[1], microseconds())
local names = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[2])
local rows = {}
for i, name in ipairs(names) do
  rows[i] = parse(redis.call('GET', ARGV[3] .. name)) or false
  if rows[i] then -- as in a commit, what may fail fails before the first write
    redis.call('EXISTS', ARGV[5] .. string.sub(name, 1, string.find(name, '\0', 1, true) - 1))
    eachEntry(rows[i].entries, function(index) redis.call('EXISTS', ARGV[4] .. index) end)
  end
end
local removed = 0
for i, name in ipairs(names) do
  local row = rows[i]
  if row and lives(row, now) then
    redis.call('ZADD', KEYS[2], string.format('%.0f', row.expires), name)
  else
    if row then
      local partition = string.sub(name, 1, string.find(name, '\0', 1, true) - 1)
      local rest = string.sub(name, #partition + 2)
      eachEntry(row.entries, function(index, sort)
        redis.call('ZREM', ARGV[4] .. index, sort .. '\0' .. name)
        redis.call('ZREM', ARGV[5] .. partition, index .. '\0' .. sort .. '\0' .. rest)
      end)
      redis.call('DEL', ARGV[3] .. name)
      removed = removed + 1
    end
    redis.call('ZREM', KEYS[2], name)
  end
end
return {'ok', removed, #names}
