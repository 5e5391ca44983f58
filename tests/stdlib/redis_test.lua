-- Against a real, empty server: luahost --stdlib stdlib tests/stdlib/redis_test.lua PORT CLOSED_PORT
local catalogue = require "catalogue"
local redis_commands = require "effects.redis_commands"
local redis_server = require "effects.redis_server"
local result = require "result"
local values = require "values"
catalogue.family "redis"

local port, closed_port = ...
local url = "redis://127.0.0.1:" .. port

local function equal(found, expected, what)
  if found ~= expected then
    error(("%s: expected %s, got %s"):format(what or "", tostring(expected), tostring(found)), 2)
  end
end

local function has(text, part)
  assert(tostring(text):find(part, 1, true), ("%q does not hold %q"):format(tostring(text), part))
end

local function raises(part, f, ...)
  local ok, problem = pcall(f, ...)
  assert(not ok, "it should have raised: " .. part)
  has(problem, part)
end

local function entry(name) return catalogue.effects["redis." .. name] end
local function call_of(name, ...) return values.reveal_all(catalogue.call(entry(name), ...)) end

-- As the gate does: checked arguments, run, a result.
local function read(name, ...)
  local it = entry(name)
  local call = catalogue.call(it, ...)
  local fields, err = it.run(values.reveal_all(call))
  if not fields then fields, err = require("outcome").from_error(err) end
  local status = not fields and "failed" or fields.ok == false and "not_well" or "ok"
  fields = fields or { ok = false, error = err }
  if fields.ok == nil then fields.ok = true end
  return result.new(it, catalogue.line(it, call, catalogue.LINE_ARGUMENT), status, fields)
end

local function class(...) return entry("command").class(call_of("command", url, ...)) end
local function command(...) return read("command", ...) end

local tests = {}

function tests.addresses()
  local function parsed(text)
    local place, why = redis_server.parse(text)
    if not place then return why end
    return ("%s|%s|%s|%s|%s"):format(place.path or place.host, place.port, place.db, place.user, place.password)
  end
  equal(parsed "redis://localhost", "localhost|6379|0|nil|nil")
  equal(parsed "redis://h:1/2", "h|1|2|nil|nil")
  equal(parsed "redis://h:1234", "h|1234|0|nil|nil")
  equal(parsed "redis://h/", "h|6379|0|nil|nil")
  equal(parsed "redis://:p%40ss@h:1/2", "h|1|2|nil|p@ss")
  equal(parsed "redis://me:x@[::1]:7", "::1|7|0|me|x")
  equal(parsed "redis://justpassword@h", "h|6379|0|nil|justpassword")
  equal(parsed "/run/redis.sock", "/run/redis.sock|nil|0|nil|nil")
  equal(parsed "unix:///run/redis.sock?db=3", "/run/redis.sock|nil|3|nil|nil")
  equal(parsed "rediss://h:1/2", "h|1|2|nil|nil")
  equal(redis_server.parse("rediss://h").tls, true)
  equal(redis_server.parse("redis://h").tls, nil)
  for _, bad in ipairs { "h:1", "redis://h:x", "redis://h:1/x", "redis://a:b@c@h:1", "redis://h:70000", "http://h" } do
    raises("expected", catalogue.call, entry "ping", bad)
  end
  local secret = "redis://me:" .. values.secret("PW", "hush") .. "@h:1/2"
  equal(catalogue.line(entry "ping", catalogue.call(entry "ping", secret)), "redis.ping redis://h:1/2")
  local ok, why = pcall(catalogue.call, entry "ping", "redis://:a/hush@h")
  assert(not ok and not why:find "hush", "a wrong address is not quoted: it may hold a password")
  equal(entry("command").target { url = secret }, "h:1/2")
  equal(table.concat(entry("command").command { url = secret, words = { "GET", "a b" } }, "|"),
    "redis-cli|-h|h|-p|1|-n|2|--user|me|--askpass|GET|a b")
  local function by_hand(address) return table.concat(entry("ping").command { url = address }, "|") end
  equal(by_hand "rediss://me:x@h:1/2", "redis-cli|-u|rediss://h:1/2|--user|me|--askpass|PING")
  equal(by_hand "rediss://[::1]:1/2", "redis-cli|-h|::1|-p|1|--tls|-n|2|PING")
end

function tests.ping()
  local it = read("ping", url)
  equal(it.ok, true)
  assert(it.ms > 0)
  local refused = read("ping", "redis://127.0.0.1:" .. closed_port)
  equal(result.status(refused), "not_well")
  has(refused.why, "refused")
  equal(read("ping", "redis://no-such-host.invalid", { timeout = "3s" }).error.kind, "dns")
  equal(result.status(read("ping", "/nonexistent/redis.sock")), "not_well")
  equal(result.status(read("ping", url .. "/99")), "failed", "a database that isn't there")
end

function tests.login()
  command(url, "SET", "before", "1")
  local function config(password)
    entry("command").run(call_of("command", url, "CONFIG", "SET", "requirepass", password))
  end
  config "sesame"
  local none, wrong = read("ping", url), read("ping", "redis://:wrong@127.0.0.1:" .. port)
  local right = read("ping", "redis://:" .. values.secret("PW", "sesame") .. "@127.0.0.1:" .. port)
  entry("command").run(call_of("command", "redis://:sesame@127.0.0.1:" .. port, "CONFIG", "SET", "requirepass", ""))
  equal(none.error.kind, "login")
  equal(wrong.error.kind, "login")
  equal(right.ok, true)
end

function tests.info()
  local it = read("info", url)
  assert(it.redis_version:find "^%d+%.%d+%.%d+$")
  equal(math.type(it.used_memory), "integer")
  equal(it.role, "master")
  equal(it.no_such_name, nil)
  assert(it.used_percent >= 0 and it.used_percent <= 100)
  equal(it.fields.used_memory, it.used_memory)
  command(url, "SET", "a", "1")
  entry("command").run(call_of("command", url, "CONFIG", "SET", "maxmemory", "100mb"))
  local memory = read("info", url, "memory")
  equal(memory.maxmemory, 100 << 20)
  equal(memory.used_percent, math.floor(1000 * memory.used_memory / (100 << 20) + 0.5) / 10)
  equal(memory.redis_version, nil)
  entry("command").run(call_of("command", url, "CONFIG", "SET", "maxmemory", "0"))
  equal(read("info", url, "server").used_percent, nil)
  equal(result.line(memory), "redis.info " .. url .. " memory")
  raises("no section", catalogue.call, entry "info", url, "a b")
  equal(redis_server.info "cmdstat_config|get:calls=1\r\nx:nan\r\n".get, nil)
  equal(redis_server.info "mem_fragmentation_ratio:nan\r\ny:-inf\r\n".mem_fragmentation_ratio, nil)
  equal(redis_server.info "redis_version:7.0\r\n".redis_version, "7.0")
  equal(redis_server.product { redis_version = "7.2.4", valkey_version = "8.1.0" }, "Valkey 8.1.0")
  equal(redis_server.product { redis_version = "3.0.7" }, "Redis 3.0.7")
  equal(redis_server.product {}, nil)
  local parsed = redis_server.info
    "# X\r\na:1\r\nb:0.50\r\nc:12.30%\r\nd:00000000\r\ne:7.0.15\r\nf:0\r\ng:-1\r\nh:\r\ni:1e5\r\n"
  equal(parsed.a, 1)
  equal(parsed.b, 0.5)
  equal(parsed.c, 12.3)
  equal(parsed.d, "00000000")
  equal(parsed.e, "7.0.15")
  equal(parsed.f, 0)
  equal(parsed.g, -1)
  equal(parsed.h, "")
  equal(parsed.i, "1e5")
end

function tests.classes()
  for _, words in ipairs { { "GET", "a" }, { "get", "a" }, { "config", "get", "x" }, { "SLOWLOG", "GET" },
    { "CLIENT", "LIST" },
    { "DBSIZE" }, { "MEMORY", "DOCTOR" }, { "CLUSTER", "INFO" }, { "SENTINEL", "masters" }, { "HGETALL", "a" } } do
    equal(class(table.unpack(words)), "read", words[1])
  end
  for _, words in ipairs { { "SET", "a", 1 }, { "EXPIRE", "k", 60 }, { "EXPIREAT", "k", 99999999999 },
    { "CONFIG", "SET", "x", "y" }, { "CONFIG" }, { "SLOWLOG", "RESET" },
    { "NEWTHING" }, { "set", "k", "v", "EXAT", "99999999999" }, { "HEXPIRE", "k", "60", "FIELDS", "1", "f" },
    { "COPY", "a", "b" }, { "XADD", "s", "*", "f", "v" }, { "FUNCTION", "LOAD", "x" }, { "SCRIPT", "LOAD", "x" },
    { "PFCOUNT", "a" }, { "TOUCH", "a" }, { "SORT", "a" }, { "GEORADIUS", "a" }, { "EVAL_RO", "x", 0 },
    { "CLIENT", "KILL", "x" }, { "ACL", "LOG", "RESET" }, { "MEMORY", "PURGE" }, { "SORT", "a", "STORE", "b" } } do
    equal(class(table.unpack(words)), "write", words[1])
  end
  for _, words in ipairs { { "SWAPDB", 0, 1 }, { "EXPIRE", "k", 0 }, { "PEXPIRE", "k", -1 },
    { "EXPIREAT", "k", 1000 }, { "FLUSHDB" }, { "flushall" }, { "DEL", "a" }, { "UNLINK", "a" }, { "EVAL", "x", 0 },
    { "SHUTDOWN" },
    { "FUNCTION", "FLUSH" }, { "REPLICAOF", "NO", "ONE" }, { "script", "flush" }, { "Acl", "SetUser", "me" },
    { "PEXPIREAT", "k", "1" }, { "SET", "k", "v", "exat", "1" }, { "GETEX", "k", "PXAT", 1 }, { "XADD", "s", "maxlen", 5, "*" },
    { "COPY", "a", "b", "replace" }, { "FUNCTION", "LOAD", "REPLACE", "x" }, { "HEXPIRE", "k", 0, "FIELDS", 1, "f" },
    { "EXPIREMEMBER", "k", "m", "0" }, { "CLUSTER", "SETSLOT", 1 }, { "MODULE", "UNLOAD", "x" }, { "JSON.DEL", "k" },
    { "LTRIM", "k", 0, 1 }, { "RESTORE", "k", 0, "x", "REPLACE" }, { "MIGRATE", "h" }, { "FAILOVER" } } do
    equal(class(table.unpack(words)), "destructive", words[1])
  end
  for _, words in ipairs { { "KEYS", "*" }, { "monitor" }, { "SUBSCRIBE", "a" }, { "BLPOP", "a", 0 },
    { "DEBUG", "SLEEP", 1 },
    { "XREAD", "block", 0, "STREAMS", "a", "$" }, { "MULTI" }, { "SELECT", 1 }, { "AUTH", "x" } } do
    raises("is refused", catalogue.call, entry "command", url, table.unpack(words))
  end
  raises("each word is an argument", catalogue.call, entry "command", url, "CONFIG SET", "maxmemory", 1)
  raises("each word is an argument", catalogue.call, entry "command", url, " flushall")
  raises("SCAN with a cursor", catalogue.call, entry "command", url, "KEYS", "*")
  raises("missing", catalogue.call, entry "command", url)
  raises("secret", catalogue.call, entry "command", url, "GET", values.secret("X", "y"))
end

-- Commands that read without a key, for which the server has no flag readonly.
local without_flag = {}
for name in ([[ping echo time info lastsave role config|get slowlog|get slowlog|len memory|stats memory|doctor
  memory|malloc-stats latency|latest latency|history latency|doctor latency|graph latency|histogram client|list client|info
  client|id client|getname client|trackinginfo client|getredir command|count command|info command|list command|docs
  command|getkeys cluster|info cluster|nodes cluster|slots cluster|shards cluster|links cluster|myid cluster|keyslot
  cluster|countkeysinslot cluster|getkeysinslot cluster|replicas cluster|slaves acl|whoami acl|users acl|cat acl|dryrun
  module|list pubsub|channels pubsub|numsub pubsub|numpat pubsub|shardchannels pubsub|shardnumsub function|list
  function|stats function|dump script|exists]]):gmatch "%S+" do without_flag[name] = true end

local function class_there(name)
  local words = {}
  for word in name:gmatch "[^|]+" do words[#words + 1] = word end
  return redis_commands.refusal(words) and "refused" or redis_commands.class(words)
end

-- Of every command that the server has: what it calls a write is none of our reads, and what is one of them it calls
-- readonly, or it stands above. Nothing of ours is missing there that this version should have.
function tests.our_reads_are_the_servers_reads()
  local seen, reads = 0, 0
  assert(redis_server.with(url, 10, function(ask)
    for _, name in ipairs(ask { "COMMAND", "LIST" }) do
      local flags, told = {}, ask { "COMMAND", "INFO", name }
      for _, flag in ipairs(told[1][3]) do flags[flag] = true end
      seen = seen + 1
      if class_there(name) == "read" then
        reads = reads + 1
        assert(not flags.write and (not flags.blocking or name == "xread"), name .. " is a write or blocks there")
        assert(flags.readonly or without_flag[name], name .. " has no flag readonly there")
      end
    end
    return true
  end))
  assert(seen > 300 and reads > 100, seen .. " commands, " .. reads .. " reads")
end

function tests.command()
  equal(command(url, "SET", "key", "va\0lue").value, "OK")
  equal(command(url, "GET", "key").value, "va\0lue")
  equal(command(url, "GET", "no such key").value, nil)
  equal(command(url, "GET", "no such key").ok, true)
  equal(command(url, "DBSIZE").value >= 1, true)
  equal(command(url, "CONFIG", "GET", "maxmemory").value[2], "0")
  equal(command(url, "SCAN", 0, "MATCH", "key").value[2][1], "key")
  equal(result.line(command(url, "GET", "a key")), "redis.command " .. url .. ' GET "a key"')
  local wrong = command(url, "LLEN", "key")
  equal(result.status(wrong), "failed")
  has(wrong.error.message, "WRONGTYPE")
  equal(command(url .. "/3", "SET", "x", 1).value, "OK")
  equal(command(url .. "/3", "DBSIZE").value, 1)
  equal(command(url .. "/3", "FLUSHDB").value, "OK")
  equal(command(url .. "/3", "DBSIZE").value, 0)
end

function tests.previews()
  for i = 1, 12 do command(url .. "/5", "SET", "k" .. i, i) end
  local plan = entry("command").preview(call_of("command", url .. "/5", "FLUSHDB"))
  equal(plan.size, 12)
  has(plan.text, "deletes 12 keys of db 5 on 127.0.0.1:" .. port .. " (")
  has(plan.text, "master")
  has(plan.text, "client")
  plan = entry("command").preview(call_of("command", url .. "/5", "UNLINK", "k1", "k2", "nothing"))
  equal(plan.size, 2)
  has(plan.text, "deletes 2 keys of db 5")
  has(entry("command").preview(call_of("command", url, "FLUSHALL")).text, "of every database on")
  has(entry("command").preview(call_of("command", url, "CONFIG", "SET", "a", "b")).text, "sets a on 127.0.0.1:")
  has(entry("command").preview(call_of("command", url, "CLIENT", "PAUSE", 500)).text, "holds clients up for 500 ms")
  local function text(...) return entry("command").preview(call_of("command", url .. "/5", ...)).text end
  has(text("SET", "k1", "v"), "sets k1 on 127.0.0.1:" .. port .. ", and what is there under k1 is replaced (")
  has(text("SET", "new", "v"), "sets new on 127.0.0.1:" .. port .. " (")
  has(text("RENAME", "k1", "k2"), "what is there under k2 is replaced")
  has(text("COPY", "k1", "k2", "REPLACE"), "what is there under k2 is replaced")
  for _, words in ipairs { { "COPY", "k1", "k3" }, { "SET", "k1", "v", "nx" }, { "RENAMENX", "k1", "k3" } } do
    assert(not text(table.unpack(words)):find "replaced", words[1])
  end
  has(text("EXPIRE", "k1", "60"), "runs EXPIRE on 127.0.0.1:" .. port .. " (")
  local unknown = entry("command").preview(call_of("command", "redis://127.0.0.1:" .. closed_port, "FLUSHDB"))
  has(unknown.text, "radius unknown")
  equal(unknown.size, math.huge)
  command(url, "REPLICAOF", "127.0.0.1", closed_port)
  plan = entry("command").preview(call_of("command", url .. "/5", "FLUSHDB"))
  local _, err = entry("command").run(call_of("command", url .. "/5", "FLUSHDB"))
  local set = entry("command").preview(call_of("command", url .. "/5", "SET", "a", "b"))
  local config = entry("command").preview(call_of("command", url, "CONFIG", "SET", "maxmemory", "0"))
  command(url, "REPLICAOF", "NO", "ONE")
  has(plan.impossible, "read-only replica of 127.0.0.1:" .. closed_port)
  has(set.impossible, "read-only replica")
  equal(config.impossible, nil)
  has(err.message, "READONLY")
  equal(command(url .. "/5", "FLUSHDB").value, "OK")
  local _, refused = entry("command").run(call_of("command", "redis://127.0.0.1:" .. closed_port, "FLUSHDB"))
  equal(refused.kind, "refused")
end

-- A limit below what is used evicts at once, in every unit that Redis knows; a policy that evicts nothing keeps all.
function tests.a_lower_limit_evicts()
  local function plan(...) return entry("command").preview(call_of("command", url, "CONFIG", "SET", ...)) end
  command(url, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
  local low, high = plan("MAXMEMORY", "1kb"), plan("maxmemory", "4gb")
  local kept, none = plan("maxmemory", "1000", "maxmemory-policy", "noeviction"), plan("maxmemory", 0)
  command(url, "CONFIG", "SET", "maxmemory-policy", "noeviction")
  equal(low.loses, true)
  has(low.text, "evicts keys at once: ")
  for _, it in ipairs { high, kept, none, plan("maxmemory", "1kb") } do equal(it.loses, false, it.text) end
  equal(plan("maxmemory", "1k", "maxmemory-policy", "allkeys-lru").loses, true)
end

local names = values.keys(tests)
local failed = 0
for _, name in ipairs(names) do
  local ok, why = xpcall(tests[name], debug.traceback)
  print((ok and "ok " or "FAILED ") .. name .. (ok and "" or ": " .. tostring(why)))
  if not ok then failed = failed + 1 end
end
assert(failed == 0, "some tests failed")
