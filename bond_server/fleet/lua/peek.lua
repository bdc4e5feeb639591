-- Say who owns a stream, to whom it is offered, and where it stands; '' for what there isn't.
--
-- KEYS  meta
-- ARGV  a worker that has got ready for what it was offered, or ''
-- An offer is the worker's name; once that worker is ready, the name and a plus.

if ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'next') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'next', ARGV[1] .. '+')
end
local is = redis.call('HMGET', KEYS[1], 'owner', 'next', 'top')
return { is[1] or '', is[2] or '', is[3] or '0-0' }
