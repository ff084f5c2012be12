-- Gives the marker of a group another name.
--
-- KEYS: that name, and those that it may have now, the likeliest first
-- ARGV: '1' for a store that has no markers yet
if redis.call('EXISTS', KEYS[1]) == 1 then return {'ok'} end
local taken = false
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    if taken then redis.call('DEL', KEYS[i]) else redis.call('RENAME', KEYS[i], KEYS[1]) end
    taken = true
  end
end
if not taken and ARGV[1] == '1' then
  redis.call('SET', KEYS[1], 0)
  taken = true
end
return {taken and 'ok' or 'gone'}
