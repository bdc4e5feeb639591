-- Append to streams of one slot, each in one step, and tell who watches.
--
-- KEYS  per stream: log, meta, ends
-- ARGV  PUBLISH or SPUBLISH; then per stream: channel, fence, lost_until, n, and n times:
--       id, data
-- Returns per stream: how many entries were new, -1 if fenced, -2 if it isn't open,
--          -3 if it was deleted, -4 if an owner's window ends more than 10 s from now: a clock that
--          is ahead must not take the ids of what is to come.
--
-- meta is a hash: epoch, top, fence, bytes, and the retention: keep_ms, windows, max_bytes.
-- ends is a list with a `<ms> <bytes>` for each window kept, the oldest first.

local publish = ARGV[1]
local at = 2

local function split(id)
  local ms, n = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(n)
end

local function is_newer(id, top)
  local ms, n = split(id)
  local top_ms, top_n = split(top)
  return ms > top_ms or (ms == top_ms and n > top_n)
end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
end

local function size_of(window)
  return tonumber(string.match(window, ' (%d+)$'))
end

local function note_window(ends, ms, size)
  local newest = redis.call('LINDEX', ends, -1)
  if newest and string.match(newest, '^%d+') == ms then
    redis.call('LSET', ends, -1, ms .. ' ' .. string.format('%.0f', size_of(newest) + size))
  else
    redis.call('RPUSH', ends, ms .. ' ' .. string.format('%.0f', size))
  end
end

-- By age or by number, whichever keeps more; by size in any case, but for the newest window.
local function trim(log, ends, newest_ms, bytes, keep_ms, windows, max_bytes)
  local count, was_cut = redis.call('LLEN', ends), false
  while count > 1 do
    local oldest = redis.call('LINDEX', ends, 0)
    local is_old = tonumber(string.match(oldest, '^%d+')) < newest_ms - keep_ms
    if not (is_old and count > windows) and bytes <= max_bytes then
      break
    end
    redis.call('LPOP', ends)
    bytes, count, was_cut = bytes - size_of(oldest), count - 1, true
  end
  if was_cut then
    local first = string.match(redis.call('LINDEX', ends, 0), '^%d+')
    redis.call('XTRIM', log, 'MINID', '=', first .. '-0')
  end
  return bytes
end

local function append(log, meta, ends, channel, fence, lost_until, n)
  local is = redis.call('HMGET', meta, 'epoch', 'top', 'fence', 'bytes', 'keep_ms', 'windows', 'max_bytes')
  if not is[1] then
    return redis.call('HEXISTS', meta, 'deleted') == 1 and -3 or -2
  end
  if fence < tonumber(is[3]) then
    return -1
  end
  local top, bytes = is[2], tonumber(is[4])
  local first = at
  while first < at + 2 * n and not is_newer(ARGV[first], top) do
    first = first + 2
  end
  if is_newer(lost_until, top) then
    top = lost_until
  end
  local ahead = first < at + 2 * n and fence > 0 and split(ARGV[first]) - now_ms()
  if ahead and ahead > 10000 then
    return -4
  end
  local head, bodies, window_ms, window_size = { top }, {}, nil, 0
  for i = first, at + 2 * n - 2, 2 do
    local id, data = ARGV[i], ARGV[i + 1]
    redis.call('XADD', log, id, 'd', data, 'p', top)
    local ms = string.match(id, '^%d+')
    if ms ~= window_ms and window_ms then
      note_window(ends, window_ms, window_size)
      window_size = 0
    end
    window_ms, window_size, bytes = ms, window_size + #data, bytes + #data
    head[#head + 1], bodies[#bodies + 1] = id .. ':' .. #data, data
    top = id
  end
  if window_ms then
    note_window(ends, window_ms, window_size)
    bytes = trim(log, ends, tonumber(window_ms), bytes, tonumber(is[5]), tonumber(is[6]), tonumber(is[7]))
    redis.call(publish, channel, table.concat(head, ' ') .. '\n' .. table.concat(bodies))
  end
  redis.call('HSET', meta, 'top', top, 'fence', string.format('%.0f', fence), 'bytes', string.format('%.0f', bytes))
  return #bodies
end

local results = {}
for s = 1, #KEYS / 3 do
  local channel, fence, lost_until = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local n = tonumber(ARGV[at + 3])
  at = at + 4
  results[s] = append(KEYS[3 * s - 2], KEYS[3 * s - 1], KEYS[3 * s], channel, fence, lost_until, n)
  at = at + 2 * n
end
return results
