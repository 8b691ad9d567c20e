-- Takes a ref out of a group.
-- KEYS  1 prefix
-- ARGV  1 lease  2 seq  3 presence key  4 ref  5 tag  6 the time after which it is too late, or ""
-- reply "dead", "seen" or "late", or "ok" and the reply of finish

local lease, seq, key, ref, tag, by = unpack(ARGV)
local status = gate(lease, seq)
if status ~= "ok" then return {status} end
if by ~= "" and now() > tonumber(by) then return {"late"} end
local change = remove(key, ref, tag)
unindex(lease, key, ref) -- in case the row was lost
return answer("ok", change)
