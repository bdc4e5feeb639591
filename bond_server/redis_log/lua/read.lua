-- Read what a stream keeps after an id, and where the log stands, in one look.
--
-- KEYS  log, meta
-- ARGV  id, limit
-- Returns epoch, top, the oldest id kept, and the entries; nothing where it isn't open.

local log, meta = KEYS[1], KEYS[2]
local is = redis.call('HMGET', meta, 'epoch', 'top')
if not is[1] then
  return {}
end
local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
return { is[1], is[2], oldest and oldest[1] or '', redis.call('XRANGE', log, '(' .. ARGV[1], '+', 'COUNT', ARGV[2]) }
