-- Claims expired leases, a bounded number of them, and returns the work that claimed leases have left. A lease with
-- `unheard` is claimed only if a live owner would have renewed it: if the store was heard from for at least that long
-- without a pause. For a draining lease its pause is enough: its users may have moved to another process.
-- KEYS  1 prefix
-- ARGV  1 lease of the caller, or "" if it has none  2 how many refs at most, and how many leases
--       3 seconds for which a process's lease must have been expired if the caller has none
-- reply false if the caller's lease is unknown or has expired, else for each lease {lease, ref:key, ref:key ...}

local own, limit, at = ARGV[1], tonumber(ARGV[2]), now()
if own ~= "" and (expiry(own) or 0) <= at then return false end

-- Every lease has an expiry: a lost one is set again, so that no lease outlives its process.
local function restore_expiries()
  local leases = redis.call("HKEYS", SEQS)
  for _, lease in ipairs(leases) do
    if not expiry(lease) then
      local lost = held(lease)
      expire(lease, lost and at + lost.ttl or 0)
    end
  end
end

local last, since = heard()

local function had_its_turn(lease)
  local expired = held(lease)
  if own == "" or not expired or expired.unheard == 0 then return true end
  local turn = expired.draining and math.min(expired.unheard, expired.pause) or expired.unheard
  return last and at - last <= expired.pause and at - since >= turn
end

local function claim(from, before)
  local expired = redis.call("ZRANGE", from, "(0", time_text(before), "BYSCORE", "LIMIT", 0, limit)
  for _, lease in ipairs(expired) do
    if had_its_turn(lease) then
      redis.call("HSET", SEQS, lease, "claimed")
      expire(lease, 0)
    end
  end
end

-- Returns some of the refs of a claimed lease; forgets the lease if there are none.
local function work_of(lease)
  local some = {}
  for _, text in ipairs(indexed("SRANDMEMBER", lease, limit)) do
    if text:find(":", 1, true) then
      some[#some + 1] = text
    else
      indexed("SREM", lease, text)
    end
  end
  if #some == 0 then forget(lease) end
  return some
end

if redis.call("HLEN", SEQS) ~= redis.call("ZCARD", PROCESSES) + redis.call("ZCARD", JOBS) then
  restore_expiries()
end
claim(JOBS, at)
claim(PROCESSES, own ~= "" and at or at - tonumber(ARGV[3]))

local work = {}
for _, from in ipairs({JOBS, PROCESSES}) do
  for _, lease in ipairs(redis.call("ZRANGE", from, 0, 0, "BYSCORE", "LIMIT", 0, limit)) do
    if limit <= 0 then break end
    local some = work_of(lease)
    limit = limit - #some
    if #some > 0 then work[#work + 1] = answer(lease, some) end
  end
end
return work
