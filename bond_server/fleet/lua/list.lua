-- Return row and report of each of a project's streams, as get.lua does, one after the other.
--
-- KEYS  streams, of:<project>, reports

local found = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  found[#found + 1] = redis.call('HGET', KEYS[1], id) or ''
  found[#found + 1] = redis.call('HGET', KEYS[3], id) or ''
end
return found
