-- Reads a part of indexes, with the rows that they point at.
--
-- KEYS: (marker, index)...
-- ARGV: store time or '', most rows of each, NULs before the name of a row, to,
--   (start of row keys, from)...
-- Returns for each index: members and rows by turns, the last member looked at
-- unless that was the end, the members whose rows are gone.
local now = storeTime(ARGV[1], microseconds())
local most, skip, to = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]

local function part(index, rowKeys, from)
  local rows, dead, last = {}, {}, false
  for _ = 1, 20 do
    local want = most - #rows / 2
    local members = redis.call('ZRANGEBYLEX', index, from, to, 'LIMIT', 0, want)
    for _, m in ipairs(members) do
      local raw = redis.call('GET', rowKeys .. cut(m, skip))
      if not raw then
        dead[#dead + 1] = m
      elseif lives(parse(raw), now) then
        rows[#rows + 1] = m
        rows[#rows + 1] = raw
      end
      last = m
    end
    if #members < want then return {rows, false, dead} end
    from = '(' .. last
    if #rows / 2 == most then break end
  end
  return {rows, last, dead}
end

local parts = {}
for i = 1, #KEYS, 2 do
  if gone(KEYS[i]) then return {'gone'} end
  parts[#parts + 1] = part(KEYS[i + 1], ARGV[4 + i], ARGV[5 + i])
end
return {'ok', microseconds(), parts}
