-- Makes a ref present in a group, or updates it; it hangs on this lease from here on.
-- KEYS  1 prefix
-- ARGV  1 lease  2 seq  3 presence key  4 ref  5 user  6 meta  7 epoch, if the group begins with this
--       8 tag  9 joined_at, or "" for the time of this server
-- reply "dead" or "seen", or "ok", the group's epoch, and what else finish says

local lease, seq, key, ref, user, meta, epoch, tag, joined_at = unpack(ARGV)
local status = gate(lease, seq)
if status ~= "ok" then return {status} end

local step = begin(key, epoch)
local had = row(key, ref)
if had and had.lease ~= lease then
  unindex(had.lease, key, ref)
end
if had and had.user ~= user then
  drop(step, ref, had.user)
  had = nil
end
redis.call("HSET", rows(key), ref, row_text(lease, user, meta))
redis.call("SADD", index(lease), ref .. ":" .. key)

local member = touch(step, user)
if member then
  local connections, since, shown = member:match("^(%d+):([^:]+):(.*)$")
  if not had then connections = tonumber(connections) + 1 end
  if joined_at == "" or tonumber(since) <= tonumber(joined_at) then joined_at = since end
  if had and had.meta == meta then meta = shown end
  redis.call("HSET", users(key), user, connections .. ":" .. joined_at .. ":" .. meta)
else
  if joined_at == "" then joined_at = time_text(now()) end
  redis.call("HSET", users(key), user, "1:" .. joined_at .. ":" .. meta)
end

local change = finish(step, tag)
change[1] = step.place:match("^[^:]*")
return answer("ok", change)
