-- Extends the job lease on which a ref hangs by its ttl, unless it is draining.
-- KEYS  1 prefix
-- ARGV  1 presence key  2 ref
-- reply 1, or 0 if the lease is gone or claimed, or no job's

local found = row(ARGV[1], ARGV[2])
if not found or not is_job(found.lease) then return 0 end
local _, ttl, draining = held(found.lease)
if not ttl then return 0 end
if draining == "" then
  redis.call("ZADD", JOBS, time_text(now() + tonumber(ttl)), found.lease)
end
return 1
