-- Which Docker engine: the config's docker.host or DOCKER_HOST (settings.docker.host), else the current
-- context of Docker's own client, else this machine's socket. Found out once, and told before the first
-- write.
local files = require "raw.files"
local json = require "raw.json"
local settings = require "settings"

local host = {}

local DEFAULT = "unix:///var/run/docker.sock"
-- A context's files are this long at most, in bytes.
local FILE_MAX = 1 << 20
local PLAIN_PORT, TLS_PORT = 2375, 2376

local resolved

local function read_json(path)
  local read = files.read { path = path, max = FILE_MAX }
  local value = read and json.decode(read.text)
  return type(value) == "table" and value or nil
end

-- { name =, host =, folder = of its TLS files } of the context that `docker context use` chose; nil when
-- there is none.
local function current_context()
  local home = settings.environment.HOME
  if not home then return nil end
  local config = read_json(home .. "/.docker/config.json")
  local name = config and config.currentContext
  if type(name) ~= "string" or name == "" or name == "default" then return nil end
  local contexts = home .. "/.docker/contexts/"
  -- The folders are named by the SHA-256 of the context's name, which meta.json holds too.
  local found = files.walk { under = contexts .. "meta", name = "meta.json" }
  for _, file in ipairs(found and found.files or {}) do
    local meta = read_json(file.path)
    local endpoint = meta and meta.Name == name and meta.Endpoints and meta.Endpoints.docker
    if endpoint then
      local hash = file.path:match "([^/]+)/meta%.json$"
      return { name = name, host = endpoint.Host, folder = contexts .. "tls/" .. hash .. "/docker/" }
    end
  end
  local message = ("Docker's current context is %q, which is not in %s"):format(name, contexts)
  error({ kind = "missing", message = message }, 0)
end

local function existing(path) return files.stat(path).state == "file" and path or nil end

-- tcp://NAME:PORT, with TLS when there are files for it.
local function over_tcp(it)
  local name, port = it.address:match "^tcp://(%[[%x:]+%]):?(%d*)/?$"
  if not name then name, port = it.address:match "^tcp://([%w%.%-_]+):?(%d*)/?$" end
  if not name then return nil end
  local tls = it.ca or it.cert
  it.url = ("%s://%s:%s"):format(tls and "https" or "http", name,
    port ~= "" and port or tls and TLS_PORT or PLAIN_PORT)
  it.label = ("%s:%s"):format(name, port ~= "" and port or tls and TLS_PORT or PLAIN_PORT)
  return it
end

local function place(it)
  local path = it.address:match "^unix://(/.+)$"
  if path then
    it.unix_socket, it.url, it.label = path, "http://docker", path
    return it
  end
  if over_tcp(it) then return it end
  if it.address:find "^ssh://" then
    error({ kind = "usage", message = it.address .. ": Docker over ssh is not spoken: forward its socket "
      .. "(ssh -L /run/user/1000/docker.sock:/var/run/docker.sock HOST) and set docker.host to it" }, 0)
  end
  local message = ("%q is no Docker host: unix:///PATH or tcp://NAME:PORT expected"):format(it.address)
  error({ kind = "usage", message = message }, 0)
end

local function find()
  local given = settings.docker
  if given.host then
    return place { address = given.host, ca = given.ca, cert = given.cert, key = given.key,
                   from = "docker.host" }
  end
  local context = current_context()
  if not context then return place { address = DEFAULT, from = "default", is_default = true } end
  return place { address = context.host, from = "context " .. context.name, context = context.name,
                 ca = existing(context.folder .. "ca.pem"), cert = existing(context.folder .. "cert.pem"),
                 key = existing(context.folder .. "key.pem") }
end

-- { address = "unix:///…" | "tcp://…", url =, unix_socket =, ca =, cert =, key =, label =, from = }, or nil
-- and an error.
function host.resolve()
  if resolved then return resolved end
  local ok, found = pcall(find)
  if ok then
    resolved = found
    return found
  end
  if type(found) == "table" and found.kind then return nil, found end
  error(found, 0)
end

-- What is printed before the first write: "unix:///var/run/docker.sock", "tcp://db1:2376 (context prod)".
function host.text()
  local it, err = host.resolve()
  if not it then return err.message end
  return it.context and ("%s (context %s)"):format(it.address, it.context) or it.address
end

-- The docker command and the flags that name this engine, as far as it is known without looking.
function host.command(...)
  local words, given = { "docker" }, settings.docker
  if given.host then words[2], words[3] = "-H", given.host end
  if given.ca or given.cert then words[#words + 1] = "--tlsverify" end
  for _, name in ipairs { "ca", "cert", "key" } do
    if given[name] then
      words[#words + 1] = ("--tls%s=%s"):format(name == "ca" and "cacert" or name, given[name])
    end
  end
  for _, word in ipairs { ... } do words[#words + 1] = word end
  return words
end

-- What stands after the @ of a line: another machine's engine, as the config names it.
function host.place()
  local address = settings.docker.host
  return address and address:match "^tcp://(.-)/?$" or nil
end

-- The words an operator types to approve what concerns the engine as a whole.
function host.target()
  return host.place() or settings.host_name or require("raw.sys").hostname()
end

return host
