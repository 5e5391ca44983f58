-- The parts of the docker family that need no engine: framing, words for states, masks, copies, names.
local catalogue = require "catalogue"
local json = require "raw.json"
local tasks = require "tasks"

catalogue.family "docker"
local copy = require "effects.docker_copy"
local engine = require "effects.docker_engine"
local state = require "effects.docker_state"
local stream = require "effects.docker_stream"

local function equal(got, wanted, what)
  if got ~= wanted then error(("%s: %q expected, got %q"):format(what, tostring(wanted), tostring(got)), 2) end
end

local function raises(pattern, f, ...)
  local ok, message = pcall(f, ...)
  if ok or not tostring(message):find(pattern, 1, true) then
    error(("an error with %q expected, got %s"):format(pattern, tostring(message)), 2)
  end
end

------------------------------------------------------------------- Framing --

local function piece(which, text) return (">BBBBI4"):pack(which, 0, 0, 0, #text) .. text end

local body = piece(1, "out\n") .. piece(2, "err\n") .. piece(1, "") .. piece(1, "more")
local split = stream.split(body)
equal(split.both, "out\nerr\nmore", "both streams in order")
equal(split.stdout, "out\nmore", "stdout")
equal(split.stderr, "err\n", "stderr")
equal(stream.split("").both, "", "nothing")
equal(stream.split(body:sub(1, -3)).both, "out\nerr\nmo", "a cut last piece")
equal(stream.split(body:sub(1, 3)).both, "", "half a header")
equal(stream.split("no framing at all").both, "", "what is no framing")

-- A tail begins anywhere: in a piece whose text looks like headers, or in a header itself.
local trap = piece(1, ("\1\0\0\0\0\0\0\5abc"):rep(3) .. "\n")
local long = trap .. piece(2, "two\n") .. piece(1, "three\n")
for from = 2, #trap + 1 do
  equal(stream.split(long:sub(from), true).both, "two\nthree\n", "a tail from byte " .. from)
end
local began = tasks.now()
local imitations = piece(1, ("\1\0\0\0\0\0\0\0"):rep(60000) .. "x"):sub(9) .. piece(2, "end")
equal(stream.split(imitations, true).stderr, "end", "a tail full of imitations")
assert(tasks.now() - began < 5, "imitations cost too much")
equal(stream.split(("x"):rep(10), true).both, "", "a tail without a header")
equal(stream.read({ body = "a\nb\n", cut = false }, true, true).both, "a\nb\n", "a terminal's output has no framing")

-------------------------------------------------------------------- States --

equal(state.seconds "2026-11-23T17:40:00.5Z", 1795455600.5, "a time")
equal(state.seconds "2026-11-23T18:40:00.5+01:00", 1795455600.5, "a time with an offset")
equal(state.seconds "0001-01-01T00:00:00Z", nil, "never")
equal(state.span(3 * 86400 + 5), "3 days", "days")
equal(state.span(3600), "1 hour", "an hour")
equal(state.span(0.2), "less than a second", "an instant")

local now = tasks.wall()
local function summary(fields)
  fields.started_at, fields.finished_at, fields.restarts = now - 259300, now - 301, fields.restarts or 0
  return state.summary(fields)
end
equal(summary { state = "running" }, "running for 3 days", "running")
equal(summary { state = "running", health = "healthy" }, "running for 3 days", "healthy goes without saying")
equal(summary { state = "running", health = "unhealthy" }, "running for 3 days, unhealthy", "unhealthy")
equal(summary { state = "exited", exit_code = 137, oom_killed = true }, "exited (137) 5 minutes ago, out of memory", "killed")
equal(summary { state = "restarting", exit_code = 1, restarts = 4 }, "restarting: exited (1) 5 minutes ago, 4 restarts",
  "restarting")
equal(summary { state = "created", error_text = "no such program" }, "created, never started: no such program", "created")

local env = state.env { "A=1", "EMPTY=", "DB_PASSWORD=hunter2", "ApiKey=k", "EMPTY_TOKEN=", "EQUALS=a=b", "novalue",
  "URL=postgres://conduit:hunter2@db/x?a=b", "CONN=Host=db;Username=c;Password=hunter2;Port=1", "PLAIN=postgres://db/x",
  "SENTRY_DSN=https://abc@sentry.example/1", "AT=https://host/path:x@y" }
equal(env.A, "1", "a plain value")
equal(env.EQUALS, "a=b", "a value with =")
equal(env.EMPTY_TOKEN, "", "an unset secret shows that it is unset")
for _, name in ipairs { "DB_PASSWORD", "ApiKey", "SENTRY_DSN" } do equal(env[name], "***", name) end
equal(env.URL, "postgres://***@db/x?a=b", "user-info of a URL")
equal(env.CONN, "Host=db;Username=c;Password=***;Port=1", "the password of a connection string")
equal(env.PLAIN, "postgres://db/x", "a URL without user-info")
equal(env.AT, "https://host/path:x@y", "an @ in a path")

local function inspected(host, exposed)
  return state.fields { Id = "1", Name = "/api", Image = "sha256:1", State = { Status = "running", Running = true },
                        Config = { Image = "api:1", ExposedPorts = exposed }, HostConfig = host }
end
equal(inspected({ NanoCpus = 2500000000 }).cpu_limit, 2.5, "--cpus")
equal(inspected({ CpuQuota = 25000, CpuPeriod = 50000 }).cpu_limit, 0.5, "a quota of a period")
equal(inspected({ CpuQuota = 25000, CpuPeriod = 0 }).cpu_limit, 0.25, "a quota of the kernel's period")
equal(inspected({ NanoCpus = 0, CpuQuota = -1 }).cpu_limit, nil, "no limit")
equal(table.concat(inspected({}, { ["8080/tcp"] = {}, ["53/udp"] = {}, ["80/tcp"] = {} }).ports, " "), "80 8080", "ports")
equal(#inspected({}).ports, 0, "no ports")

-------------------------------------------------------------------- Copies --

local list = { "A=1", "B=2", "C=3" }
equal(table.concat(copy.env(list, { B = "x", D = "4" }, { "C" }), " "), "A=1 B=x D=4", "variables")
equal(table.concat(copy.changes(list, { A = "1", B = "x", D = "4" }, { "C", "Z" }), " "), "B D C", "what changes")
equal(#copy.changes(list, { A = "1" }), 0, "nothing changes")

local function container(changes)
  local old = {
    Id = ("ab"):rep(32), Name = "/api", Image = "sha256:1", State = { Status = "running", Running = true },
    Config = { Image = "api:1", Hostname = ("ab"):rep(6), Env = list, Labels = json.null, Entrypoint = json.null,
               Volumes = { ["/anon"] = {}, ["/named"] = {} } },
    HostConfig = { NetworkMode = "front", Binds = { "name:/named" }, Links = { "/db:/api/store" }, AutoRemove = false },
    Mounts = { { Type = "volume", Name = "f00", Destination = "/anon", RW = false },
               { Type = "volume", Name = "name", Destination = "/named", RW = true } },
    NetworkSettings = { Networks = {
      back = { IPAMConfig = json.null, Aliases = json.null, NetworkID = "2" },
      front = { IPAMConfig = { IPv4Address = "10.0.0.9" }, Aliases = { "web", ("ab"):rep(6) }, NetworkID = "1",
                IPAddress = "10.0.0.9" } } },
  }
  for path, value in pairs(changes or {}) do
    local part, field = path:match "^(%a+)%.(%a+)$"
    old[part][field] = value
  end
  return old
end

local request, others = copy.request(container(), { Config = { Entrypoint = { "/entry" } } }, false, { "A=1" })
local front = request.NetworkingConfig.EndpointsConfig.front
equal(front.IPAMConfig.IPv4Address, "10.0.0.9", "a static address stays")
equal(front.IPAddress, nil, "an address that was handed out doesn't")
equal(table.concat(front.Aliases, " "), "web", "aliases, without the old id")
equal(others[1].name .. #others, "back1", "the other networks are connected afterwards")
equal(table.concat(request.HostConfig.Binds, " "), "name:/named f00:/anon:ro", "a volume without a name is taken over")
equal(request.HostConfig.Links[1], "db:store", "links")
equal(request.Hostname, nil, "a host name that was the id")
equal(request.Entrypoint[1], "", "an entry point that was taken away stays away")
equal(request.Image, "api:1", "the image's name")
equal(copy.request(container(), {}, true, {}).Image, "sha256:1", "the image itself, when its name has moved on")

local lodger = copy.request(container { ["HostConfig.NetworkMode"] = "container:x", ["Config.ExposedPorts"] = {} }, {}, false, {})
equal(lodger.Hostname, nil, "no host name in another's network")
equal(lodger.ExposedPorts, nil, "nor ports")

equal(copy.obstacle(container(), "api"), nil, "nothing is in the way")
assert(copy.obstacle(container { ["HostConfig.AutoRemove"] = true }, "api"):find "%-%-rm")
assert(copy.obstacle(container { ["Config.Labels"] = { ["com.docker.swarm.task.id"] = "x" } }, "api"):find "Swarm")
assert(copy.obstacle(container { ["HostConfig.NetworkMode"] = "gone" }, "api"):find "first network")

---------------------------------------------------------------------- Names --

local function call(name, ...) return catalogue.call(catalogue.effects[name], ...) end

for _, name in ipairs { "../x", "; rm -rf ~", "", "a/b", "-x", "a b", "a%2fb", "x?y", ("a"):rep(256) } do
  raises("is no container's name", call, "docker.inspect", name)
  raises("is no container's name", call, "docker.restart", name)
end
call("docker.inspect", "conduit-api")
call("docker.logs", "0123456789ab")
assert(engine.is_named("f", { "/conduit-api" }), "a container that the script named")
assert(engine.is_named("f", { "/conduit-api-before-20261123-174005" }), "what set_env kept of it")
assert(engine.is_named("0123456789abcdef", { "/x" }), "named by its id")
assert(not engine.is_named("f", { "/conduit-api-2" }), "another's name")

raises("a number of lines or", call, "docker.logs", "x", { tail = -1 })
raises("a duration before now", call, "docker.logs", "x", { since = "yesterday" })
raises("a program is needed", call, "docker.exec", "x", {})
raises("is a secret", call, "docker.exec", "x", { "a", require("values").secret("S", "v") })
raises("no name of a variable", call, "docker.exec", "x", { "a" }, { env = { ["A=B"] = "c" } })
raises("say what", call, "docker.prune", {})
raises("timeout must leave", call, "docker.set_env", "x", { A = "1" }, { timeout = "20s" })
raises("no variable given", call, "docker.set_env", "x", {})
raises("timeout must leave", call, "docker.restart", "x", { timeout = "10s" })
raises("a signal's name", call, "docker.kill", "x", { signal = "9; x" })

local function class_of(...) return catalogue.effects["docker.exec"].class(call("docker.exec", "x", ...)) end
equal(class_of({ "a" }, { reads = true }), "declared", "a read on the author's word")
equal(class_of { "df", "-h" }, "read", "a read by the list")
equal(class_of({ "df" }, { env = { LD_PRELOAD = "/x" } }), "write", "a reader with a variable that is not allowed")
equal(class_of { "a" }, "write", "anything else in a container")
equal(catalogue.line(catalogue.effects["docker.prune"], call("docker.prune", { images = true })), "docker.prune images=true",
  "what is pruned stands in the line")
print "ok"
