-- What the bytes of /proc mean (proc(5), the kernel's Documentation/filesystems/proc.rst), whatever machine they are of.
-- What isn't understood is a failure to look, never a number.
local outcome = require "outcome"
local raw_secret = require "raw.secret"
local raw_text = require "raw.text"

local proc = {}

-- Bytes of a command line that are kept.
local COMMAND_MAX = 64 << 10
-- Of a text that is not understood, shown in the failure.
local SHOWN = 80
-- Mounts at most; each is asked by a thread of its own (SYS_DISKS_MAX in interpreter/sys.h).
local MOUNTS_MAX = 1024

local function not_understood(path, expected, text)
  return outcome.failed("io", "%s is not understood: %s expected, got %q", path, expected, text:sub(1, SHOWN))
end

local function integer(text) return math.tointeger(tonumber(text)) end

-------------------------------------------------------------------- memory --

-- Kernels before 3.14 don't say what is available: as they estimate it since, and free(1) for the old ones. `min_free`
-- is /proc/sys/vm/min_free_kbytes, of which the low watermark is five quarters.
local function estimate(kb, min_free)
  local low = min_free and min_free * 5 // 4
  local cache, slab = (kb["Active(file)"] or 0) + (kb["Inactive(file)"] or 0), kb.SReclaimable
  if not (low and kb.MemFree and kb["Active(file)"] and kb["Inactive(file)"] and slab) then return nil end
  return math.max(0, kb.MemFree - low + cache - math.min(cache // 2, low) + slab - math.min(slab // 2, low))
end

-- Whether /proc/meminfo says by itself what is available.
function proc.says_available(text) return ("\n" .. text):find "\nMemAvailable:" ~= nil end

-- A part is told as at most its whole, or their difference would be below 0: a container's meminfo as lxcfs makes it holds
-- more available than there is.
function proc.memory(text, min_free)
  local kb = {}
  for name, amount in text:gmatch "([%w_()]+):[ \t]+(%d+) kB\n" do kb[name] = integer(amount) end
  local total, swap = kb.MemTotal, kb.SwapTotal or 0
  if not total or total == 0 then return not_understood("/proc/meminfo", "MemTotal", text) end
  local available = kb.MemAvailable or estimate(kb, integer(min_free))
  if not available then
    return outcome.failed("io", "/proc/meminfo doesn't say what is available, nor what it could be computed from: %s",
      "MemAvailable, or MemFree, Active(file), Inactive(file) and SReclaimable expected")
  end
  available = math.min(available, total)
  return { total = total << 10, available = available << 10, used = (total - available) << 10,
           used_percent = 100 * (total - available) / total, swap_total = swap << 10,
           swap_used = math.max(0, swap - (kb.SwapFree or 0)) << 10 }
end

---------------------------------------------------------- load, cpu, uptime --

function proc.load(loadavg, stat)
  local one, five, fifteen = loadavg:match "^([%d.]+) ([%d.]+) ([%d.]+) "
  local _, cpus = stat:gsub("\ncpu%d+ ", "")
  if not tonumber(fifteen) then return not_understood("/proc/loadavg", "three averages", loadavg) end
  if cpus == 0 then return not_understood("/proc/stat", "a line for each CPU", stat) end
  return { one = tonumber(one), five = tonumber(five), fifteen = tonumber(fifteen), cpus = cpus }
end

function proc.uptime(uptime, boot_id)
  local seconds = tonumber(uptime:match "^([%d.]+) ")
  if not seconds then return not_understood("/proc/uptime", "seconds", uptime) end
  return { seconds = seconds, boot_id = boot_id:match "^[^\n]*" }
end

-- "cpu  user nice system idle iowait irq softirq steal …", in ticks; guests are within user and nice.
local function read_ticks(stat)
  local ticks, line = {}, stat:match "^cpu ([^\n]*)\n" or ""
  for amount in line:gmatch "%d+" do ticks[#ticks + 1] = integer(amount) end
  return #ticks >= 8 and ticks
end

-- How busy the CPUs were between two texts of /proc/stat. iowait may even go down.
function proc.cpu(first, second)
  local before, after = read_ticks(first), read_ticks(second)
  if not before or not after then return not_understood("/proc/stat", "eight counters of all CPUs", before and second or first) end
  local grown, all = {}, 0
  for i = 1, 8 do
    grown[i] = math.max(0, after[i] - before[i])
    all = all + grown[i]
  end
  if all == 0 then return outcome.failed("io", "the CPU counters of /proc/stat did not move") end
  local idle, iowait, steal = grown[4], grown[5], grown[8]
  return { used_percent = 100 * (all - idle - iowait) / all, iowait_percent = 100 * iowait / all,
           steal_percent = 100 * steal / all }
end

--------------------------------------------------------------------- disks --

local function set(words)
  local it = {}
  for word in words:gmatch "%S+" do it[word] = true end
  return it
end

-- File systems that fill up: those the kernel keeps on block devices, these, and those in memory. Of the first, images
-- are always full.
local unlisted = set "nfs nfs4 cifs smb3 ceph zfs 9p virtiofs lustre beegfs glusterfs afs ubifs bcachefs"
local images = set "squashfs iso9660 erofs cramfs udf romfs"
local fuse_pseudo = set "fuse.gvfsd-fuse fuse.portal fuse.lxcfs fuse.snapfuse fuse.squashfuse"
-- Memory that nobody writes to as to a disk: masks of /proc and /sys, what systemd, kubelet and containerd keep of each
-- unit, pod and container.
local internal = { "^/proc/", "^/sys/", "^/run/credentials/", "/kubelet/pods/", "/containers/[^/]+/mounts/",
                   "^/run/containerd/" }

local function is_real(on_device, mount)
  local kind, point = mount.type, mount.mount
  if images[kind] then return false end
  if kind:sub(1, 5) == "fuse." then return not fuse_pseudo[kind] end
  -- The root of a container that this program runs in; others are containers' and show their host's disk.
  if kind == "overlay" then return point == "/" end
  if kind == "tmpfs" then
    for _, pattern in ipairs(internal) do if point:find(pattern) then return false end end
    return not mount.read_only
  end
  return unlisted[kind] or on_device[kind] or false
end

local function unescape(word) return (word:gsub("\\(%d%d%d)", function(code) return string.char(tonumber(code, 8)) end)) end

local function has_ro(options) return ("," .. options .. ","):find(",ro,", 1, true) ~= nil end

-- proc(5): 36 35 98:0 /root /point options optional… - type source superoptions. A source that isn't a device or a server
-- could not tell two mounts apart: their number does.
local function read_mount(line)
  local number, point, options, kind, source, of_all =
    line:match "^%d+ %d+ (%S+) %S+ (%S+) (%S+).- %- (%S+) (%S+) ?(%S*)"
  if not number then return nil end
  return { mount = unescape(point), type = kind, read_only = has_ro(options) or has_ro(of_all),
           device = source:find "[/:]" and unescape(source) or number }
end

-- A mount over an older one hides it; a second one of a device (a bind mount) tells nothing new, unless it is the root.
local function place(list, new, real)
  for i, other in ipairs(list) do
    if other.mount == new.mount then
      if real then list[i] = new else table.remove(list, i) end
      return
    end
  end
  if not real then return end
  for i, other in ipairs(list) do
    if other.device == new.device then
      if new.mount == "/" then list[i] = new end
      return
    end
  end
  if #list < MOUNTS_MAX then list[#list + 1] = new end
end

-- The mounts that can fill up, each { mount, device, type, read_only }.
function proc.mounts(filesystems, mountinfo)
  local on_device, list = {}, {}
  for kind in filesystems:gmatch "\t(%S+)\n" do on_device[kind] = true end
  for kind in filesystems:gmatch "nodev\t(%S+)\n" do on_device[kind] = nil end
  for line in mountinfo:gmatch "[^\n]+" do
    local mount = read_mount(line)
    if mount then place(list, mount, is_real(on_device, mount)) end
  end
  return list
end

local function rounded_up(part, whole) return whole > 0 and math.max(0, math.ceil(100 * part / whole)) * 1.0 or 0.0 end

-- A mount with its space, as df(1) counts: what only root may use is no part of the whole. File systems in user space may
-- have more free than there is.
function proc.with_space(mount, space)
  mount.why = space.why
  if space.why then return mount end
  mount.total, mount.free = space.blocks * space.size, space.available * space.size
  local used = math.max(0, space.blocks - space.free)
  mount.used_percent = rounded_up(used, used + space.available)
  if space.inodes > 0 then mount.inodes_used_percent = rounded_up(space.inodes - space.inodes_free, space.inodes) end
  return mount
end

----------------------------------------------------------------- processes --

local states = { R = "running", S = "sleeping", D = "blocked", Z = "zombie", T = "stopped", t = "traced", I = "idle" }

-- "pid (name) S ppid …": the name may hold blanks, brackets and newlines.
local function read_stat(pid, text, units)
  local name, state, rest = text:match "^%d+ %((.*)%) (%a) (.*)$"
  if not name then return nil end
  local fields = {}
  for word in rest:gmatch "%S+" do fields[#fields + 1] = integer(word) end
  if #fields < 21 then return nil end
  local ticks, start = fields[11] + fields[12], fields[19] -- from ppid on: fields 14, 15 and 22
  local age = units.uptime - start / units.hertz
  return { pid = pid, ppid = fields[1], session = fields[3], name = name, state = states[state] or "dead",
           command = "[" .. name .. "]", cpu_seconds = ticks / units.hertz, start_ticks = start,
           cpu_percent = age > 0 and 100 * ticks / units.hertz / age or 0,
           memory_bytes = math.max(0, fields[21]) * units.page, started_at = units.boot + start / units.hertz }
end

local function joined(words)
  local command = raw_text.trimmed(table.concat(words, " "))
  return #command > COMMAND_MAX and raw_secret.whole(command:sub(1, COMMAND_MAX), "head") or command
end

local function read_records(text, from, units)
  local by_pid, words, uids = {}, {}, {}
  for pid, file, value in text:gmatch("(%d+)/(%l+):([^\0]*)\0", from) do
    pid = integer(pid)
    if file == "stat" then
      by_pid[pid] = read_stat(pid, value, units)
    elseif file == "uid" then
      uids[pid] = integer(value)
    else
      words[pid] = words[pid] or {}
      table.insert(words[pid], value)
    end
  end
  for pid, process in pairs(by_pid) do
    local command = joined(words[pid] or {})
    if command:find "%S" then process.command = command end
    process.uid = uids[pid]
  end
  return by_pid
end

-- From the bytes of effects/sysinfo_look.lua: a list by pid, and the uptime of that look. `session`: what we ourselves
-- started there, which leads a session of its own, is left out.
function proc.processes(text, session)
  local own, page, hertz, boot, uptime, from = text:match "^(%d+) (%d+) (%d+) (%d+) ([%d.]+)\n()"
  if not own then return not_understood("/proc", "our pid, sizes and times", text) end
  local units = { page = integer(page), hertz = integer(hertz), boot = integer(boot), uptime = tonumber(uptime) }
  local by_pid, list = read_records(text, from, units), {}
  local left_out = session and (by_pid[integer(own)] or {}).session
  for _, process in pairs(by_pid) do
    if not left_out or process.session ~= left_out then list[#list + 1] = process end
  end
  table.sort(list, function(a, b) return a.pid < b.pid end)
  return list, units.uptime
end

-- /etc/passwd → uid → name. A directory service may be what is down: it isn't asked.
function proc.users(passwd)
  local names = {}
  for line in passwd:gmatch "[^\n]+" do
    local name, uid = line:match "^([^:]+):[^:]*:(%d+):"
    if name then names[integer(uid)] = names[integer(uid)] or name end
  end
  return names
end

return proc
