-- Claims expired leases, a bounded number of them, and gives out the work that claimed leases have left.
-- KEYS  1 prefix
-- ARGV  1 lease of the caller, or "" if it has none  2 how many refs at most, and how many leases
--       3 seconds for which a process's lease must have been expired if the caller has none
-- reply false if the caller's lease is unknown or has expired, else for each lease {lease, ref:key, ref:key ...}

local own, limit, at = ARGV[1], tonumber(ARGV[2]), now()
if own ~= "" then
  local expiry = redis.call("ZSCORE", expiries(own), own)
  if not expiry or tonumber(expiry) <= at then return false end
end

local function claim(from, before)
  for _, lease in ipairs(redis.call("ZRANGE", from, "-inf", time_text(before), "BYSCORE", "LIMIT", 0, limit)) do
    if redis.call("EXISTS", index(lease)) == 1 then
      redis.call("SADD", DEAD, lease)
    end
    redis.call("ZREM", from, lease)
    redis.call("HDEL", SEQS, lease)
  end
end

claim(JOBS, at)
claim(PROCESSES, own ~= "" and at or at - tonumber(ARGV[3]))

local work = {}
for _, lease in ipairs(redis.call("SRANDMEMBER", DEAD, limit)) do
  if limit <= 0 then break end
  local some = redis.call("SRANDMEMBER", index(lease), limit)
  limit = limit - #some
  if #some == 0 then
    redis.call("SREM", DEAD, lease)
  else
    work[#work + 1] = answer(lease, some)
  end
end
return work
