-- Strikes members out of an index whose rows are gone.
--
-- KEYS: index, rows...
-- ARGV: the member of each row
local healed = 0
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    healed = healed + redis.call('ZREM', KEYS[1], ARGV[i - 1])
  end
end
return healed
