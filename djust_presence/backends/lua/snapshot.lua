-- A group as it stands.
-- KEYS  1 prefix
-- ARGV  1 presence key
-- reply {its place or false, {user, member, user, member ...}}

return {redis.call("HGET", PLACES, ARGV[1]), redis.call("HGETALL", users(ARGV[1]))}
