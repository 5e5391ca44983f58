-- A container's state in the words of a result: what docker.inspect gives and previews quote.
local helpers = require "helpers"
local raw_secret = require "raw.secret"
local tasks = require "tasks"

local state = {}

-- The kernel's, in microseconds, for a quota without one.
local CPU_PERIOD = 100000

-- "2026-11-23T17:40:00.1Z" → seconds since 1970; nil for Docker's "never" (year 1).
function state.seconds(text)
  if type(text) ~= "string" or text:find "^0001%-" then return nil end
  return (helpers.time.parse(text))
end

local units = { { "day", 86400 }, { "hour", 3600 }, { "minute", 60 }, { "second", 1 } }

-- 259300 → "3 days".
function state.span(seconds)
  for _, unit in ipairs(units) do
    local count = math.floor(seconds / unit[2])
    if count >= 1 then return ("%d %s%s"):format(count, unit[1], count == 1 and "" or "s") end
  end
  return "less than a second"
end

local function since(at) return at and state.span(math.max(0, tasks.wall() - at)) or "an unknown time" end

------------------------------------------------------------------- Secrets --

-- A variable's or label's value as it may be shown: what its name, or the value itself, says is secret reads ***.
function state.shown(name, value)
  local shown = raw_secret.mask { [name] = value }[name]
  if shown == value then shown = raw_secret.redact(name .. "=" .. value):sub(#name + 2) end
  return ((shown or "***"):gsub("⟦.-⟧", "***"))
end

-- { "A=1" } → { A = "1" }, as it may be shown.
function state.env(list)
  local map = {}
  for _, entry in ipairs(list or {}) do
    local name, value = entry:match "^([^=]+)=(.*)$"
    if name then map[name] = state.shown(name, value) end
  end
  return map
end

local function shown_labels(labels)
  local map = {}
  for name, value in next, labels or {} do map[name] = state.shown(name, value) end
  return map
end

------------------------------------------------------------------- Summary --

local function ended(it)
  local text = ("exited (%s) %s ago"):format(it.exit_code or "?", since(it.finished_at))
  return it.oom_killed and text .. ", out of memory" or text
end

local summaries = {
  running = function(it)
    local text = "running for " .. since(it.started_at)
    return it.health and it.health ~= "healthy" and text .. ", " .. it.health or text
  end,
  exited = ended,
  dead = function(it) return "dead: " .. ended(it) end,
  paused = function(it) return "paused, started " .. since(it.started_at) .. " ago" end,
  restarting = function(it) return ("restarting: %s, %d restarts"):format(ended(it), it.restarts) end,
  created = function() return "created, never started" end,
  removing = function() return "being removed" end,
}

-- "running for 3 days", "exited (137) 5 minutes ago, out of memory".
function state.summary(it)
  local say = summaries[it.state]
  local text = say and say(it) or it.state
  return it.error_text and it.state ~= "running" and ("%s: %s"):format(text, it.error_text) or text
end

------------------------------------------------------------------- Inspect --

local function text_or_nil(text) return text ~= "" and text or nil end

local function networks(map)
  local found = {}
  for name, endpoint in next, map or {} do
    found[name] = { ip = text_or_nil(endpoint.IPAddress), aliases = endpoint.Aliases or {} }
  end
  return found
end

local function mounts(list)
  local found = {}
  for i, mount in ipairs(list or {}) do
    found[i] = { type = mount.Type, source = mount.Source, target = mount.Destination, name = mount.Name,
                 read_only = not mount.RW }
  end
  return found
end

-- CPUs that it may use, as 1.5; nil without a limit.
local function cpu_limit(host)
  if (host.NanoCpus or 0) > 0 then return host.NanoCpus / 1e9 end
  if (host.CpuQuota or 0) > 0 then
    local period = (host.CpuPeriod or 0) > 0 and host.CpuPeriod or CPU_PERIOD
    return host.CpuQuota / period
  end
end

-- { "80/tcp" = {} } → { 80 }; in order.
local function tcp_ports(exposed)
  local ports = {}
  for name in next, exposed or {} do ports[#ports + 1] = math.tointeger(tonumber(name:match "^(%d+)/tcp$")) end
  table.sort(ports)
  return ports
end

function state.absent(name)
  return { ok = true, state = "absent", summary = ("there is no container %s"):format(name), env = {},
           networks = {},
           mounts = {}, labels = {}, ports = {} }
end

-- What `docker inspect` tells, as fields.
function state.fields(inspect)
  local host, now, config = inspect.HostConfig, inspect.State, inspect.Config
  local restarting = now.Status == "restarting" -- which the engine calls running, too
  local has_ended = (restarting or not now.Running) and now.Status ~= "created"
  local it = {
    ok = true, state = now.Status or "unknown", id = inspect.Id, name = inspect.Name:gsub("^/", ""),
    pid = now.Pid ~= 0 and now.Pid or nil,
    exit_code = has_ended and now.ExitCode or nil,
    oom_killed = now.OOMKilled == true,
    restarts = inspect.RestartCount or 0, image = config.Image or inspect.Image, image_id = inspect.Image,
    started_at = state.seconds(now.StartedAt), created_at = state.seconds(inspect.Created),
    finished_at = has_ended and state.seconds(now.FinishedAt) or nil,
    restart_policy = host.RestartPolicy and host.RestartPolicy.Name or "no",
    memory_limit = (host.Memory or 0) > 0 and host.Memory or nil, cpu_limit = cpu_limit(host),
    health = now.Health and now.Health.Status ~= "none" and now.Health.Status or nil,
    error_text = text_or_nil(now.Error or ""),
    env = state.env(config.Env), ports = tcp_ports(config.ExposedPorts),
    networks = networks(inspect.NetworkSettings and inspect.NetworkSettings.Networks),
    mounts = mounts(inspect.Mounts), labels = shown_labels(config.Labels),
  }
  if it.restart_policy == "" then it.restart_policy = "no" end
  it.summary = state.summary(it)
  return it
end

-- "running for 3 days, 0 restarts; image conduit-api:1".
function state.brief(it) return ("%s, %d restarts; image %s"):format(it.summary, it.restarts, it.image) end

return state
