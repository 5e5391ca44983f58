-- What a reader of the effects' reference is told before the entries: the rules that hold for all, then each family's
-- own, with an example that runs as it stands (tests/integration/test_spec.py runs it against the specimens).
local introductions = { families = {} }

introductions.head = [[
# Effects

Generated from the catalogue in `stdlib/effects/` by `runbook effects > spec/effects.md`: change it there.
`runbook effects NAME` prints one effect, or one family.

An effect is a function that touches the outside world; a script has no other way out. Every call passes the
gate (`stdlib/gate.lua`), which decides by the effect's class and by where it is called:

| class | means | where | in a dry run |
| --- | --- | --- | --- |
| read | changes nothing | anywhere but in an escalation | happens |
| declared read | a read on the script's word: `reads = true` | as a read | not with `--dry-run=strict` |
| notify | tells people | anywhere but in a probe | told as `would` |
| write | a change that can be undone or repeated | in a remedy, if its plan was approved | told as `would` |
| destructive | a write that can't be undone | as a write; the remedy's level is high | told as `would` |

**Arguments** are checked before anything happens: the positional ones, then one table of options. A duration
is a string (`"5s"`, `"1m30s"`), a size a string or a number of bytes (`"64MB"`), *strings* a list of strings,
a *map* a table by name. *Takes secrets* means that `secret "NAME"` may be part of the value; elsewhere it is
refused.

**The deadline** stands beside each effect; the option `timeout`, which every effect takes, changes it.

**The line** names a call on the screen, in the plan, in the journal and in the patterns of scenarios: the
effect, its positional arguments, then those options that choose what is touched (`name=value`, in
alphabetical order, left out at their default), then `@` and the place. A value with blanks is quoted; one of
more than 120 characters is shown cut.

**A result** has `ok` and, when that is false, `why`, besides the fields listed. A field that the target did
not send is nil, or raises with the `why` where there is one; a name that is no field raises. A read that
*failed* (we could not look) has only `error = { kind, message }`; touching another field raises, `ok` too. A
write that fails raises. In a plan or a dry run a write's result has `dry = true`, and fields that only a real
run can know print as `‹name›`. What was cut says so with `cut = true`. [language.md](language.md) has the
rules.]]

local families = introductions.families

families.http = {
  text = [[
One request. A status outside 200–299, a refused or reset connection, a deadline that passes and a
certificate that does not verify are findings: the result is *not well*. A name that does not resolve is a
failed look. Redirects are followed only with `follow = true`.]],
  example = [[
runbook { title = "http" }
local health = probe("Health", function()
  local answer = http.get("https://api.example.com/health", { timeout = "5s" })
  check("the API answers", answer, { fault = "down", detail = answer.why })
end)
if health().down == false then return resolved "the API answers" end
return unresolved "the API is down"
]] }

families.docker = {
  text = [[
Containers, by the Engine's own API, in the highest version that both speak. The engine is the config's
`docker.host` (`unix://` or `tcp://`, with `ca`, `cert`, `key` over TLS), else the one that Docker's own client
would take in your shell: `DOCKER_HOST`, `DOCKER_CONTEXT`, the current context, `unix:///var/run/docker.sock`.
A container that is not there is well, with `state = "absent"`.]],
  example = [[
runbook { title = "docker" }
local restart = remedy("Restart the API", { risk = "low" }, function() docker.restart("conduit-api") end)
if docker.inspect("conduit-api").state == "running" then return resolved "it runs" end
if restart() then return resolved "it was restarted" end
return unresolved "it does not run"
]] }

families.compose = {
  text = [[
The services of a Compose file, by `docker compose` or `docker-compose`, whichever there is, on the engine
that the docker family uses. What runs from the file is what is changed: project, files, folder and environment files of its
containers stand in their labels, and the command by hand names them. Several projects that run from one file are
refused until `project` says which. Where nothing runs yet the project is `project`, else the shell's
`COMPOSE_PROJECT_NAME`, else what Compose makes of the folder's name; beside a file that Compose finds by its name
(`docker-compose.yml`, `compose.yaml` …) its override (`docker-compose.override.yml`) is used, too, as Compose does
without `-f`; `overrides` names other files. The shell's `COMPOSE_PROFILES` counts. Containers that would be made with other
settings than those that run have (the file was changed, or refers to variables that are not here) are told in the plan.]],
  example = [[
runbook { title = "compose" }
local file = "/srv/api/docker-compose.yml"
local more = remedy("Three of them", { risk = "low" }, function() compose.scale(file, { api = 3 }) end)
if more() then return resolved "three run" end
return unresolved "declined"
]], exit = 1 }

families.sql = {
  text = [[
PostgreSQL. Reads are one SELECT, WITH, VALUES, TABLE, SHOW or EXPLAIN in a READ ONLY transaction with
timeouts. `execute` commits by itself. Ending sessions ends those that the plan listed, by pid and start
time; what came since is left and counted. The plan of a change counts what the planner expects; what no plan
shows (bodies of functions, triggers, foreign tables, also behind views) is named beside it, and by `doctor`
for reads. A connection string may name a service of libpq's file, and
several hosts; on PgBouncer's console (database `pgbouncer`) SHOW is a read, and its commands are writes.

READ ONLY lets functions through that change something all the same: they end sessions, reload the
configuration, take locks. Those that the text names are looked up. Those behind views, row security policies,
operators, casts and domains only the server knows: it is asked what it makes of the statement, in the same
transaction and without carrying it out. It writes the answer into its own log too, so it is asked once in a
run, and only where somebody made an operator or a cast over a VOLATILE function, a domain with a check, or a
view or policy that the statement may be about. A VOLATILE function is refused, with its name, unless it is
known to look: `ALTER FUNCTION … STABLE` says so of one's own, and `execute`, in a remedy, runs what does
change something. Where a server or a pooler does not say, only the names count; the result's `unasked` says
why. Not seen are the bodies of functions that were marked STABLE or IMMUTABLE, foreign
tables, and the checks of a domain in a literal of a composite or array type: there only the config's `reader`
role keeps a read from changing something.]],
  example = [[
runbook { title = "sql" }
local db = "postgresql://conduit@db1:5432/conduit"
local pool = probe("Pool", function()
  check("PostgreSQL answers", sql.ready(db), { fault = "down" })
  check("sessions are left", sql.activity(db).used_percent < 90, { fault = "exhausted" })
end)
local found = pool()
if found.down == false and found.exhausted == false then return resolved "there is room" end
return unresolved "the pool is exhausted, or the database down"
]] }

families.redis = {
  text = [[
Redis, one command a call. Which commands read is decided by a list in `stdlib/effects/redis_commands.lua`;
the server's own flags can only make it stricter. Commands that block or that need a session (KEYS, MONITOR,
MULTI, SELECT …) are refused, with the reason.]],
  example = [[
runbook { title = "redis" }
local cache = "redis://cache1:6379/0"
local memory = probe("Memory", function()
  check("memory is below 90 %", redis.info(cache, "memory").used_percent < 90, { fault = "full" })
  note(redis.command(cache, "DBSIZE"))
end)
if memory().full == false then return resolved "there is room" end
return unresolved "Redis is full"
]] }

families.sysinfo = {
  text = [[
This machine, or with `on` another one of the config: memory, disks, load, CPUs, processes, packages. Percentages are 0 to
100. What dpkg logged is in local time without a zone: the machine that wrote it translates it by its own zone
(`/etc/localtime`), whatever TZ says; of an hour that the clock shows twice it takes one.]],
  example = [[
runbook { title = "sysinfo" }
local host = probe("Host", function()
  check("memory is left", sysinfo.memory().used_percent < 90, { fault = "memory_short" })
  check("every disk has room", sysinfo.disks().fullest.used_percent < 90, { fault = "disk_full" })
end)
local found = host()
if found.memory_short == false and found.disk_full == false then return resolved "nothing is short" end
return unresolved "something is short"
]] }

families.service = {
  text = [[
Units of systemd, on this machine or with `on` on another one of the config. A write to this machine is asked for by
its name first, unless the environment says `here = true` or the command line `--here`. `changes` sees the services
that systemd has loaded: one that was stopped and that nothing wants is forgotten, and so is its change.]],
  example = [[
runbook { title = "service" }
local unit = service.status("postgresql")
note(unit)
if unit.active then return resolved "it is active" end
return unresolved(unit.summary)
]] }

families.files = {
  text = [[
Regular files of this machine, or with `on` of another one of the config, by absolute paths. A write to this
machine is asked for by its name first, unless the environment says `here = true` or the command line `--here`.
`delete` takes away what its plan listed, if it is still as it was; it follows no symbolic link and enters no other
file system.]],
  example = [[
runbook { title = "files" }
local logs = files.find { under = "/var/log", name = "*.log", older_than = "7d" }
note(("%d old logs, %d bytes"):format(logs.count, logs.bytes))
return resolved "looked"
]] }

families.exec = {
  text = [[
A program with a list of arguments, on this machine or with `on` on another one of the config; there is no shell
in between. It gets PATH, HOME, LANG, TZ and what `env` names. An exit code that is not expected is *not well*; a
program that is not there is *failed*. A write to this machine is asked for by its name first, unless the
environment says `here = true` or the command line `--here`.

Whether a run looks or changes something is decided by one list, for `docker.exec` and `kubectl.exec` too: its
program, its verb and every one of its options must stand there, wherever the program takes them
(`git -C /srv/app rev-parse HEAD`, `ip -j addr`). An option that isn't there, an abbreviated one, standard input, or a
variable other than those that only choose (`LC_ALL`, `TZ`, `PGHOST`, `AWS_PROFILE`, `VAULT_TOKEN` …) make it a write.
`sudo -n [-u USER]` and `env NAME=VALUE` before it are looked through. `git log` and `git show` need
`--no-textconv --no-show-signature --no-ext-diff` and a format (`--oneline`), for a repository can name programs
that they would start. What is not on the list is a read with `reads = true`, or when its first words stand in
the config's `readers`.]],
  example = [[
runbook { title = "exec" }
local disks = exec { "df", "-P" }                               -- a program of the list: a read
local queue = exec({ "mailq-count" }, { reads = true })         -- a read on the script's word
note(disks)
note(queue)
return resolved "looked"
]] }

families.kubectl = {
  text = [[
A Kubernetes cluster, by the `kubectl` program. Context, namespace and server are the config's (`kubectl`) or the
kubeconfig's; they are read once, so that nothing changes under a run, stand in every command, and are told with
each plan. An object that is not there is well, with `state = "absent"`.]],
  example = [[
runbook { title = "kubectl" }
local pods = kubectl.get("pods", { selector = "app=conduit-api" })
note(pods.summary)
for _, pod in ipairs(pods.not_ready) do note(kubectl.logs(pod.name, { tail = 20, previous = pod.restarts > 0 })) end
local again = remedy("Restart the pods", { risk = "low" }, function()
  kubectl.rollout_restart("deployment", "conduit-api")
end)
if pods.ready == pods.total then return resolved "every pod is ready" end
if again() then return resolved "restarted" end
return unresolved "declined"
]] }

families.prometheus = {
  text = [[
Questions to the Prometheus of the config (`prometheus.url`) or of the option `url`.]],
  example = [[
runbook { title = "prometheus" }
local up = prometheus.query('up{job="conduit-api"}', { url = "http://prometheus:9090" })
if up.value == 0 then return unresolved "Prometheus can't scrape it" end
return resolved "Prometheus scrapes it"
]] }

families.escalate = {
  text = [[
Telling people, through the backends of the config (`pager`, `chat`, `incident`). Each step has a key made
of run and step, waits on disk until it is delivered, and is tried again for a day. Without a backend it is
reported as *not delivered*. What the watchdog does with it stands in [escalation.md](escalation.md).]],
  example = [[
runbook { title = "escalate", severity = "critical" }
escalation("15m", function(run)
  local page = escalate.page { summary = run.headline, severity = run.severity, details = run.findings }
  escalate.notify { to = "#team-lead", text = run.report }
  local channel = escalate.channel { name = "inc-" .. run.id, topic = run.headline }
  escalate.incident { title = run.title, severity = run.severity, channel = channel, page = page }
end)
return unresolved "nobody could help"
]], exit = 1 }

return introductions
