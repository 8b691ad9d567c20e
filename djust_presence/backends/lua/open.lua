-- Begins a lease, with no write under it yet; nothing if it is known or claimed.
-- KEYS  1 prefix
-- ARGV  1 lease  2 ttl
-- reply the birth of this store

local lease, ttl = ARGV[1], ARGV[2]
redis.call("SET", BIRTH, lease, "NX")
if not expiry(lease) and redis.call("HEXISTS", SEQS, lease) == 0 then
  redis.call("HSET", SEQS, lease, "0:" .. ttl)
  expire(lease, now() + tonumber(ttl))
end
return redis.call("GET", BIRTH)
