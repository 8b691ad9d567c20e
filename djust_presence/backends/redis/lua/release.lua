-- Takes a ref out of a group, whichever lease it hangs on.
-- KEYS  1 prefix
-- ARGV  1 presence key  2 ref  3 tag
-- reply as finish

return remove(ARGV[1], ARGV[2], ARGV[3])
