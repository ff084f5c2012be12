-- Applies a change if all its checks hold. Everything that can fail comes
-- before the first write: a script that fails is not undone.
--
-- KEYS: marker, fence, index of the partition, queue of the sweeper, rows...
-- ARGV: store time or '', deadline, version, start of index keys, partition,
--   touch, grace, grace of rows with entries, number of checks, (row, version)...,
--   number of puts, (row, name, expiry, keep or number of entries, (name, sort)..., value)...,
--   number of deletes, (row, name)...
local marker, fence, pindex, queue = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local version, base, partition = ARGV[3], ARGV[4], ARGV[5]
local clock = microseconds()
local now = storeTime(ARGV[1], clock)

-- No gone(marker): once a script has tried a write, Redis lets it go on without
-- memory. The counter is the first.
if redis.call('EXISTS', marker) == 0 then return {'gone'} end
if clock > tonumber(ARGV[2]) then return {'late', clock} end
if redis.call('EXISTS', fence) == 1 then return {'fenced'} end

local rows = {}
for i = 5, #KEYS do rows[i - 4] = parse(redis.call('GET', KEYS[i])) end

local at = 9
local function take()
  at = at + 1
  return ARGV[at - 1]
end

for _ = 1, tonumber(take()) do
  local n, want = tonumber(take()), take()
  local has = '\0\0\0\0\0\0\0\0'
  if lives(rows[n], now) then has = rows[n].version end
  if has ~= want then return {'conflict', n, has} end
end

local writes = {}
for _ = 1, tonumber(take()) do
  local w = { row = tonumber(take()), name = take(), expires = tonumber(take()) }
  local old, entries = rows[w.row], take()
  w.was = old and old.entries or ''
  if entries == 'keep' then
    w.entries = lives(old, now) and old.entries or ''
  else
    local list = {}
    for i = 1, 2 * tonumber(entries) do list[i] = take() end
    w.entries = #list > 0 and cmsgpack.pack(list) or ''
  end
  w.value = take()
  writes[#writes + 1] = w
end
for _ = 1, tonumber(take()) do
  local w = { row = tonumber(take()), name = take(), entries = '' }
  w.was = rows[w.row] and rows[w.row].entries or ''
  writes[#writes + 1] = w
end

-- A look at each key that is not declared: where a cluster is moving it, the
-- look fails, and nothing has been written.
local function touchIndex(name) redis.call('EXISTS', base .. name) end
for _, w in ipairs(writes) do
  if w.entries ~= w.was then
    eachEntry(w.was, touchIndex)
    eachEntry(w.entries, touchIndex)
  end
end

local counter = tonumber(redis.call('GET', marker))
if #writes > 0 or ARGV[6] == '1' then counter = redis.call('INCR', marker) end

for _, w in ipairs(writes) do
  local tail = w.name
  if w.entries ~= w.was then
    eachEntry(w.was, function(name, sort)
      redis.call('ZREM', base .. name, sort .. '\0' .. partition .. '\0' .. tail)
      redis.call('ZREM', pindex, name .. '\0' .. sort .. '\0' .. tail)
    end)
    eachEntry(w.entries, function(name, sort)
      redis.call('ZADD', base .. name, 0, sort .. '\0' .. partition .. '\0' .. tail)
      redis.call('ZADD', pindex, 0, name .. '\0' .. sort .. '\0' .. tail)
      passing(base .. name)
      passing(pindex)
    end)
  end
  local key = KEYS[w.row + 4]
  local due = queued(w.value and w)
  if due ~= queued(rows[w.row]) then
    local member = partition .. '\0' .. tail
    if due == 0 then
      redis.call('ZREM', queue, member)
    else
      redis.call('ZADD', queue, string.format('%.0f', due), member)
      passing(queue)
    end
  end
  if not w.value then
    redis.call('DEL', key)
  else
    local raw = version .. struct.pack('>d', w.expires) .. struct.pack('>I4', #w.entries) .. w.entries .. w.value
    if w.expires == 0 then
      redis.call('SET', key, raw)
    else
      local left = math.max(0, math.floor((w.expires - now) / 1000)) + tonumber(w.entries == '' and ARGV[7] or ARGV[8])
      redis.call('SET', key, raw, 'PX', string.format('%.0f', left))
    end
    passing(key)
  end
end
return {'ok', counter, clock}
