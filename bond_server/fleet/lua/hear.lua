-- Note that streams have listeners now.
--
-- KEYS  heard
-- ARGV  ids
-- Returns the time in ms.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for _, id in ipairs(ARGV) do
  redis.call('ZADD', KEYS[1], string.format('%.0f', now), id)
end
return now
