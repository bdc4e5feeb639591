-- Keep what is said of streams, of those that are there.
--
-- KEYS  streams, reports
-- ARGV  id and report of each

for i = 1, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  end
end
return 1
