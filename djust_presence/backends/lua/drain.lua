-- Lets a lease expire soon, and nothing extend it any more.
-- KEYS  1 prefix
-- ARGV  1 lease  2 seconds that it has at most
-- reply nothing

local lease, grace = ARGV[1], tonumber(ARGV[2])
local seq, ttl = held(lease)
if seq then
  local expiry = tonumber(redis.call("ZSCORE", expiries(lease), lease))
  redis.call("HSET", SEQS, lease, seq .. ":" .. ttl .. ":draining")
  redis.call("ZADD", expiries(lease), time_text(math.min(expiry, now() + grace)), lease)
end
return false
