-- Begins a lease, with no write under it yet; does nothing if it is known or claimed.
-- KEYS  1 prefix
-- ARGV  1 lease  2 ttl  3 unheard: how long its owner may be silent  4 pause: the shortest silence of all that counts (seconds)
-- reply the birth of this store

local lease, ttl, unheard, pause = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
redis.call("SET", BIRTH, lease, "NX")
if not expiry(lease) and redis.call("HEXISTS", SEQS, lease) == 0 then
  hold(lease, "0", ttl .. ":" .. unheard .. ":" .. pause)
  expire(lease, now() + tonumber(ttl))
end
local mine = held(lease)
if mine then hear(mine.unheard, mine.pause, now()) end
return redis.call("GET", BIRTH)
