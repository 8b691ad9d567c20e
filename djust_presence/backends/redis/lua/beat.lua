-- Extends the job lease on which a ref hangs by its ttl, unless it is draining.
-- KEYS  1 prefix
-- ARGV  1 presence key  2 ref
-- reply 1, or 0 if the lease is gone or claimed, or no job's

local key, ref = ARGV[1], ARGV[2]
local found = reading(key, function() return row(key, ref) end, function() return nil end)
if not found or not is_job(found.lease) then return 0 end
local job = held(found.lease)
if not job then return 0 end
if not job.draining then
  expire(found.lease, now() + job.ttl)
  indexed("SADD", found.lease, ref .. ":" .. key) -- in case this was lost
end
return 1
