-- sysinfo: what a machine says of itself. All are reads. Processes stand in effects/sysinfo_process.lua.
local blame = require "blame"
local duration = require "duration"
local look = require "effects.sysinfo_look"
local machine = require "effects.machine"
local outcome = require "outcome"
local proc = require "effects.sysinfo_proc"
local sys = require "raw.sys"

-- A mount that hasn't answered after this many seconds is named as silent: a dead file server would hang the
-- whole look.
local MOUNT_TIMEOUT = 2
-- cpu is measured over this long at most.
local INTERVAL_MAX = "1m"

local size_text = duration.size_text

local function percent_text(percent) return ("%.0f %%"):format(percent) end

-- A `run` that reads files and parses their texts, the same here and elsewhere.
local function reads(files, parse)
  return function(call)
    local texts, err = look.texts(files, call.timeout)
    if not texts then return nil, err end
    return parse(table.unpack(texts))
  end
end

-------------------------------------------------------------------- memory --

local function memory(call)
  local texts, err = look.texts({ "/proc/meminfo" }, call.timeout)
  if not texts then return nil, err end
  if proc.says_available(texts[1]) then return proc.memory(texts[1]) end
  local more = look.texts({ "/proc/sys/vm/min_free_kbytes" }, call.timeout)
  return proc.memory(texts[1], more and more[1])
end

machine.effect("sysinfo.memory", {
  summary = "Looks at the machine's memory",
  class = "read",
  result = {
    used_percent = "number: of total; what the kernel could give back at once counts as free (computed as the kernel "
      .. "does where it is too old to say)",
    available = "integer: bytes a program could get without swapping", total = "integer: bytes",
    used = "integer: bytes",
    swap_total = "integer: bytes", swap_used = "integer: bytes",
  },
  run = memory,
  command = function() return { "free", "-b" } end,
  specimen = { used_percent = 40, available = 9 << 30, total = 15 << 30, used = 6 << 30, swap_total = 0,
               swap_used = 0 },
  sum_up = function(it)
    return ("%s used, %s of %s available"):format(percent_text(it.used_percent), size_text(it.available),
      size_text(it.total))
  end,
})

--------------------------------------------------------------------- disks --

-- The one of those that answered with the most of `field` used; what can't be written to can't fill up, and is taken when
-- nothing can.
local function most_used(disks, field)
  local most
  for _, disk in ipairs(disks) do
    local first = most and most.read_only and not disk.read_only
    local fuller = not most or first or most.read_only == disk.read_only and disk[field] and disk[field] > most[field]
    if disk[field] and fuller then most = disk end
  end
  return most
end

local function sum_up_disks(it)
  local full = it.fullest
  local parts = { ("%s is the fullest: %s used, %s free"):format(full.mount, percent_text(full.used_percent),
    size_text(full.free)) }
  for _, mount in ipairs(it.silent) do
    parts[#parts + 1] = ("%s: %s"):format(mount, it.by_mount[mount].why)
  end
  return table.concat(parts, "; ")
end

-- Every mount that can fill up, with its space or why it gave no answer.
local function mounts(call)
  local texts, err = look.texts({ "/proc/filesystems", "/proc/self/mountinfo" }, call.timeout)
  if not texts then return nil, err end
  local list, points, spaces = proc.mounts(table.unpack(texts)), {}, nil
  for i, mount in ipairs(list) do points[i] = mount.mount end
  spaces, err = look.spaces(points, math.min(MOUNT_TIMEOUT, call.timeout))
  if not spaces then return nil, err end
  for i, mount in ipairs(list) do proc.with_space(mount, spaces[i]) end
  return list
end

local function disks(call)
  local list, err = mounts(call)
  if not list then return nil, err end
  local it = { by_mount = {}, silent = {} }
  for _, disk in ipairs(list) do
    it.by_mount[disk.mount] = disk
    if disk.why then it.silent[#it.silent + 1] = disk.mount end
  end
  it.fullest, it.fewest_inodes = most_used(list, "used_percent"), most_used(list, "inodes_used_percent")
  if not it.fullest then
    if not list[1] then return outcome.failed("io", "no disk is mounted") end
    return outcome.failed("io", "no disk answered: %s: %s", list[1].mount, list[1].why)
  end
  return it
end

machine.effect("sysinfo.disks", {
  summary = "Looks how full the machine's disks are, and its file systems in memory (tmpfs: /run, /tmp, /dev/shm); one that "
    .. "doesn't answer is named, not waited for",
  class = "read",
  result = {
    fullest = "map: of those that answered and can be written to: mount device type used_percent inodes_used_percent free "
      .. "total read_only",
    fewest_inodes = "map: the same of the one with the most inodes used; nil when none counts them",
    by_mount = "map: mount → the same; one that didn't answer has `why` and no numbers",
    silent = "list: the mounts that didn't answer",
  },
  run = disks,
  command = function() return { "df", "-P" } end,
  specimen = function()
    local root = { mount = "/", device = "/dev/vda1", type = "ext4", used_percent = 40, free = 60 << 30,
                   total = 100 << 30, inodes_used_percent = 10, read_only = false }
    return { fullest = root, fewest_inodes = root, by_mount = { ["/"] = root }, silent = {} }
  end,
  sum_up = sum_up_disks,
})

------------------------------------------------------------------------ du --

local function du(call)
  local it, err = sys.du { path = call.path, timeout = call.timeout }
  if it then
    return { state = "present", bytes = it.bytes, entries = it.entries, cut = it.cut or it.errors.count > 0,
             unread = it.errors.count, unread_first = it.errors.first }
  end
  if err.kind ~= "missing" then return nil, err end
  return { state = "absent", bytes = 0, entries = 0, cut = false, unread = 0 }
end

machine.effect("sysinfo.du", {
  summary = "Adds up what a folder or file takes on its disk, without other file systems and symbolic links",
  class = "read",
  params = { { "path", "string", "From the root" } },
  options = { timeout = { "duration", "60s", "The longest it may take" } },
  result = {
    bytes = "integer: on disk, hard links once; 0 when it is absent", entries = "integer: files and folders",
    state = "string: present absent",
    cut = "boolean: something is missing in the sum: too many files, or some unreadable",
    unread = "integer: folders and files that couldn't be looked at",
    unread_first = "string: the first of them, and why",
  },
  check = function(call) call.path = machine.path("sysinfo.du", "argument 1 (path)", call.path) end,
  run = du,
  away = look.du,
  as_root = true,
  command = function(call) return { "du", "-sxB1", "--", call.path } end,
  specimen = { state = "present", bytes = 1 << 30, entries = 1000, cut = false, unread = 0 },
  sum_up = function(it)
    if it.state == "absent" then return "absent" end
    local more = it.cut and "; cut" or ""
    if it.unread > 0 then more = ("; %d could not be read (%s)"):format(it.unread, it.unread_first) end
    return ("%s in %d entries%s"):format(size_text(it.bytes), it.entries, more)
  end,
})

---------------------------------------------------------- load, cpu, uptime --

machine.effect("sysinfo.load", {
  summary = "Looks at the load: how many processes run or wait for a disk, on average",
  class = "read",
  result = { one = "number: over a minute", five = "number: over five", fifteen = "number: over fifteen",
             cpus = "integer: how many there are" },
  run = reads({ "/proc/loadavg", "/proc/stat" }, proc.load),
  command = function() return { "uptime" } end,
  specimen = { one = 0.5, five = 0.5, fifteen = 0.5, cpus = 4 },
  sum_up = function(it)
    return ("load %.2f %.2f %.2f on %d CPUs"):format(it.one, it.five, it.fifteen, it.cpus)
  end,
})

machine.effect("sysinfo.cpu", {
  summary = "Measures how busy the CPUs are",
  class = "read",
  options = { interval = { "duration", "1s", "How long to measure, at most " .. INTERVAL_MAX } },
  result = { used_percent = "number: of all CPUs; waiting for a disk counts as not used",
             iowait_percent = "number: idle, waiting for a disk",
             steal_percent = "number: taken by the host of this virtual machine" },
  check = function(call)
    if call.interval > duration.parse(INTERVAL_MAX) then
      blame.raise("sysinfo.cpu: option 'interval': at most %s", INTERVAL_MAX)
    end
    call.timeout = math.max(call.timeout, call.interval + 5)
  end,
  run = function(call) return reads({ "/proc/stat", call.interval, "/proc/stat" }, proc.cpu)(call) end,
  command = function(call) return { "vmstat", ("%d"):format(math.max(1, math.ceil(call.interval))), "2" } end,
  specimen = { used_percent = 20, iowait_percent = 1, steal_percent = 0 },
  sum_up = function(it)
    return ("%s used, %s waiting for disks"):format(percent_text(it.used_percent),
      percent_text(it.iowait_percent))
  end,
})

machine.effect("sysinfo.uptime", {
  summary = "Tells since when the machine is up",
  class = "read",
  result = { seconds = "number: since it was started", boot_id = "string: another after every start" },
  run = reads({ "/proc/uptime", "/proc/sys/kernel/random/boot_id" }, proc.uptime),
  command = function() return { "uptime", "-s" } end,
  specimen = { seconds = 1e6, boot_id = "00000000-0000-0000-0000-000000000000" },
  sum_up = function(it) return "up for " .. machine.span(it.seconds) end,
})

require "effects.sysinfo_process"
require "effects.sysinfo_packages"
