-- docker.stats: what a container uses, from its cgroup's files where the engine is on this machine (0.02 ms),
-- else from the engine (0.01–1 s each time: engine 20.10 samples on a tick of one second).
local catalogue = require "catalogue"
local docker_host = require "effects.docker_host"
local duration = require "duration"
local engine = require "effects.docker_engine"
local look = require "effects.sysinfo_look"
local proc = require "effects.sysinfo_proc"
local tasks = require "tasks"

-- Between two looks at the cgroup's CPU clock, in seconds.
local INTERVAL = 0.1
-- The machine's memory is known after so many seconds, or not at all.
local MEMINFO_SECONDS = 1

local stats = {}

-- Pages that are only a cache of files go when somebody needs memory: docker's own client doesn't count them
-- either.
local function working_set(bytes, inactive) return bytes and math.max(0, bytes - (inactive or 0)) end

-- One look: { at =, cpu_seconds =, memory_bytes =, pids =, machine = total memory where the container runs }.
local function from_cgroup(id)
  local sys = require "raw.sys"
  local cgroup, err = sys.cgroup { id = id }
  if not cgroup then return nil, err end
  if not cgroup.cpu_seconds or not cgroup.memory_bytes then
    return nil, { kind = "missing", message = "no accounting" }
  end
  local texts = look.texts({ "/proc/meminfo" }, MEMINFO_SECONDS)
  local machine = texts and proc.memory(texts[1])
  return { at = tasks.now(), cpu_seconds = cgroup.cpu_seconds, pids = cgroup.pids,
           machine = machine and machine.total,
           memory_bytes = working_set(cgroup.memory_bytes, cgroup.memory_inactive_file) }
end

local function from_engine(it, id)
  local told, err = it:get(engine.path("/containers/%s/stats", id),
    { query = { stream = "false", ["one-shot"] = "true" } })
  if not told then return nil, err or { kind = "missing", message = "it is gone" } end
  local memory, cpu = told.memory_stats or {}, told.cpu_stats or {}
  local kept = memory.stats or {}
  local total = cpu.cpu_usage and cpu.cpu_usage.total_usage
  return { at = tasks.now(), cpu_seconds = total and total / 1e9,
           pids = told.pids_stats and told.pids_stats.current,
           machine = memory.limit,
           memory_bytes = working_set(memory.usage, kept.total_inactive_file or kept.inactive_file) }
end

-- A look at a running container, and how to look again.
function stats.sample(it, id)
  local host = docker_host.resolve()
  local first = host.unix_socket and from_cgroup(id)
  if first then return first, from_cgroup end
  local again = function() return from_engine(it, id) end
  local err
  first, err = again()
  return first, first and again or err
end

local idle = { cpu_percent = 0.0, memory_percent = 0.0, memory_bytes = 0, pids = 0 }

local function at_rest(state, limit)
  local fields = { ok = true, state = state, memory_limit = limit }
  for name, value in pairs(idle) do fields[name] = value end
  return fields
end

local function measure(it, inspect, limit)
  local first, again = stats.sample(it, inspect.Id)
  if not first then return nil, again end
  tasks.sleep(INTERVAL)
  local second, err = again(inspect.Id)
  if not second then return nil, err end
  local passed = second.at - first.at
  local whole = limit or second.machine
  return {
    ok = true, state = inspect.State.Status, memory_bytes = second.memory_bytes, memory_limit = limit,
    pids = second.pids,
    cpu_percent = second.cpu_seconds and passed > 0
      and 100 * (second.cpu_seconds - first.cpu_seconds) / passed or nil,
    memory_percent = whole and second.memory_bytes and 100 * second.memory_bytes / whole or nil,
  }
end

-- The limit of its memory, in bytes; nil when it has none.
function stats.limit(inspect)
  local bytes = inspect.HostConfig.Memory or 0
  return bytes > 0 and bytes or nil
end

catalogue.effect("docker.stats", {
  summary = "Measures what a container uses: CPU, memory, processes",
  class = "read",
  params = { { "container", "string", "Name or id" } },
  result = {
    cpu_percent = "number: of one CPU, over 100 ms",
    memory_percent = "number: of its limit, else of the machine's memory",
    memory_bytes = "integer: without the cache of files that can go",
    memory_limit = "integer: nil when it has none",
    pids = "integer: processes and threads",
    state = "string: the container's; one that doesn't run uses nothing",
  },
  check = function(call) engine.check_name("docker.stats", call.container) end,
  run = function(call)
    local it = engine.open(call.timeout)
    local inspect, err = it:inspect(call.container)
    if err then return nil, err end
    if not inspect then return at_rest "absent" end
    if not inspect.State.Running then return at_rest(inspect.State.Status, stats.limit(inspect)) end
    return measure(it, inspect, stats.limit(inspect))
  end,
  command = function(call) return docker_host.command("stats", "--no-stream", call.container) end,
  place = docker_host.place,
  specimen = { cpu_percent = 3.5, memory_percent = 12.0, memory_bytes = 128 << 20, memory_limit = 1 << 30,
               pids = 24,
               state = "running" },
  sum_up = function(fields)
    if not fields.memory_bytes then return nil end
    return ("%.0f %% CPU, %s memory (%.0f %%)"):format(fields.cpu_percent or 0,
      duration.size_text(fields.memory_bytes),
      fields.memory_percent or 0)
  end,
})

return stats
