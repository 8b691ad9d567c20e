-- Begins a lease, with no write under it yet; nothing if it is known or claimed.
-- KEYS  1 prefix
-- ARGV  1 lease  2 ttl
-- reply nothing

local lease, ttl = ARGV[1], ARGV[2]
if not held(lease) and redis.call("SISMEMBER", DEAD, lease) == 0 then
  redis.call("HSET", SEQS, lease, "0:" .. ttl)
  redis.call("ZADD", expiries(lease), time_text(now() + tonumber(ttl)), lease)
end
return false
