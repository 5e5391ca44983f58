-- How kubectl is run: against which context, namespace and server (settled once, and said in every vector),
-- by when it must end, and what it means when it ends badly. kubectl's exit code is 1 for nearly all
-- failures: only its words tell them apart.
local blame = require "blame"
local files = require "raw.files"
local json = require "raw.json"
local machine = require "effects.machine"
local process = require "raw.process"
local shapes = require "effects.kubectl_shapes"
local settings = require "settings"
local tasks = require "tasks"
local text = require "raw.text"
local values = require "values"

local client = {}

-- Of a text (log, description, output of a program), bytes kept.
client.TEXT_MAX = 1 << 20
-- Of what is said on stderr, characters that stand in a message.
client.SAID_MAX = 300
-- The longest name of an object: DNS subdomains have 253 characters.
local NAME_MAX = 253
-- A kubectl that is ended at the effect's deadline gets 2 s for it, and another where it must be killed; what it said until
-- then is heard.
client.ENDING_SECONDS = 3.5
-- Reading the kubeconfig asks no server, but Google's dispatcher does before it: it has the effect's own time, and where no
-- effect asks, so many seconds.
local CONFIG_SECONDS = 5
-- A failed look at the kubeconfig tells for so many seconds: each effect would wait for it anew. A login that was mended
-- meanwhile is seen.
local FAILED_SECONDS = 15
-- Where a pod finds what it may do as; kubectl looks there by itself where no kubeconfig says where to go.
local ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/"

----------------------------------------------------------------------- Where --

local here -- { context, namespace, server, server_name, in_pod }: kept for the whole run
local looking, failed -- an event while a look at it is under way; { err, ends } of one that failed

local function environment()
  local env = values.copy_shallow(settings.environment)
  local kubeconfig = settings.kubectl.kubeconfig
  if kubeconfig and kubeconfig:find(":", 1, true) then env.KUBECONFIG = kubeconfig end -- a list of files
  for name, value in pairs(settings.kubectl.in_pod or {}) do env[name] = value end
  return env
end

-- A single kubeconfig as a flag; a list of them can only be given in the environment.
local function kubeconfig_flag(argv)
  local kubeconfig = settings.kubectl.kubeconfig
  if kubeconfig and not kubeconfig:find(":", 1, true) then argv[#argv + 1] = "--kubeconfig=" .. kubeconfig end
end

-- kubectl says of a kubeconfig without a chosen context that one "must exist in order to minify".
local function why_no_view(stderr)
  if stderr:find("current-context must exist", 1, true) then return "it has no current context" end
  return client.said(stderr)
end

local function view(given, seconds)
  local argv = { "kubectl" }
  kubeconfig_flag(argv)
  if given.context then argv[#argv + 1] = "--context=" .. given.context end
  table.move({ "config", "view", "--minify", "-o", "json" }, 1, 5, #argv + 1, argv)
  local done, err = process.run { argv = argv, env = environment(), timeout = seconds }
  if not done then
    return nil, { kind = err.kind == "missing" and "missing" or "io", message = err.message }
  end
  local config = done.code == 0 and json.decode(done.stdout)
  if type(config) == "table" then return config end
  return nil, { kind = "usage",
                message = "the kubeconfig names no cluster: " .. why_no_view(done.stderr) .. client.closed(done.stderr) }
end

local function first(list) return type(list) == "table" and list[1] or {} end
local function text_of(value) return type(value) == "string" and value ~= "" and value or nil end

-- As kubectl does in a pod: by its service account, where nothing says otherwise.
local function place_of_pod(given)
  if not given.in_pod or given.kubeconfig or given.context or given.server then return nil end
  local read = files.read { path = ACCOUNT .. "token", max = 1 }
  if not read then return nil end
  local namespace = files.read { path = ACCOUNT .. "namespace", max = NAME_MAX }
  return { in_pod = true, namespace = given.namespace or namespace and text_of(namespace.text:match "%S*") or "default" }
end

local function look_for_place(seconds)
  local given = settings.kubectl
  local config, err = view(given, seconds)
  local cluster = first(config and config.clusters).cluster or {}
  local context = first(config and config.contexts)
  local name = given.context or text_of(config and config["current-context"]) or text_of(context.name)
  local in_pod = not name and place_of_pod(given)
  if in_pod then return in_pod end
  if not config and not (given.server and given.context) then return nil, err end
  return {
    context = name,
    namespace = given.namespace or text_of((context.context or {}).namespace) or "default",
    server = given.server or text_of(cluster.server),
    -- A server given by flag makes kubectl forget the name that its certificate is checked against.
    server_name = not given.server and text_of(cluster["tls-server-name"]) or nil,
  }
end

-- Those that wait for a look are woken whatever became of it.
local function open_look()
  looking = tasks.event()
  return setmetatable({}, { __close = function()
    local ended = looking
    looking = nil
    ended:set()
  end })
end

-- Where all goes; read from the kubeconfig at the first call, so that a `kubectl config use-context` in
-- another window changes nothing under a run. nil and an error when it can't be known.
function client.place(seconds)
  while looking do looking:wait() end
  if here then return here end
  if failed and tasks.now() < failed.ends then return nil, failed.err end
  local _look <close> = open_look()
  local err
  here, err = look_for_place(seconds or CONFIG_SECONDS)
  failed = not here and { err = err, ends = tasks.now() + FAILED_SECONDS } or nil
  return here, err
end

-- For the operator, before the first write.
function client.where()
  local place = client.place()
  if not place then return nil end
  if place.in_pod then return ("this pod's cluster, namespace %s"):format(place.namespace) end
  return ("context %s, namespace %s, server %s"):format(place.context or "(none)", place.namespace,
    place.server or "(the kubeconfig's)")
end

-- "conduit @ prod"; of what is in no namespace "prod".
function client.in_words(call)
  local place = client.place() or {}
  local context = place.context or place.in_pod and "this pod's cluster" or "?"
  if call.node then return context end
  if call.namespace == "*" then return "all namespaces @ " .. context end
  return ("%s @ %s"):format(call.namespace or place.namespace or "?", context)
end

-- The vector: everything that decides where it goes stands in it.
local function vector(place, call, words)
  local argv = { "kubectl" }
  kubeconfig_flag(argv)
  if place.context then argv[#argv + 1] = "--context=" .. place.context end
  if place.server then argv[#argv + 1] = "--server=" .. place.server end
  if place.server_name then argv[#argv + 1] = "--tls-server-name=" .. place.server_name end
  local namespace = call.namespace or place.namespace
  if namespace and namespace ~= "*" then argv[#argv + 1] = "--namespace=" .. tostring(namespace) end
  local after = words
  if call.namespace == "*" then -- a flag of some verbs only: it can't stand before them
    after = table.move(words, 1, #words, 1, {})
    after[#after + 1] = "--all-namespaces"
  end
  return table.move(after, 1, #after, #argv + 1, argv)
end

-- The same by hand. Before the first call, or in a scenario, the settings are all that is known: nothing is
-- read.
function client.command(call, words)
  local given = settings.kubectl
  local place = here or { context = given.context, server = given.server, namespace = given.namespace }
  local argv = vector(place, call, words)
  local env = environment().KUBECONFIG
  if env then argv = table.move(argv, 1, #argv, 3, { "env", "KUBECONFIG=" .. env }) end
  argv.stdin = words.stdin
  return argv
end

------------------------------------------------------------------- Its words --

-- What it says on stderr, without klog's lines, the dumped Status objects, remarks and what it said before; one line, cut.
function client.said(stderr)
  local kept, seen = {}, {}
  for line in stderr:gmatch "[^\r\n]+" do
    if line:find "^%S" and not line:find "^[EWIF]%d%d%d%d " and not line:find "^Found %d+ pods"
      and not line:find "^Defaulted container" and not line:find "^[%[{}%]]" and not line:find "^F%d+ %d"
      and not line:find "^Warning: " and not line:find "^See 'kubectl" and not seen[line] then
      kept[#kept + 1], seen[line] = line, true
    end
  end
  local said = table.concat(kept, " "):gsub("^[Ee]rror: ", "")
  return text.truncate(said ~= "" and said or "it says nothing", client.SAID_MAX)
end

-- In this order; a pattern → the kind of error. `lost` ones may have reached the server: after a write,
-- nobody knows.
local kinds = {
  { "%(Forbidden%)", "permission" }, { " is forbidden: ", "permission" },
  { "%(Unauthorized%)", "login" }, { "must be logged in", "login" }, { "^error: EOF", "login" },
  { "unable to find specified revision", "absent" }, { "no rollout history found", "absent" },
  { "no last revision to roll back to", "absent" }, { "denied the request", "invalid" },
  { "getting credentials:", "login" }, { "Please enter Username", "login" },
  { "%(NotFound%)", "absent" }, { '^[Ee]rror: .*"[^"]*" not found', "absent" },
  { "%(Conflict%)", "conflict" }, { "object has been modified", "conflict" },
  { "Expected replicas", "conflict" },
  { "was refused %- did you specify", "unreachable" }, { "connection refused", "unreachable" },
  { "no such host", "dns" }, { "x509: ", "certificate" }, { "no route to host", "unreachable" },
  { "network is unreachable", "unreachable" },
  { "Metrics API not available", "missing" },
  { "timed out waiting for the condition", "waited" },
  { "[Tt]imeout exceeded", "unreachable", lost = true }, { "deadline exceeded", "unreachable", lost = true },
  { "i/o timeout", "unreachable", lost = true }, { "TLS handshake timeout", "unreachable" },
  { "connection reset", "unreachable", lost = true }, { "unexpected EOF", "unreachable", lost = true },
  { "lost connection", "unreachable", lost = true }, { "http2: ", "unreachable", lost = true },
  { "[Uu]nable to connect to the server", "unreachable", lost = true },
  { "unknown flag", "usage" }, { "unknown command", "usage" }, { "unknown shorthand", "usage" },
  { "doesn't have a resource type", "usage" }, { "context .* does not exist", "usage" },
  { "invalid argument", "usage" }, { "flag is required", "usage" }, { "unable to parse", "usage" },
  { "container name must be specified", "usage" }, { "is not valid for pod", "usage" },
  { "is invalid", "invalid" },
}

-- A login's helper (aws, gcloud, kubelogin) that misses its variables says so in many words; it has them by hand.
local HELPER = { "[Cc]redential", "exec plugin", "exec: ", "executable .* failed", "not logged in", "[Pp]rofile" }
function client.closed(stderr)
  for _, pattern in ipairs(HELPER) do
    if stderr:find(pattern) then
      return "; its helpers run in a closed environment: the config's environment = { \"NAME\" } lets variables through"
    end
  end
  return ""
end

-- A bad end as an error: kind, message, and `lost` when the server may have taken it nevertheless.
local function understand(done)
  local said = client.said(done.stderr)
  if done.signal then
    return { kind = "unreachable", message = "kubectl was ended by " .. done.signal, lost = true }
  end
  for _, it in ipairs(kinds) do
    if done.stderr:find(it[1]) then
      return { kind = it[2], lost = it.lost, message = said .. (it[2] == "login" and client.closed(done.stderr) or "") }
    end
  end
  return { kind = "kubectl", message = said .. client.closed(done.stderr) }
end

----------------------------------------------------------------------- Calls --

local run = {}
run.__index = run

-- One effect's talk with kubectl: all its calls share the effect's deadline, or `seconds` when that is less.
function client.open(call, writes, seconds)
  local ends = tasks.now() + math.min(call.timeout, seconds or math.huge)
  return setmetatable({ call = call, ends = ends, writes = writes }, run)
end

function run:left() return math.max(0.01, self.ends - tasks.now()) end

-- A call that ended: { code, stdout, stderr, cut }, whatever its code, or nil and an error. Options: max
-- (bytes of output), keep ("tail"), everywhere (in all namespaces), seconds, stdin (else closed).
function run:start(words, options)
  options = options or {}
  local place, err = client.place(self:left())
  if not place then return nil, err end
  local call = options.everywhere and { namespace = "*" } or self.call
  local done
  local seconds = math.min(options.seconds or math.huge, self:left())
  done, err = process.run { argv = vector(place, call, words), env = environment(), timeout = seconds,
                            max_output = options.max or client.TEXT_MAX, keep = options.keep, scan = options.scan,
                            stdin = options.stdin }
  if done then return done end
  if err.kind ~= "timeout" then return nil, { kind = err.kind, message = err.message } end
  local said = (err.stderr or "") ~= "" and ": " .. client.said(err.stderr) or ""
  return nil, { kind = "unreachable", lost = true, stdout = err.stdout,
                message = ("kubectl had not ended after %.3g s (server %s)%s"):format(seconds,
                  place.server or "?", said) }
end

-- The same when only 0 is good; the error has the `stdout` of what ended badly. Options: also writes = true: what may have
-- reached the server has an outcome that nobody knows.
function run:carry_out(words, options)
  local done, err = self:start(words, options)
  if done and done.code == 0 then return done end
  err = err or understand(done)
  if err.lost and self.writes and not (options and options.reads) then
    return nil, { kind = "timeout", message = err.message, stdout = err.stdout }
  end
  err.stdout = done and done.stdout or err.stdout
  return nil, err
end

-- What is wrong with an object, or with one of a list of them, in words; nil when nothing is.
function client.problem(object)
  local items = object.items
  if items == nil or items == json.null then return shapes.problem(object) end
  if type(items) ~= "table" then return "kubectl's list holds no items, but " .. values.describe(items) end
  for _, item in ipairs(items) do
    local problem = type(item) ~= "table" and "kubectl's list holds " .. values.describe(item) or shapes.problem(item)
    if problem then return problem end
  end
end

-- JSON output as a table, without null, which Lua's tables have not.
function run:json(words, options)
  options = values.copy_shallow(options or {})
  options.reads = true
  local done, err = self:carry_out(words, options)
  if not done then return nil, err end
  if done.cut then return nil, { kind = "io", message = "the answer is longer than is read", cut = true } end
  local object = json.decode(done.stdout)
  if type(object) ~= "table" then return nil, { kind = "io", message = "kubectl printed no JSON" } end
  local problem = client.problem(object)
  if problem then return nil, { kind = "io", message = problem } end
  object = require("effects.kubectl_state").without_null(object)
  for _, item in ipairs(type(object.items) == "table" and object.items or { object }) do item.metadata = item.metadata or {} end
  return object
end

-- How a program inside a container ended, told apart from kubectl's own failures.
function client.inner_code(done)
  if done.code == 0 then return 0 end
  local code = done.stderr:match "command terminated with exit code (%d+)%s*$"
  local at = code and done.stderr:find("command terminated with exit code " .. code .. "%s*$")
  if code then return math.tointeger(tonumber(code)), done.stderr:sub(1, at - 1):match "^(.*\n)" or "" end
  -- Where so much was said that kubectl's last line is cut off: it ends with the program's code, and has few words of its own.
  if #done.stderr >= client.TEXT_MAX and not done.signal then return done.code end
end

client.understand = understand

-- A failed look as reads return it.
function client.failed(err) return nil, { kind = err.kind, message = err.message } end

------------------------------------------------------------------- Arguments --

local function wrong(effect, what, expected, value)
  blame.raise("%s: %s: %s expected, got %s", effect, what, expected, values.describe(value))
end

-- Names become words of a vector, where a leading "-" is a flag and a "/" another object's kind.
local patterns = {
  kind = { "^%a[%w.%-]*$", 'a kind of object like "pod" or "deployment"' },
  name = { "^%w[%w._:%-]*$", "the name of one object" },
  pod = { "^%w[%w._:%-]*$", "the name of one pod" },
  node = { "^%w[%w._:%-]*$", "the name of one node" },
  container = { "^%w[%w%-]*$", "the name of a container" },
  selector = { "^[%w!(][%w._/=!,() %-]*$", 'labels like "app=api,tier!=web"' },
  namespace = { "^%w[%w%-]*$", 'the name of a namespace, or "*"' },
  resource = { "^%a[%w.%-/]*$", 'a kind of object like "pods" or "pods/exec"' },
  verb = { "^%a+$", 'a verb like "get" or "patch"' },
}

-- Raises unless each of the call's words can stand in a vector. `all`: namespace "*" may be given.
function client.check(effect, call, all)
  for what, it in pairs(patterns) do
    local value = call[what]
    if type(value) == "string" and not (what == "namespace" and value == "*" and all) then
      if #value > NAME_MAX or not value:find(it[1]) then wrong(effect, what, it[2], value) end
    end
  end
end

client.first_line = machine.first_line

return client
