-- What each Redis command is: a read, destructive (what it takes away can't be brought back), refused with the reason,
-- or else a write. Ours to decide, from Redis 7's src/commands/*.json; the server's own flags can only make it
-- stricter.
local tasks = require "tasks"

local redis_commands = {}

local function set(names)
  local map = {}
  for name in names:gmatch "%S+" do map[name] = true end
  return map
end

-- Reads. A command with subcommands is a read with these and no others.
local reads = set [[
  PING ECHO TIME DBSIZE ROLE INFO LASTSAVE RANDOMKEY SCAN EXISTS TYPE TTL PTTL EXPIRETIME PEXPIRETIME DUMP
  GET MGET STRLEN GETRANGE SUBSTR LCS GETBIT BITCOUNT BITPOS BITFIELD_RO SORT_RO
  HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSTRLEN HSCAN HRANDFIELD
  LLEN LRANGE LINDEX LPOS
  SCARD SISMEMBER SMISMEMBER SMEMBERS SRANDMEMBER SSCAN SINTER SUNION SDIFF SINTERCARD
  ZCARD ZCOUNT ZSCORE ZMSCORE ZRANGE ZRANGEBYSCORE ZRANGEBYLEX ZREVRANGE ZREVRANGEBYSCORE ZREVRANGEBYLEX ZRANK ZREVRANK
  ZLEXCOUNT ZRANDMEMBER ZSCAN ZINTER ZUNION ZDIFF ZINTERCARD
  XLEN XRANGE XREVRANGE XREAD XPENDING
  GEOPOS GEODIST GEOHASH GEOSEARCH GEORADIUS_RO GEORADIUSBYMEMBER_RO
]]

local read_parts = {
  CONFIG = set "GET", SLOWLOG = set "GET LEN", MEMORY = set "USAGE STATS DOCTOR MALLOC-STATS",
  LATENCY = set "LATEST HISTORY DOCTOR GRAPH HISTOGRAM", OBJECT = set "ENCODING FREQ IDLETIME REFCOUNT",
  CLIENT = set "LIST INFO ID GETNAME TRACKINGINFO GETREDIR", COMMAND = set "COUNT INFO LIST DOCS GETKEYS",
  CLUSTER = set "INFO NODES SLOTS SHARDS LINKS MYID KEYSLOT COUNTKEYSINSLOT GETKEYSINSLOT REPLICAS SLAVES",
  SENTINEL = set "MASTERS MASTER REPLICAS SLAVES SENTINELS GET-MASTER-ADDR-BY-NAME CKQUORUM MYID",
  ACL = set "WHOAMI USERS CAT DRYRUN", MODULE = set "LIST", PUBSUB = set "CHANNELS NUMSUB NUMPAT SHARDCHANNELS SHARDNUMSUB",
  FUNCTION = set "LIST STATS DUMP", SCRIPT = set "EXISTS", XINFO = set "STREAM GROUPS CONSUMERS",
}

-- With the names that Redis 8, Valkey and the modules of JSON, search, time series, filters and vectors brought.
local destructive = set [[
  FLUSHDB FLUSHALL DEL UNLINK GETDEL DELEX DELIFEQ HDEL HGETDEL SREM SPOP ZREM ZPOPMIN ZPOPMAX ZMPOP ZREMRANGEBYRANK
  ZREMRANGEBYSCORE ZREMRANGEBYLEX LREM LTRIM LPOP RPOP LMPOP XDEL XDELEX XACKDEL XTRIM RENAME SWAPDB RESTORE MIGRATE
  SHUTDOWN REPLICAOF SLAVEOF FAILOVER EVAL EVALSHA FCALL
  JSON.DEL JSON.FORGET JSON.CLEAR FT.DROPINDEX FT.DROP TS.DEL CF.DEL VREM
]]

local destructive_parts = {
  FUNCTION = set "DELETE FLUSH RESTORE", SCRIPT = set "FLUSH", MODULE = set "UNLOAD",
  CLUSTER = set "RESET FLUSHSLOTS DELSLOTS DELSLOTSRANGE SETSLOT FAILOVER FORGET REPLICATE",
  SENTINEL = set "FAILOVER RESET REMOVE", XGROUP = set "DESTROY DELCONSUMER", ACL = set "DELUSER SETUSER LOAD",
}

-- Writes that with one of these words take something away: a longer stream is cut, what stood there is replaced.
local destructive_words = { XADD = set "MAXLEN MINID", COPY = set "REPLACE", FUNCTION = set "REPLACE" }

local blocks = "it waits, and holds its connection as long"
local alone = "each call has a connection of its own, so it would do nothing"
local refused = {
  KEYS = "it walks every key while all other clients wait: use SCAN with a cursor",
  MONITOR = "it halves the server's throughput and never ends",
  DEBUG = "it is for Redis' own tests, and can crash the server",
  SUBSCRIBE = blocks, PSUBSCRIBE = blocks, SSUBSCRIBE = blocks, BLPOP = blocks, BRPOP = blocks, BRPOPLPUSH = blocks,
  BLMOVE = blocks, BLMPOP = blocks, BZPOPMIN = blocks, BZPOPMAX = blocks, BZMPOP = blocks,
  WAIT = alone, WAITAOF = alone,
  SYNC = "it is for replicas", PSYNC = "it is for replicas", REPLCONF = "it is for replicas",
  MULTI = alone, EXEC = alone, DISCARD = alone, WATCH = alone, UNWATCH = alone, READONLY = alone, READWRITE = alone,
  ASKING = alone, UNSUBSCRIBE = alone, PUNSUBSCRIBE = alone, SUNSUBSCRIBE = alone, QUIT = alone, RESET = alone,
  SELECT = "the database's number stands in the address: redis://host:6379/1",
  AUTH = "user and password stand in the address: redis://user:password@host:6379", HELLO = alone,
}

-- Why a command is never sent; nil when it may be. `words` are the command's, in capitals or not.
function redis_commands.refusal(words)
  local name = words[1]:upper()
  if name:find "%s" or name == "" then return "it is no command's name: each word is an argument of its own" end
  if refused[name] then return refused[name] end
  if name == "XREAD" or name == "XREADGROUP" then
    for _, word in ipairs(words) do if word:upper() == "BLOCK" then return blocks end end
  end
  if name == "CLIENT" and words[2] and words[2]:upper() == "REPLY" then return alone end
end

-- An expiry that has passed deletes at once: seconds from now, or the moment by the units in a second.
local spans = set "EXPIRE PEXPIRE HEXPIRE HPEXPIRE EXPIREMEMBER"
local moments = { EXPIREAT = 1, PEXPIREAT = 1000, HEXPIREAT = 1, HPEXPIREAT = 1000, EXPIREMEMBERAT = 1,
                  PEXPIREMEMBERAT = 1000 }
-- Commands that take a moment as an option: SET k v EXAT 1.
local with_moments = set "SET GETEX HSETEX HGETEX MSETEX"
local moment_words = { EXAT = 1, PXAT = 1000 }

local function has_passed(text, units)
  local number = tonumber(text)
  return number ~= nil and number <= tasks.wall() * units
end

local function deletes_at_once(name, words)
  local last = name:find "MEMBER" and words[4] or words[3]
  if spans[name] then return (tonumber(last) or 1) <= 0 end
  if moments[name] then return has_passed(last, moments[name]) end
  for i = 2, with_moments[name] and #words - 1 or 0 do
    local units = moment_words[words[i]:upper()]
    if units and has_passed(words[i + 1], units) then return true end
  end
  return false
end

local function has_word_of(words, some)
  for i = 2, some and #words or 0 do
    if some[words[i]:upper()] then return true end
  end
  return false
end

-- "read", "destructive" or "write".
function redis_commands.class(words)
  local name, part = words[1]:upper(), (words[2] or ""):upper()
  if reads[name] or read_parts[name] and read_parts[name][part] then return "read" end
  if destructive[name] or destructive_parts[name] and destructive_parts[name][part] then return "destructive" end
  if deletes_at_once(name, words) or has_word_of(words, destructive_words[name]) then return "destructive" end
  return "write"
end

-- What the server's COMMAND INFO calls it: GET, or config|get.
function redis_commands.full_name(words)
  local name, part = words[1]:lower(), (words[2] or ""):lower()
  return read_parts[name:upper()] and name .. "|" .. part or name
end

-- Every read, as words: for the test that asks a real server about each.
function redis_commands.all_reads()
  local list = {}
  for name in pairs(reads) do list[#list + 1] = { name } end
  for name, parts in pairs(read_parts) do
    for part in pairs(parts) do list[#list + 1] = { name, part } end
  end
  return list
end

return redis_commands
