-- disk: would a run and its journal be kept? The doctor's own run directory is the proof; here is whether there is room.
local duration = require "duration"
local look = require "doctor.look"
local run = require "run"

-- With less than so many bytes free a journal soon lives in its reserve.
local FREE_MIN = 16 << 20

-- The disk that a path is on: that of the longest mount point above it.
local function disk_of(path, by_mount)
  local found
  for mount, disk in pairs(by_mount) do
    local above = mount == "/" or path == mount or path:sub(1, #mount + 1) == mount .. "/"
    if above and (not found or #mount > #found.mount) then found = disk end
  end
  return found
end

local function room()
  local folder = run.path:match "^(.*)/[^/]+$"
  local it = look.ask "sysinfo.disks"
  local disk = look.is_well(it) and disk_of(folder, it.by_mount)
  if not disk or not disk.free then
    return { what = "runs", state = "warning", text = folder .. " can be written; how much room there is is not known" }
  end
  local text = ("%s: %s free"):format(folder, duration.size_text(disk.free))
  if disk.free >= FREE_MIN then return { what = "runs", state = "ok", text = text } end
  return { what = "runs", state = "warning", text = text, mend = "make room: without it a run is kept in memory only" }
end

return function(_, check)
  check("runs", function()
    local mend = "make $XDG_STATE_HOME (else ~/.local/state) a folder that can be written"
    if run.homeless then return { { what = "runs", state = "stops", text = run.homeless, mend = mend } } end
    if run.in_memory then return { { what = "runs", state = "warning", text = run.in_memory, mend = mend } } end
    return { room() }
  end)
end
