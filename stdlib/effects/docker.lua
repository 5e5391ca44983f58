-- docker: containers of one Docker engine, over its API; the docker command is not needed. This file has the
-- plain reads; the others stand in files of their own.
local catalogue = require "catalogue"
local docker_host = require "effects.docker_host"
local duration = require "duration"
local engine = require "effects.docker_engine"
local json = require "raw.json"
local state = require "effects.docker_state"

-- Containers listed at most.
local CONTAINERS_MAX = 1000
-- The engine adds up sizes, which takes a while.
local DISK_USAGE_TIMEOUT = "60s"

------------------------------------------------------------------- inspect --

catalogue.effect("docker.inspect", {
  summary = "Looks at a container: its state, how it ended, its image and settings",
  class = "read",
  params = { { "container", "string", "Name or id" } },
  result = {
    state = "string: running exited paused restarting created dead removing absent",
    summary = "string: \"running for 3 days\", \"exited (137) 5 minutes ago, out of memory\"",
    exit_code = "integer: how it ended; nil while it runs",
    oom_killed = "boolean: the kernel killed it for memory",
    restarts = "integer: by its restart policy", image = "string: the name it was made from",
    image_id = "string",
    started_at = "number: seconds since 1970", finished_at = "number: seconds since 1970; nil while it runs",
    created_at = "number: seconds since 1970", restart_policy = "string: no always unless-stopped on-failure",
    env = "map: its variables; values that look secret read ***",
    memory_limit = "integer: bytes; nil when it has none", cpu_limit = "number: CPUs, as 1.5; nil when it has none",
    ports = "list: TCP ports that it says it listens on, in order",
    health = "string: healthy unhealthy starting; nil without a health check",
    pid = "integer: on its machine; nil when stopped",
    id = "string", name = "string", networks = "map: name → { ip, aliases }", labels = "map",
    mounts = "list: each at type source target name read_only", error_text = "string: why it didn't start",
  },
  check = function(call) engine.check_name("docker.inspect", call.container) end,
  run = function(call)
    local inspect, err = engine.open(call.timeout):inspect(call.container)
    if inspect then return state.fields(inspect) end
    if err then return nil, err end
    return state.absent(call.container)
  end,
  command = function(call) return docker_host.command("inspect", call.container) end,
  place = docker_host.place,
  specimen = function(call)
    return { state = "running", summary = "running for 3 days", oom_killed = false, restarts = 0,
             image = "image:1", image_id = "sha256:" .. ("0"):rep(64), started_at = 1.7e9, created_at = 1.7e9,
             restart_policy = "unless-stopped", env = {}, id = ("0"):rep(64), name = call and call.container,
             pid = 4711, networks = {}, mounts = {}, labels = {}, ports = {} }
  end,
})

------------------------------------------------------------------------ ps --

local function row(container)
  return { id = container.Id, name = (container.Names and container.Names[1] or ""):gsub("^/", ""),
           state = container.State,
           summary = container.Status, image = container.Image, created_at = container.Created }
end

local function filters(call)
  local wanted = { name = call.name and { call.name } or nil, label = call.label and { call.label } or nil }
  return next(wanted) and json.encode(wanted) or nil
end

catalogue.effect("docker.ps", {
  summary = "Lists containers, those that don't run too",
  class = "read",
  options = {
    all = { "boolean", true, "Also those that don't run" },
    name = { "string", nil, "Only those with this in their name", what = true },
    label = { "string", nil, "Only those with this label: NAME or NAME=VALUE", what = true },
  },
  result = { containers = "list: each at id name state summary image created_at; 1,000 at most",
             count = "integer",
             running = "integer: how many of them run", cut = "boolean: there are more" },
  run = function(call)
    -- A limit means those that don't run too, whatever `all` says.
    local list, err = engine.open(call.timeout):get("/containers/json", { query = { all = call.all,
      limit = call.all and CONTAINERS_MAX + 1 or nil, filters = filters(call) } })
    if not list then return nil, err or { kind = "engine", message = "the engine lists no containers" } end
    local fields = { ok = true, containers = {}, running = 0, cut = #list > CONTAINERS_MAX }
    for i = 1, math.min(#list, CONTAINERS_MAX) do
      fields.containers[i] = row(list[i])
      if list[i].State == "running" then fields.running = fields.running + 1 end
    end
    fields.count = #fields.containers
    return fields
  end,
  command = function(call)
    local words = docker_host.command "ps"
    if call.all then words[#words + 1] = "-a" end
    for _, name in ipairs { "label", "name" } do
      if call[name] then words[#words + 1] = ("--filter=%s=%s"):format(name, call[name]) end
    end
    return words
  end,
  place = docker_host.place,
  specimen = { containers = {}, count = 0, running = 0, cut = false },
  sum_up = function(fields) return fields.count and ("%d of %d run"):format(fields.running, fields.count) end,
})

---------------------------------------------------------------- disk_usage --

local function add_up(list, size_of, in_use)
  local all = { count = 0, bytes = 0, unused = 0, unused_bytes = 0 }
  for _, item in ipairs(list or {}) do
    local bytes = math.max(0, size_of(item) or 0)
    all.count, all.bytes = all.count + 1, all.bytes + bytes
    if not in_use(item) then all.unused, all.unused_bytes = all.unused + 1, all.unused_bytes + bytes end
  end
  return all
end

local function disk_usage(df)
  local used = {}
  for _, container in ipairs(df.Containers or {}) do used[container.ImageID or ""] = true end
  local images = add_up(df.Images, function(image)
    return (image.Size or 0) - math.max(0, image.SharedSize or 0)
  end,
    function(image) return used[image.Id] end)
  images.bytes = df.LayersSize or images.bytes
  local fields = {
    ok = true, images = images,
    containers = add_up(df.Containers, function(it) return it.SizeRw end,
      function(it) return it.State == "running" end),
    volumes = add_up(df.Volumes, function(it) return it.UsageData and it.UsageData.Size end,
      function(it) return it.UsageData and it.UsageData.RefCount ~= 0 end),
    build_cache = add_up(df.BuildCache, function(it) return not it.Shared and it.Size or 0 end,
      function(it) return it.InUse end),
  }
  fields.bytes = images.bytes + fields.containers.bytes + fields.volumes.bytes + fields.build_cache.bytes
  return fields
end

catalogue.effect("docker.disk_usage", {
  summary = "Adds up what images, containers, volumes and the build cache take of the disk",
  class = "read",
  options = { timeout = { "duration", DISK_USAGE_TIMEOUT, "The longest it may take" } },
  result = { bytes = "integer: all of it", images = "map: count bytes unused unused_bytes",
             containers = "map: the same",
             volumes = "map: the same", build_cache = "map: the same" },
  run = function(call)
    local df, err = engine.open(call.timeout):get "/system/df"
    if not df then return nil, err or { kind = "engine", message = "the engine lists no disk usage" } end
    return disk_usage(df)
  end,
  command = function() return docker_host.command("system", "df") end,
  place = docker_host.place,
  specimen = function()
    local some = { count = 3, bytes = 1 << 30, unused = 0, unused_bytes = 0 }
    return { bytes = 4 << 30, images = some, containers = some, volumes = some, build_cache = some }
  end,
  sum_up = function(fields) return fields.bytes and duration.size_text(fields.bytes) end,
})

------------------------------------------------------------------- version --

catalogue.effect("docker.version", {
  summary = "Asks the engine who it is",
  class = "read",
  result = { version = "string: the engine's", api = "string: the API's version in use",
             host = "string: where it listens",
             os = "string", arch = "string", kernel = "string" },
  run = function(call)
    local it = engine.open(call.timeout)
    local api, err = it:version()
    if not api then return nil, err end
    local told
    told, err = it:get "/version"
    if not told then return nil, err or { kind = "engine", message = "the engine tells no version" } end
    return { ok = true, version = told.Version, api = api, host = docker_host.text(), os = told.Os,
             arch = told.Arch,
             kernel = told.KernelVersion }
  end,
  command = function() return docker_host.command "version" end,
  place = docker_host.place,
  specimen = { version = "20.10.24", api = "1.41", host = "unix:///var/run/docker.sock", os = "linux",
               arch = "amd64",
               kernel = "6.1.0" },
  sum_up = function(fields)
    return fields.version and ("engine %s, API %s"):format(fields.version, fields.api)
  end,
})

for _, module in ipairs { "change", "logs", "stats", "exec", "prune", "read", "recreate" } do
  require("effects.docker_" .. module)
end

-- Before the first write the operator reads which engine it goes to.
for _, entry in pairs(catalogue.effects) do
  if entry.family == "docker" then entry.where = docker_host.text end
end

return { docker_host = docker_host.text }
