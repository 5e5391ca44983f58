-- Whether /proc shows only our own processes: mounted with hidepid (proc(5)), and we are neither in the group of its option
-- gid (root's, unless it says another) nor may trace any process. Those of others are then not absent but unseen.
local files = require "raw.files"
local machine = require "effects.machine"
local outcome = require "outcome"
local remote = require "effects.sysinfo_remote"

local hidepid = {}

-- Of each of the two files, in bytes; a machine of many containers has some thousand mounts.
local FILE_MAX = 4 << 20
-- CAP_SYS_PTRACE's bit among the effective capabilities (capabilities(7)).
local TRACES_ANY = 1 << 19
-- Values that hide nothing from members of the group; "ptraceable" and 4 do.
local weak = { ["1"] = true, ["2"] = true, noaccess = true, invisible = true }
local off = { ["0"] = true, off = true }

-- The last mount on /proc covers those before: its options, or nil.
local function mount_options(mountinfo)
  local options
  for line in mountinfo:gmatch "[^\n]+" do
    if line:find "^%d+ %d+ %S+ %S+ /proc " then options = line:match " %- proc %S+ (%S+)" end
  end
  return options
end

local function is_member(status, group)
  local own, more = status:match "\nGid:\t([^\n]*)", status:match "\nGroups:\t([^\n]*)"
  for id in ((own or ""):match "%d+%s*$" or ""):gmatch "%d+" do if id == group then return true end end
  for id in (more or ""):gmatch "%d+" do if id == group then return true end end
  return false
end

-- From the bytes of /proc/self/mountinfo and /proc/self/status.
local function is_hidden(mountinfo, status)
  local options = mount_options(mountinfo) or ""
  local level = ("," .. options):match ",hidepid=(%w+)"
  if not level or off[level] then return false end
  local capabilities = math.tointeger(tonumber(status:match "\nCapEff:\t(%x+)" or "0", 16)) or 0
  if capabilities & TRACES_ANY ~= 0 then return false end
  return not (weak[level] and is_member(status, ("," .. options):match ",gid=(%d+)" or "0"))
end

local function read_here()
  local mountinfo = files.read { path = "/proc/self/mountinfo", max = FILE_MAX }
  local status = files.read { path = "/proc/self/status", max = FILE_MAX }
  return mountinfo and mountinfo.text or "", status and status.text or ""
end

local function read_away(timeout)
  local text, err = remote.script("cat /proc/self/mountinfo && echo && cat /proc/self/status", timeout, nil, FILE_MAX)
  if not text then return nil, err end
  local mountinfo, status = text:match "^(.-\n)(\n.*)$"
  return mountinfo or "", status or ""
end

-- nil and the error of a failed look, where others' processes are hidden on the running effect's machine; else true.
function hidepid.look(timeout)
  local mountinfo, status
  if machine.is_away() then mountinfo, status = read_away(timeout) else mountinfo, status = read_here() end
  if not mountinfo then return nil, status end
  if not is_hidden(mountinfo, status) then return true end
  return outcome.failed("permission", "processes of others can't be seen here (/proc is mounted with hidepid)")
end

return hidepid
