-- sysinfo over a made-up machine: what is told of disks that don't answer, of processes that match, of
-- folders that aren't there.
local catalogue = require "catalogue"
local files = require "raw.files"
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

local root = { mount = "/", device = "/dev/a", type = "ext4", used_percent = 40, inodes_used_percent = 95,
               free = 1 << 30, total = 2 << 30 }
local log = { mount = "/var/log", device = "/dev/b", type = "ext4", used_percent = 91, free = 1 << 20,
              total = 1 << 30 }
local home = { mount = "/home", device = "server:/home", type = "nfs4", why = "did not answer within 2 s" }
function sys.disks() return { root, log, home } end
local it = run "disks"
equal(it.fullest, log, "the fullest")
equal(it.fewest_inodes, root, "the one with the most inodes used")
equal(it.by_mount["/home"].used_percent, nil, "nothing is known of a silent one")
equal(table.concat(it.silent, " "), "/home", "the silent ones")
equal(entry "disks".sum_up(it),
  "/var/log is the fullest: 91 % used, 1 MB free; /home: did not answer within 2 s", "its summary")
function sys.disks() return { home } end
local fields, err = run "disks"
equal(fields, nil, "no disk answered")
equal(err.message, "no disk answered: /home: did not answer within 2 s", "and why")

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

local function process(pid, ppid, name, command, state, started_at)
  return { pid = pid, ppid = ppid, name = name, command = command, state = state or "sleeping",
           started_at = started_at or pid,
           memory_bytes = 100, cpu_seconds = 1, cpu_percent = 1 }
end
local list
function sys.process_table() return list end
function sys.process_cpu(given)
  local percents = {}
  for _, pid in ipairs(given.pids) do if pid ~= 66 then percents[pid] = pid end end
  return percents
end
function files.read() return { text = "50 (run) book) S 49 50 50 0" } end

list = { process(1, 0, "init", "/sbin/init"), process(20, 1, "api", "dotnet Api.dll", nil, 900),
         process(21, 20, "api", "dotnet Api.dll", nil, 800),
         process(22, 1, "api", "dotnet Api.dll", "zombie"), process(40, 1, "sshd", "sshd: op [priv]"),
         process(48, 40, "sudo", "sudo runbook -p process=Api.dll"),
         process(49, 48, "sh", "sh check.sh Api.dll"),
         process(60, 1, "run) book", "runbook run -p process=Api.dll"),
         process(66, 1, "api", "dotnet Api.dll") }
it = run("process", [[Api\.dll]])
equal(it.state, "running", "it runs")
equal(it.count, 2, "not those it was typed for, not the dead, not one that ended meanwhile")
equal(it.pid, 21, "the oldest")
equal(it.cpu_percent, 41, "both together")
equal(it.memory_bytes, 200, "both together")
equal(it.processes[1].command .. it.processes[2].pid, "dotnet Api.dll20", "each of them")
equal(entry "process".sum_up(it), "2 processes, the oldest pid 21, 41 % CPU, 200 B", "its summary")
equal(run("process", "^sshd").state, "running", "a server that we descend from")
it = run("process", "nothing of the kind")
equal(it.state .. it.count .. it.cpu_percent .. it.memory_bytes, "absent000", "absent")
equal(it.pid, nil, "absent has no pid")
raises("an empty pattern", "process", "")
raises("missing closing parenthesis", "process", "(")
function files.read() return nil, { kind = "permission", message = "no" } end
equal(run("process", "^dotnet").count, 2, "without /proc/self")
function sys.process_table() return nil, { kind = "permission", message = "no" } end
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
