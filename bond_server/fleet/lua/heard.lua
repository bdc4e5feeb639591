-- Return the time in ms, and when each of some streams last had listeners, 0 for never.
--
-- KEYS  heard
-- ARGV  ids

local time = redis.call('TIME')
local found = { tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) }
for _, id in ipairs(ARGV) do
  found[#found + 1] = tonumber(redis.call('ZSCORE', KEYS[1], id) or 0)
end
return found
