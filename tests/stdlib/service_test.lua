-- service over recorded answers of systemctl and journalctl (systemd 247 and 252).
local catalogue = require "catalogue"
local process = require "raw.process"
local settings = require "settings"
local tasks = require "tasks"
local values = require "values"
settings.host_name, settings.here = "here", true
settings.environment = { PATH = "/usr/bin:/bin", LANG = "de_DE.UTF-8" }
catalogue.family "service"

local function equal(got, wanted, what)
  if got ~= wanted then
    error(("%s: %q expected, got %q"):format(what, tostring(wanted), tostring(got)), 2)
  end
end

-- answers[a word of the vector] = { code, stdout, stderr }, or an error
local answers, asked = {}, {}
function process.run(spec)
  asked[#asked + 1] = spec
  for _, word in ipairs(spec.argv) do
    local answer = answers[word]
    if answer and answer.kind then return nil, answer end
    if answer then
      return { code = answer[1], stdout = answer[2] or "", stderr = answer[3] or "", cut = false, ms = 1 }
    end
  end
  error("nobody answers " .. table.concat(spec.argv, " "))
end

local function entry(name) return catalogue.effects["service." .. name] end
local function run(name, ...) return entry(name).run(catalogue.call(entry(name), ...)) end
local function preview(name, ...) return entry(name).preview(catalogue.call(entry(name), ...)) end
local function raises(pattern, name, ...)
  local ok, message = pcall(catalogue.call, entry(name), ...)
  if ok or not tostring(message):find(pattern, 1, true) then
    error(("an error with %q expected, got %s"):format(pattern, tostring(message)), 2)
  end
end

local function show(changes)
  local properties = { Id = "db.service", LoadState = "loaded", ActiveState = "active", SubState = "running",
                       Result = "success",
    MainPID = "812", ExecMainCode = "0", ExecMainStatus = "0", NRestarts = "0", UnitFileState = "enabled",
    StatusText = "",
    ActiveEnterTimestamp = "Mon 2026-11-23 10:00:00 UTC", InactiveEnterTimestamp = "", CanStart = "yes",
    CanStop = "yes", CanReload = "yes" }
  for name, value in pairs(changes or {}) do properties[name] = value end
  local lines = {}
  for name, value in pairs(properties) do lines[#lines + 1] = name .. "=" .. value .. "\n" end
  return { 0, table.concat(lines) }
end

---------------------------------------------------------------------- Status --

answers = { show = show() }
local it = run("status", "db")
equal(it.state, "active", "active")
equal(it.active, true, "active")
equal(it.since, 1795428000, "since when, in any time zone")
equal(it.pid, 812, "its pid")
equal(it.exit_code, nil, "it has not exited")
assert(it.summary:find "^active %(running%), since .* ago$", it.summary)
equal(asked[1].env.LC_ALL .. asked[1].env.TZ, "CUTC", "words and times that can be read")
equal(asked[1].env.PATH, "/usr/bin:/bin", "the children's environment")
equal(table.concat(asked[1].argv, " "):match "%-%- .*$", "-- db.service", "the full name, after --")

answers.show = show { ActiveState = "failed", SubState = "failed", Result = "exit-code", MainPID = "0",
                      ExecMainCode = "1",
                      ExecMainStatus = "3", NRestarts = "5",
                      InactiveEnterTimestamp = "Mon 2026-11-23 10:00:00 UTC" }
it = run("status", "db")
equal(it.state .. tostring(it.active) .. it.result .. it.exit_code .. it.restarts, "failedfalseexit-code35",
  "failed")
assert(it.summary:find "^failed %(failed%), since .* ago, exit%-code, exit status 3, restarted 5 times by ", it.summary)
answers.show = show { ActiveState = "failed", Result = "oom-kill", ExecMainCode = "2", ExecMainStatus = "9" }
equal(run("status", "db").exit_code, nil, "a signal is no exit code")
answers.show = show { ActiveState = "reloading", SubState = "reload" }
equal(run("status", "db").state, "active", "one that reloads serves")
answers.show = show { LoadState = "not-found", ActiveState = "inactive", SubState = "dead",
                      UnitFileState = "", CanStart = "no" }
it = run("status", "db")
equal(it.state .. it.summary, "absentthere is no such unit", "absent")
answers.show = show { LoadState = "not-found" }
equal(run("status", "db").state, "active", "a running unit without its file is not absent")
answers.show = show { LoadState = "masked", ActiveState = "inactive", SubState = "dead",
                      UnitFileState = "masked" }
equal(run("status", "db").summary, "inactive (dead), masked", "masked")

-- A unit that runs nothing itself is told with those that it starts, what failed first; one that runs something is not.
local function frame(changes)
  local properties = { SubState = "exited", MainPID = "0", ExecMainCode = "1", ConsistsOf = "pg@a.service pg@b.service" }
  for name, value in pairs(changes or {}) do properties[name] = value end
  return show(properties)
end
local function instance(name, state) return show({ Id = name, ActiveState = state, SubState = state })[2] end
local function with_parts(a, b, change)
  answers = { ["db.service"] = change or frame(),
              ["pg@a.service"] = { 0, instance("pg@a.service", a) .. "\n" .. instance("pg@b.service", b) },
              restart = { 0 }, ["list-dependencies"] = { 0, "db.service\n" } }
end
with_parts("active", "failed")
it = run("status", "db")
equal(it.state .. #it.parts .. it.parts[1].name .. it.parts[1].state, "active2pg@b.servicefailed", "what it starts")
equal(it.active, false, "its own state is not taken for theirs")
assert(it.summary:find "; it runs nothing itself, it starts others: pg@b.service, failed; pg@a.service, active$", it.summary)
assert(preview("restart", "db").text:find("pg@b.service, failed", 1, true), "the preview names it")
it = { run("restart", "db") }
equal(it[2].kind .. it[2].message, "replypg@b.service is failed after db.service, which starts it, was restarted", "a restart")
equal(entry "restart".verify(catalogue.call(entry "restart", "db")), false, "it did not happen")
with_parts("active", "active")
equal(run("restart", "db").state, "active", "a restart of all")
equal(#run("status", "db").parts, 2, "both are told")
answers["pg@a.service"] = { kind = "timeout", message = "took longer" }
equal(select(2, run("status", "db")).kind, "timeout", "parts that can't be seen are not well")
with_parts("failed", "failed", frame { SubState = "running", MainPID = "7" })
equal(#run("status", "db").parts, 0, "one that runs something speaks for itself")
answers = {}

-- What isn't understood is no state.
for what, answer in pairs { ["no line"] = { 0, "" }, ["no property"] = { 0,
  "Unit db.service could not be found.\n" },
                            ["an unknown state"] = show { ActiveState = "confused" } } do
  answers.show = answer
  local fields, err = run("status", "db")
  equal(fields, nil, what)
  equal(err.kind, "io", what)
end

local not_booted = { 1, "", "System has not been booted with systemd as init system (PID 1). Can't operate.\n"
  .. "Failed to connect to bus: Host is down\n" }
for kind, answer in pairs {
  missing = not_booted, permission = { 1, "", "Failed to get properties: Access denied\n" },
  unreachable = { 1, "", "Failed to connect to bus: Connection refused\n" },
  io = { 1, "", "Failed to do a thing\n" },
  timeout = { kind = "timeout", message = "systemctl took longer than 10 s" } } do
  answers.show = answer
  local fields, err = run("status", "db")
  equal(fields, nil, kind)
  equal(err.kind, kind, err.message)
end
raises("one unit", "status", "-x")
raises("one unit", "status", "*")
raises("one unit", "status", "a b")
raises("one unit", "status", "/etc/x")
raises("one unit", "status", "")
raises("one unit", "restart", ("x"):rep(300))
for _, name in ipairs { "db", "getty@tty1.service", "dev-sda1.swap", "a.b-c_d:e", "x\\x2dy.mount" } do
  assert(catalogue.call(entry "status", name))
end

------------------------------------------------------------------------ Logs --

answers = { journalctl = { 0,
                           "2026-11-23T10:00:00+0000 db sh[1]: one\n2026-11-23T10:00:01+0000 db sh[1]: two\n" } }
asked = {}
it = run("logs", "db", { tail = 2, since = "15m" })
equal(entry "logs".sum_up(it), "2 lines", "its lines")
equal(asked[1].keep, "tail", "the end is what is kept")
assert(table.concat(asked[1].argv, " "):find("--lines=2 --since=-900s --unit=db.service", 1, true))
local header = "-- Journal begins at Mon 2026-11-23 09:00:00 UTC, ends at Mon 2026-11-23 10:00:00 UTC. --\n"
answers.journalctl = { 0, header .. "x\n" }
equal(run("logs", "db").text, "x\n", "older systemd's first line")
answers = { journalctl = { 0, "-- No entries --\n" }, show = show() }
equal(run("logs", "db").text, "", "a silent unit")
answers.show = show { LoadState = "not-found", ActiveState = "inactive" }
it = run("logs", "db")
equal(it.state, "absent", "no such unit")
equal(it.text, nil, "no such text: not an empty one")
-- An eye that is shut sees no errors: that must not read as a quiet log.
local hint = "Hint: You are currently not seeing messages from other users and the system.\n"
for kind, said in pairs { permission = hint, missing = "No journal files were found.\n" } do
  answers.journalctl = { 0, "-- No entries --\n", said }
  local fields, err = run("logs", "db")
  equal(fields, nil, kind)
  equal(err.kind, kind, kind)
end
raises("1 to 10000", "logs", "db", { tail = 0 })

--------------------------------------------------------------------- Changes --

local tree = "db.service\n  app.service\n  ● worker@1.service\n  multi-user.target\n    graphical.target\n"
answers = { show = show(), ["list-dependencies"] = { 0, tree } }
it = preview("restart", "db")
assert(it.text:find "^restarts db%.service, now active %(running%), since .* ago; 2 units depend on it: ", it.text)
assert(it.text:find "app%.service, worker@1%.service$", it.text)
equal(it.size, 3, "the unit and what depends on it")
answers["list-dependencies"] = { 1, "", "Failed: no\n" }
it = preview("stop", "db")
equal(it.unknown, true, "dependents unknown")
equal(it.size, math.huge, "dependents unknown")
it = preview("enable", "db")
assert(it.text:find "^enables at boot db%.service, now active.*, enabled$" and it.size == 1, it.text)

local gone = { LoadState = "not-found", ActiveState = "inactive" }
local masked = { LoadState = "masked", ActiveState = "inactive" }
local stopped = { ActiveState = "inactive", SubState = "dead" }
for _, case in ipairs { { "restart", gone, "there is no such unit" },
                        { "enable", gone, "there is no such unit" },
                        { "start", masked, "it is masked" },
                        { "start", { LoadState = "bad-setting" }, "its unit file has a bad setting" },
                        { "start", { CanStart = "no" }, "this unit can't be started" },
                        { "reload", stopped, "it is not active" },
                        { "reload", { CanReload = "no" }, "this unit can't be reloaded" } } do
  answers.show = show(case[2])
  equal(preview(case[1], "db").impossible, case[3], case[1])
end
answers.show = not_booted
assert(preview("restart", "db").impossible:find "does not run systemd")

answers = { show = show(), restart = { 0 }, enable = { 0, "", "Created symlink x\n" } }
it = run("restart", "db")
equal(it.state, "active", "how it is afterwards")
equal(entry "restart".verify(catalogue.call(entry "restart", "db")), true, "it happened")
assert(run("enable", "db"))
answers.show = show { ActiveState = "failed", SubState = "failed", Result = "exit-code" }
local fields, err = run("restart", "db")
equal(fields, nil, "systemd took it, and it failed")
assert(err.message:find "^db%.service is failed", err.message)
equal(entry "restart".verify(catalogue.call(entry "restart", "db")), false, "it did not happen")
for kind, said in pairs { missing = "Failed to restart db.service: Unit db.service not found.",
                          permission = "Failed to restart db.service: Interactive authentication required.",
                          usage = "Failed to restart db.service: Unit db.service is masked.",
                          io = "Job for db.service failed because the control process exited with error code." } do
  answers.restart = { kind == "missing" and 5 or 1, "",
                      said .. "\nSee \"systemctl status db.service\" for details.\n" }
  fields, err = run("restart", "db")
  equal(fields, nil, kind)
  equal(err.kind, kind, err.message)
  assert(err.message:find(said, 1, true), err.message)
end
answers.restart = { kind = "timeout", message = "systemctl took longer than 120 s" }
fields, err = run("restart", "db")
equal(err.kind, "timeout", "in doubt: may have run")

-------------------------------------------------------------------- Of late --

function tasks.wall() return 1795431599.5 end                       -- 10:59:59.5 on that Monday
local function stamp(ago)
  return ("Mon 2026-11-23 %02d:%02d:%02d UTC"):format(10 - ago // 3600, 59 - ago // 60 % 60, 59 - ago % 60)
end
local function block(changes) return show(changes)[2] end
answers = { show = { 0, table.concat({
  block { Id = "db.service", StateChangeTimestamp = stamp(60), Type = "notify", NeedDaemonReload = "yes",
          FragmentPath = "/lib/systemd/system/db.service",
          DropInPaths = "/etc/systemd/system/db.service.d/a.conf /etc/systemd/system/db.service.d/gone.conf" },
  block { Id = "job.service", ActiveState = "failed", Result = "exit-code", StateChangeTimestamp = stamp(30), Type = "oneshot" },
  block { Id = "old.service", StateChangeTimestamp = stamp(7200), FragmentPath = "/run/systemd/generator/old.service" },
  block { Id = "never.service", ActiveState = "inactive", StateChangeTimestamp = "" } }, "\n") },
  stat = { 1, ("%d /lib/systemd/system/db.service\n%d /etc/systemd/system/db.service.d/a.conf\n"):format(
              1000000000, 1795431599 - 90),
           "stat: cannot statx '/etc/systemd/system/db.service.d/gone.conf': No such file or directory\n" } }
it = run("changes", { since = "1h" })
equal(it.state .. it.count .. it.summary .. tostring(it.cut), "present33 changesfalse", "of late")
local function brief(one) return table.concat({ one.name, one.what, one.state, one.result }, " ") end
equal(brief(it.changes[1]), "job.service state failed exit-code", "the newest first")
equal(brief(it.changes[2]) .. it.changes[2].type, "db.service state active successnotify", "a state")
equal(brief(it.changes[3]) .. it.changes[3].file, "db.service file active success/etc/systemd/system/db.service.d/a.conf", "a file")
equal(it.changes[3].needs_reload, true, "not loaded yet")
equal(table.concat(asked[#asked].argv, " "), "stat -L -c %Y %n -- /lib/systemd/system/db.service "
  .. "/etc/systemd/system/db.service.d/a.conf /etc/systemd/system/db.service.d/gone.conf", "not what systemd writes itself")
equal(run("changes", { since = "3h" }).count, 4, "further back")
answers.stat = { 1, "", "stat: cannot statx '/x': Permission denied\n" }
equal(select(2, run "changes").kind, "permission", "files that may not be looked at")
answers.show = { 0, block() .. "\nrubbish\n" }
equal(select(2, run "changes").kind, "io", "what isn't understood")
answers.show = not_booted
equal(run "changes".state, "absent", "no systemd, no services")
answers.show = { 1, "", "Failed to connect to bus: Connection refused\n" }
equal(select(2, run "changes").kind, "unreachable", "a systemd that can't be asked")

equal(catalogue.line(entry "restart", catalogue.call(entry "restart", "db", { timeout = "1m" })),
  "service.restart db @here", "the line")
equal(preview("restart", values.placeholder "unit").text, "its unit, ‹unit›, is known only in the run",
  "a placeholder")
for name, effect in pairs(catalogue.effects) do
  if effect.family == "service" then
    local specimen = type(effect.specimen) == "function" and effect.specimen { unit = "x" } or effect.specimen
    for field in pairs(specimen) do assert(effect.result[field], name .. ": unlisted " .. field) end
    if effect.class == "write" then
      settings.here = false
      assert(effect.permission { on = "" }, name)
      settings.here = true
      for field in pairs(effect.would {}) do assert(effect.result[field], name .. ": unlisted " .. field) end
    end
  end
end
print "service: well"
