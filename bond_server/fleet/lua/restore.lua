-- Put back a stream whose row Redis has lost, unless it has another by now.
--
-- KEYS  streams, of:<project>, changes
-- ARGV  id, row

if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1 then
  redis.call('SADD', KEYS[2], ARGV[1])
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'id', ARGV[1])
end
return 1
