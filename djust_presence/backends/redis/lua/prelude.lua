-- The functions shared by the scripts; this text is put in front of each of them.
--
-- KEYS[1] of every script is the prefix, "{djp}:2:", of which the number is that of the schema. The other keys are
-- made from it here: they all carry its hash tag and so are in its slot, which is what a cluster asks for.
--
--   B           string the birth of this store: the first lease that was opened in it
--   L           zset   process lease → expiry (epoch seconds of this server, as all times here), 0 once it is claimed
--   J           zset   job lease → the same
--   S           hash   lease → seq:ttl:unheard:pause, and :draining while it is; or "claimed"
--   H           string last:since: when a lease that may go unheard was opened or renewed last, and since when there
--                      was no pause in this
--   I:<lease>   set    ref:key of what hangs on the lease
--   V           hash   presence key → epoch:version:tag
--   r:<key>     hash   ref → row: lease, when the meta was said, the user's length in bytes, user, meta, with spaces between
--   u:<key>     hash   user → member: connections:joined_at:ref:meta; the ref of the only connection, else none
--   t:<key>     zset   user → joined_at: the order in which members are listed, equal times by the bytes of the user
--   o:<key>     zset   for users with two or more connections, length of the user:user:said:ref of each, in this order
--
-- A write's first command takes memory (its number in S), so a full server refuses a script before it did anything.
--
-- Lost and unreadable rows are restored by the processes, which join their refs again when the group's place (V) is
-- gone. So a group with a missing or unreadable row is discarded as a whole.

local PREFIX = KEYS[1]
local BIRTH, HEARD, SEQS, PLACES = PREFIX .. "B", PREFIX .. "H", PREFIX .. "S", PREFIX .. "V"
local PROCESSES, JOBS = PREFIX .. "L", PREFIX .. "J"
local UNREADABLE = "unreadable"

local function index(lease) return PREFIX .. "I:" .. lease end
local function rows(key) return PREFIX .. "r:" .. key end
local function users(key) return PREFIX .. "u:" .. key end
local function times(key) return PREFIX .. "t:" .. key end
local function order(key) return PREFIX .. "o:" .. key end

local function is_job(lease) return lease:sub(1, 4) == "job:" end
local function expiries(lease) return is_job(lease) and JOBS or PROCESSES end

-- Lua prints numbers with 14 digits, too few for microseconds. The texts have the same length, so that they sort.
local function time_text(seconds) return string.format("%017.6f", seconds) end

local function now()
  local time = redis.call("TIME")
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

-- Leases

-- {seq, ttl, unheard, pause, draining} of a lease, the times in seconds; nil if it is unknown or claimed
local function held(lease)
  local text = redis.call("HGET", SEQS, lease)
  if not text then return nil end
  local seq, ttl, unheard, pause, draining = text:match("^(%d+):(%d+%.%d+):(%d+%.%d+):(%d+%.%d+)(.*)$")
  return seq and {
    seq = seq, ttl = tonumber(ttl), unheard = tonumber(unheard), pause = tonumber(pause),
    terms = ttl .. ":" .. unheard .. ":" .. pause, draining = draining ~= "",
  }
end

local function hold(lease, seq, terms, draining)
  redis.call("HSET", SEQS, lease, seq .. ":" .. terms .. (draining and ":draining" or ""))
end

-- Returns when the store was heard from last, and since when without a pause; nothing if it was not heard from yet.
local function heard()
  local last, since = (redis.call("GET", HEARD) or ""):match("^([^:]+):(.+)$")
  return tonumber(last), tonumber(since)
end

-- Notes that a lease was opened or renewed.
local function hear(unheard, pause, at)
  if unheard == 0 then return end
  local last, since = heard()
  if not since or at - last > pause then since = at end
  redis.call("SET", HEARD, time_text(at) .. ":" .. time_text(since))
end

-- Returns the expiry of a lease, 0 if it is claimed, or nil
local function expiry(lease)
  local score = redis.call("ZSCORE", expiries(lease), lease)
  return score and tonumber(score)
end

local function expire(lease, at)
  redis.call("ZADD", expiries(lease), time_text(at), lease)
end

local function forget(lease)
  redis.call("ZREM", expiries(lease), lease)
  redis.call("HDEL", SEQS, lease)
end

-- Returns "ok", after which the number counts as used, "seen" or "dead"
local function gate(lease, seq)
  local mine = held(lease)
  if not mine or tonumber(seq) > tonumber(mine.seq) + 1 then return "dead" end
  if tonumber(seq) <= tonumber(mine.seq) then return "seen" end
  hold(lease, seq, mine.terms, mine.draining)
  return "ok"
end

-- Runs *command* on the index of a lease. An index of the wrong type is discarded, and restored as a lost one is.
local function indexed(command, lease, ...)
  local answer = redis.pcall(command, index(lease), ...)
  if type(answer) == "table" and answer.err then
    if not answer.err:find("WRONGTYPE", 1, true) then error(answer.err, 0) end
    redis.call("DEL", index(lease))
    return redis.call(command, index(lease), ...)
  end
  return answer
end

local function unindex(lease, key, ref)
  local removed = indexed("SREM", lease, ref .. ":" .. key)
  if removed == 1 and is_job(lease) and redis.call("EXISTS", index(lease)) == 0 then
    forget(lease)
  end
end

-- Rows

local function row_text(lease, said, user, meta)
  return lease .. " " .. said .. " " .. #user .. " " .. user .. " " .. meta
end

local function read_row(text)
  local lease, said, length, from = text:match("^(%S+) (%d+%.%d+) (%d+) ()")
  if not lease then error(UNREADABLE, 0) end
  local past = from + tonumber(length)
  return {lease = lease, said = said, user = text:sub(from, past - 1), meta = text:sub(past + 1)}
end

-- Returns {lease, said, user, meta} of a ref, or nil
local function row(key, ref)
  local text = redis.call("HGET", rows(key), ref)
  return text and read_row(text) or nil
end

-- Returns the same, and raises if there is none
local function known_row(key, ref)
  return row(key, ref) or error(UNREADABLE, 0)
end

local function member_text(connections, joined_at, ref, meta)
  return connections .. ":" .. joined_at .. ":" .. ref .. ":" .. meta
end

local function read_member(text)
  local connections, joined_at, ref, meta = text:match("^([1-9]%d*):([^:]+):([^:]*):(.*)$")
  if not (connections and tonumber(joined_at)) then error(UNREADABLE, 0) end
  return {connections = tonumber(connections), joined_at = joined_at, ref = ref, meta = meta}
end

-- Returns whether read_member can read a row. For many rows this takes a fifth of the time.
local function is_member(text)
  return text:find("^[1-9]%d*:%d[%d.]*:[^:]*:") ~= nil
end

local function order_text(user, said, ref)
  return #user .. ":" .. user .. ":" .. said .. ":" .. ref
end

-- Returns when the last one of a user's metas was said, and by which ref
local function latest(key, user)
  local start = #user .. ":" .. user .. ":"
  local last = redis.call("ZREVRANGEBYLEX", order(key), "(" .. start .. ":", "[" .. start, "LIMIT", 0, 1)[1]
  if not last then error(UNREADABLE, 0) end
  return last:sub(#start + 1):match("^([^:]*):(.*)$")
end

-- Steps of a group

-- Discards a group, without a Change: processes join their refs again.
local function wipe(key)
  redis.call("HDEL", PLACES, key)
  redis.call("UNLINK", rows(key), users(key), times(key), order(key))
end

-- Returns whether the rows exist that every group has.
local function has_rows(key)
  return redis.call("EXISTS", rows(key), users(key), times(key)) == 3
end

-- Begins a step: the group's place, and the member that each user of the step was before (false: absent). With an
-- epoch, the group begins here if there is none.
local function begin(key, epoch)
  local place = redis.call("HGET", PLACES, key)
  local whole = place and place:match("^[^:]*:%d+:") and has_rows(key)
  if not whole then
    wipe(key)
    place = epoch and epoch .. ":0:"
  end
  return {key = key, place = place, before = {}, touched = {}}
end

-- Returns the member of a user, or nil
local function touch(step, user)
  local text = redis.call("HGET", users(step.key), user)
  if step.before[user] == nil then
    step.before[user] = text
    step.touched[#step.touched + 1] = user
  end
  return text and read_member(text) or nil
end

-- Takes a connection with this row from its user.
local function drop(step, ref, gone)
  local key, user = step.key, gone.user
  local member = touch(step, user) or error(UNREADABLE, 0)
  redis.call("HDEL", rows(key), ref)
  if member.connections == 1 then
    redis.call("HDEL", users(key), user)
    if redis.call("ZREM", times(key), user) == 0 then error(UNREADABLE, 0) end
    return
  end
  if redis.call("ZREM", order(key), order_text(user, gone.said, ref)) == 0 then error(UNREADABLE, 0) end
  local said, last = latest(key, user)
  local only = ""
  if member.connections == 2 then
    redis.call("ZREM", order(key), order_text(user, said, last))
    only = last
  end
  redis.call("HSET", users(key), user,
    member_text(member.connections - 1, member.joined_at, only, known_row(key, last).meta))
end

-- Ends a step. The reply: nothing if nothing changed, else epoch, version, tag before, count, and then each changed
-- user with its member (false: gone) and its member before (false: absent).
local function finish(step, tag)
  local reply = {"", 0, "", 0}
  for _, user in ipairs(step.touched) do
    local member = redis.call("HGET", users(step.key), user)
    if member ~= step.before[user] then
      reply[#reply + 1] = user
      reply[#reply + 1] = member
      reply[#reply + 1] = step.before[user]
    end
  end
  if #reply == 4 or not step.place then return {} end
  local epoch, version, prev = step.place:match("^([^:]*):(%d+):(.*)$")
  local count = redis.call("HLEN", users(step.key))
  reply[1], reply[2], reply[3], reply[4] = epoch, tonumber(version) + 1, prev, count
  if count == 0 then
    wipe(step.key)
  else
    redis.call("HSET", PLACES, step.key, epoch .. ":" .. reply[2] .. ":" .. tag)
  end
  return reply
end

-- Returns whether an error means that a row is unreadable, and nothing else.
local function is_unreadable(fault)
  local text = type(fault) == "table" and fault.err or tostring(fault)
  return text == UNREADABLE or text:find("WRONGTYPE", 1, true) ~= nil
end

-- Returns the result of act(key); a group that cannot be read is discarded, and the result is that of unreadable().
local function reading(key, act, unreadable)
  local done, answer = pcall(act, key)
  if done then return answer end
  if not is_unreadable(answer) then error(answer, 0) end
  wipe(key)
  return unreadable()
end

-- Runs act(step) as one step of a group. If the group cannot be read, a step with an epoch begins its next life, and
-- another one finds nothing.
local function stepping(key, epoch, tag, act)
  local function run()
    local step = begin(key, epoch)
    act(step)
    return finish(step, tag)
  end
  return reading(key, run, function() return epoch and run() or {} end)
end

-- Takes a ref out of a group, whichever lease it hangs on; the reply is that of finish.
local function remove(key, ref, tag)
  return stepping(key, nil, tag, function(step)
    local gone = row(key, ref)
    if gone then
      unindex(gone.lease, key, ref)
      drop(step, ref, gone)
    end
  end)
end

-- Returns a write's reply: its status, and then the reply of finish.
local function answer(status, step)
  table.insert(step, 1, status)
  return step
end

