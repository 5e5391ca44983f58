-- The config: the nearest runbook.config.lua upwards from the runbook, then the user's own. A table that can do nothing else.
local blame = require "blame"
local duration = require "duration"
local files = require "raw.files"
local raw_run = require "raw.run"
local secrets = require "secrets"
local settings = require "settings"
local values = require "values"

local config = {}

-- A config is this long at most, in bytes.
local SIZE_MAX = 1 << 20

local environment_keys = { params = "table", docker = "table", kubectl = "table", hosts = "table", here = "boolean",
                           default = "boolean", prometheus = "table", redis = "table", reader = "string", environment = "table" }
local keys = { secrets = "table", pager = "table", chat = "table", incident = "table", contacts = "table",
               escalate_after = "string", approvals = "table", require_approval = "any",
               starter_may_approve = "boolean", shared_dir = "string",
               machines = "table", readers = "table", prometheus = "table",
               hosts = "table", keep = "string", environments = "table", environment = "table", docker = "table", kubectl = "table",
               redis = "table", here = "boolean", ca = "string", proxy = "any", no_proxy = "table" }
local choices = { auto = true, ask = true, type = true }

local function fail(path, text, ...) error({ usage = path .. ": " .. text:format(...) }, 0) end

-- The schemes of proxies.
local proxies = { http = true, https = true, socks5 = true, socks5h = true }

local function check_proxy(path, given)
  local proxy = given.proxy
  if type(proxy) == "string" then
    local scheme, place = proxy:match "^(%a[%w]*)://([^/]+)/?$"
    if not proxies[scheme] or not place:find "%w" then
      fail(path, "proxy: an address like \"http://proxy.example.com:3128\" expected")
    end
  elseif proxy ~= nil and not config.is_secret(proxy) then
    fail(path, "proxy: an address or a secret expected, got %s", values.describe(proxy))
  end
  for key, name in pairs(given.no_proxy or {}) do
    if math.type(key) ~= "integer" or type(name) ~= "string" or name == "" then
      fail(path, "no_proxy: a list of names like { \".corp.example.com\" } expected, got %s", values.describe(name))
    end
  end
end

-- Authorities that can't be read would keep every page from going out.
local function check_ca(path, ca)
  if ca == nil then return end
  if ca:sub(1, 1) ~= "/" then fail(path, "ca: a whole path expected, got %s", values.describe(ca)) end
  local read, err = files.read { path = ca, max = SIZE_MAX }
  if not read then fail(path, "ca: %s", err.message) end
  if not read.text:find("-----BEGIN CERTIFICATE-----", 1, true) then fail(path, "ca: %s holds no certificate", ca) end
end

local function check_keys(path, where, map, known)
  for name, value in pairs(map) do
    local wanted = known[name]
    if not wanted then
      fail(path, "unknown key '%s%s'%s", where, tostring(name), blame.hint(tostring(name), values.keys(known)))
    end
    if wanted ~= "any" and type(value) ~= wanted then
      fail(path, "%s%s: a %s expected, got %s", where, name, wanted, values.describe(value))
    end
  end
end

-- A destination that begins with a dash would be an option of ssh.
local function check_machine(path, name, there)
  local where = "machines." .. tostring(name)
  if type(there) ~= "table" then fail(path, "%s: { ssh = \"…\" } expected, got %s", where, values.describe(there)) end
  check_keys(path, where .. ".", there, { ssh = "string", sudo = "boolean", config = "string" })
  if type(name) ~= "string" or not name:find "^%w[%w_.-]*$" then
    fail(path, "%s: a name of letters, digits, . _ - expected", where)
  end
  if not there.ssh or not there.ssh:find "^[^-]" then
    fail(path, "%s.ssh: where ssh goes to expected, got %s", where, values.describe(there.ssh))
  end
end

-- Names of variables that helpers may see: { "AWS_PROFILE" }. LD_PRELOAD and its like run code in every one of them.
local function check_variables(path, where, list)
  for key, name in pairs(list or {}) do
    local is_name = type(name) == "string" and name:find "^[%a_][%w_]*$"
    if math.type(key) ~= "integer" or not is_name then
      fail(path, "%s: a list of variables' names like { \"AWS_PROFILE\" } expected, got %s", where, values.describe(name))
    end
    if name:find "^LD_" then fail(path, "%s: %s is refused: it runs code in every helper", where, name) end
  end
end

-- Files for TLS to Redis: whole paths, as a run's folder is anybody's guess. Whether they are there is said by who uses them.
local function check_redis(path, where, files)
  check_keys(path, where .. ".", files or {}, { ca = "string", cert = "string", key = "string" })
  for _, name in ipairs { "ca", "cert", "key" } do
    local file = files and files[name]
    if file and file:sub(1, 1) ~= "/" then
      fail(path, "%s.%s: a whole path expected, got %s", where, name, values.describe(file))
    end
  end
  if files and files.key and not files.cert then fail(path, "%s.key: its certificate is missing, cert = \"…\"", where) end
end

-- So many people, at each level or at one of them.
local function check_required(path, given)
  local most = require("consent").PEOPLE_MAX
  for level, count in pairs(type(given) == "table" and given or { given }) do
    local known = type(given) ~= "table" or level == "low" or level == "medium" or level == "high"
    if not known or math.type(count) ~= "integer" or count < 0 or count > most then
      fail(path, "require_approval: a number of people from 0 to %d expected, or { high = 2 }; got %s", most,
        known and values.describe(count) or tostring(level))
    end
  end
end

local function check(path, given)
  if type(given) ~= "table" then fail(path, "it must return a table, got %s", values.describe(given)) end
  check_keys(path, "", given, keys)
  check_proxy(path, given)
  for level, how in pairs(given.approvals or {}) do
    if not (level == "low" or level == "medium" or level == "high") or not choices[how] then
      fail(path, "approvals.%s: low, medium and high can be auto, ask or type; got %s", tostring(level), values.describe(how))
    end
  end
  check_required(path, given.require_approval)
  if given.shared_dir and given.shared_dir:sub(1, 1) ~= "/" then
    fail(path, "shared_dir: a whole path expected, got %s", values.describe(given.shared_dir))
  end
  for name, source in pairs(given.secrets or {}) do
    if type(source) ~= "table" or not (source.file or source.command) then
      fail(path, "secrets.%s: { file = \"…\" } or { command = { … } } expected", tostring(name))
    end
  end
  check_variables(path, "environment", given.environment)
  check_redis(path, "redis", given.redis)
  for name, there in pairs(given.machines or {}) do check_machine(path, name, there) end
  for name, environment in pairs(given.environments or {}) do
    if type(environment) ~= "table" then fail(path, "environments.%s: a table expected", tostring(name)) end
    check_keys(path, "environments." .. name .. ".", environment, environment_keys)
    check_variables(path, "environments." .. name .. ".environment", environment.environment)
    check_redis(path, "environments." .. name .. ".redis", environment.redis)
  end
  if given.escalate_after and not duration.parse(given.escalate_after) then
    fail(path, "escalate_after: a duration like \"15m\" expected, got %s", values.describe(given.escalate_after))
  end
end

-- Secrets of the config are fetched when something is sent, not when it is read: { secret = NAME }, and { joined = { … } } of
-- one with the text around it.
local lazy = {}
function lazy.__concat(a, b) return setmetatable({ joined = { a, b } }, lazy) end
local function lazy_secret(name) return setmetatable({ secret = name }, lazy) end

function config.is_secret(value)
  return type(value) == "table" and (debug.getmetatable(value) == lazy or value.secret ~= nil and next(value, next(value)) == nil)
end

-- `foreign`: a link out of its folder brought the text: what it says is no config's, and none of its words are shown.
local function evaluate(path, text, foreign)
  local env = { secret = lazy_secret }
  local chunk, why = load(text, "@" .. path, "t", setmetatable(env, { __index = function(_, name)
    error(("'%s' is not known in a config: it returns a table and can do nothing else"):format(tostring(name)), 2)
  end }))
  if not chunk then error({ usage = foreign and path .. ": it is a link to a file that is no config" or why }, 0) end
  local ok, given = pcall(chunk)
  if not ok then error({ usage = tostring(given) }, 0) end
  check(path, given)
  require("backends").check(given)
  secrets.learn("config", text, "config")
  return given
end

-- Where a config may stand, the nearest first: upwards from `folder`, then the user's own.
local function places(folder, getenv)
  local paths, up = {}, folder:match "^(.+)/%.$" or folder
  while up do
    paths[#paths + 1] = (up == "/" and "" or up) .. "/runbook.config.lua"
    up = up ~= "/" and up:match "^(.*)/[^/]+$" or nil
    if up == "" then up = "/" end
  end
  local home = getenv "XDG_CONFIG_HOME" or (getenv "HOME" or "") .. "/.config"
  paths[#paths + 1] = home .. "/runbook/config.lua"
  return paths
end

-- The config that counts for a runbook in `folder`, its path and its text; {} when there is none.
function config.find(folder, getenv)
  local it, err = files.read_first { paths = places(raw_run.real_path(folder) or folder, getenv), max = SIZE_MAX, owned = true }
  if it == nil then
    local kind = err.kind == "owner" and "refused" or "usage"
    error({ [kind] = "the config can't be used: " .. err.message }, 0)
  end
  if not it then return {} end
  if it.cut then fail(it.path, "it is longer than %d bytes", SIZE_MAX) end
  local target = raw_run.real_path(it.path)
  local foreign = not target or target:match "^(.*)/" ~= it.path:match "^(.*)/"
  local given = evaluate(it.path, it.text, foreign)
  check_ca(it.path, given.ca)
  return given, it.path, it.text
end

-- Reads a config's text that an earlier process of this run kept, its secrets by name.
function config.from_text(text) return evaluate("config", secrets.restored(text)) end

-- "--env production or --env staging?": what nobody chose is not guessed.
local function choice(names, what)
  for i, name in ipairs(names) do names[i] = "--env " .. name end
  error({ usage = ("the config has %s: %s?"):format(what, table.concat(names, " or ")) }, 0)
end

-- The environment asked for, else the one marked default, else the only one that could be meant: none.
function config.environment(given, name)
  local environments = given.environments or {}
  if name then
    if not environments[name] then
      error({ usage = ("there is no environment '%s'%s"):format(name, blame.hint(name, values.keys(environments))) }, 0)
    end
    return environments[name], name
  end
  local names, defaults = values.keys(environments), {}
  for _, other in ipairs(names) do if environments[other].default then defaults[#defaults + 1] = other end end
  if #defaults > 1 then choice(defaults, "several environments marked default") end
  if #defaults == 1 then return environments[defaults[1]], defaults[1] end
  if #names > 1 then choice(names, "several environments, and none is marked default") end
  return {}, nil
end

-- Lays the config and its environment into the settings that effects read.
function config.apply(given, environment, options, getenv)
  for _, source in ipairs { given, environment } do
    for _, name in ipairs { "docker", "kubectl", "hosts", "prometheus", "redis" } do
      for key, value in pairs(source[name] or {}) do settings[name][key] = value end
    end
  end
  settings.machines, settings.readers = given.machines or {}, given.readers or {}
  settings.reader = environment.reader
  settings.shared_dir = given.shared_dir
  settings.ca, settings.proxy, settings.no_proxy = given.ca, given.proxy, given.no_proxy
  local here = environment.here -- what the environment says counts, a no too
  if here == nil then here = given.here end
  settings.here_by = options.here and "--here" or here and "here = true (config)" or nil
  settings.here = settings.here_by ~= nil or options.scenario ~= nil
  settings.ssh_agent = getenv "SSH_AUTH_SOCK"
  settings.docker.shell = {}
  for _, name in ipairs { "HOST", "CONTEXT", "CONFIG", "TLS", "TLS_VERIFY", "CERT_PATH" } do
    settings.docker.shell["DOCKER_" .. name] = getenv("DOCKER_" .. name)
  end
  local project = getenv "COMPOSE_PROJECT_NAME"
  settings.compose.project = project ~= "" and project or nil
  settings.compose.profiles = getenv "COMPOSE_PROFILES"
  settings.kubectl.kubeconfig = settings.kubectl.kubeconfig or getenv "KUBECONFIG"
  local host, port = getenv "KUBERNETES_SERVICE_HOST", getenv "KUBERNETES_SERVICE_PORT"
  settings.kubectl.in_pod = host and port and { KUBERNETES_SERVICE_HOST = host, KUBERNETES_SERVICE_PORT = port } or nil
  for _, names in ipairs { { "PATH", "HOME", "LANG", "TZ" }, given.environment or {}, environment.environment or {} } do
    for _, name in ipairs(names) do settings.environment[name] = getenv(name) end
  end
  secrets.open(given.secrets, getenv)
end

-- "GenieKey " .. secret "KEY" with that fetched; nil and why when it can't be.
local function joined(parts)
  local whole = ""
  for _, part in ipairs(parts) do
    local revealed, why = config.reveal(part)
    if revealed == nil then return nil, part.secret and ("secret %q: %s"):format(part.secret, why) or why end
    whole = whole .. revealed
  end
  return whole
end

-- A backend's description with its secrets fetched; nil and why when one can't be.
function config.reveal(value)
  if type(value) ~= "table" then return value end
  if value.joined and debug.getmetatable(value) == lazy then return joined(value.joined) end
  if config.is_secret(value) then return secrets.get(value.secret) end
  local copy = {}
  for key, item in pairs(value) do
    local revealed, why = config.reveal(item)
    if revealed == nil then return nil, ("secret %q: %s"):format(tostring(item.secret or key), why) end
    copy[key] = revealed
  end
  return copy
end

return config
