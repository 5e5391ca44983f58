-- compose: the services of a Compose file, by `docker compose` or docker-compose, whichever there is. What
-- runs is looked up in the engine itself, for the two print it differently.
local blame = require "blame"
local byhand = require "byhand"
local catalogue = require "catalogue"
local docker_change = require "effects.docker_change"
local docker_host = require "effects.docker_host"
local engine = require "effects.docker_engine"
local files = require "raw.files"
local project = require "effects.compose_project"
local run = require "run"
local sends = require "sends"
local settings = require "settings"
local state = require "effects.docker_state"
local values = require "values"

-- Of what it prints, the newest bytes up to this many are kept.
local OUTPUT_MAX = 1 << 20
-- Finding out which of the two there is may take this many seconds.
local WHICH_SECONDS = 5
-- Replicas of one service at most: more is a typing mistake.
local REPLICAS_MAX = 1000

----------------------------------------------------------------- The program --

local function environment(call)
  local env = {}
  for name, value in pairs(settings.environment) do env[name] = value end
  env.DOCKER_HOST = docker_host.for_children()
  env.COMPOSE_PROFILES = settings.compose.profiles
  for name, value in pairs(call.env or {}) do env[name] = tostring(value) end
  return env
end

local which, which_version

-- { "docker", …, "compose" } or { "docker-compose", … }, and its version; nil and an error when there is
-- neither. Known once found.
local function program(call)
  if which then return which, which_version end
  local start = require("raw.process").run
  for _, words in ipairs { { "docker", "compose" }, { "docker-compose" } } do
    local _, tls = docker_host.for_children() -- flags that both understand; `docker` takes them before `compose`
    local argv = table.move(tls, 1, #tls, 2, { words[1] })
    argv[#argv + 1] = words[2]
    local version = table.move({ "version", "--short" }, 1, 2, #argv + 1, { table.unpack(argv) })
    local done = start { argv = version, env = environment(call), timeout = WHICH_SECONDS }
    if done and done.code == 0 then
      which, which_version = argv, done.stdout:match "%S+"
      return which, which_version
    end
  end
  return nil, { kind = "missing", message = "there is neither `docker compose` nor docker-compose" }
end

local found_by_itself = { ["docker-compose.yml"] = true, ["docker-compose.yaml"] = true, ["compose.yml"] = true,
                          ["compose.yaml"] = true }

-- The override that Compose lays over a file of a name that it finds by itself; nil when there is none. `-f` leaves it out,
-- and containers would be made with less than what runs has. A scenario looks at no disk.
local function override(file)
  if run.options.scenario or not found_by_itself[tostring(file):match "[^/]*$"] then return nil end
  for _, ending in ipairs { ".override.yml", ".override.yaml" } do
    local path = file:gsub("%.ya?ml$", ending)
    if files.stat(path).state == "file" then return path end
  end
end

local function arguments(call, ...)
  local words, runs, more = {}, project.of(call), call.overrides or {}
  local add = function(flag, value) if value then words[#words + 1], words[#words + 2] = flag, value end end
  for _, file in ipairs(runs and runs.files or { call.file, table.unpack(more) }) do add("-f", file) end
  if not runs and #more == 0 then add("-f", override(call.file)) end
  for _, file in ipairs(runs and runs.env_files or {}) do add("--env-file", file) end
  if runs and runs.folder ~= runs.files[1]:match "^(.*)/[^/]*$" then add("--project-directory", runs.folder) end
  add("-p", runs and runs.name or call.project or settings.compose.project)
  for _, word in ipairs { ... } do words[#words + 1] = word end
  return words
end

-- The engine that the config names, and the variables that the file refers to, go before it.
local function by_hand(call, arguments_of)
  local words = {}
  local host = docker_host.resolve()
  if host and not host.is_default then words[1] = "DOCKER_HOST=" .. host.address end
  for _, name in ipairs(values.keys(call.env or {})) do words[#words + 1] = byhand.assignment(name, call.env[name]) end
  if #words > 0 then table.insert(words, 1, "env") end
  words[#words + 1] = "docker-compose"
  return table.move(arguments_of, 1, #arguments_of, #words + 1, words)
end

local function with_services(words, services)
  return table.move(services or {}, 1, #(services or {}), #words + 1, words)
end

-- Carries it out: { code =, stdout =, stderr = }, or nil and an error, also when it didn't end with 0.
local function carry_out(it, call, words)
  for _, file in ipairs { call.file, table.unpack(call.overrides or {}) } do
    if files.stat(file).state ~= "file" then
      return nil, { kind = "missing", message = file .. ": there is no such Compose file" }
    end
  end
  local argv, err = program(call)
  if not argv then return nil, err end
  local done
  local vector = table.move(words, 1, #words, #argv + 1, { table.unpack(argv) })
  done, err = require("raw.process").run { argv = vector, env = environment(call), timeout = it:left(),
                                           max_output = OUTPUT_MAX, keep = "tail" }
  if not done then return nil, err end
  if done.code == 0 then return done end
  local said = done.stderr:match "([^\r\n]+)[%s]*$" or ""
  return nil, { kind = "compose", message = ("exit code %d: %s"):format(done.code, said) }
end

-------------------------------------------------------------------- What runs --

-- Containers of the file's project: { { service, name, state, summary, id }, … } and how many of each
-- service. `hashes` is filled with what each service's containers were made from.
local function look(it, call, hashes)
  local done, err = carry_out(it, call, arguments(call, "ps", "-a", "-q"))
  if not done then return nil, err end
  local fields = { containers = {}, count = 0, running = 0, services = {} }
  for id in done.stdout:gmatch "%x+" do
    local inspect
    inspect, err = it:inspect(id)
    if err then return nil, err end
    if inspect then
      local now, service = state.fields(inspect), inspect.Config.Labels["com.docker.compose.service"] or "?"
      if hashes then hashes[service] = inspect.Config.Labels["com.docker.compose.config-hash"] end
      local counted = fields.services[service] or { count = 0, running = 0 }
      local runs = now.state == "running" and 1 or 0
      counted.count, counted.running = counted.count + 1, counted.running + runs
      fields.services[service] = counted
      fields.count, fields.running = fields.count + 1, fields.running + runs
      fields.containers[fields.count] = { service = service, name = now.name, state = now.state,
                                          summary = now.summary, id = now.id }
    end
  end
  return fields
end

local function defined(it, call)
  local done, err = carry_out(it, call, arguments(call, "config", "--services"))
  if not done then return nil, err end
  local known = {}
  for name in done.stdout:gmatch "[^\r\n]+" do known[name] = true end
  return known
end

-- Those of the services that would be made from other settings than their containers were: the file was changed, or refers
-- to variables that are not here.
local function changed(it, call, hashes)
  local done = carry_out(it, call, arguments(call, "config", "--hash", "*"))
  local list = {}
  for service, hash in (done and done.stdout or ""):gmatch "(%S+) (%x+)" do
    if hashes[service] and hashes[service] ~= hash then list[#list + 1] = service end
  end
  table.sort(list)
  return list
end

local function as_project(call)
  local runs = project.of(call)
  return runs and #runs.files > 1 and (" (project %s: %s)"):format(runs.name, table.concat(runs.files, ", "))
    or runs and (" (project %s)"):format(runs.name) or ""
end

-- `describe(call, now, known)` → text, size, and how many containers each service had.
local function preview(wanted, describe)
  return function(call)
    local it, hashes = engine.open(call.timeout), {}
    local ok, err = project.settle(it, call)
    local known, now
    if ok then known, err = defined(it, call) end
    if known then now, err = look(it, call, hashes) end
    if not now then
      if err.kind == "missing" or err.kind == "compose" or err.kind == "usage" then
        return { text = err.message, size = 0, impossible = err.message }
      end
      return docker_change.unknown(err)
    end
    -- A service of a profile that isn't asked for runs nevertheless.
    for name in pairs(now.services) do known[name] = true end
    for _, name in ipairs(wanted(call)) do
      if not known[name] then
        local why = ("%s has no service '%s'%s"):format(call.file, name, blame.hint(name, values.keys(known)))
        return { text = why, size = 0, impossible = why }
      end
    end
    local text, size, from = describe(call, now, known, function() return changed(it, call, hashes) end)
    return { text = text .. as_project(call), size = size, from = from }
  end
end

local function named_services(call) return call.services or {} end

-- "web, api", or all of the file, as the arguments say it.
local function named_in_words(call)
  return #named_services(call) > 0 and table.concat(call.services, ", ") or "all services of " .. call.file
end

local function of_services(call, known)
  local names = #named_services(call) > 0 and call.services or values.keys(known)
  return table.concat(names, ", "), #names
end

---------------------------------------------------------------------- Effects --

local function check_services(name, services)
  for _, service in ipairs(services or {}) do
    if not values.is_placeholder(service) and not service:find "^[a-zA-Z0-9][a-zA-Z0-9_.%-]*$" then
      blame.raise("%s: %s is no service's name", name, values.describe(service))
    end
  end
end

local result = {
  containers = "list: each at service name state summary id",
  count = "integer: containers, those that don't run too",
  running = "integer: how many of them run", services = "map: service → { count, running }",
  from = "map: service → how many ran before; of scale alone",
}

local function effect(verb, entry)
  local name = "compose." .. verb
  entry.params = { { "file", "string", "The Compose file" }, table.unpack(entry.params or {}) }
  entry.result, entry.place, entry.class = result, docker_host.place, entry.class or "write"
  entry.options = entry.options or {}
  entry.options.project = { "string", nil, "The project's name; else that of the containers that run from the file, else the "
    .. "file's own", what = true }
  entry.options.overrides = { "strings", nil, "More files, laid over it in this order; else those that the containers run "
    .. "from, else the override of Compose's own name", what = true }
  entry.options.env = { "map", nil, "Variables that the file refers to", secret = true }
  entry.options.timeout = entry.options.timeout or { "duration", "3m", "The longest it may take" }
  local vector = entry.vector
  entry.check = entry.check or function(call) check_services(name, call.services) end
  entry.target = function(call) return call.file end
  entry.command = function(call) return by_hand(call, vector(call)) end
  entry.sends = function(call) return sends.variables(call.env) end
  entry.run = entry.run or function(call, plan)
    local it = engine.open(call.timeout)
    local done
    local ok, err = project.settle(it, call)
    if ok then done, err = carry_out(it, call, vector(call)) end
    if not done then return nil, err end
    local fields
    fields, err = look(it, call)
    if fields then fields.from = plan and plan.from end
    return fields, err
  end
  entry.specimen = { containers = {}, count = 1, running = 1, services = {} }
  entry.sum_up = function(fields)
    return fields.count and ("%d of %d run"):format(fields.running, fields.count)
  end
  catalogue.effect(name, entry)
end

-- The containers of services, or of the whole file.
local function evidence(services_of)
  return function(save, call)
    local now = save("compose.ps", call.file, { project = call.project, overrides = call.overrides, env = call.env })
    local wanted, going = services_of(call), {}
    for _, container in ipairs(now and now.containers or {}) do
      local named = #wanted == 0
      for _, name in ipairs(wanted) do named = named or name == container.service end
      if named then going[#going + 1] = container end
    end
    docker_change.save_all(save, going)
  end
end

local services_option = { "strings", nil, "Only these services; all of the file", what = true }

effect("ps", {
  summary = "Lists the containers of a Compose file",
  class = "read",
  options = { timeout = { "duration", "15s", "The longest it may take" } },
  vector = function(call) return arguments(call, "ps", "-a") end,
  run = function(call)
    local it, fields = engine.open(call.timeout), nil
    local ok, err = project.settle(it, call)
    if ok then fields, err = look(it, call) end
    if fields then return fields end
    return nil, engine.cannot_look(err)
  end,
})

local function thing_of(call, service) return ("service %s of %s"):format(service, call.file) end

local function stopped(call)
  local list = {}
  for i, service in ipairs(#named_services(call) > 0 and call.services or { "*" }) do
    list[i] = { thing = thing_of(call, service), text = "is stopped",
                back = { "compose.up", call.file,
                         { services = call.services, project = call.project, overrides = call.overrides } } }
  end
  return list
end

-- All of a file's services that run again are all that were stopped.
local function running(call, _, known)
  local list = {}
  for i, service in ipairs(named_services(call)) do list[i] = { thing = thing_of(call, service) } end
  if #list > 0 then return list end
  for thing in pairs(known) do if thing:sub(-#call.file - 4) == " of " .. call.file then list[#list + 1] = { thing = thing } end end
  return list
end

effect("up", {
  summary = "Starts services, and makes those anew whose settings have changed",
  intends = function(call) return "brings up " .. named_in_words(call) end,
  leaves = running,
  options = { services = services_option },
  evidence = evidence(named_services),
  vector = function(call) return with_services(arguments(call, "up", "-d"), call.services) end,
  preview = preview(named_services, function(call, now, known, changed_ones)
    local names, count = of_services(call, known)
    local anew = table.concat(changed_ones(), ", ")
    return ("brings up %s (%d of %d containers run%s)"):format(names, now.running, now.count,
      anew ~= "" and "; other settings than they were made with: " .. anew or ""), count
  end),
})

effect("stop", {
  summary = "Stops services; their containers stay",
  intends = function(call) return "stops " .. named_in_words(call) end,
  leaves = stopped,
  options = { services = services_option },
  evidence = evidence(named_services),
  vector = function(call) return with_services(arguments(call, "stop"), call.services) end,
  preview = preview(named_services, function(call, now, known)
    local names, running = of_services(call, known), 0
    for _, name in ipairs(#named_services(call) > 0 and call.services or values.keys(known)) do
      running = running + (now.services[name] and now.services[name].running or 0)
    end
    return ("stops %d running containers of %s"):format(running, names), running
  end),
})

effect("pull", {
  summary = "Fetches the images of services; what runs goes on with the old ones",
  intends = function(call) return "fetches the images of " .. named_in_words(call) end,
  options = { services = services_option, timeout = { "duration", "10m", "The longest it may take" } },
  vector = function(call) return with_services(arguments(call, "pull"), call.services) end,
  preview = preview(named_services, function(call, _, known)
    local names, count = of_services(call, known)
    return "fetches the images of " .. names, count
  end),
})

-- Only the services named are touched: a bare `up --scale` would also start the others, and make anew what
-- has changed.
local function scale_vector(call)
  local names, words = values.keys(call.replicas), arguments(call, "up", "-d", "--no-recreate", "--no-deps")
  for _, name in ipairs(names) do
    words[#words + 1], words[#words + 2] = "--scale", ("%s=%d"):format(name, call.replicas[name])
  end
  return with_services(words, names)
end

-- Fewer than the run met.
local function scaled_down(call, result, known)
  local list = {}
  for i, name in ipairs(values.keys(call.replicas)) do
    local it = { thing = thing_of(call, name), from = (result.from or {})[name] }
    it.from = known[it.thing] and known[it.thing].from or it.from
    if it.from and call.replicas[name] < it.from then
      it.text = ("is scaled from %d to %d"):format(it.from, call.replicas[name])
      it.back = { "compose.scale", call.file, { [name] = it.from },
                  { project = call.project, overrides = call.overrides } }
    end
    list[i] = it
  end
  return list
end

effect("scale", {
  summary = "Changes how many containers a service has",
  intends = function(call)
    local parts = {}
    for i, name in ipairs(values.keys(call.replicas)) do parts[i] = ("%s to %s"):format(name, call.replicas[name]) end
    return "scales " .. table.concat(parts, ", ")
  end,
  params = { { "replicas", "map", "Service → number of containers" } },
  leaves = scaled_down,
  evidence = evidence(function(call) return values.keys(call.replicas) end),
  vector = scale_vector,
  check = function(call)
    check_services("compose.scale", values.keys(call.replicas))
    if not next(call.replicas) then blame.raise("compose.scale: argument 2 (replicas): no service given") end
    for name, count in pairs(call.replicas) do
      if math.type(count) ~= "integer" or count < 0 or count > REPLICAS_MAX then
        blame.raise("compose.scale: %s: a number from 0 to %d expected, got %s", name, REPLICAS_MAX,
          values.describe(count))
      end
    end
  end,
  preview = preview(function(call) return values.keys(call.replicas) end, function(call, now, _, changed_ones)
    local parts, size, from = {}, 0, {}
    for _, name in ipairs(values.keys(call.replicas)) do
      local have = now.services[name] and now.services[name].running or 0
      from[name] = have
      parts[#parts + 1] = ("%s from %d to %d"):format(name, have, call.replicas[name])
      size = size + math.abs(call.replicas[name] - have)
    end
    local other = {}
    for _, name in ipairs(changed_ones()) do if call.replicas[name] then other[#other + 1] = name end end
    local text = "scales " .. table.concat(parts, ", ")
    if #other > 0 then
      text = ("%s; new ones of %s get other settings than those that run"):format(text, table.concat(other, ", "))
    end
    return text, size, from
  end),
})

return { program = program }
