-- Lets a lease expire in so many seconds, whatever was left of it; it cannot be extended after that. A lease without
-- refs is forgotten at once.
-- KEYS  1 prefix
-- ARGV  1 lease  2 seconds
-- reply nothing

local lease, grace = ARGV[1], tonumber(ARGV[2])
local mine = held(lease)
if mine and redis.call("EXISTS", index(lease)) == 0 then
  forget(lease)
elseif mine then
  hold(lease, mine.seq, mine.terms, true)
  expire(lease, now() + grace)
end
return false
