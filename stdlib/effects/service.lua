-- service: units of systemd. How systemctl is spoken to stands in effects/service_systemctl.lua.
local blame = require "blame"
local machine = require "effects.machine"
local outcome = require "outcome"
local systemctl = require "effects.service_systemctl"
local values = require "values"

-- systemd gives a service 90 s to stop and 90 s to start, unless its unit says otherwise; a change may take
-- as long as this.
local CHANGE_TIMEOUT = "2m"
-- A look before or after a change, in seconds.
local LOOK_TIMEOUT = 10
-- Dependents named in a preview; the others are counted.
local DEPENDENTS_NAMED = 5
-- Lines of log at most, and those saved before a change.
local TAIL_MAX, SAVED_LINES = 10000, 1000

local unit_param = { "unit", "string", "Name of the unit; without a type it is a service" }

local fields = {
  state = "string: active inactive failed activating deactivating maintenance absent",
  active = "boolean: state is active, and none of its parts failed",
  result = "string: how it last ended: success exit-code signal core-dump watchdog timeout oom-kill …",
  summary = "string: \"failed (failed), since 5 minutes ago, exit-code, exit status 1\"",
  sub = "string: systemd's finer state, as running or dead",
  load = "string: loaded not-found masked bad-setting error", name = "string: its full name",
  restarts = "integer: how often systemd itself restarted it",
  pid = "integer: its main process; nil when none runs",
  exit_code = "integer: of its main process, when that exited by itself",
  since = "number: of this state, seconds since 1970",
  enabled = "string: enabled disabled static masked …; nil when it has no file",
  status_text = "string: what the service says of itself",
  can = "map: start stop reload: whether it may",
  parts = "list: of a unit that runs nothing itself, as Debian's postgresql, those that are started and stopped with it: "
    .. "each name state sub result",
}

local function check_unit(effect)
  return function(call)
    if values.is_placeholder(call.unit) or systemctl.is_name(call.unit) then return end
    blame.raise("%s: argument 1 (unit): the name of one unit expected, got %s", effect,
      values.describe(call.unit))
  end
end

-- What follows from `state`, for scenarios that give only that.
local lazy = { active = systemctl.is_active, summary = systemctl.summary }

local function specimen(changes)
  return function(call)
    local it = { state = "active", result = "success", load = "loaded", restarts = 0, pid = 4711, since = 1.7e9, parts = {},
                 enabled = "enabled", name = call and systemctl.full_name(tostring(call.unit)) or "name.service",
                 can = { start = true, stop = true, reload = true } }
    for name, value in pairs(changes or {}) do it[name] = value end
    it.active = nil
    return it
  end
end

machine.effect("service.status", {
  summary = "Looks at a unit of systemd; `ok` says that systemd answered, `state` how the unit is",
  class = "read",
  params = { unit_param },
  result = fields,
  check = check_unit "service.status",
  run = function(call) return systemctl.status(call.unit, call.timeout) end,
  command = function(call) return { "systemctl", "status", "--no-pager", "--", call.unit } end,
  specimen = specimen(),
  lazy = lazy,
  sum_up = systemctl.summary,
})

---------------------------------------------------------------------- logs --

-- journalctl ends with 0 when it may not see the system's log; that must not read as a silent service.
local function blind(stderr)
  if stderr:find "not seeing messages from" or stderr:find "insufficient permissions" then
    return { kind = "permission",
             message = "the system's log may not be read: run as root, or in the group systemd-journal" }
  end
  if stderr:find "No journal files were found" then
    return { kind = "missing", message = "this machine keeps no journal" }
  end
end

local function journalctl(call)
  local words = { "journalctl", "--no-pager", "--output=short-iso", ("--lines=%d"):format(call.tail) }
  if call.since then words[#words + 1] = ("--since=-%ds"):format(math.ceil(call.since)) end
  words[#words + 1] = "--unit=" .. systemctl.full_name(call.unit)
  return words
end

local function logs(call)
  local ended, err = systemctl.run(journalctl(call), call.timeout, "tail")
  if not ended then return nil, err end
  err = blind(ended.stderr)
  if err then return nil, err end
  local text = ended.stdout:gsub("^%-%- %a+ begins? at [^\n]*\n", ""):gsub("^%-%- No entries %-%-\n?$", "")
  if text ~= "" then return { state = "present", text = text, cut = ended.cut } end
  local status = systemctl.status(call.unit, LOOK_TIMEOUT)
  if status and status.state == "absent" then return { state = "absent", cut = false } end
  return { state = "present", text = "", cut = ended.cut }
end

machine.effect("service.logs", {
  summary = "Reads the last lines of a unit's log from the journal",
  class = "read",
  params = { unit_param },
  options = { tail = { "integer", 100, ("How many lines, at most %d"):format(TAIL_MAX) },
              since = { "duration", nil, "Only those younger than this" } },
  result = { text = "string: the lines, times in UTC; the last 1 MB; nil when there is no such unit",
             cut = "boolean: the beginning is missing", state = "string: present absent" },
  check = function(call)
    check_unit "service.logs" (call)
    if call.tail < 1 or call.tail > TAIL_MAX then
      blame.raise("service.logs: option 'tail': 1 to %d expected", TAIL_MAX)
    end
  end,
  run = logs,
  as_root = true,
  command = journalctl,
  specimen = { state = "present", text = "", cut = false },
  sum_up = function(it)
    if it.state == "absent" then return "there is no such unit" end
    local _, count = it.text:gsub("\n", "")
    return ("%d lines"):format(count)
  end,
})

------------------------------------------------------------------- Changes --

local function dependents_text(list)
  if #list == 0 then return "no other unit depends on it" end
  local named = table.concat(list, ", ", 1, math.min(#list, DEPENDENTS_NAMED))
  if #list > DEPENDENTS_NAMED then named = ("%s and %d more"):format(named, #list - DEPENDENTS_NAMED) end
  return ("%d %s on it: %s"):format(#list, #list == 1 and "unit depends" or "units depend", named)
end

local unusable = { masked = "it is masked", error = "its unit file can't be read",
                   ["not-found"] = "its unit file is gone",
                   ["bad-setting"] = "its unit file has a bad setting" }

-- Why systemd would refuse, or nil.
local function impossible(verb, status)
  if status.state == "absent" then return "there is no such unit" end
  if verb.starts and unusable[status.load] then return unusable[status.load] end
  if verb.can and not status.can[verb.can] then return ("this unit can't be %s"):format(verb.participle) end
  if verb.needs_active and status.state ~= "active" then return "it is not active" end
end

local function preview(verb, call)
  local status, err = systemctl.status(call.unit, LOOK_TIMEOUT)
  if not status then
    return { text = "radius unknown: " .. err.message, size = math.huge, unknown = true,
             impossible = err.kind == "missing" and err.message or nil }
  end
  local why = impossible(verb, status)
  local text = ("%s %s, now %s"):format(verb.tells, status.name, status.summary)
  if why then return { text = text, size = 0, impossible = why } end
  if not verb.interrupts then
    return { text = text .. (status.enabled and ", " .. status.enabled or ""), size = 1 }
  end
  local dependents
  dependents, err = systemctl.dependents(call.unit, LOOK_TIMEOUT)
  if not dependents then
    return { text = ("%s; what depends on it is unknown: %s"):format(text, err.message), size = math.huge,
             unknown = true }
  end
  return { text = text .. "; " .. dependents_text(dependents), size = 1 + #dependents }
end

-- Carries it out, and looks how the unit is afterwards. A change that systemd took but that left the unit
-- failed has failed.
local function change(verb, call)
  local done, err = systemctl.run(systemctl.words(verb.name, systemctl.full_name(call.unit)), call.timeout)
  if not done then return nil, err end
  local status = systemctl.status(call.unit, LOOK_TIMEOUT)
  if not status then return { summary = "done; how the unit is now could not be seen" } end
  if verb.starts and status.state == "failed" then
    return outcome.failed("reply", "%s is %s after it was %s", status.name, status.summary, verb.participle)
  end
  local failed = verb.starts and systemctl.failed_part(status)
  if failed then
    return outcome.failed("reply", "%s is %s after %s, which starts it, was %s", failed.name, failed.state, status.name,
      verb.participle)
  end
  return status
end

-- What a unit says of itself before it is stopped; its log stays, but what comes after covers it.
local function evidence(save, call)
  save("service.status", call.unit, { on = call.on })
  save("service.logs", call.unit, { on = call.on, tail = SAVED_LINES })
end

local function enabled(status) return status.enabled == "enabled" or status.enabled == "enabled-runtime" end

local verbs = {
  { name = "restart", tells = "restarts", participle = "restarted", starts = true, interrupts = true,
    can = "start",
    would = { state = "active", active = true }, happened = systemctl.is_active },
  { name = "start", tells = "starts", participle = "started", starts = true, can = "start",
    would = { state = "active", active = true }, happened = systemctl.is_active },
  { name = "stop", text = "is stopped", back = "start",
    tells = "stops", participle = "stopped", interrupts = true, can = "stop",
    would = { state = "inactive", active = false },
    happened = function(status) return status.state ~= "active" end },
  { name = "reload", tells = "reloads", participle = "reloaded", can = "reload", needs_active = true,
    would = { state = "active", active = true }, happened = systemctl.is_active },
  { name = "enable", tells = "enables at boot", participle = "enabled", would = { enabled = "enabled" },
    happened = enabled },
  { name = "disable", text = "is disabled", back = "enable",
    tells = "disables at boot", participle = "disabled", would = { enabled = "disabled" },
    happened = function(status) return not enabled(status) end },
}

local summaries = {
  restart = "Stops and starts a unit; starts it when it is stopped", start = "Starts a unit",
  stop = "Stops a unit",
  reload = "Has a service read its configuration again", enable = "Has a unit started at boot, not now",
  disable = "Has a unit no longer started at boot; it goes on now",
}

-- What runs and what is started at boot are two things; a reload touches neither.
local function leaves(verb)
  if verb.name == "reload" then return nil end
  return function(call)
    local thing = ("unit %s @%s"):format(call.unit, machine.name(call.on))
    if verb.name == "enable" or verb.name == "disable" then thing = "the start at boot of " .. thing end
    return { { thing = thing, text = verb.text, back = verb.back and { "service." .. verb.back, call.unit, { on = call.on } } } }
  end
end

for _, verb in ipairs(verbs) do
  local name = "service." .. verb.name
  machine.effect(name, {
    summary = summaries[verb.name],
    class = "write",
    params = { unit_param },
    options = { timeout = { "duration", CHANGE_TIMEOUT, "The longest it may take" } },
    result = fields,
    check = check_unit(name),
    run = function(call) return change(verb, call) end,
    command = function(call) return { "systemctl", verb.name, "--", call.unit } end,
    target = function(call) return tostring(call.unit) end,
    intends = function(call) return ("%s %s"):format(verb.tells, tostring(call.unit)) end,
    preview = function(call) return preview(verb, call) end,
    would = function() return values.copy(verb.would) end,
    evidence = verb.interrupts and evidence or nil,
    leaves = leaves(verb),
    verify = function(call)
      local status = systemctl.status(call.unit, LOOK_TIMEOUT)
      return status and verb.happened(status)
    end,
    specimen = specimen(verb.would),
    lazy = lazy,
    sum_up = function(it) return it.state and systemctl.summary(it) or it.summary end,
  })
end

require "effects.service_changes"
