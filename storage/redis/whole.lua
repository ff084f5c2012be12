-- Reads rows of one partition with their index entries, whether or not anybody
-- may use the store.
--
-- KEYS: rows...
-- Returns for each row false, or the row and its entries (name, sort, ...).
local rows = {}
for i, key in ipairs(KEYS) do
  local raw = redis.call('GET', key)
  local list = {}
  if raw then
    eachEntry(parse(raw).entries, function(name, sort)
      list[#list + 1] = name
      list[#list + 1] = sort
    end)
  end
  rows[i] = raw and {raw, list} or false
end
return rows
