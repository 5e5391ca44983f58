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
  has(parsed "rediss://h", "TLS")
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
    { "NEWTHING" },
    { "CLIENT", "KILL", "x" }, { "ACL", "LOG", "RESET" }, { "MEMORY", "PURGE" }, { "SORT", "a", "STORE", "b" } } do
    equal(class(table.unpack(words)), "write", words[1])
  end
  for _, words in ipairs { { "SWAPDB", 0, 1 }, { "EXPIRE", "k", 0 }, { "PEXPIRE", "k", -1 },
    { "EXPIREAT", "k", 1000 }, { "FLUSHDB" }, { "flushall" }, { "DEL", "a" }, { "UNLINK", "a" }, { "EVAL", "x", 0 },
    { "SHUTDOWN" },
    { "FUNCTION", "FLUSH" }, { "REPLICAOF", "NO", "ONE" } } do
    equal(class(table.unpack(words)), "destructive", words[1])
  end
  for _, words in ipairs { { "KEYS", "*" }, { "monitor" }, { "SUBSCRIBE", "a" }, { "BLPOP", "a", 0 },
    { "DEBUG", "SLEEP", 1 },
    { "XREAD", "block", 0, "STREAMS", "a", "$" }, { "MULTI" }, { "SELECT", 1 }, { "AUTH", "x" } } do
    raises("is refused", catalogue.call, entry "command", url, table.unpack(words))
  end
  raises("SCAN with a cursor", catalogue.call, entry "command", url, "KEYS", "*")
  raises("missing", catalogue.call, entry "command", url)
  raises("secret", catalogue.call, entry "command", url, "GET", values.secret("X", "y"))
end

-- The server agrees: none of our reads has its write flag.
function tests.our_reads_are_the_servers_reads()
  local asked, err = redis_server.with(url, 10, function(ask)
    for _, words in ipairs(redis_commands.all_reads()) do
      local name = redis_commands.full_name(words)
      local told, why = ask { "COMMAND", "INFO", name }
      assert(told, name .. ": " .. tostring(why and why.message))
      for _, flag in ipairs(type(told[1]) == "table" and told[1][3] or {}) do
        assert(flag ~= "write" and flag ~= "blocking" or name == "xread", name .. " is " .. flag)
      end
    end
    return true
  end)
  assert(asked, err and err.message)
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
  local unknown = entry("command").preview(call_of("command", "redis://127.0.0.1:" .. closed_port, "FLUSHDB"))
  has(unknown.text, "radius unknown")
  equal(unknown.size, math.huge)
  command(url, "REPLICAOF", "127.0.0.1", closed_port)
  plan = entry("command").preview(call_of("command", url .. "/5", "FLUSHDB"))
  local _, err = entry("command").run(call_of("command", url .. "/5", "FLUSHDB"))
  command(url, "REPLICAOF", "NO", "ONE")
  has(plan.impossible, "read-only replica of 127.0.0.1:" .. closed_port)
  has(err.message, "READONLY")
  equal(command(url .. "/5", "FLUSHDB").value, "OK")
  local _, refused = entry("command").run(call_of("command", "redis://127.0.0.1:" .. closed_port, "FLUSHDB"))
  equal(refused.kind, "refused")
end

local names = values.keys(tests)
local failed = 0
for _, name in ipairs(names) do
  local ok, why = xpcall(tests[name], debug.traceback)
  print((ok and "ok " or "FAILED ") .. name .. (ok and "" or ": " .. tostring(why)))
  if not ok then failed = failed + 1 end
end
assert(failed == 0, "some tests failed")
