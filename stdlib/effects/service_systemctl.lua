-- systemctl and journalctl: how they are called, and what they say. Read strictly: what isn't understood is a
-- failure to look, never a state. Facts from systemctl(1), journalctl(1) and org.freedesktop.systemd1(5).
local machine = require "effects.machine"
local outcome = require "outcome"
local tasks = require "tasks"
local text_tools = require "raw.text"

local systemctl = {}

-- Their words and times are read, so they must not be translated or in local time.
local ENV = { LC_ALL = "C", TZ = "UTC", SYSTEMD_COLORS = "0", SYSTEMD_PAGER = "" }

local PROPERTIES = { "Id", "LoadState", "ActiveState", "SubState", "Result", "MainPID", "ExecMainCode",
                     "ExecMainStatus", "NRestarts", "UnitFileState", "ActiveEnterTimestamp",
                     "InactiveEnterTimestamp", "CanStart", "CanStop", "CanReload", "StatusText", "ConsistsOf" }

-- Of the units that one starts which runs nothing itself: what is asked, and how many a summary names.
local PARTS_NAMED = 5
local PART_PROPERTIES = { "Id", "LoadState", "ActiveState", "SubState", "Result" }

-- ActiveState → our state. A unit that reloads is as active as any.
local states = { active = "active", reloading = "active", refreshing = "active", inactive = "inactive",
                 failed = "failed", activating = "activating", deactivating = "deactivating",
                 maintenance = "maintenance" }

-- What systemctl writes to stderr → kind, words; the first that is found.
local complaints = {
  { "has not been booted with systemd", "missing", "this machine does not run systemd" },
  { "[Pp]ermission denied", "permission" }, { "Access denied", "permission" },
  { "[Aa]uthentication", "permission",
    "systemd wants authentication for this: run as root, or allow it with polkit" },
  { "[Oo]peration not permitted", "permission" }, { "insufficient permissions", "permission" },
  { "Failed to connect to bus: No such file", "missing",
    "this machine does not run systemd, or its bus is not there" },
  { "Failed to connect to bus", "unreachable" },
  { "not found%.", "missing" }, { "not loaded", "missing" }, { "does not exist", "missing" },
  { "is masked", "usage" },
}

-- nil and the error that a command's end means; nothing when it ended with 0.
local function complaint(what, ended)
  if ended.code == 0 then return nil end
  local said = machine.first_line(ended.stderr)
  for _, it in ipairs(complaints) do
    if ended.stderr:find(it[1]) then
      return { kind = it[2], message = it[3] and ("%s (%s)"):format(it[3], said) or said }
    end
  end
  if said ~= "" then said = ": " .. said end
  return { kind = "io", message = ("%s ended with code %d%s"):format(what, ended.code, said) }
end

-- Runs it to its end: what raw.process.run gives, or nil and an error.
function systemctl.run(words, timeout, keep)
  local ended, err = machine.run { argv = words, reading = ENV, timeout = timeout, keep = keep }
  if not ended then return nil, err end
  local wrong = complaint(words[1], ended)
  if wrong then return nil, wrong end
  return ended
end

-- Our word for an ActiveState, or nil.
function systemctl.state(active_state) return states[active_state] end

function systemctl.words(verb, unit)
  return { "systemctl", "--no-ask-password", "--no-pager", verb, "--", unit }
end

-- A unit's name, complete: without a type it is a service.
local types = { service = true, socket = true, device = true, mount = true, automount = true, swap = true,
                target = true, path = true, timer = true, slice = true, scope = true }

function systemctl.full_name(unit)
  return types[unit:match "%.(%a+)$"] and unit or unit .. ".service"
end

-- Names are at most this long (systemd's UNIT_NAME_MAX is 256 with its end).
local NAME_MAX = 255

-- Whether it is a unit's name: no option, path or glob.
function systemctl.is_name(unit)
  return #unit <= NAME_MAX and unit:find "^[%w_@:][%w:_%.\\@%-]*$" ~= nil
end

-------------------------------------------------------------------- Status --

local function read_properties(text)
  local properties = {}
  for line in text:gmatch "[^\n]+" do
    local name, value = line:match "^(%w+)=(.*)$"
    if not name then
      return outcome.failed("io", "systemctl show wrote a line that is no property: %s", machine.first_line(line))
    end
    properties[name] = value
  end
  if not properties.LoadState or not properties.ActiveState then
    return outcome.failed("io", "systemctl show told no LoadState or ActiveState")
  end
  return properties
end

local function show_words(properties, units)
  local words = { "systemctl", "--no-ask-password", "--no-pager", "--property=" .. table.concat(properties, ","), "show", "--" }
  return table.move(units, 1, #units, #words + 1, words)
end

-- These properties of these units, as a list of maps, or nil and an error.
function systemctl.units(properties, units, timeout)
  local ended, err = systemctl.run(show_words(properties, units), timeout)
  if not ended then return nil, err end
  if ended.cut then return outcome.failed("limit", "systemctl told more than is read") end
  local list = {}
  for block in (ended.stdout .. "\n"):gmatch "(.-\n)\n+" do
    list[#list + 1], err = read_properties(block)
    if err then return nil, err end
  end
  return list
end

-- "Tue 2026-11-24 10:00:00 UTC" → seconds since 1970; nil for a time that never was.
function systemctl.time(text)
  local day, clock = (text or ""):match "^%a+ (%d+%-%d+%-%d+) (%d+:%d+:%d+) UTC$"
  return day and text_tools.time(day .. "T" .. clock .. "Z") or nil
end

local function number(text) return math.tointeger(tonumber(text or "")) end

local function parts_text(parts)
  if #parts == 0 then return "" end
  local told = {}
  for i = 1, math.min(#parts, PARTS_NAMED) do told[i] = ("%s, %s"):format(parts[i].name, parts[i].state) end
  if #parts > PARTS_NAMED then told[#told + 1] = ("%d more"):format(#parts - PARTS_NAMED) end
  return "; it runs nothing itself, it starts others: " .. table.concat(told, "; ")
end

-- A unit's state in words, of fields of service.status.
function systemctl.summary(it)
  if it.state == "absent" then return "there is no such unit" end
  local parts = { it.sub and ("%s (%s)"):format(it.state, it.sub) or it.state }
  if it.load and it.load ~= "loaded" then parts[1] = parts[1] .. ", " .. it.load end
  if it.since then parts[#parts + 1] = "since " .. machine.ago(it.since) end
  if it.result and it.result ~= "success" then parts[#parts + 1] = it.result end
  if it.exit_code and it.exit_code ~= 0 then parts[#parts + 1] = ("exit status %d"):format(it.exit_code) end
  if (it.restarts or 0) > 0 then parts[#parts + 1] = ("restarted %d times by systemd"):format(it.restarts) end
  return table.concat(parts, ", ") .. parts_text(it.parts or {})
end

-- The first of the units it starts that has failed, or nil.
function systemctl.failed_part(it)
  local first = it.parts and it.parts[1]
  return first and first.state == "failed" and first or nil
end

-- One that runs nothing itself is as active as what it starts.
function systemctl.is_active(it) return it.state == "active" and not systemctl.failed_part(it) end

-- A unit file that is gone while its unit still runs is not absent yet.
local function state_of(properties)
  local state = states[properties.ActiveState]
  if state == "inactive" and properties.LoadState == "not-found" then return "absent" end
  return state
end

local function fields_of(properties)
  local state = state_of(properties)
  if not state then
    return outcome.failed("io", "systemctl told an unknown ActiveState %q", properties.ActiveState)
  end
  local it = { state = state, sub = properties.SubState or "",
               load = properties.LoadState,
               result = properties.Result or "", restarts = number(properties.NRestarts),
               name = properties.Id,
               enabled = properties.UnitFileState ~= "" and properties.UnitFileState or nil,
               status_text = properties.StatusText ~= "" and properties.StatusText or nil,
               since = systemctl.time(state == "active" and properties.ActiveEnterTimestamp
                 or properties.InactiveEnterTimestamp) }
  if number(properties.MainPID) ~= 0 then it.pid = number(properties.MainPID) end
  -- 1: it exited by itself
  if number(properties.ExecMainCode) == 1 then it.exit_code = number(properties.ExecMainStatus) end
  it.can = { start = properties.CanStart ~= "no", stop = properties.CanStop ~= "no",
             reload = properties.CanReload ~= "no" }
  return it
end

-- What has failed first, for a summary names only some.
local function failed_first(a, b)
  if (a.state == "failed") ~= (b.state == "failed") then return a.state == "failed" end
  return a.name < b.name
end

-- The units that are started and stopped with one that runs nothing itself, as Debian's postgresql.service, or {}: that one
-- is active whatever became of them.
local function parts_of(it, properties, ends)
  local names = {}
  if it.state == "active" and not it.pid and it.sub ~= "running" then
    for name in (properties.ConsistsOf or ""):gmatch "%S+" do names[#names + 1] = name end
  end
  if #names == 0 then return {} end
  local list, err = systemctl.units(PART_PROPERTIES, names, math.max(0.1, ends - tasks.now()))
  if not list then return nil, err end
  for i, part in ipairs(list) do
    list[i] = { name = part.Id or names[i], state = state_of(part) or part.ActiveState, sub = part.SubState or "",
                result = part.Result or "" }
  end
  table.sort(list, failed_first)
  return list
end

-- A unit's state as fields of service.status, or nil and an error.
function systemctl.status(unit, timeout)
  local ends = tasks.now() + timeout
  local ended, err = systemctl.run(show_words(PROPERTIES, { systemctl.full_name(unit) }), timeout)
  if not ended then return nil, err end
  local properties, it
  properties, err = read_properties(ended.stdout)
  if not properties then return nil, err end
  it, err = fields_of(properties)
  if not it then return nil, err end
  it.parts, err = parts_of(it, properties, ends)
  if not it.parts then return nil, err end
  it.active, it.summary = systemctl.is_active(it), systemctl.summary(it)
  return it
end

-- These properties of every service that systemd has loaded, as a list of maps, or nil and an error.
function systemctl.services(properties, timeout) return systemctl.units(properties, { "*.service" }, timeout) end

-- The units that want or need this one, at any distance, targets left out: those only group.
function systemctl.dependents(unit, timeout)
  local name = systemctl.full_name(unit)
  local ended, err = systemctl.run({ "systemctl", "--no-ask-password", "--no-pager", "--reverse", "--plain",
                                     "--full",
                                     "list-dependencies", "--", name }, timeout)
  if not ended then return nil, err end
  local found, seen = {}, { [name] = true }
  for line in ended.stdout:gmatch "[^\n]+" do
    local other = line:match "([%w_@:][%w:_%.\\@%-]*)%s*$"
    if other and types[other:match "%.(%a+)$"] and not other:find "%.target$" and not seen[other] then
      seen[other] = true
      found[#found + 1] = other
    end
  end
  return found
end

return systemctl
