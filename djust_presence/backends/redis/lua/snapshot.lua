-- Returns a group.
-- KEYS  1 prefix
-- ARGV  1 presence key
-- reply {its place or false, {user, member, user, member ...}}

return reading(ARGV[1], function(key)
  local place, members = redis.call("HGET", PLACES, key), redis.call("HGETALL", users(key))
  if place and #members == 0 or #members ~= 2 * redis.call("ZCARD", times(ARGV[1])) then error(UNREADABLE, 0) end
  for i = 2, #members, 2 do
    if not is_member(members[i]) then error(UNREADABLE, 0) end
  end
  return {place, members}
end, function() return {false, {}} end)
