-- sysinfo over a made-up machine: what is told of disks that don't answer, of processes that match, of
-- folders that aren't there.
local catalogue = require "catalogue"
local files = require "raw.files"
local look = require "effects.sysinfo_look"
local proc = require "effects.sysinfo_proc"
local settings = require "settings"
local sys = require "raw.sys"
settings.host_name = "here"
catalogue.family "sysinfo"

local function equal(got, wanted, what)
  if got ~= wanted then
    error(("%s: %q expected, got %q"):format(what, tostring(wanted), tostring(got)), 2)
  end
end

local function entry(name) return catalogue.effects["sysinfo." .. name] end
local function run(name, ...)
  local call = catalogue.call(entry(name), ...)
  return entry(name).run(call)
end
local function raises(pattern, name, ...)
  local ok, message = pcall(catalogue.call, entry(name), ...)
  if ok or not tostring(message):find(pattern, 1, true) then
    error(("an error with %q expected, got %s"):format(pattern, tostring(message)), 2)
  end
end

----------------------------------------------------------------------- Disks --

local filesystems = "nodev\tproc\nnodev\ttmpfs\nnodev\toverlay\n\text4\n\txfs\n\tsquashfs\n\tiso9660\n"
local function mounts(mountinfo, known)
  local parts = {}
  for i, it in ipairs(proc.mounts(known or filesystems, mountinfo)) do
    parts[i] = it.mount .. "=" .. it.device .. (it.read_only and " ro" or "")
  end
  return table.concat(parts, "\n")
end

equal(mounts [[
21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 21 0:5 / /proc rw - proc proc rw
23 21 0:6 / /run rw - tmpfs tmpfs rw
24 21 8:1 /srv /srv/bind rw - ext4 /dev/sda1 rw
25 21 8:2 / /with\040blank\134slash rw shared:5 master:2 - xfs /dev/mapper/a\040b rw
26 21 7:1 / /snap/core ro - squashfs /dev/loop1 ro
26 21 11:0 / /media/cd ro - iso9660 /dev/sr0 ro
27 21 0:40 / /home rw - nfs4 server:/home rw
28 21 0:41 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
29 21 8:3 / /hidden rw - ext4 /dev/sdc1 rw
30 21 0:42 / /hidden rw - proc proc rw
31 21 8:4 / /over rw - ext4 /dev/sdd1 rw
32 21 8:5 / /over rw - ext4 /dev/sde1 ro
33 21 0:43 / /pool rw - zfs pool rw
34 21 0:44 / /auto rw - autofs systemd-1 rw
35 21 0:45 / /run/user/0/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw
36 21 0:46 / /mnt/ssh rw - fuse.sshfs user@host:/ rw
37 21 0:47 / /dev/shm rw - tmpfs tmpfs rw
38 21 0:48 / /sys/fs/cgroup ro - tmpfs tmpfs ro
39 21 0:49 / /run/credentials/x.service rw - tmpfs tmpfs rw
40 21 0:50 / /var/lib/kubelet/pods/1/volumes/token rw - tmpfs tmpfs rw
41 21 0:51 / /firmware ro - tmpfs tmpfs ro
garbage
]], [[
/=/dev/sda1
/run=0:6
/with blank\slash=/dev/mapper/a b
/home=server:/home
/over=/dev/sde1 ro
/pool=0:43
/mnt/ssh=user@host:/
/dev/shm=0:47]], "which mounts can fill up")
equal(mounts("21 1 0:41 / / rw - overlay overlay rw\n22 21 8:1 /x /etc/hosts rw - ext4 /dev/sda1 rw\n"),
  "/=0:41\n/etc/hosts=/dev/sda1", "a container's root")

-- Blocks of 4 KB: how many, free, available; inodes, free.
local function space(blocks, free, available, inodes, inodes_free)
  return { size = 4096, blocks = blocks, free = free, available = available, inodes = inodes, inodes_free = inodes_free }
end
local mountinfo, spaces
function look.texts(wanted) return wanted[1] == "/proc/filesystems" and { filesystems, mountinfo } end
function look.spaces() return spaces end
mountinfo = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /var/log rw - ext4 /dev/b rw\n3 1 0:9 / /home rw - nfs4 s:/home rw\n"
spaces = { space(1000, 600, 500, 100, 5), space(1000, 90, 90, 0, 0), { why = "did not answer within 2 s" } }
local it = run "disks"
equal(it.fullest.mount, "/var/log", "the fullest")
equal(it.by_mount["/"].used_percent, 45.0, "as df counts: what is root's alone is no part of the whole")
equal(it.fewest_inodes.mount .. it.fewest_inodes.inodes_used_percent, "/95.0", "the one with the most inodes used")
equal(it.by_mount["/home"].used_percent, nil, "nothing is known of a silent one")
equal(table.concat(it.silent, " "), "/home", "the silent ones")
equal(entry "disks".sum_up(it),
  "/var/log is the fullest: 91 % used, 360 KB free; /home: did not answer within 2 s", "its summary")
spaces = { space(1000, 2000, 2000, 100, 200), space(0, 0, 0, 0, 0), { why = "no" } }
it = run "disks"
equal(it.by_mount["/"].used_percent .. " " .. it.by_mount["/"].inodes_used_percent .. " "
  .. it.by_mount["/var/log"].used_percent, "0.0 0.0 0.0", "more free than there is; no blocks at all")
mountinfo = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /usr ro - ext4 /dev/b ro\n3 1 0:9 / /run rw - tmpfs tmpfs rw\n"
spaces = { space(1000, 600, 600, 100, 50), space(1000, 0, 0, 100, 0), space(1000, 0, 0, 100, 99) }
it = run "disks"
equal(it.fullest.mount, "/run", "a full tmpfs; what is read-only is full by design")
equal(it.fewest_inodes.mount, "/", "nor do its inodes count")
equal(it.by_mount["/usr"].used_percent, 100.0, "but it is told")
mountinfo, spaces = "2 1 8:2 / / ro - ext4 /dev/b ro\n", { space(1000, 0, 0, 100, 0) }
equal(run "disks".fullest.mount, "/", "a machine that is read-only altogether")
spaces = { { why = "did not answer within 2 s" } }
local fields, err = run "disks"
equal(fields, nil, "no disk answered")
equal(err.message, "no disk answered: /: did not answer within 2 s", "and why")

---------------------------------------------------------- Memory, load, cpu --

local old = "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 5 kB\nCached: 500 kB\nActive(file): 200 kB\nInactive(file): 100 kB\n"
  .. "SReclaimable: 40 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
equal(proc.memory("MemTotal: 10 kB\nMemAvailable: 12 kB\nSwapTotal: 1 kB\nSwapFree: 2 kB\n").used_percent, 0.0,
  "more available than there is")
-- 100 free - 10 low + 300 cache - min(150, 10) + 40 slab - min(20, 10)
equal(proc.memory(old, "8\n").available, 410 << 10, "as the kernel estimates it")
fields, err = proc.memory(old)
equal(err.message:match "^[^:]*", "/proc/meminfo doesn't say what is available, nor what it could be computed from",
  "without the low watermark")
fields, err = proc.memory "hello"
equal(err.message, '/proc/meminfo is not understood: MemTotal expected, got "hello"', "another file")
local asked = {}
function look.texts(wanted)
  asked[#asked + 1] = wanted[1]
  return { wanted[1] == "/proc/meminfo" and old or "8\n" }
end
equal(run "memory".available, 410 << 10, "an old kernel's")
equal(table.concat(asked, " "), "/proc/meminfo /proc/sys/vm/min_free_kbytes", "and what was read for it")
local stat = "cpu  10 0 10 70 10 0 0 0 0 0\ncpu0 5 0 5 35 5 0 0 0\ncpu1 5 0 5 35 5 0 0 0\nbtime 1\n"
equal(proc.load("0.50 1.00 2.25 1/2 3\n", stat).fifteen + proc.load("0.50 1.00 2.25 1/2 3\n", stat).cpus, 4.25, "the load")
equal(proc.cpu(stat, "cpu  30 0 20 120 5 0 0 20 0 0\n").used_percent, 50.0, "30 + 20 of 100; iowait went down")
fields, err = proc.cpu(stat, stat)
equal(err.message, "the CPU counters of /proc/stat did not move", "nothing to tell")
fields, err = proc.uptime("x", "y")
equal(err.kind, "io", "no uptime")

--------------------------------------------------------------------- Folders --

function sys.du() return nil, { kind = "missing", message = "/x: no such file or directory" } end
it = run("du", "/x")
equal(it.state .. it.bytes .. entry "du".sum_up(it), "absent0absent", "a folder that isn't there")
function sys.du() return { bytes = 3 << 20, entries = 7, cut = false,
                           errors = { count = 2, first = "/x/y: Permission denied" } } end
it = run("du", "/x")
equal(it.cut, true, "an incomplete sum")
equal(entry "du".sum_up(it), "3 MB in 7 entries; 2 could not be read (/x/y: Permission denied)", "says so")
function sys.du() return nil, { kind = "permission", message = "/x: permission denied" } end
fields, err = run("du", "/x")
equal(err.kind, "permission", "a folder we may not look at")
raises("a path from the root", "du", "x")
raises("'..' is refused", "du", "/x/../y")

------------------------------------------------------------------- Processes --

-- A process's bytes; its start in ticks says which is older, `used` are its ticks of CPU.
local function process(pid, ppid, name, command, state, start, used)
  local text = ("%d/stat:%d (%s) %s %d 0 %d"):format(pid, pid, name, state or "S", ppid, pid)
    .. (" 0"):rep(7) .. (" %d 0"):format(used or 0) .. (" 0"):rep(6) .. (" %d 0 1 0\n\0"):format(start or pid)
  for word in command:gmatch "%S+" do text = text .. ("%d/cmdline:%s\0"):format(pid, word) end
  return text .. ("%d/uid:%d\0"):format(pid, pid)
end
local list
local function bytes(uptime, processes) return ("50 4096 100 1000 %s\n"):format(uptime) .. table.concat(processes) end
local looks = 0
function look.processes(_, all)
  looks = looks + 1
  if all then return bytes("10.00", list) end
  local later = {}
  for i, it in ipairs(list) do later[i] = it:gsub("^(%d+/stat:.- 0 0 0 0 0 0 0) (%d+)", "%1 10") end
  return bytes("10.10", later)
end
function look.texts(wanted)
  return wanted[1] == "/etc/passwd" and { "root:x:0:0:\nada:x:21:21:\n" } or { "", "" }
end
function files.read() return { text = "50 (run) book) S 49 50 50 0" } end

list = { process(1, 0, "init", "/sbin/init"), process(20, 1, "api", "dotnet Api.dll", nil, 900),
         process(21, 20, "api", "dotnet Api.dll", nil, 800),
         process(22, 1, "api", "dotnet Api.dll", "Z"), process(40, 1, "sshd", "sshd: op [priv]"),
         process(48, 40, "sudo", "sudo runbook -p process=Api.dll"),
         process(49, 48, "sh", "sh check.sh Api.dll"),
         process(60, 1, "run) book", "runbook run -p process=Api.dll"),
         process(66, 1, "odd) S (\n", "") }
it = run("process", [[Api\.dll]])
equal(it.state, "running", "it runs")
equal(it.count, 2, "not those it was typed for, not the dead")
equal(it.pid, 21, "the oldest")
equal(("%.0f"):format(it.cpu_percent), "200", "both together: 10 ticks each in 100 ms")
equal(it.memory_bytes, 8192, "both together")
equal(it.processes[1].command .. it.processes[2].pid, "dotnet Api.dll20", "each of them")
equal(entry "process".sum_up(it), "2 processes, the oldest pid 21, 200 % CPU, 8 KB", "its summary")
equal(run("process", "^sshd").state, "running", "a server that we descend from")
it = run("process", "nothing of the kind")
equal(it.state .. it.count .. it.cpu_percent .. it.memory_bytes, "absent000", "absent")
equal(it.pid, nil, "absent has no pid")
equal(run("process", [=[^\[odd\) S \(\n\]$]=]).pid, 66, "a name of brackets and a newline, without a command line")
it = run("processes", { top = 2 })
equal(it.count .. it.by_memory[1].command .. tostring(it.by_memory[1].user), "9/sbin/init1", "all of them; a user without a name")
equal(run("processes").by_cpu[3].user, "ada", "and one with a name")
raises("an empty pattern", "process", "")
raises("missing closing parenthesis", "process", "(")
function files.read() return nil, { kind = "permission", message = "no" } end
equal(run("process", "^dotnet").count, 2, "without /proc/self")
function look.processes() return nil, { kind = "permission", message = "no" } end
fields, err = run("process", "x")
equal(err.kind, "permission", "no look at processes")

------------------------------------------------------------------- Packages --

-- What the machine's shell prints: from when, whether older logs are there, the first line read; lines; their times.
local said, ran
require("raw.process").run = function(spec)
  ran = spec
  if said.kind then return nil, said end
  return { code = said.code or 0, stdout = said[1] or "", stderr = said.stderr or "", cut = false }
end

local function log(more, first, lines, times)
  said = { ("2026-11-23 15:00:00|%s|%s\n%s\n\n%s\n"):format(more, first, table.concat(lines, "\n"),
    table.concat(times, "\n")) }
end
local now = math.floor(require("tasks").wall())
local install = "2026-11-23 17:40:00 install nginx:amd64 <none> 1.22.1-9+deb12u11"
local upgrade = "2026-11-23 17:41:02 upgrade postgresql-15:amd64 15.17-0+deb12u1 1:15.18-0+deb12u1"
local remove = "2026-11-23 17:42:00 remove libx+y2.0:all 2~rc1-3 <none>"
log("more", "2026-11-01 00:00:00 startup archives unpack", { install, upgrade, remove }, { now - 300, now - 200, now - 100 })
it = run("packages", { since = "1h" })
equal(it.state .. it.count .. tostring(it.cut), "present3false", "all three")
equal(it.packages[1].name .. it.packages[1].action .. it.packages[1].from, "libx+y2.0remove2~rc1-3", "the newest first")
equal(it.packages[1].to, nil, "what was removed has no version")
equal(it.packages[2].from .. " " .. it.packages[2].to, "15.17-0+deb12u1 1:15.18-0+deb12u1", "from and to")
equal(it.packages[3].from, nil, "what was new had none")
equal(it.packages[3].at, now - 300, "when")
equal(entry "packages".sum_up(it), "3 packages changed", "its summary")
equal(math.abs(tonumber(ran.argv[5]) - (now - 3600)) <= 1, true, "from when")
equal(ran.argv[6], "/var/log/dpkg.log", "the log")
equal(run("packages", { since = "150s" }).count, 1, "only those younger")
log("more", "2026-11-23 17:40:00 startup", { install }, { now - 300 })
equal(run("packages", { since = "1h" }).cut, true, "older logs would be needed")
log("", "2026-11-23 17:40:00 startup", { install }, { now - 300 })
equal(run("packages", { since = "1h" }).cut, false, "there are none")
said = { "2026-11-23 15:00:00||\n" }
equal(run("packages").count, 0, "nothing changed")
said = { "absent\n" }
it = run("packages")
equal(it.state .. it.count .. entry "packages".sum_up(it), "absent0there is no dpkg log", "not a Debian")
local many, times = {}, {}
for i = 1, 1500 do many[i], times[i] = install:gsub("nginx", "p" .. i), now - 2000 + i end
log("", "x", many, times)
it = run("packages", { since = "1h" })
equal(#it.packages .. " " .. it.count .. tostring(it.cut) .. it.packages[1].name, "1000 1500truep1500", "the newest stay")
for what, given in pairs { ["a torn line"] = { "2026-11-23 17:40:00 upgrade ngi", now }, ["no date"] = { "\1\1", now },
                           ["another action"] = { "2026-11-23 17:40:00 Upgrade a:b 1 2", now }, ["no time"] = { install } } do
  log("", "x", { given[1] }, { given[2] })
  fields, err = run("packages")
  equal(fields, nil, what)
  equal(err.kind, "io", what)
end
log("", "x", { install }, { now, now })
equal(run "packages", nil, "a time too many")
said = { code = 2, stderr = "awk: cannot open /var/log/dpkg.log (Permission denied)\n" }
equal(select(2, run "packages").kind, "permission", "not ours to read")
raises("a path from the root", "packages", { log = "dpkg.log" })

------------------------------------------------------------------- Arguments --

raises("at most 1m", "cpu", { interval = "2m" })
equal(catalogue.call(entry "cpu", { interval = "30s" }).timeout, 35, "a deadline after the measurement")
raises("1 to 100", "processes", { top = 0 })
raises("no 'db'", "memory", { on = "db" })
equal(catalogue.line(entry "memory", catalogue.call(entry "memory", { on = "" })), "sysinfo.memory @here",
  "the line")
for name, effect in pairs(catalogue.effects) do
  if effect.family == "sysinfo" then
    local call = effect.params[1] and { [effect.params[1][1]] = "/x", on = "" } or { on = "", interval = 1, log = "/x" }
    local specimen = type(effect.specimen) == "function" and effect.specimen(call) or effect.specimen
    for field in pairs(specimen) do assert(effect.result[field] or field == "cut",
      name .. ": unlisted " .. field) end
    assert(effect.sum_up(specimen), name)
    assert(#effect.command(call) > 0, name)
  end
end
print "sysinfo: well"
