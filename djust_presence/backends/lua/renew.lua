-- Extends a lease by its ttl, unless it is draining.
-- KEYS  1 prefix
-- ARGV  1 lease  2 seq of its last write
-- reply "dead", or "ok" and 1 if the lease had expired already (or nobody knows when), else 0

local lease = ARGV[1]
local mine = held(lease)
if not mine or mine.seq ~= ARGV[2] then return {"dead"} end
local at = now()
local late = (expiry(lease) or 0) <= at
hear(mine.unheard, mine.pause, at)
if not mine.draining then expire(lease, at + mine.ttl) end
return {"ok", late and 1 or 0}
