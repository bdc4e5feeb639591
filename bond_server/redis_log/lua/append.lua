-- Append to streams of one slot, each in one step, and tell who watches.
--
-- KEYS  per stream: log, meta, ends, channel
-- ARGV  PUBLISH or SPUBLISH; per stream a line `<fence> <lost_until> <id>:<bytes> <id>:<bytes> …`;
--       and the data of all entries, without anything between
-- Returns per stream: how many entries were new, -1 if fenced, -2 if it isn't open,
--          -3 if it was deleted, -4 if an owner's window ends more than 10 s from now: a clock that
--          is ahead must not take the ids of what is to come.
--
-- meta is a hash: epoch, top, fence, bytes, and the retention: keep_ms, windows, max_bytes.
-- ends is a list with a `<ms> <bytes>` for each window kept, the oldest first.

local publish, heads, data = ARGV[1], ARGV[2], ARGV[3]
local at = 1 -- where in the data the next entry begins

local function is_newer(ms, n, than_ms, than_n)
  return ms > than_ms or (ms == than_ms and n > than_n)
end

local function split(id)
  local ms, n = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(n)
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

-- Return the entries of a line that are newer than the top, with the data of each.
local function newer_than(top, line)
  local top_ms, top_n = split(top)
  local entries = {}
  for ms, n, size in string.gmatch(line, ' (%d+)-(%d+):(%d+)') do
    local first = at
    at = at + tonumber(size)
    if is_newer(tonumber(ms), tonumber(n), top_ms, top_n) then
      entries[#entries + 1] = { ms = ms, id = ms .. '-' .. n, data = string.sub(data, first, at - 1) }
    end
  end
  return entries
end

local function append(log, meta, ends, channel, line)
  local fence, lost_until, items = string.match(line, '^(%d+) (%d+-%d+)(.*)$')
  local is = redis.call('HMGET', meta, 'epoch', 'top', 'fence', 'bytes', 'keep_ms', 'windows', 'max_bytes')
  local entries = newer_than(is[2] or '0-0', items)
  fence = tonumber(fence)
  if not is[1] then
    return redis.call('HEXISTS', meta, 'deleted') == 1 and -3 or -2
  end
  if fence < tonumber(is[3]) then
    return -1
  end
  if #entries > 0 and fence > 0 and tonumber(entries[1].ms) - now_ms() > 10000 then
    return -4
  end
  local top, bytes = is[2], tonumber(is[4])
  local lost_ms, lost_n = split(lost_until)
  if is_newer(lost_ms, lost_n, split(top)) then
    top = lost_until
  end
  local head, bodies, window_ms, window_size = { top }, {}, nil, 0
  for i, entry in ipairs(entries) do
    redis.call('XADD', log, entry.id, 'd', entry.data, 'p', top)
    if entry.ms ~= window_ms and window_ms then
      note_window(ends, window_ms, window_size)
      window_size = 0
    end
    window_ms, window_size, bytes = entry.ms, window_size + #entry.data, bytes + #entry.data
    head[i + 1], bodies[i] = entry.id .. ':' .. #entry.data, entry.data
    top = entry.id
  end
  if window_ms then
    note_window(ends, window_ms, window_size)
    bytes = trim(log, ends, tonumber(window_ms), bytes, tonumber(is[5]), tonumber(is[6]), tonumber(is[7]))
    redis.call(publish, channel, table.concat(head, ' ') .. '\n' .. table.concat(bodies))
  end
  redis.call('HSET', meta, 'top', top, 'fence', string.format('%.0f', fence), 'bytes', string.format('%.0f', bytes))
  return #entries
end

local results = {}
for line in string.gmatch(heads, '[^\n]+') do
  local s = #results
  results[s + 1] = append(KEYS[4 * s + 1], KEYS[4 * s + 2], KEYS[4 * s + 3], KEYS[4 * s + 4], line)
end
return results
