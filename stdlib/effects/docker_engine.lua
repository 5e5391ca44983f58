-- Requests to the Docker engine, and what their failures mean. One `engine.open(seconds)` serves one effect:
-- all its requests end by the same deadline.
local blame = require "blame"
local docker_host = require "effects.docker_host"
local json = require "raw.json"
local tasks = require "tasks"
local values = require "values"

local engine = {}
engine.__index = engine

-- The newest version of the API whose answers this was read against, and the oldest that has all of it. A newer engine is
-- asked in the newest that it still takes.
local VERSION, VERSION_MIN = { 1, 47 }, { 1, 24 }
-- Answers are read up to this many bytes; longer ones are an error, except streams, whose callers say so.
local BODY_MAX = 8 << 20
-- A request gets at least this many seconds, so that one at the very end fails by its own deadline.
local SECONDS_MIN = 0.05

------------------------------------------------------------------ Failures --

local advice = {
  permission = "%s: permission denied (`runbook doctor` says what to do)",
  missing = "%s: no Docker engine listens there: there is no such socket",
  refused = "%s: no Docker engine listens there: connection refused",
}

-- An engine that doesn't answer says nothing about the container: these kinds would be findings of an http
-- read.
local no_finding = { refused = "unreachable", reset = "unreachable", timeout = "unreachable",
                     tls = "unreachable",
                     protocol = "unreachable", limit = "unreachable" }

-- An error as one of a read: we could not look.
function engine.cannot_look(err)
  return { kind = no_finding[err.kind] or err.kind, message = err.message }
end

local function explain(host, err)
  local text = host.unix_socket and advice[err.kind]
  if text then return { kind = err.kind, message = text:format(host.unix_socket) } end
  return { kind = err.kind, message = err.message }
end

local kind_of_status = { [401] = "permission", [403] = "permission", [404] = "missing", [409] = "conflict" }

-- What the engine says about a request that it did not fulfil.
function engine.problem(reply)
  local body = json.decode(reply.body or "")
  local told = type(body) == "table" and type(body.message) == "string" and body.message
  return { kind = kind_of_status[reply.status] or "engine",
           message = "the Docker engine says: " .. (told or "HTTP " .. reply.status) }
end

------------------------------------------------------------------ Requests --

-- A machine's engine keeps its version for the length of a run.
local negotiated

function engine.open(seconds)
  return setmetatable({ ends = tasks.now() + seconds }, engine)
end

local function escape(text)
  return (tostring(text):gsub("[^%w%-_%.~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function with_query(path, query)
  local parts = {}
  for _, name in ipairs(values.keys(query or {})) do
    parts[#parts + 1] = name .. "=" .. escape(query[name])
  end
  return #parts > 0 and path .. "?" .. table.concat(parts, "&") or path
end

-- "/containers/%s/json" with the name escaped.
function engine.path(pattern, name) return (pattern:gsub("%%s", function() return escape(name) end)) end

function engine:left() return math.max(SECONDS_MIN, self.ends - tasks.now()) end

local function send(self, host, method, path, options)
  local http = require "raw.http"
  local body = options.json and json.encode(options.json) or nil
  local reply, err = http.request {
    method = method, url = host.url .. path, unix_socket = host.unix_socket, body = body,
    headers = { ["Content-Type"] = body and "application/json" or nil },
    timeout = math.min(options.seconds or math.huge, self:left()), max_body = options.max_body or BODY_MAX,
    verify = host.verify, keep = options.keep, scan = options.scan, ca_file = host.ca, cert_file = host.cert, key_file = host.key,
  }
  if not reply then
    err = explain(host, err)
    return nil, method == "GET" and engine.cannot_look(err) or err
  end
  return reply
end

-- "1.41" → { 1, 41 }
local function read_version(text)
  local major, minor = tostring(text or ""):match "^(%d+)%.(%d+)$"
  return major and { math.tointeger(tonumber(major)), math.tointeger(tonumber(minor)) }
end

local function is_less(a, b) return a[1] < b[1] or a[1] == b[1] and a[2] < b[2] end

local function no_engine(host, why) return nil, { kind = "unreachable", message = host.label .. ": " .. why } end

-- The highest version that both speak, as text.
local function common_version(host, newest, oldest)
  if not newest then return no_engine(host, "what answers there is no Docker engine") end
  local ours, mine = newest, VERSION
  if is_less(mine, newest) then ours = oldest and is_less(mine, oldest) and oldest or mine end
  if is_less(ours, VERSION_MIN) then
    return no_engine(host, ("the engine speaks API %d.%d; at least %d.%d is needed"):format(newest[1], newest[2],
      VERSION_MIN[1], VERSION_MIN[2]))
  end
  return ("%d.%d"):format(ours[1], ours[2])
end

-- An engine's own word is its /version: it says what it takes at the most and at the least.
local function negotiate(self, host)
  if negotiated then return negotiated end
  local reply, err = send(self, host, "GET", "/version", {})
  if not reply then return nil, engine.cannot_look(err) end
  local told = json.decode(reply.body)
  told = type(told) == "table" and told or {}
  negotiated, err = common_version(host, read_version(told.ApiVersion or reply.headers["api-version"]),
    read_version(told.MinAPIVersion))
  return negotiated, err
end

-- The API's version in use, as text, or nil and why not.
function engine:version()
  local host, err = docker_host.resolve()
  if not host then return nil, err end
  return negotiate(self, host)
end

-- One request. Options: query {name = value}, json (the body), seconds (a deadline of its own), max_body,
-- keep. The reply, whatever its status, or nil and {kind=, message=}. A GET's failure is never a finding; any
-- other's says what may have happened.
function engine:request(method, path, options)
  options = options or {}
  local host, err = docker_host.resolve()
  if not host then return nil, err end
  local version
  version, err = negotiate(self, host)
  if not version then return nil, err end
  return send(self, host, method, ("/v%s%s"):format(version, with_query(path, options.query)), options)
end

-- A copy in which null, which JSON has and Lua's tables have not, is left out, however deep.
function engine.plain(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in next, value do
    if item ~= json.null then copy[key] = engine.plain(item) end
  end
  return copy
end

-- The body as Lua values; `exact` keeps json.null.
function engine.decode(reply, exact)
  if reply.cut then
    return nil, { kind = "unreachable", message = "the Docker engine's answer is too long" }
  end
  local value, err = json.decode(reply.body)
  if type(value) ~= "table" then
    local why = err and err.message or "no object"
    return nil, { kind = "unreachable", message = "the Docker engine's answer is not JSON: " .. why }
  end
  return exact and value or engine.plain(value)
end

-- GET of JSON: the value, or nil and an error; also nil, nil where the engine says 404 ("absent").
function engine:get(path, options)
  local reply, err = self:request("GET", path, options)
  if not reply then return nil, err end
  if reply.status == 404 then return nil, nil end
  if reply.status ~= 200 then return nil, engine.problem(reply) end
  local value
  value, err = engine.decode(reply, options and options.exact)
  local problem = value and require("effects.docker_shapes").problem(path, value)
  if problem then
    return nil, { kind = "unreachable", message = "the Docker engine's answer is not what it should be: " .. problem }
  end
  return value, err
end

-- A request that changes something: the reply when the engine did it or had nothing to do (304), else nil and
-- an error.
function engine:change(method, path, options)
  local reply, err = self:request(method, path, options)
  if not reply then return nil, err end
  if reply.status >= 400 then return nil, engine.problem(reply) end
  return reply
end

---------------------------------------------------------------- Containers --

-- Containers that this run's script named: prune leaves them and their images alone.
engine.named = {}

-- For an entry's `check`: a container's name or id; whatever else would become part of a path.
function engine.check_name(entry_name, name)
  if values.is_placeholder(name) then return end
  if #name > 255 or not name:find "^[a-zA-Z0-9][a-zA-Z0-9_.%-]*$" then
    blame.raise("%s: %s is no container's name: letters, digits, '_', '.' and '-' expected", entry_name,
      values.describe(name))
  end
  engine.named[name] = true
end

-- Whether a script named the container with that id and these names.
function engine.is_named(id, names)
  for _, name in ipairs(names or {}) do
    local bare = name:gsub("^/", "")
    if engine.named[bare] or engine.named[bare:match "^(.-)%-before%-" or ""] then return true end
  end
  for name in next, engine.named do
    if #name >= 4 and name:find "^%x+$" and id:sub(1, #name) == name then return true end
  end
  return false
end

-- What `docker inspect NAME` shows; nil, nil when there is no such container. Proxies and other engines leave parts out, or
-- null: those that are looked into are tables here.
function engine:inspect(name, exact)
  local inspect, err = self:get(engine.path("/containers/%s/json", name), { exact = exact })
  if not inspect then return nil, err end
  if type(inspect.Id) ~= "string" then
    return nil, { kind = "unreachable", message = "the Docker engine's answer is no container's: it has no Id" }
  end
  for _, part in ipairs { "State", "Config", "HostConfig", "NetworkSettings" } do
    if type(inspect[part]) ~= "table" then inspect[part] = {} end
  end
  inspect.Name = type(inspect.Name) == "string" and inspect.Name or "/" .. name
  return inspect
end

return engine
