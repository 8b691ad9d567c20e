-- Extends a lease by its ttl, unless it is draining.
-- KEYS  1 prefix
-- ARGV  1 lease  2 seq of its last write  3 how many more may have been carried out
-- reply "dead", or "ok", 1 if the lease had expired already (or nobody knows when) else 0, and the time

local lease = ARGV[1]
local mine = held(lease)
local more = mine and tonumber(mine.seq) - tonumber(ARGV[2])
if not mine or more < 0 or more > tonumber(ARGV[3]) then return {"dead"} end
local at = now()
local late = (expiry(lease) or 0) <= at
hear(mine.unheard, mine.pause, at)
if not mine.draining then expire(lease, at + mine.ttl) end
return {"ok", late and 1 or 0, time_text(at)}
