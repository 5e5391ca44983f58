-- Redis servers: addresses, one connection per effect, what their errors mean.
local outcome = require "outcome"
local settings = require "settings"
local tasks = require "tasks"
local values = require "values"

local redis_server = {}

-- A reply takes this much on the wire at most, in bytes; a longer one is an error, not cut.
redis_server.REPLY_MAX = 8 << 20

---------------------------------------------------------------- Addresses --

local function decoded(text)
  return text and (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function parse_socket(text)
  local path, query = text:match "^([^?]*)%??(.*)$"
  local db = query:match "^db=(%d+)$"
  if path:sub(1, 1) ~= "/" or query ~= "" and not db then return nil, "unix:///path/of/the/socket?db=0 expected" end
  return { path = path, db = tonumber(db or 0), name = path }
end

-- host, host:port, [v6]:port
local function parse_host(text)
  local host, port = text:match "^%[([%x:.]+)%]:?(%d*)$"
  if not host then host, port = text:match "^([^:/%[%]%s]*):?(%d*)$" end
  port = port == "" and 6379 or tonumber(port)
  if not host or not port or port < 1 or port > 65535 then return nil end
  return host ~= "" and host or "localhost", port
end

-- { host, port, tls | path, db, user, password, name = "host:port" }, or nil and what is wrong; never quotes the address,
-- which may hold a password.
function redis_server.parse(url)
  if url:sub(1, 1) == "/" then return parse_socket(url) end
  local scheme, rest = url:match "^([%a+]+)://(.*)$"
  if scheme == "unix" or scheme == "redis+unix" then return parse_socket(rest) end
  if scheme ~= "redis" and scheme ~= "rediss" then
    return nil, "redis://[user:password@]host:port/db, rediss:// with TLS, or the path of a socket expected"
  end
  local place, db = rest:match "^([^/?]*)/?(%d*)$"
  local user_info, where = (place or ""):match "^(.*)@([^@]*)$"
  local host, port = parse_host(where or place or "/")
  if not host or user_info and user_info:find "@" then
    return nil, scheme .. "://[user:password@]host:port/db expected; write @ and / in a password as %40 and %2F"
  end
  local user, password = (user_info or ""):match "^([^:]*):?(.*)$"
  if user_info and not user_info:find ":" then user, password = "", user_info end
  return { host = host, port = port, tls = scheme == "rediss" or nil, db = tonumber(db ~= "" and db or 0),
           user = user ~= "" and decoded(user) or nil, password = password ~= "" and decoded(password) or nil,
           name = ("%s:%d"):format(host:find ":" and "[" .. host .. "]" or host, port) }
end

-- What stands for it in lines: without user and password, secrets as ***.
function redis_server.shown(url)
  local text = values.marked(url)
  if type(text) ~= "string" then return url end
  return (text:gsub("^(%a[%a+]*://)[^?]*@", "%1"):gsub("⟦.-⟧", "***"))
end

-- The parsed address of a call whose secrets may not be revealed yet; nil for a placeholder or a scenario's secret.
function redis_server.place(url)
  local text = values.reveal(url)
  return type(text) == "string" and redis_server.parse(text) or nil
end

---------------------------------------------------------------------- TLS --

-- The files that count for TLS: of the config's redis, and `more`, its own authorities beside the system's.
function redis_server.tls_files()
  local own = settings.redis
  return { ca = own.ca, cert = own.cert, key = own.key or own.cert, more = not own.ca and settings.ca or nil }
end

local function tls_session(place)
  local options = redis_server.tls_files()
  options.target, options.name = place.name, place.host
  return require("raw.tls").client(options)
end

-------------------------------------------------------------- Connections --

local function rehearsed(place)
  if place.path then return { path = place.path } end
  local address = settings.hosts[place.host]
  if not address then return { host = place.host, port = place.port } end
  local host, port = parse_host(address)
  return { host = host, port = address:find ":%d+$" and port or place.port }
end

-- A connection to a place; nil and the error.
local function connect(place, seconds)
  local to, err = rehearsed(place), nil
  to.timeout = seconds
  if place.tls then
    to.tls, err = tls_session(place)
    if not to.tls then return nil, err end
  end
  return require("raw.redis").connect(to)
end

-- Whether a server speaks the other tongue than its address says is asked for so long, in seconds.
local TONGUE_SECONDS = 2

-- A Redis hangs up without a word on who speaks in clear to a port of TLS, and waits for more of what is none to it: neither
-- is an answer. So the other tongue is tried once; what is wrong with the address, in words, or nil.
local function wrong_tongue(place, due)
  local other = values.copy_shallow(place)
  other.tls = not place.tls
  local seconds = math.min(TONGUE_SECONDS, due - tasks.now())
  if place.path or seconds <= 0 then return nil end
  local conn <close>, err = connect(other, seconds)
  if place.tls then
    local value, problem
    if conn then value, problem = conn:call({ "PING" }, { timeout = seconds }) end
    local answers = value or problem and (problem.kind == "reply" or problem.kind == "login" or problem.kind == "permission")
    return answers and place.name .. " speaks no TLS: its address begins with redis://, not rediss://" or nil
  end
  local answers = conn or err.kind == "tls" or err.kind == "trust" and err.message:find(place.name, 1, true) or err.kind == "login"
  return answers and place.name .. " speaks TLS: its address begins with rediss://, not redis://" or nil
end

-- The error of a server's that gave no answer at all, with what is wrong when it is the tongue.
local function explained(place, due, err)
  local silent = err.kind == (place.tls and "timeout" or "reset")
  local why = silent and wrong_tongue(place, due)
  return why and { kind = "usage", message = why } or err
end

local function log_in(conn, place, due)
  if place.password then
    local words = place.user and { "AUTH", place.user, place.password } or { "AUTH", place.password }
    local ok, err = conn:call(words, { timeout = math.max(0.001, due - tasks.now()) })
    if not ok then return nil, err end
  end
  if place.db == 0 then return true end
  return conn:call({ "SELECT", tostring(place.db) }, { timeout = math.max(0.001, due - tasks.now()) })
end

-- Calls f(ask) with a connection: ask(word, …) → value, or nil and the error. What f returns; nil and an error with
-- `connecting` when there is no connection.
function redis_server.with(url, seconds, f)
  local due = tasks.now() + seconds
  local place, why = redis_server.parse(url)
  if not place then return nil, { kind = "usage", message = why, connecting = true } end
  -- Of the time for a handshake a part is kept back, to try the other tongue in.
  local conn <close>, err = connect(place, place.tls and math.max(seconds - TONGUE_SECONDS, seconds / 2) or seconds)
  local ready
  if conn then ready, err = log_in(conn, place, due) end
  if not ready then
    err = explained(place, due, err)
    err.connecting = true
    return nil, err
  end
  local said -- the reason, when the server hangs up next
  local heard = place.tls or place.password or place.db ~= 0 -- it has answered: in the right tongue
  local wrong -- with the address: nothing that is asked will be answered
  return f(function(words)
    if wrong then return nil, wrong end
    local options = { timeout = math.max(0.001, due - tasks.now()), max_reply = redis_server.REPLY_MAX }
    local value, problem = conn:call(words, options)
    if problem and problem.kind == "reset" and said then problem.message = problem.message .. " after " .. said end
    if problem and not heard then
      local why = explained(place, due, problem)
      wrong, problem = why ~= problem and why or nil, why
    end
    heard = true
    said = problem and problem.kind == "reply" and problem.message or nil
    return value, problem
  end)
end

------------------------------------------------------------------ Outcomes --

-- Error replies that tell how the server is doing. All others say that the question was wrong.
local conditions = { LOADING = true, MASTERDOWN = true, BUSY = true, MISCONF = true, CLUSTERDOWN = true,
                     TRYAGAIN = true, OOM = true, READONLY = true, NOREPLICAS = true, NOMASTERLINK = true,
                     INPROG = true, UNKILLABLE = true }

local function is_condition(message)
  return conditions[message:match "^-?(%u+)"] or message:find("ERR max number of clients", 1, true) ~= nil
end

-- The node of a redirection: nodes that don't know their own name, or are told to keep it, leave the host out.
local function named(node)
  local host, port = node:match "^(.*):(%d+)$"
  if host == "" then return ("port %s of the same host"):format(port) end
  if host == "?" then return ("the node with port %s, which does not know its host's name"):format(port) end
  return node
end

-- What an error reply says, where its own words don't tell what to do: another node of the cluster has the key, or the server
-- is older than its users.
local function in_words(message)
  local word, slot, place = message:match "^(%u+) (%d+) (%S+)"
  if place then place = named(place) end
  if word == "MOVED" then return ("another node of the cluster has slot %s: ask %s (%s)"):format(slot, place, message) end
  if word == "ASK" then return ("slot %s is on its way to another node: ask %s (%s)"):format(slot, place, message) end
  if message:find "^CROSSSLOT" then return "the keys are in several slots of the cluster: a call for each (" .. message .. ")" end
  if message:find "^ERR wrong number of arguments for 'auth'" then
    return "this server is older than Redis 6 and knows no users: leave the user out of the address (" .. message .. ")"
  end
  return message
end

-- Whether an error reply says that this server will never carry the command out as it is.
function redis_server.rules_out(err)
  local word = err.kind == "reply" and err.message:match "^%u+"
  return (word == "MOVED" or word == "ASK" or word == "CROSSSLOT") and in_words(err.message) or nil
end

-- For reads: not well, or nil and the error.
function redis_server.learned(err)
  if err.kind == "reply" and not is_condition(err.message) then
    return outcome.failed("usage", "%s", in_words(err.message))
  end
  if err.kind == "login" then return outcome.failed("login", "%s", in_words(err.message)) end
  -- Nobody listens at the socket.
  if err.kind == "missing" and err.connecting then return outcome.not_well(err.message) end
  return outcome.from_error(err)
end

-- For writes: without a connection nothing is in doubt.
function redis_server.undone(err)
  if err.connecting and (err.kind == "timeout" or err.kind == "reset") then
    return outcome.failed("unreachable", "%s", err.message)
  end
  return nil, { kind = err.kind, message = in_words(err.message), connecting = err.connecting }
end

-- INFO's text as { name = value }: whole and decimal numbers and percentages as numbers, all else as text. What a server
-- doesn't tell, or tells as no number (nan), is absent.
function redis_server.info(text)
  local fields = {}
  for line in text:gmatch "[^\r\n]+" do
    local name, value = line:match "^([^:#][^:]*):(.*)$"
    if name and not value:find "^-?nan$" and not value:find "^-?inf$" then
      local number = value:match "^-?[1-9]%d*$" or value:match "^0$"
        or value:match "^-?%d+%.%d+$" or value:match "^(-?%d+%.%d+)%%$"
      fields[name] = number and not name:find "_version$" and tonumber(number) or value
    end
  end
  return fields
end

-- A whole number that the server tells of itself; nil when it doesn't tell it, or tells something else.
function redis_server.number(info, name)
  local value = info[name]
  return math.type(value) == "integer" and value or nil
end

-- "standalone", "cluster" or "sentinel": Valkey calls it the server's mode.
function redis_server.mode(info) return info.redis_mode or info.server_mode end

-- "Redis 7.0.15", "Valkey 8.1.0": who answers, when it says. Others name Redis' version for clients that look at it alone.
function redis_server.product(info)
  for _, name in ipairs { "valkey", "dragonfly", "keydb" } do
    local version = info[name .. "_version"]
    if version then return name:sub(1, 1):upper() .. name:sub(2) .. " " .. version end
  end
  return info.redis_version and "Redis " .. info.redis_version
end

return redis_server
