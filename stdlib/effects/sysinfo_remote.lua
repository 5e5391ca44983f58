-- What another machine says of itself, from its /proc and its own stat and du, in the shapes of raw.sys. What
-- isn't understood is a failure to look, never a number.
local machine = require "effects.machine"
local outcome = require "outcome"
local raw_secret = require "raw.secret"

local remote = {}

-- Bytes of what /proc says of all processes.
local TABLE_BYTES = 16 << 20
-- Bytes of a command line that are kept.
local COMMAND_MAX = 4096
-- cpu and process: seconds between two looks.
local CPU_INTERVAL = 0.1

local READING = { LC_ALL = "C" }

-- Runs a script of ours with arguments: its output, or nil and an error.
function remote.script(text, timeout, arguments, max_output)
  local argv = { "/bin/sh", "-c", text, "sh", table.unpack(arguments or {}) }
  local ended, err = machine.run { argv = argv, reading = READING, timeout = timeout, max_output = max_output }
  if not ended then return nil, err end
  if ended.code == 0 and not ended.cut then return ended.stdout, ended.stderr end
  if ended.cut then return outcome.failed("limit", "the machine said more than is read") end
  local said = machine.first_line(ended.stderr)
  local kind = said:find "Permission denied" and "permission" or said:find "not found" and "missing" or "io"
  return outcome.failed(kind, "%s", said ~= "" and said or ("looking ended with code %d"):format(ended.code))
end

local function not_understood(what) return outcome.failed("io", "%s of that machine is not understood", what) end

local function integer(text) return math.tointeger(tonumber(text)) end

-------------------------------------------------------------------- memory --

function remote.memory(call)
  local text, err = remote.script("cat /proc/meminfo", call.timeout)
  if not text then return nil, err end
  local kb = {}
  for name, amount in text:gmatch "([%w_()]+):%s+(%d+) kB\n" do kb[name] = integer(amount) end
  local total, swap = kb.MemTotal, kb.SwapTotal
  if not (total and kb.MemAvailable and swap and kb.SwapFree) or total == 0 then
    return not_understood "/proc/meminfo"
  end
  local available = math.min(kb.MemAvailable, total) -- as sys_part in interpreter/sys.h, which says why
  return { total = total << 10, available = available << 10, used = (total - available) << 10,
           used_percent = 100 * (total - available) / total, swap_total = swap << 10,
           swap_used = math.max(0, swap - kb.SwapFree) << 10 }
end

---------------------------------------------------------- load, cpu, uptime --

function remote.load(call)
  local text, err = remote.script("cat /proc/loadavg && grep -c '^cpu[0-9]' /proc/stat", call.timeout)
  if not text then return nil, err end
  local one, five, fifteen, cpus = text:match "^([%d.]+) ([%d.]+) ([%d.]+) [^\n]*\n(%d+)\n$"
  if not one then return not_understood "/proc/loadavg" end
  return { one = tonumber(one), five = tonumber(five), fifteen = tonumber(fifteen), cpus = integer(cpus) }
end

function remote.uptime(call)
  local text, err = remote.script("cat /proc/uptime /proc/sys/kernel/random/boot_id", call.timeout)
  if not text then return nil, err end
  local seconds, boot_id = text:match "^([%d.]+) [^\n]*\n([%x-]+)\n$"
  if not seconds then return not_understood "/proc/uptime" end
  return { seconds = tonumber(seconds), boot_id = boot_id }
end

-- "cpu  user nice system idle iowait irq softirq steal …" → all, idle, iowait, steal in ticks
local function read_ticks(line)
  local ticks, all = {}, 0
  for amount in line:gmatch " (%d+)" do ticks[#ticks + 1] = integer(amount) end
  for i = 1, math.min(8, #ticks) do all = all + ticks[i] end
  if #ticks >= 8 then return { all = all, idle = ticks[4], iowait = ticks[5], steal = ticks[8] } end
end

function remote.cpu(call)
  local look = 'head -n 1 /proc/stat && sleep "$1" && head -n 1 /proc/stat'
  local text, err = remote.script(look, call.timeout, { ("%.3f"):format(call.interval) })
  if not text then return nil, err end
  local first, second = text:match "^cpu ([ %d]+)\ncpu ([ %d]+)\n$"
  local before, after = first and read_ticks(first), second and read_ticks(second)
  if not (before and after) then return not_understood "/proc/stat" end
  local all = after.all - before.all
  local function percent(name) return all > 0 and math.max(0, 100 * (after[name] - before[name]) / all) or 0 end
  local iowait = percent "iowait"
  return { used_percent = all > 0 and math.max(0, 100 - percent "idle" - iowait) or 0, iowait_percent = iowait,
           steal_percent = percent "steal" }
end

--------------------------------------------------------------------- disks --

local function set(words)
  local it = {}
  for word in words:gmatch "%S+" do it[word] = true end
  return it
end

-- As interpreter/sys_mounts.c chooses them, which says why.
local unlisted = set "nfs nfs4 cifs smb3 ceph zfs 9p virtiofs lustre beegfs glusterfs afs ubifs bcachefs"
local images = set "squashfs iso9660 erofs cramfs udf romfs"
local fuse_pseudo = set "fuse.gvfsd-fuse fuse.portal fuse.lxcfs fuse.snapfuse fuse.squashfuse"

local function is_real(on_device, kind, point)
  if images[kind] then return false end
  if kind:sub(1, 5) == "fuse." then return not fuse_pseudo[kind] end
  if kind == "overlay" then return point == "/" end
  return unlisted[kind] or on_device[kind] or false
end

local function unescape(word) return (word:gsub("\\(%d%d%d)", function(code) return string.char(tonumber(code, 8)) end)) end

local function read_mount(line)
  local number, point, options, kind, source = line:match "^%d+ %d+ (%S+) %S+ (%S+) (%S+).- %- (%S+) (%S+)"
  if not number then return nil end
  return { mount = unescape(point), type = kind, read_only = ("," .. options .. ","):find(",ro,", 1, true) ~= nil,
           device = source:find "[/:]" and unescape(source) or number }
end

-- Takes the place of an older one there, or of one of the same device when it is the root; else of none.
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
  list[#list + 1] = new
end

local function mounts(call)
  local text, err = remote.script("cat /proc/filesystems && echo && cat /proc/self/mountinfo", call.timeout)
  if not text then return nil, err end
  local known, table_text = text:match "^(.-\n)\n(.+)$"
  if not known then return not_understood "/proc/self/mountinfo" end
  local on_device, list = {}, {}
  for kind in known:gmatch "\t(%S+)\n" do on_device[kind] = true end
  for kind in known:gmatch "nodev\t(%S+)\n" do on_device[kind] = nil end
  for line in table_text:gmatch "[^\n]+" do
    local mount = read_mount(line)
    if mount then place(list, mount, is_real(on_device, mount.type, mount.mount)) end
  end
  return list
end

-- Each looks for itself, so that one that hangs holds up none; when time is over the others have answered.
local LOOK = [[
i=0
for mount; do
  i=$((i+1))
  { answer=$(stat -f -c '%S %b %f %a %c %d' -- "$mount" 2>&1) && echo "$i $answer" || echo "$i ! $answer"; } &
done
wait
]]

local function rounded_up(part, whole) return whole > 0 and math.max(0, math.ceil(100 * part / whole)) * 1.0 or 0.0 end

local function fill_in(disk, answer)
  disk.why = answer:match "^! (.*)$"
  if disk.why then return true end
  local size, blocks, free, available, inodes, inodes_free = answer:match "^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$"
  if not size then return false end
  size, blocks, free, available = integer(size), integer(blocks), integer(free), integer(available)
  inodes, inodes_free = integer(inodes), integer(inodes_free)
  disk.total, disk.free = blocks * size, available * size
  local used = math.max(0, blocks - free)
  disk.used_percent = rounded_up(used, used + available)
  if inodes > 0 then disk.inodes_used_percent = rounded_up(inodes - inodes_free, inodes) end
  return true
end

-- As raw.sys.disks.
function remote.disks(call, mount_timeout)
  local list, err = mounts(call)
  if not list or not list[1] then return list, err end
  local argv = { "/bin/sh", "-c", LOOK, "sh" }
  for i, disk in ipairs(list) do argv[4 + i] = disk.mount end
  local ended
  ended, err = machine.run { argv = argv, reading = READING, timeout = mount_timeout }
  if not ended and err.kind ~= "timeout" then return nil, err end
  for index, answer in ((ended or err).stdout or ""):gmatch "(%d+) ([^\n]*)\n" do
    local disk = list[integer(index)]
    if not disk or not fill_in(disk, answer) then return not_understood "stat -f" end
  end
  for _, disk in ipairs(list) do
    if not disk.total and not disk.why then disk.why = ("did not answer within %g s"):format(mount_timeout) end
  end
  return list
end

------------------------------------------------------------------------ du --

local DU = [[
[ -e "$1" ] || [ -L "$1" ] || { stat -- "$1" >/dev/null 2>&1 || echo absent; exit 0; }
du -sx -B1 -- "$1" | cut -f 1
du -sx --inodes -- "$1" 2>/dev/null | cut -f 1
]]

function remote.du(call)
  local text, said = remote.script(DU, call.timeout, { call.path })
  if not text then return nil, said end
  if text == "absent\n" then return { state = "absent", bytes = 0, entries = 0, cut = false, unread = 0 } end
  local bytes, entries = text:match "^(%d+)\n(%d+)\n$"
  if not bytes then return outcome.failed("io", "du: %s", machine.first_line(said)) end
  local _, unread = said:gsub("[^\n]+", "")
  return { state = "present", bytes = integer(bytes), entries = integer(entries), cut = unread > 0, unread = unread,
           unread_first = unread > 0 and machine.first_line(said) or nil }
end

----------------------------------------------------------------- processes --

-- grep -z ends by NUL what a file says, with the file's name before it: any command line goes through. Files
-- of processes that ended meanwhile are passed over; so its exit code says nothing.
local PROCESSES = [[
cd /proc && echo "$$ $(getconf PAGESIZE) $(getconf CLK_TCK) $(sed -n 's/^btime //p' stat) $(cut -d' ' -f1 uptime)" || exit 1
grep -aHz '' [0-9]*/stat [0-9]*/cmdline 2>/dev/null
printf '\0'
if [ "$1" = users ]; then stat -c '%n %U' [0-9]* 2>/dev/null; else sleep "$1"; fi
printf '\0'
cut -d' ' -f1 uptime
grep -aHz '' [0-9]*/stat 2>/dev/null
exit 0
]]

local states = { R = "running", S = "sleeping", D = "blocked", Z = "zombie", T = "stopped", t = "traced", I = "idle" }

local function read_process(pid, text, units)
  local name, state, rest = text:match "^%d+ %((.*)%) (%a) (.*)$"
  if not name then return nil end
  local fields = {}
  for word in rest:gmatch "%S+" do fields[#fields + 1] = integer(word) end
  if #fields < 21 then return nil end
  local ticks, start = fields[11] + fields[12], fields[19] -- from ppid on: proc(5)'s fields 14, 15 and 22
  local age = units.uptime - start / units.hertz
  return { pid = pid, ppid = fields[1], session = fields[3], name = name, state = states[state] or "dead",
           command = "[" .. name .. "]", cpu_seconds = ticks / units.hertz, start_ticks = start,
           cpu_percent = age > 0 and 100 * ticks / units.hertz / age or 0,
           memory_bytes = math.max(0, fields[21]) * units.page, started_at = units.boot + start / units.hertz }
end

-- "4711/cmdline:word" for each word of it.
local function read_records(text, units)
  local by_pid, words = {}, {}
  for pid, file, value in text:gmatch "(%d+)/(%l+):([^\0]*)\0" do
    pid = integer(pid)
    if file == "stat" then
      by_pid[pid] = read_process(pid, value, units)
    else
      words[pid] = words[pid] or {}
      table.insert(words[pid], value)
    end
  end
  for pid, list in pairs(words) do
    local command = table.concat(list, " ")
    if #command > COMMAND_MAX then command = raw_secret.whole(command:sub(1, COMMAND_MAX), "head") end
    if by_pid[pid] and command:find "%S" then by_pid[pid].command = command end
  end
  return by_pid
end

-- What we ourselves started there leads a session of its own: it is left out.
local function listed(by_pid, own)
  local list, session = {}, by_pid[own] and by_pid[own].session
  for _, process in pairs(by_pid) do
    if process.session ~= session then list[#list + 1] = process end
  end
  table.sort(list, function(a, b) return a.pid < b.pid end)
  return list
end

local function look(call, what)
  local text, err = remote.script(PROCESSES, call.timeout, { what }, TABLE_BYTES)
  if not text then return nil, err end
  local own, page, hertz, boot, uptime, from = text:match "^(%d+) (%d+) (%d+) (%d+) ([%d.]+)\n()"
  local first, middle, last = text:match("^(.-\0)\0([^\0]*)\0(.*)$", from)
  if not first then return not_understood "/proc" end
  local units = { page = integer(page), hertz = integer(hertz), boot = integer(boot), uptime = tonumber(uptime) }
  return { list = listed(read_records(first, units), integer(own)), middle = middle, last = last, units = units }
end

-- As raw.sys.process_table, with cpu_percent_now: of one CPU, over CPU_INTERVAL; nil of those that ended.
function remote.process_table(call)
  local it, err = look(call, tostring(CPU_INTERVAL))
  if not it then return nil, err end
  local now, from = it.last:match "^([%d.]+)\n()"
  if not now then return not_understood "/proc" end
  local after, elapsed = read_records(it.last:sub(from), it.units), tonumber(now) - it.units.uptime
  for _, process in ipairs(it.list) do
    local later = after[process.pid]
    if later and later.start_ticks == process.start_ticks and elapsed > 0 then
      process.cpu_percent_now = 100 * (later.cpu_seconds - process.cpu_seconds) / elapsed
    end
  end
  return it.list
end

local function top(list, count, field)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted, function(a, b)
    if a[field] ~= b[field] then return a[field] > b[field] end
    return a.pid < b.pid
  end)
  local first = {}
  for i = 1, math.min(count, #sorted) do
    local it = sorted[i]
    first[i] = { pid = it.pid, ppid = it.ppid, name = it.name, command = it.command, state = it.state, user = it.user,
                 memory_bytes = it.memory_bytes, cpu_seconds = it.cpu_seconds, cpu_percent = it.cpu_percent,
                 started_at = it.started_at }
  end
  return first
end

-- As raw.sys.processes.
function remote.processes(call)
  local it, err = look(call, "users")
  if not it then return nil, err end
  local users = {}
  for pid, user in it.middle:gmatch "(%d+) (%S+)\n" do users[integer(pid)] = user end
  for _, process in ipairs(it.list) do process.user = users[process.pid] end
  return { count = #it.list, by_cpu = top(it.list, call.top, "cpu_seconds"),
           by_memory = top(it.list, call.top, "memory_bytes") }
end

return remote
