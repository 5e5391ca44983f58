-- High Response Time: the conduit API answers, but too late.
--
--   runbook run high-response-time.lua --dry-run     where the time goes; what would be done about it
--   runbook audit high-response-time.lua             would it be known next time?

runbook {
  title     = "High Response Time",
  alert     = "HighResponseTime",
  severity  = "error",
  condition = "histogram_quantile(0.95, rate(http_request_duration_seconds_bucket[5m])) > 0.5 for 5m",
  impact    = "Requests are slow; callers time out and try again, which makes it worse",
  related   = { "api-down", "db-connection-pool", "redis-memory" },
}

local api      = require "lib.api"
local changes  = require "lib.changes"
local gaps     = require "lib.gaps"
local platform = require "lib.platform"

local p = params {
  base_url    = { "https://api.conduit.im", "Public address of the API" },
  path        = { "/health/ready", "A request that does what most do, and changes nothing" },
  slow        = { 500, "Milliseconds within which 95 of 100 answers come" },
  samples     = { 20, "Requests of one measurement" },
  platform    = { "auto", "Where the API runs", one_of = { "auto", "docker", "kubernetes" } },
  name        = { "conduit-api", "Container (Docker) or deployment (Kubernetes) of the API" },
  compose     = { "docker-compose.yml", "Compose file that starts the API" },
  instances   = { 3, "How many instances of the API are started when it is scaled" },
  machine     = { "", "Machine the API runs on, as the config names it; empty is this one" },
  database    = { "postgresql://conduit@localhost:5432/conduit", "PostgreSQL of the API, as a role of pg_monitor" },
  role        = { "conduit", "Role that the API logs in as", pattern = "[a-z_][a-z0-9_]*" },
  redis       = { "redis://localhost:6379", "Redis of the API" },
  stuck       = { "1m", "A statement that runs for longer is stuck", type = "duration" },
  changed     = { "24h", "How far back to look for what changed", type = "duration" },
  upstreams   = { {}, "Addresses of other services that the API calls: a GET of each must change nothing" },
}
local place = platform.of(p.platform, p.name)
local on_docker = place.on_docker

-------------------------------------------------------------- Measuring --

local phases = { "dns", "connect", "tls", "first_byte", "total" }

local function percentile(list, percent)
  table.sort(list)
  return list[math.max(1, math.ceil(#list * percent / 100))]
end

-- Requests one after another: { dns = { … ms }, …, failed = how many were not answered well, last = why }.
local function measure(count)
  local it = { failed = 0 }
  for _, phase in ipairs(phases) do it[phase] = {} end
  for _ = 1, count do
    local answer = http.get(p.base_url .. p.path, { timeout = "10s" })
    if answer.ok then
      for _, phase in ipairs(phases) do table.insert(it[phase], answer.ms[phase]) end
    else
      it.failed, it.last = it.failed + 1, answer.why
    end
  end
  return it
end

local function is_fast(it) return it.failed == 0 and #it.total > 0 and percentile(it.total, 95) < p.slow end

recovered(("95 of 100 answers come within %d ms"):format(p.slow), { within = "2m", every = "5s" }, function()
  return is_fast(measure(p.samples // 2))
end)

escalation("15m", function(run)
  escalate.page { summary = run.headline, severity = run.severity, details = run.findings }
end)

------------------------------------------------------------------ Diagnosis --

local latency = probe("Where the time goes", function()
  local it = measure(p.samples)
  check(("requests of %d that failed"):format(p.samples), it.failed, "==", 0, { fault = "errors", detail = it.last })
  if #it.total == 0 then error(it.last, 0) end
  local p95 = {}
  for _, phase in ipairs(phases) do
    p95[phase] = percentile(it[phase], 95)
    note(("%-10s half within %.0f ms, 95 of 100 within %.0f ms, all within %.0f ms"):format(
         phase, percentile(it[phase], 50), p95[phase], percentile(it[phase], 100)))
  end
  local function within(what, ms, limit, fault) check(what, ms, "<", limit, { unit = "ms", fault = fault }) end
  within("95 of 100 answers within", p95.total, p.slow, "slow")
  within("names resolved within", p95.dns, 100, "slow_dns")
  within("connections made within", p95.connect + p95.tls, 200, "slow_network")
  within("the API's first byte within", p95.first_byte, 0.8 * p.slow, "slow_api")
end)

-- nr_periods and nr_throttled of an instance's control group, of either version; 0 without a limit.
local function throttled(instance)
  local stat = api.exec(place, instance, { "cat", "/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat" }).stdout
  local function count(name) return tonumber((re.match(stat, name .. [[ (\d+)]]) or {})[1] or 0) end
  return count "nr_periods", count "nr_throttled"
end

-- Percent of one CPU that the busiest instance uses.
local function busiest()
  if on_docker() then return docker.stats(p.name).cpu_percent end
  local most = 0
  for _, pod in ipairs(kubectl.top("pods", { selector = api.selector(place) }).items) do
    note(("%s uses %.2f CPUs and %d MB"):format(pod.name, pod.cpu, pod.memory_bytes // (1 << 20)))
    most = math.max(most, 100 * pod.cpu)
  end
  return most
end

local cpu = probe("CPU", function()
  if on_docker() then                                      -- pods run where the cluster put them
    local load = sysinfo.load { on = p.machine }
    check("load", load.one, "<", 1.5 * load.cpus, { fault = "machine_loaded", detail = load.cpus .. " CPUs" })
  end
  local instance = api.instances(place)[1]
  if not check("an instance of the API runs", instance ~= nil, { fault = "gone" }) then return end
  local periods, held = throttled(instance)
  measure(3)                                               -- while it works for us
  local later, held_later = throttled(instance)
  check("held up by its CPU limit", 100 * (held_later - held) / math.max(1, later - periods), "<=", 10, { unit = "%",
        fault = "throttled", detail = ("%s in %d of %d periods"):format(instance, held_later - held, later - periods) })
  check("CPU of the API", busiest(), "<", 80, { unit = "%", fault = "busy" })
end)

-- What the API waits for elsewhere: any answer will do, a late one is the finding.
local upstreams = probe("Upstreams", function()
  for _, url in ipairs(p.upstreams) do
    local answer = http.get(url, { timeout = "10s" })
    local answered = answer.ok or re.find(answer.why, "^HTTP [1-4]")
    check(url .. " answers", answered, { fault = "down", detail = answer.why })
    if answered then check(url .. " within", answer.ms.total, "<", p.slow, { unit = "ms", fault = "slow" }) end
  end
end)

local statements = probe("Statements under way", function()
  local a = sql.activity(p.database)
  check("PostgreSQL's slots taken", a.used_percent, "<", 80,
        { unit = "%", fault = "pool_short", detail = ("%d of %d"):format(a.total, a.slots) })
  check("sessions that wait for a lock", a.waiting, "==", 0, { fault = "waiting" })
  local stuck = sql.rows(p.database, [[
    SELECT pid, application_name AS application, extract(epoch FROM now() - query_start)::int AS seconds,
           coalesce(wait_event_type, 'CPU') AS waits_for, left(query, 120) AS query
      FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()
       AND now() - query_start > $1::interval
     ORDER BY query_start]], { params = { p.stuck } }).rows
  local pids = {}
  for i, row in ipairs(stuck) do
    pids[i] = row.pid
    note(("pid %d (%s) since %d s, on %s: %s"):format(row.pid, row.application, row.seconds, row.waits_for, row.query))
  end
  check(("statements that run for %s"):format(p.stuck), #stuck, "==", 0, { fault = "stuck" })
  return { pids = pids }
end)

local function keeps_statistics()
  return sql.value(p.database, "SELECT to_regclass('pg_stat_statements') IS NOT NULL").value
end

local tables = probe("Slow queries and stale tables", function()
  local stale = sql.rows(p.database, [[
    SELECT relname AS name, n_live_tup AS rows, n_mod_since_analyze AS changed, seq_scan AS scans
      FROM pg_stat_user_tables
     WHERE n_live_tup > 1000 AND n_mod_since_analyze > 0.2 * n_live_tup
     ORDER BY n_mod_since_analyze DESC]]).rows
  for i = 1, math.min(#stale, 5) do
    local it = stale[i]
    note(("%s: %d of %d rows changed since ANALYZE, %d full scans"):format(it.name, it.changed, it.rows, it.scans))
  end
  check("tables that the planner doesn't know", #stale, "==", 0, { fault = "stale" })
  if not keeps_statistics() then
    return note "pg_stat_statements is not installed: which queries are slow stays unknown"
  end
  local slow = sql.rows(p.database, [[
    SELECT calls, mean_exec_time AS ms, left(query, 120) AS query FROM pg_stat_statements
     WHERE calls > 10 AND mean_exec_time > $1::float8
     ORDER BY total_exec_time DESC LIMIT 5]], { params = { p.slow } }).rows
  for _, row in ipairs(slow) do note(("%d × %.0f ms: %s"):format(row.calls, row.ms, row.query)) end
  check(("queries slower than %d ms on the average"):format(p.slow), #slow, "==", 0, { fault = "slow_queries" })
end)

local cache = probe("Redis", function()
  local answer = redis.ping(p.redis)
  if not check("Redis answers PING", answer, { fault = "down" }) then return end
  check("Redis answers within", answer.ms, "<", 50, { unit = "ms", fault = "slow" })
  for _, it in ipairs(redis.command(p.redis, "SLOWLOG", "GET", "5").value or {}) do       -- id, time, µs, words
    note(("%s, %.0f ms: %s"):format(time.ago(time.since(it[2])), it[3] / 1000, table.concat(it[4], " "):sub(1, 120)))
  end
  check("Redis memory", redis.info(p.redis, "memory").used_percent, "<", 90, { unit = "%", fault = "full" })
end)

local what_changed = changes.probe { within = p.changed, name = p.name, on_docker = on_docker, machines = { p.machine } }

----------------------------------------------------------------- Resolution --

local end_stuck = remedy("End the stuck statements", { risk = "high", warning = "their transactions are rolled back" },
  function(pids) sql.terminate(p.database, { pids = pids }) end)

local analyze = remedy("Tell the planner about the tables", { risk = "low" }, function()
  sql.execute(p.database, "ANALYZE", { timeout = "5m" })
end)

local scale_out = remedy("Scale horizontally", { risk = "low" }, function()
  if on_docker() then compose.scale(p.compose, { api = p.instances }) else kubectl.scale("deployment", p.name, p.instances) end
end)

local restart_api = remedy("Restart the API service", { risk = "low", warning = "requests under way fail" }, function()
  if on_docker() then docker.restart(p.name) else kubectl.rollout_restart("deployment", p.name) end
end)

----------------------------------------------------------------- Prevention --

prevention("It would be known", function()
  check("an alert fires when answers are slow", gaps.alerts_on "histogram_quantile", { mend = gaps.rule {
        group = "conduit-api-latency", alert = "HighResponseTime",
        expr = "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m]))) > 0.5" } })
  check("PostgreSQL says which queries are slow", keeps_statistics(), { mend = [[
-- postgresql.conf: shared_preload_libraries = 'pg_stat_statements'; restart; then
CREATE EXTENSION pg_stat_statements;
]] })
end)

prevention("A statement can't run for ever", function()
  local limits = sql.value(p.database, [[
    SELECT count(*) FROM pg_db_role_setting CROSS JOIN LATERAL unnest(setconfig) AS setting
     WHERE setrole = (SELECT oid FROM pg_roles WHERE rolname = $1)
       AND setting LIKE 'statement_timeout=%' AND setting <> 'statement_timeout=0']], { params = { p.role } }).value
  check("the API's statements are ended at some time", limits > 0,
        { mend = ('ALTER ROLE "%s" SET statement_timeout = \'30s\';\n'):format(p.role) })
end)

--------------------------------------------------------------- The decision --

local found = latency()
if found.slow == false and found.errors == false then return resolved "false alarm: the API answers in time" end
if not place.settle() then return unresolved(place.unsettled) end

local load, running, planner, store, others = together(cpu, statements, tables, cache, upstreams, what_changed)

if running.stuck then end_stuck(running.pids) end          -- first: the others wait behind them
if running.pool_short then
  handover("db-connection-pool",
           { database = p.database, name = p.name, platform = on_docker() and "docker" or "kubernetes" })
end
if store.full    then handover("redis-memory", { redis = p.redis }) end
if planner.stale then analyze() end
if load.busy or load.throttled then scale_out() end
if found.slow_api then restart_api() end

if others.slow or others.down then note "an upstream is late: tell those whose it is; see the API's timeouts" end
if found.slow_dns     then note "names resolve slowly: look at the resolver of this machine" end
if found.slow_network then note "connections are made slowly: look at the network and the load balancer" end
return unresolved "the API is still slow"
