-- redis: one command at a time. Which of them read is in redis_commands.lua; all others are writes.
local blame = require "blame"
local catalogue = require "catalogue"
local duration = require "duration"
local outcome = require "outcome"
local redis_commands = require "effects.redis_commands"
local redis_plan = require "effects.redis_plan"
local redis_server = require "effects.redis_server"
local tasks = require "tasks"
local values = require "values"

local url_param = { "url", "string", "redis://host:port/db or, with TLS, rediss://host:port/db, user and password before the host, "
                    .. "or the path of a socket", secret = true, show = redis_server.shown }

local function check_url(name)
  return function(call)
    if type(call.url) ~= "string" then return end
    local _, why = redis_server.parse(call.url)
    if why then blame.raise("%s: argument 1 (url): %s", name, why) end
  end
end

-- "localhost:6379/0": what the operator types for what goes to one database.
local function target(call)
  local place = redis_server.place(call.url)
  if not place then return tostring(redis_server.shown(call.url)) end
  return ("%s/%d"):format(place.name, place.db)
end

-- redis-cli's address of a place, without its login. Its own reader of addresses knows no [::1].
local function address_words(place)
  if place.path then return { "redis-cli", "-s", place.path } end
  local host, port = place.host, tostring(place.port)
  if not place.tls then return { "redis-cli", "-h", host, "-p", port } end
  if host:find ":" then return { "redis-cli", "-h", host, "-p", port, "--tls" } end
  return { "redis-cli", "-u", ("rediss://%s/%d"):format(place.name, place.db) }
end

-- The options of TLS, by the files that count here. A redis-cli without any goes by the system's authorities, as we do.
local function tls_words(place, words)
  if not place.tls then return end
  local files = redis_server.tls_files()
  local key = files.cert and files.key
  for _, option in ipairs { { "--cacert", files.ca or files.more }, { "--cert", files.cert }, { "--key", key } } do
    if option[2] then table.move(option, 1, 2, #words + 1, words) end
  end
end

local function redis_cli(call, ...)
  local place = redis_server.place(call.url)
  if not place then return { "redis-cli", "-u", tostring(redis_server.shown(call.url)), ... } end
  local words = address_words(place)
  if place.db ~= 0 and words[2] ~= "-u" then table.move({ "-n", tostring(place.db) }, 1, 2, #words + 1, words) end
  tls_words(place, words)
  if place.user then table.move({ "--user", place.user }, 1, 2, #words + 1, words) end
  if place.password then words[#words + 1] = "--askpass" end
  return table.move({ ... }, 1, select("#", ...), #words + 1, words)
end

--------------------------------------------------------------------- ping --

catalogue.effect("redis.ping", {
  summary = "Does Redis answer PING?",
  class = "read",
  params = { url_param },
  result = { ms = "number: how long connecting and answering took, milliseconds" },
  check = check_url "redis.ping",
  run = function(call)
    local began = tasks.now()
    local reply, err = redis_server.with(call.url, call.timeout, function(ask) return ask { "PING" } end)
    local ms = (tasks.now() - began) * 1000
    if not reply then
      -- An error reply to PING is about the server, whatever it says.
      if err.kind == "reply" and not err.connecting then return outcome.not_well(err.message, { ms = ms }) end
      return redis_server.learned(err)
    end
    if reply ~= "PONG" then return outcome.not_well("it does not answer PONG", { ms = ms }) end
    return { ms = ms }
  end,
  command = function(call) return redis_cli(call, "PING") end,
  target = target,
  specimen = { ms = 0.5 },
  sum_up = function(fields) return fields.ms and ("PONG after %.1f ms"):format(fields.ms) end,
})

--------------------------------------------------------------------- info --

-- Of maxmemory, else of the machine's memory, to a tenth. Of a server that tells no maxmemory it isn't known whether it has one.
local function used_percent(fields)
  local used, limit = redis_server.number(fields, "used_memory"), redis_server.number(fields, "maxmemory")
  if limit == 0 then limit = redis_server.number(fields, "total_system_memory") end
  if not used or not limit or limit <= 0 then return nil end
  return math.floor(1000 * used / limit + 0.5) / 10
end

catalogue.effect("redis.info", {
  summary = "What the server tells about itself, by its own names",
  class = "read",
  params = { url_param,
    { "section", "string", "INFO's section: server memory clients replication keyspace …", optional = true } },
  result = {
    used_percent = "number: memory used of maxmemory, or without one of the machine's; in the section memory; "
      .. "nil when the server tells neither",
    fields = "map: all names the server sent, and their values",
    used_memory = "integer: bytes", maxmemory = "integer: bytes, 0 without a limit", redis_version = "string: 7.0.15",
    connected_clients = "integer", role = "string: master or slave",
  },
  open_fields = true,
  check = function(call)
    check_url "redis.info"(call)
    if type(call.section) == "string" and not call.section:find "^[%w_]+$" then
      blame.raise("redis.info: argument 2 (section): %s is no section", values.describe(call.section))
    end
  end,
  run = function(call)
    local text, err = redis_server.with(call.url, call.timeout, function(ask) return ask { "INFO", call.section } end)
    if not text then return redis_server.learned(err) end
    if type(text) ~= "string" then return outcome.failed("protocol", "INFO was not answered with text") end
    local answer = redis_server.info(text)
    local fields = values.copy_shallow(answer)
    fields.fields, fields.used_percent = answer, used_percent(answer)
    return fields
  end,
  command = function(call) return redis_cli(call, "INFO", call.section) end,
  target = target,
  specimen = { used_percent = 40.0, used_memory = 400 << 20, maxmemory = 1000 << 20, redis_version = "7.0.15",
               connected_clients = 14, role = "master", uptime_in_seconds = 86400, fields = {} },
  sum_up = function(fields)
    local parts = {}
    local function add(text, value) if value then parts[#parts + 1] = text:format(value) end end
    add("%s", redis_server.product(fields))
    add("up %s", math.type(fields.uptime_in_seconds) and duration.text(fields.uptime_in_seconds))
    add("%s", fields.role)
    add("memory %.1f %%", fields.used_percent)
    add("%s clients", fields.connected_clients)
    return #parts > 0 and table.concat(parts, ", ") or nil
  end,
})

------------------------------------------------------------------ command --

-- Has the server another opinion? Its flags can make a read a write, never the reverse. A server that doesn't know the
-- command, or won't tell, leaves it to our list.
local function is_write_there(ask, words)
  local told = ask { "COMMAND", "INFO", redis_commands.full_name(words) }
  local flags = type(told) == "table" and type(told[1]) == "table" and told[1][3]
  for _, flag in ipairs(type(flags) == "table" and flags or {}) do
    if flag == "write" then return true end
  end
  return false
end

local function run_read(call)
  local refused
  local value, err = redis_server.with(call.url, call.timeout, function(ask)
    refused = is_write_there(ask, call.words)
    if refused then return nil end
    return ask(call.words)
  end)
  if refused then
    return outcome.failed("permission",
      "refused: this server says that %s writes, so it is not sent as a read", call.words[1])
  end
  if err then return redis_server.learned(err) end
  return { value = value }
end

local function run_write(call)
  local value, err = redis_server.with(call.url, call.timeout, function(ask) return ask(call.words) end)
  if err and err.kind == "reset" and not err.connecting and call.words[1]:upper() == "SHUTDOWN" then
    return { value = "the server closed the connection" } -- that is how it says yes
  end
  if err then return redis_server.undone(err) end
  return { value = value }
end

-- What is lost is told by the server's own numbers; of clients also who they were.
local function evidence(save, call)
  if redis_commands.class(call.words) ~= "destructive" and call.words[1]:upper() ~= "CLIENT" then return end
  save("redis.info", call.url)
  if call.words[1]:upper() == "CLIENT" then save("redis.command", call.url, "CLIENT", "LIST") end
end

local function plain(words)
  for _, word in ipairs(words) do if type(word) ~= "string" then return false end end
  return true
end

catalogue.effect("redis.command", {
  summary = "Runs one command: redis.command(url, \"GET\", \"key\")",
  class = function(call) return plain(call.words) and redis_commands.class(call.words) or "write" end,
  class_help = "read for commands of the catalogue's list; destructive for FLUSHDB, FLUSHALL, DEL and others that "
    .. "take away, and for those that replace or expire at once (EXPIRE k 0, COPY … REPLACE); else write. A command goes to "
    .. "the node of the address alone, of a cluster too, and its plan says so",
  params = { url_param },
  rest = { "words", "the command and its arguments" },
  result = { value = "any: the reply; integers, strings, lists; nil when there is nothing" },
  check = function(call)
    check_url "redis.command"(call)
    if not plain(call.words) then return end
    local why = redis_commands.refusal(call.words)
    if why then blame.raise("redis.command: %s is refused: %s", call.words[1]:upper(), why) end
  end,
  run = function(call)
    if redis_commands.class(call.words) == "read" then return run_read(call) end
    return run_write(call)
  end,
  command = function(call)
    local words = {}
    for i, word in ipairs(call.words) do words[i] = tostring(word) end
    return redis_cli(call, table.unpack(words))
  end,
  target = target,
  intends = redis_plan.intends,
  preview = redis_plan.preview,
  evidence = evidence,
  would = function() return {} end,
  specimen = function(call)
    if plain(call.words) and redis_commands.class(call.words) ~= "read" then return { value = "OK" } end
    return {}
  end,
  sum_up = function(fields)
    if type(fields.value) == "table" then return ("%d element%s"):format(#fields.value, #fields.value == 1 and "" or "s") end
    return fields.value == nil and "nothing" or tostring(fields.value)
  end,
})
