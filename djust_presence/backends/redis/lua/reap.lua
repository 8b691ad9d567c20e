-- Removes the refs that still hang on a claimed lease, and forgets the lease with the last of them.
-- KEYS  1 prefix
-- ARGV  1 lease  2 presence key  3 tag  4 ... refs, 500 at most
-- reply as finish

local lease, key = ARGV[1], ARGV[2]
if expiry(lease) ~= 0 then return {} end
local change = stepping(key, nil, ARGV[3], function(step)
  for i = 4, #ARGV do
    local ref = ARGV[i]
    local gone = row(key, ref)
    if gone and gone.lease == lease then drop(step, ref, gone) end
  end
end)
for i = 4, #ARGV do
  indexed("SREM", lease, ARGV[i] .. ":" .. key)
end
if redis.call("EXISTS", index(lease)) == 0 then forget(lease) end
return change
