-- service.changes: which services entered another state of late, and whose unit files are as young. Of the services
-- that systemd has loaded: one that it forgot (stopped, and wanted by nothing) is not among them.
local machine = require "effects.machine"
local outcome = require "outcome"
local systemctl = require "effects.service_systemctl"
local tasks = require "tasks"

-- Changes listed at most.
local CHANGES_MAX = 1000
-- Folders of what systemd itself writes at every start and reload: young files there say nothing.
local GENERATED = "^/run/systemd/generator"

local PROPERTIES = { "Id", "LoadState", "ActiveState", "SubState", "Result", "Type", "StateChangeTimestamp",
                     "FragmentPath", "DropInPaths", "NeedDaemonReload" }

-- The file and drop-ins of each service: { path → its properties }, and the paths in order.
local function unit_files(services)
  local owner, paths = {}, {}
  for _, properties in ipairs(services) do
    for path in ((properties.FragmentPath or "") .. " " .. (properties.DropInPaths or "")):gmatch "%S+" do
      if path:sub(1, 1) == "/" and not path:find(GENERATED) and not owner[path] then
        owner[path], paths[#paths + 1] = properties, path
      end
    end
  end
  return owner, paths
end

-- When each was last written: { path → seconds since 1970 }, or nil and an error. One that is gone has no time.
local function written(paths, timeout)
  if #paths == 0 then return {} end
  local argv = { "stat", "-L", "-c", "%Y %n", "--" }
  local ended, err = machine.run { argv = table.move(paths, 1, #paths, #argv + 1, argv), reading = { LC_ALL = "C" },
                                   timeout = timeout }
  if not ended then return nil, err end
  for line in ended.stderr:gmatch "[^\n]+" do
    if not line:find "No such file or directory$" then
      local kind = line:find "Permission denied" and "permission" or "io"
      return outcome.failed(kind, "%s", machine.first_line(line))
    end
  end
  local times = {}
  for at, path in ended.stdout:gmatch "(%d+) ([^\n]+)\n" do times[path] = math.tointeger(tonumber(at)) end
  return times
end

local function change(properties, what, at)
  return { at = at, name = properties.Id, what = what, type = properties.Type or "",
           state = systemctl.state(properties.ActiveState) or properties.ActiveState, sub = properties.SubState or "",
           result = properties.Result or "" }
end

local function state_changes(services, from, found)
  for _, properties in ipairs(services) do
    local at = systemctl.time(properties.StateChangeTimestamp)
    if at and at >= from then found[#found + 1] = change(properties, "state", at) end
  end
end

local function file_changes(owner, times, from, found)
  for path, at in pairs(times) do
    if at >= from and owner[path] then
      local it = change(owner[path], "file", at)
      it.file, it.needs_reload = path, owner[path].NeedDaemonReload == "yes"
      found[#found + 1] = it
    end
  end
end

local function newest_first(a, b)
  if a.at ~= b.at then return a.at > b.at end
  if a.name ~= b.name then return a.name < b.name end
  return (a.file or "") < (b.file or "")
end

local function look(call)
  local ends = tasks.now() + call.timeout
  local services, err = systemctl.services(PROPERTIES, call.timeout)
  if not services and err.kind == "missing" then
    return { state = "absent", changes = {}, count = 0, cut = false, summary = err.message }
  end
  if not services then return nil, err end
  local owner, paths = unit_files(services)
  local times
  times, err = written(paths, math.max(0.1, ends - tasks.now()))
  if not times then return nil, err end
  local found, from = {}, tasks.wall() - call.since
  state_changes(services, from, found)
  file_changes(owner, times, from, found)
  table.sort(found, newest_first)
  local count = #found
  return { state = "present", changes = table.move(found, 1, math.min(count, CHANGES_MAX), 1, {}), count = count,
           cut = count > CHANGES_MAX, summary = ("%d changes"):format(count) }
end

machine.effect("service.changes", {
  summary = "Looks which loaded services entered another state, or had their unit file or a drop-in written, of late",
  class = "read",
  options = { since = { "duration", "1d", "Only changes younger than this", what = true } },
  result = {
    changes = "list: newest first, 1,000 at most; each at (seconds since 1970) name what (state, file) state sub "
      .. "result type (simple oneshot …); of a file also file (its path) needs_reload",
    count = "integer: how many there are", cut = "boolean: the oldest are missing",
    state = "string: present; absent: this machine runs no systemd",
    summary = 'string: "3 changes", or why it is absent',
  },
  run = look,
  command = function()
    return { "systemctl", "show", "--property=Id,ActiveState,StateChangeTimestamp,FragmentPath,DropInPaths", "--",
             "*.service" }
  end,
  specimen = { state = "present", changes = {}, count = 0, cut = false, summary = "0 changes" },
})
