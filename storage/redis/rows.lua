-- What the scripts share. A row is one string: version (8 bytes), expiry
-- (double, microseconds since 1970, 0 for never), the length of the packed
-- index entries (4 bytes), the entries, the value. life is how many milliseconds
-- the keys of a store that goes by itself stand after they were written, 0 for
-- any other store.

local function microseconds()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

-- The store's time is Redis's own unless a test gives another one.
local function storeTime(given, clock)
  if given == '' then return clock end
  return tonumber(given)
end

local function parse(raw)
  if not raw then return nil end
  local entries = struct.unpack('>I4', raw, 17)
  return {
    version = string.sub(raw, 1, 8),
    expires = struct.unpack('>d', raw, 9),
    entries = string.sub(raw, 21, 20 + entries),
  }
end

local function lives(row, now)
  return row ~= nil and (row.expires == 0 or row.expires > now)
end

-- eachEntry walks packed entries: name, sort, name, sort, ...
local function eachEntry(packed, visit)
  if packed == '' then return end
  local list = cmsgpack.unpack(packed)
  for i = 1, #list, 2 do visit(list[i], list[i + 1]) end
end

-- A row with entries and an expiry is in the queue of the sweeper: when Redis
-- removes the row by itself nobody knows its entries any more.
local function queued(row)
  if row == nil or row.entries == '' or row.expires == 0 then return 0 end
  return row.expires
end

-- passing has a key of a store that goes by itself stand for a while more.
local function passing(key)
  if life > 0 then redis.call('PEXPIRE', key, life) end
end

-- cut returns what follows the nth NUL of a text.
local function cut(text, n)
  local at = 1
  for _ = 1, n do
    local found = string.find(text, '\0', at, true)
    if not found then return '' end
    at = found + 1
  end
  return string.sub(text, at)
end

-- gone reports whether the marker of the store is missing. The write that it
-- tries changes nothing; a replica refuses it, and a master that is cut off from
-- the replicas it needs: neither is to be read from.
local function gone(marker)
  if life > 0 then redis.call('PEXPIRE', marker, life) else redis.call('PERSIST', marker) end
  return redis.call('EXISTS', marker) == 0
end
