-- Renew a worker's lease, and tell who else has one.
--
-- KEYS  workers, leaving
-- ARGV  the worker, or '' to look only; how long its lease lasts, ms; whether it leaves
-- Returns the time in ms, whether it still had its lease, the workers, and those that leave.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local had_it = 0
if ARGV[1] ~= '' then
  for _, key in ipairs(KEYS) do
    local ends = redis.call('ZSCORE', key, ARGV[1])
    if ends and tonumber(ends) > now then
      had_it = 1
    end
  end
  local stays, goes = KEYS[1], KEYS[2]
  if ARGV[3] == '1' then
    stays, goes = goes, stays
  end
  redis.call('ZREM', goes, ARGV[1])
  redis.call('ZADD', stays, string.format('%.0f', now + tonumber(ARGV[2])), ARGV[1])
end
for _, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - 60000))
end
local after = string.format('(%.0f', now)
return {
  now, had_it,
  redis.call('ZRANGEBYSCORE', KEYS[1], after, '+inf'),
  redis.call('ZRANGEBYSCORE', KEYS[2], after, '+inf'),
}
