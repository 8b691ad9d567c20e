-- Returns a part of a group's members, in the order in which they are listed.
-- KEYS  1 prefix
-- ARGV  1 presence key  2 how many at most, "" for all  3 joined_at and 4 user of the place after which the part begins,
--       whether somebody is there or not; neither for the beginning
-- reply the JSON of {user, member, user, member ...}, or nothing: one text is read ten times as fast as hundreds

local key, limit, spot_time, spot_user = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local CHUNK = 1000 -- unpack has a limit

-- Returns whether a text comes before another by their bytes. Lua's own comparison depends on the server's locale.
local function precedes(one, other)
  local at = 1
  while at <= #one and one:byte(at) == other:byte(at) do at = at + 1 end
  return (one:byte(at) or -1) < (other:byte(at) or -1)
end

-- Returns how many of so many users come before the part
local function skipped(total)
  if not spot_time then return 0 end
  local low, high = 0, total
  while low < high do
    local middle = math.floor((low + high) / 2)
    local user, time = unpack(redis.call("ZRANGE", times(key), middle, middle, "WITHSCORES"))
    time = tonumber(time)
    if time > spot_time or time == spot_time and precedes(spot_user, user) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

return reading(key, function()
  local place, total = redis.call("HGET", PLACES, key), redis.call("ZCARD", times(key))
  if place and total == 0 or total ~= redis.call("HLEN", users(key)) then error(UNREADABLE, 0) end
  local first = skipped(total)
  local past = limit and math.min(first + limit, total) or total
  local part = {}
  while first < past do
    local names = redis.call("ZRANGE", times(key), first, math.min(first + CHUNK, past) - 1)
    local members = redis.call("HMGET", users(key), unpack(names))
    for i, user in ipairs(names) do
      if not members[i] or not is_member(members[i]) then error(UNREADABLE, 0) end
      part[#part + 1] = user
      part[#part + 1] = members[i]
    end
    first = first + CHUNK
  end
  return #part > 0 and cjson.encode(part) or ""
end, function() return "" end)
