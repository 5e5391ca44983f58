-- Which Docker engine: the config's docker.host, else the one that Docker's own client would take in the operator's shell
-- (docker/cli, cli/command/cli.go): DOCKER_HOST unless it is empty, else the context of DOCKER_CONTEXT, else the current one of
-- config.json in DOCKER_CONFIG or ~/.docker, else this machine's socket. Found out once; what is asked, what is changed and the
-- command by hand all take it from here.
local files = require "raw.files"
local json = require "raw.json"
local raw_run = require "raw.run"
local settings = require "settings"

local host = {}

local DEFAULT = "unix:///var/run/docker.sock"
-- A context's files are this long at most, in bytes.
local FILE_MAX = 1 << 20
local PLAIN_PORT, TLS_PORT = 2375, 2376

local resolved

local function fail(kind, message, ...) error({ kind = kind, message = message:format(...) }, 0) end

-- The variables of the operator's shell that Docker's client looks at; an empty one is none.
local function variable(name)
  local value = (settings.docker.shell or {})[name]
  return value ~= "" and value or nil
end

-- Docker's own folder, nil without a home.
local function folder()
  local home = settings.environment.HOME
  return variable "DOCKER_CONFIG" or home and home .. "/.docker"
end

local function read_json(path)
  local read = files.read { path = path, max = FILE_MAX }
  local value = read and json.decode(read.text)
  return type(value) == "table" and value or nil
end

local function existing(path) return files.stat(path).state ~= "absent" and path or nil end

-- Its ca.pem, cert.pem and key.pem, those that are there.
local function tls_files(from)
  return { ca = existing(from .. "/ca.pem"), cert = existing(from .. "/cert.pem"), key = existing(from .. "/key.pem") }
end

------------------------------------------------------------------ Addresses --

-- tcp://NAME:PORT, also without the scheme, as Docker takes it.
local function over_tcp(it)
  local address = it.address:gsub("^https?://", "tcp://"):gsub("^([^:/]*:%d+)$", "tcp://%1")
  local name, port = address:match "^tcp://(%[[%x:]+%]):?(%d*)/?$"
  if not name then name, port = address:match "^tcp://([%w%.%-_]+):?(%d*)/?$" end
  if not name then return nil end
  port = port ~= "" and port or it.tls and TLS_PORT or PLAIN_PORT
  it.url, it.label = ("%s://%s:%s"):format(it.tls and "https" or "http", name, port), ("%s:%s"):format(name, port)
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
    fail("usage", "%s: Docker over ssh is not spoken: forward its socket "
      .. "(ssh -L /run/user/1000/docker.sock:/var/run/docker.sock HOST) and set docker.host to it", it.address)
  end
  fail("usage", "%q is no Docker host: unix:///PATH or tcp://NAME:PORT expected", it.address)
end

-- `tls`: { ca =, cert =, key = } or nil; `verify` false: whatever the engine shows.
local function with_tls(it, tls, verify)
  it.tls, it.verify = tls ~= nil, verify ~= false
  for name, path in pairs(tls or {}) do it[name] = path end
  return it
end

---------------------------------------------------------------- Where it is --

local function of_config(given)
  local tls = (given.ca or given.cert or given.key) and { ca = given.ca, cert = given.cert, key = given.key }
  return place(with_tls({ address = given.host, from = "docker.host" }, tls or nil))
end

-- DOCKER_TLS_VERIFY checks the engine's certificate, DOCKER_TLS only encrypts; the files are in DOCKER_CERT_PATH.
local function of_variable(address)
  local verify = variable "DOCKER_TLS_VERIFY"
  local tls = (verify or variable "DOCKER_TLS") and tls_files(variable "DOCKER_CERT_PATH" or folder() or "")
  return place(with_tls({ address = address, from = "DOCKER_HOST" }, tls or nil, verify ~= nil))
end

-- A context's folders are named by the SHA-256 of its name.
local function of_context(name)
  local of_docker, hash = folder(), raw_run.sha256(name)
  local meta = of_docker and read_json(("%s/contexts/meta/%s/meta.json"):format(of_docker, hash))
  local endpoint = meta and meta.Endpoints and meta.Endpoints.docker
  if type(endpoint) ~= "table" or type(endpoint.Host) ~= "string" then
    fail("missing", "Docker's context is %q, which is not in %s/contexts", name, of_docker or "~/.docker")
  end
  local tls = tls_files(("%s/contexts/tls/%s/docker"):format(of_docker, hash))
  local it = { address = endpoint.Host, from = "context " .. name, context = name }
  return place(with_tls(it, (next(tls) or endpoint.SkipTLSVerify == true) and tls or nil, endpoint.SkipTLSVerify ~= true))
end

local function find()
  if settings.docker.host then return of_config(settings.docker) end
  local address = variable "DOCKER_HOST"
  if address then return of_variable(address) end
  local context = variable "DOCKER_CONTEXT"
  if not context and folder() then
    local current = (read_json(folder() .. "/config.json") or {}).currentContext
    context = type(current) == "string" and current ~= "" and current or nil
  end
  if context and context ~= "default" then return of_context(context) end
  return place(with_tls({ address = DEFAULT, from = "default", is_default = true }))
end

-- { address = "unix:///…" | "tcp://…", url =, unix_socket =, tls =, verify =, ca =, cert =, key =, label =, from =, context = },
-- or nil and an error.
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

-------------------------------------------------------------------- In words --

-- What is printed before the first write: "unix:///var/run/docker.sock", "tcp://db1:2376 (context prod)".
function host.text()
  local it, err = host.resolve()
  if not it then return err.message end
  return it.context and ("%s (context %s)"):format(it.address, it.context) or it.address
end

local function tls_flags(it)
  local words = it.tls and { it.verify and "--tlsverify" or "--tls" } or {}
  for _, name in ipairs { "ca", "cert", "key" } do
    if it[name] then words[#words + 1] = ("--tls%s=%s"):format(name == "ca" and "cacert" or name, it[name]) end
  end
  return words
end

-- The docker command for this engine, in whatever shell it is typed; this machine's socket needs no flags. Of an engine that
-- can't be found they are left out.
function host.command(...)
  local it, words = host.resolve(), { "docker" }
  local where = (not it or it.is_default) and {} or it.context and { "--context", it.context } or { "-H", it.address }
  local tls = it and not it.context and tls_flags(it) or {}
  for _, list in ipairs { where, tls, { ... } } do table.move(list, 1, #list, #words + 1, words) end
  return words
end

-- For programs that speak to the engine themselves: its address, and the flags of its TLS.
function host.for_children()
  local it = host.resolve()
  if not it then return nil, {} end
  return it.address, tls_flags(it)
end

-- What stands after the @ of a line: another machine's engine, as the config or DOCKER_HOST names it.
function host.place()
  local address = settings.docker.host or variable "DOCKER_HOST"
  return address and address:match "^tcp://(.-)/?$" or nil
end

-- The words an operator types to approve what concerns the engine as a whole.
function host.target()
  return host.place() or settings.host_name or require("raw.sys").hostname()
end

return host
