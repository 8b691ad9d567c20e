-- Makes a ref present in a group, or updates it; it hangs on this lease from here on.
-- KEYS  1 prefix
-- ARGV  1 lease  2 seq  3 presence key  4 ref  5 user  6 meta  7 epoch, if the group begins with this  8 tag
--       9 joined_at, and 10 when the meta was said; "" for the time of this server
-- reply "dead" or "seen", or "ok", when the meta was said, the group's epoch, and the rest of finish's reply

local lease, seq, key, ref, user, meta, epoch, tag = unpack(ARGV)
local status = gate(lease, seq)
if status ~= "ok" then return {status} end

local at, said, joined_at, life = time_text(now())

-- Returns when the meta of this join was said: later than all others of the user, if it is said by this join. *last* is
-- when the latest of those was said.
local function said_at(had, last)
  if ARGV[10] ~= "" then
    local given = time_text(tonumber(ARGV[10]))
    return had and had.meta == meta and had.said > given and had.said or given
  end
  return last and last >= at and time_text(tonumber(last) + 0.000001) or at
end

local change = stepping(key, epoch, tag, function(step)
  life = step.place:match("^[^:]*")
  local had = row(key, ref)
  if had and had.lease ~= lease then unindex(had.lease, key, ref) end
  if had and had.user ~= user then
    drop(step, ref, had)
    had = nil
  end

  local member = touch(step, user)
  local before = member and member.connections or 0
  local last, last_ref
  if before == 1 then
    last, last_ref = known_row(key, member.ref).said, member.ref
  elseif before > 1 then
    last, last_ref = latest(key, user)
  end
  said = said_at(had, last)
  redis.call("HSET", rows(key), ref, row_text(lease, said, user, meta))
  indexed("SADD", lease, ref .. ":" .. key)

  local connections, shown = had and before or before + 1, meta
  if connections > 1 then
    if before == 1 then redis.call("ZADD", order(key), 0, order_text(user, last, last_ref)) end
    if had and redis.call("ZREM", order(key), order_text(user, had.said, ref)) == 0 then error(UNREADABLE, 0) end
    redis.call("ZADD", order(key), 0, order_text(user, said, ref))
    local _, newest = latest(key, user)
    if newest ~= ref then shown = known_row(key, newest).meta end
  end

  joined_at = ARGV[9]
  if joined_at == "" then
    joined_at = member and member.joined_at or at
  elseif member and tonumber(member.joined_at) <= tonumber(joined_at) then
    joined_at = member.joined_at
  end
  if not member or member.joined_at ~= joined_at then redis.call("ZADD", times(key), joined_at, user) end
  redis.call("HSET", users(key), user, member_text(connections, joined_at, connections == 1 and ref or "", shown))
end)
change[1] = life
table.insert(change, 1, said)
return answer("ok", change)
