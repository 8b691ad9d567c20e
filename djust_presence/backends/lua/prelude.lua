-- What the scripts share; it is put in front of each of them.
--
-- KEYS[1] of every script is the prefix, "{djp}:". The other keys are made from it here: they all carry its hash
-- tag and so are in its slot, which is what a cluster asks for.
--
--   L           zset   process lease → expiry (epoch seconds of this server, as all times here)
--   J           zset   job lease → expiry
--   S           hash   lease → seq:ttl, or seq:ttl:draining
--   D           set    claimed leases that have left work
--   I:<lease>   set    ref:key of what hangs on the lease
--   V           hash   presence key → epoch:version:tag
--   r:<key>     hash   ref → row: lease, the user's length in bytes, user, meta, with spaces between
--   u:<key>     hash   user → member: connections:joined_at:meta
--
-- A write's first command takes memory (its number in S), so a full server refuses a script before it did anything.

local PREFIX = KEYS[1]
local SEQS, DEAD, PLACES = PREFIX .. "S", PREFIX .. "D", PREFIX .. "V"
local PROCESSES, JOBS = PREFIX .. "L", PREFIX .. "J"

local function index(lease) return PREFIX .. "I:" .. lease end
local function rows(key) return PREFIX .. "r:" .. key end
local function users(key) return PREFIX .. "u:" .. key end

local function is_job(lease) return lease:sub(1, 4) == "job:" end
local function expiries(lease) return is_job(lease) and JOBS or PROCESSES end

-- Lua prints numbers with 14 digits, too few for microseconds.
local function time_text(seconds) return string.format("%.6f", seconds) end

local function now()
  local time = redis.call("TIME")
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

-- seq, ttl, draining (""  or ":draining"); nothing when the lease is unknown or claimed
local function held(lease)
  local text = redis.call("HGET", SEQS, lease)
  if text then return text:match("^(%d+):([^:]+)(.*)$") end
end

-- "ok" and the number counts as used, "seen" or "dead"
local function gate(lease, seq)
  local last, ttl, draining = held(lease)
  if not last or tonumber(seq) > tonumber(last) + 1 then return "dead" end
  if tonumber(seq) <= tonumber(last) then return "seen" end
  redis.call("HSET", SEQS, lease, seq .. ":" .. ttl .. draining)
  return "ok"
end

local function row_text(lease, user, meta) return lease .. " " .. #user .. " " .. user .. " " .. meta end

-- {lease, user, meta} of a ref, or nil
local function row(key, ref)
  local text = redis.call("HGET", rows(key), ref)
  if not text then return nil end
  local lease, length, from = text:match("^(%S+) (%d+) ()")
  local past = from + tonumber(length)
  return {lease = lease, user = text:sub(from, past - 1), meta = text:sub(past + 1)}
end

-- One step of a group: where the group stands, and how each user that the step touches stood before (false: absent).
-- With an epoch, the group begins here if there is none. Nothing of it can be left then, unless a server that evicts
-- keys took the place away and not the rest.
local function begin(key, epoch)
  local place = redis.call("HGET", PLACES, key)
  if epoch and not place then
    redis.call("UNLINK", rows(key), users(key))
    place = epoch .. ":0:"
  end
  return {key = key, place = place, before = {}, touched = {}}
end

local function touch(step, user)
  local member = redis.call("HGET", users(step.key), user)
  if step.before[user] == nil then
    step.before[user] = member
    step.touched[#step.touched + 1] = user
  end
  return member
end

-- Takes one connection from its user. A server that evicts keys may have lost the user.
local function drop(step, ref, user)
  local member = touch(step, user)
  redis.call("HDEL", rows(step.key), ref)
  if not member then return end
  local connections, rest = member:match("^(%d+)(.*)$")
  if connections == "1" then
    redis.call("HDEL", users(step.key), user)
  else
    redis.call("HSET", users(step.key), user, (tonumber(connections) - 1) .. rest)
  end
end

local function unindex(lease, key, ref)
  local removed = redis.call("SREM", index(lease), ref .. ":" .. key)
  if removed == 1 and is_job(lease) and redis.call("EXISTS", index(lease)) == 0 then
    redis.call("ZREM", JOBS, lease)
    redis.call("HDEL", SEQS, lease)
  end
end

-- Ends a step. The reply: nothing if nothing changed, else epoch, version, tag before, count, and then each changed
-- user and its member (false: gone).
local function finish(step, tag)
  local reply = {"", 0, "", 0}
  for _, user in ipairs(step.touched) do
    local member = redis.call("HGET", users(step.key), user)
    if member ~= step.before[user] then
      reply[#reply + 1] = user
      reply[#reply + 1] = member
    end
  end
  if #reply == 4 or not step.place then return {} end
  local epoch, version, prev = step.place:match("^([^:]*):(%d+):(.*)$")
  local count = redis.call("HLEN", users(step.key))
  reply[1], reply[2], reply[3], reply[4] = epoch, tonumber(version) + 1, prev, count
  if count == 0 then
    redis.call("HDEL", PLACES, step.key)
  else
    redis.call("HSET", PLACES, step.key, epoch .. ":" .. reply[2] .. ":" .. tag)
  end
  return reply
end

-- Takes a ref out of a group, whichever lease it hangs on; the reply is that of finish.
local function remove(key, ref, tag)
  local gone = row(key, ref)
  if not gone then return {} end
  local step = begin(key)
  unindex(gone.lease, key, ref)
  drop(step, ref, gone.user)
  return finish(step, tag)
end

-- A write's reply: its status, and then what finish said.
local function answer(status, step)
  table.insert(step, 1, status)
  return step
end

