-- Removes the refs that still hang on a claimed lease, and forgets the lease with the last of them.
-- KEYS  1 prefix
-- ARGV  1 lease  2 presence key  3 tag  4 ... refs, 500 at most
-- reply as finish

local lease, key = ARGV[1], ARGV[2]
if redis.call("SISMEMBER", DEAD, lease) == 0 then return {} end
local step = begin(key)
for i = 4, #ARGV do
  local ref = ARGV[i]
  local gone = row(key, ref)
  unindex(lease, key, ref)
  if gone and gone.lease == lease then
    drop(step, ref, gone.user)
  end
end
if redis.call("EXISTS", index(lease)) == 0 then
  redis.call("SREM", DEAD, lease)
end
return finish(step, ARGV[3])
