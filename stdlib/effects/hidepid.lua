-- Whether /proc shows only our own processes: mounted with hidepid (proc(5)), and we are neither in the group of its option
-- gid (root's, unless it says another) nor may trace any process. Those of others are then not absent but unseen.
local look = require "effects.sysinfo_look"
local outcome = require "outcome"

local hidepid = {}

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

-- nil and the error of a failed look, where others' processes are hidden on the running effect's machine; else true.
function hidepid.look(timeout)
  local texts, err = look.texts({ "/proc/self/mountinfo", "/proc/self/status" }, timeout)
  if not texts then return nil, err end
  if not is_hidden(texts[1], texts[2]) then return true end
  return outcome.failed("permission", "processes of others can't be seen here (/proc is mounted with hidepid)")
end

return hidepid
