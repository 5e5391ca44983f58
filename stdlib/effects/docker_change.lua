-- docker.restart, start, stop and kill: one request each, previewed from the container's state and looked at
-- afterwards.
local catalogue = require "catalogue"
local docker_host = require "effects.docker_host"
local engine = require "effects.docker_engine"
local state = require "effects.docker_state"
local tasks = require "tasks"
local blame = require "blame"

-- How long a container may take to stop by itself before it is killed.
local GRACE = "10s"
-- A container that was started is looked at after this many seconds: one that ends at once was not started.
local SETTLE_SECONDS = 0.3
-- What the engine needs beyond the grace.
local MARGIN_SECONDS = 5

local change = {}

-- The container's fields; nil and an error, also when it is absent.
function change.look(it, name)
  local inspect, err = it:inspect(name)
  if inspect then return state.fields(inspect) end
  return nil, err or { kind = "missing", message = ("there is no container %s"):format(name) }
end

-- How many processes run in it, or nil when the engine doesn't say.
local function processes(it, name)
  local top = it:get(engine.path("/containers/%s/top", name))
  return top and top.Processes and #top.Processes
end

function change.unknown(err)
  return { text = "radius unknown: " .. err.message, size = math.huge, unknown = true }
end

-- A preview: `words(fields)` is its text; `impossible(fields)` says why it can't work.
local function preview(words, impossible)
  return function(call)
    local it = engine.open(call.timeout)
    local inspect, err = it:inspect(call.container)
    if err then return change.unknown(err) end
    if not inspect then
      local why = ("there is no container %s"):format(call.container)
      return { text = why, size = 0, impossible = why }
    end
    local fields = state.fields(inspect)
    local count = fields.state == "running" and processes(it, call.container)
    local text = ("%s (%s%s)"):format(words(call, fields), state.brief(fields),
      count and ("; %d process%s"):format(count, count == 1 and "" or "es") or "")
    return { text = text, size = 1, id = fields.id, state = fields.state, started_at = fields.started_at,
             impossible = impossible and impossible(call, fields) }
  end
end

local function after(it, name, done)
  local fields, err = change.look(it, name)
  if not fields then
    return nil, { kind = err.kind, message = ("%s, and then: %s"):format(done, err.message) }
  end
  return { state = fields.state, started_at = fields.started_at, exit_code = fields.exit_code,
           summary = fields.summary,
           id = fields.id }
end

-- After a start: a container that ended at once with an error did not start.
local function after_start(it, name, done)
  tasks.sleep(SETTLE_SECONDS)
  local fields, err = after(it, name, done)
  if fields and (fields.exit_code or 0) ~= 0 then
    return nil, { kind = "exited", message = ("%s was %s, and is now: %s"):format(name, done,
      fields.summary) }
  end
  return fields, err
end

-- Of a plan's containers so many are saved at most.
local SAVED_MAX = 20

-- What a container leaves behind is gone with it, or hard to find among what comes after.
function change.save(save, name)
  save("docker.inspect", name)
  save("docker.logs", name, { tail = "all" })
end

-- The same of a list of { id = }.
function change.save_all(save, containers)
  for i = 1, math.min(#containers, SAVED_MAX) do change.save(save, containers[i].id) end
end

function change.evidence(save, call) change.save(save, call.container) end

local function post(it, call, verb, query)
  return it:change("POST", engine.path("/containers/%s/" .. verb, call.container), { query = query })
end

-- The engine counts whole seconds.
local function grace(call) return math.ceil(call.grace) end

local function check(name)
  return function(call)
    engine.check_name(name, call.container)
    if call.grace and call.timeout < grace(call) + MARGIN_SECONDS then
      blame.raise("%s: timeout must leave %d s more than the grace of %d s", name, MARGIN_SECONDS,
        grace(call))
    end
  end
end

local container = { { "container", "string", "Name or id" } }
local result = {
  state = "string: what it is in now", started_at = "number: seconds since 1970",
  summary = "string: its state in words",
  exit_code = "integer: of one that ended", id = "string: its full id",
  changed = "boolean: false when it was so already",
}
local grace_option = { "duration", GRACE, "How long it may take to stop by itself before it is killed" }

-- Stopped, or as it was: what a run that stops containers is told at its end.
local function running(call) return { { thing = "container " .. call.container } } end
local function stopped(call)
  return { { thing = "container " .. call.container, text = "is stopped", back = { "docker.start", call.container } } }
end

local function effect(verb, entry)
  local name = "docker." .. verb
  entry.params, entry.result, entry.check = container, result, check(name)
  entry.class = entry.class or "write"
  entry.preview = preview(entry.words or entry.intends, entry.impossible)
  entry.options = entry.options or {}
  entry.options.timeout = { "duration", "60s", "The longest it may take" }
  entry.target = function(call) return call.container end
  entry.place = docker_host.place
  catalogue.effect(name, entry)
end

effect("restart", {
  summary = "Restarts a container; starts one that is stopped",
  options = { grace = grace_option },
  evidence = change.evidence,
  leaves = running,
  command = function(call)
    return docker_host.command("restart", "-t", tostring(grace(call)), call.container)
  end,
  intends = function(call) return "restarts " .. call.container end,
  run = function(call, plan)
    local it = engine.open(call.timeout)
    local done, err = post(it, call, "restart", { t = grace(call) })
    if not done then return nil, err end
    local fields
    fields, err = after_start(it, call.container, "restarted")
    if not fields then return nil, err end
    local before = plan and plan.started_at
    if before and fields.started_at and fields.started_at <= before then
      return nil, { kind = "unchanged",
                    message = ("the engine said yes, but %s has run since before"):format(call.container) }
    end
    fields.changed = true
    return fields
  end,
  verify = function(call, plan)
    local fields = change.look(engine.open(call.timeout), call.container)
    if not fields or not (plan and plan.state) then return nil end
    return fields.started_at ~= nil and fields.started_at ~= plan.started_at
  end,
  would = function() return { state = "running", changed = true, summary = "running",
                                  started_at = tasks.wall() } end,
  specimen = { state = "running", started_at = 1.7e9, summary = "running for 1 second", changed = true },
})

effect("start", {
  summary = "Starts a stopped container",
  leaves = running,
  command = function(call) return docker_host.command("start", call.container) end,
  intends = function(call) return "starts " .. call.container end,
  words = function(call, fields)
    return fields.state == "running" and call.container .. " runs already: nothing to do" or "starts " .. call.container
  end,
  run = function(call)
    local it = engine.open(call.timeout)
    local done, err = post(it, call, "start")
    if not done then return nil, err end
    local fields
    fields, err = after_start(it, call.container, "started")
    if fields then fields.changed = done.status ~= 304 end
    return fields, err
  end,
  verify = function(call)
    local fields = change.look(engine.open(call.timeout), call.container)
    if fields then return fields.state == "running" end
  end,
  would = function(_, plan)
    return { state = "running", changed = not plan or plan.state ~= "running", summary = "running" }
  end,
  specimen = { state = "running", started_at = 1.7e9, summary = "running for 1 second", changed = true },
})

effect("stop", {
  summary = "Stops a container",
  options = { grace = grace_option },
  evidence = change.evidence,
  leaves = stopped,
  command = function(call)
    return docker_host.command("stop", "-t", tostring(grace(call)), call.container)
  end,
  intends = function(call) return "stops " .. call.container end,
  words = function(call, fields)
    local stopped = fields.state ~= "running" and fields.state ~= "paused" and fields.state ~= "restarting"
    return stopped and call.container .. " is stopped already: nothing to do" or "stops " .. call.container
  end,
  run = function(call)
    local it = engine.open(call.timeout)
    local done, err = post(it, call, "stop", { t = grace(call) })
    if not done then return nil, err end
    local fields
    fields, err = after(it, call.container, "stopped")
    if fields then fields.changed = done.status ~= 304 end
    return fields, err
  end,
  verify = function(call)
    local fields = change.look(engine.open(call.timeout), call.container)
    if fields then return fields.state == "exited" end
  end,
  would = function(_, plan)
    return { state = "exited", changed = not plan or plan.state == "running", summary = "exited" }
  end,
  specimen = { state = "exited", exit_code = 0, summary = "exited (0) less than a second ago",
               changed = true },
})

effect("kill", {
  summary = "Sends a signal to a container's first process: what it holds in memory is lost",
  class = "destructive",
  options = { signal = { "string", "KILL", "The signal's name", what = true } },
  evidence = change.evidence,
  leaves = function(call, result) return result.state == "exited" and stopped(call) or {} end,
  command = function(call) return docker_host.command("kill", "-s", call.signal, call.container) end,
  intends = function(call) return ("sends %s to %s"):format(call.signal, call.container) end,
  impossible = function(call, fields)
    if fields.state ~= "running" and fields.state ~= "paused" then
      return call.container .. " does not run"
    end
  end,
  run = function(call, plan)
    local it = engine.open(call.timeout)
    local now, err = change.look(it, call.container)
    if not now then return nil, err end
    if plan and plan.id and now.id ~= plan.id then
      return nil, { kind = "conflict", message = call.container
                    .. " is another container than the one approved" }
    end
    local done
    done, err = it:change("POST", engine.path("/containers/%s/kill", now.id),
      { query = { signal = call.signal } })
    if not done then return nil, err end
    local fields
    fields, err = after(it, now.id, "sent the signal")
    if fields then fields.changed = true end
    return fields, err
  end,
  would = function() return { changed = true } end,
  specimen = { state = "exited", exit_code = 137, summary = "exited (137) less than a second ago",
               changed = true },
})
local check_kill = check "docker.kill"
catalogue.effects["docker.kill"].check = function(call)
  check_kill(call)
  if not call.signal:upper():find "^[A-Z][A-Z0-9]*$" then
    blame.raise("docker.kill: option 'signal': a signal's name like \"TERM\" expected")
  end
end

return change
