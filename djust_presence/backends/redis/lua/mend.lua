-- Looks through some groups for rows that are lost or unreadable. A group that is not whole is discarded. A row without
-- a lease gets one that expires, unless its process joins it again under another.
-- KEYS  1 prefix
-- ARGV  1 lease of the caller  2 how many connections and users to look at, at most  3 ... presence keys
-- reply nothing

local mine = held(ARGV[1])
if not mine then return false end
local left, known = tonumber(ARGV[2]), {}

local function adopt(lease)
  if not known[lease] and not expiry(lease) then
    if redis.call("HEXISTS", SEQS, lease) == 0 then hold(lease, "0", mine.terms) end
    expire(lease, now() + mine.ttl)
  end
  known[lease] = true
end

-- A member has the meta that was said last by one of its connections, and is listed at its joined_at.
local function check(key, user, member)
  local listed_at = redis.call("ZSCORE", times(key), user)
  if not listed_at or tonumber(listed_at) ~= tonumber(member.joined_at) then error(UNREADABLE, 0) end
  local ref = member.ref
  if member.connections > 1 then ref = select(2, latest(key, user)) end
  local said_by = known_row(key, ref)
  if said_by.user ~= user or said_by.meta ~= member.meta then error(UNREADABLE, 0) end
end

local function look(key)
  if not redis.call("HGET", PLACES, key) then return end
  if not has_rows(key) then error(UNREADABLE, 0) end
  if left <= 0 then return end
  local some = redis.call("HRANDFIELD", rows(key), left, "WITHVALUES")
  for i = 1, #some, 2 do
    local lease = read_row(some[i + 1]).lease
    adopt(lease)
    indexed("SADD", lease, some[i] .. ":" .. key)
  end
  local members = redis.call("HRANDFIELD", users(key), left, "WITHVALUES")
  for i = 1, #members, 2 do check(key, members[i], read_member(members[i + 1])) end
  left = left - #some / 2 - #members / 2
end

for i = 3, #ARGV do
  reading(ARGV[i], look, function() end)
end
return false
