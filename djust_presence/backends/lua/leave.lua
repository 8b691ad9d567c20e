-- Takes a ref out of a group.
-- KEYS  1 prefix
-- ARGV  1 lease  2 seq  3 presence key  4 ref  5 tag
-- reply "dead" or "seen", or "ok" and what finish says

local status = gate(ARGV[1], ARGV[2])
if status ~= "ok" then return {status} end
return answer("ok", remove(ARGV[3], ARGV[4], ARGV[5]))
