-- Database Connection Pool Exhausted: PostgreSQL has hardly a session left for the conduit API.
--
--   runbook run db-connection-pool.lua --dry-run     who holds the sessions; what would be done about it
--   runbook audit db-connection-pool.lua             would PostgreSQL have defended itself?

runbook {
  title     = "Database Connection Pool Exhausted",
  alert     = "ConnectionPoolExhausted",
  severity  = "critical",
  condition = "sum(pg_stat_activity_count) / pg_settings_max_connections > 0.8 for 5m",
  impact    = "Requests wait for a database session, then fail; soon all of them",
  related   = { "api-down", "high-response-time" },
}

local api = require "lib.api"
local changes = require "lib.changes"
local gaps = require "lib.gaps"
local platform = require "lib.platform"

local p = params {
  database       = { "postgresql://conduit@localhost:5432/conduit", "PostgreSQL of the API, as a role of pg_monitor" },
  database_admin = { "", "The same as a role that may use the reserved slots, for when the pool is full" },
  role           = { "conduit", "Role that the API logs in as", pattern = "[a-z_][a-z0-9_]*" },
  database_on    = { "", "Machine PostgreSQL runs on, as the config names it; empty is this one" },
  platform       = { "auto", "Where the API runs", one_of = { "auto", "docker", "kubernetes" } },
  name           = { "conduit-api", "Container (Docker) or deployment (Kubernetes) of the API" },
  most           = { 80, "So many percent of the slots are too many" },
  pool           = { 100, "Maximum Pool Size of one instance of the API, if its settings don't say" },
  idle_for       = { "5m", "Sessions idle for longer may go", type = "duration" },
  long           = { "5m", "Transactions open for longer are too old", type = "duration" },
  changed        = { "24h", "How far back to look for what changed", type = "duration" },
}
local place = platform.of(p.platform, p.name)
-- Asked and changed through the reserved slots, where somebody gave an address that may use them.
local server = p.database_admin ~= "" and p.database_admin or p.database

-- A run is resolved as soon as this holds: not for a moment, but while the API opens sessions again.
recovered("sessions are left", { within = "1m", every = "5s", holds = "15s" }, function()
  return sql.activity(server).used_percent < p.most
end)

escalation("15m", function(run)
  escalate.page { summary = run.headline, severity = run.severity, details = run.findings }
end)

------------------------------------------------------------------ Diagnosis --

-- The first rows of a query, each as a line of the report.
local function note_rows(rows, format, ...)
  for i = 1, math.min(#rows, 5) do
    local words = {}
    for k, column in ipairs { ... } do words[k] = rows[i][column] or "-" end
    note(format:format(table.unpack(words)))
  end
end

local sessions = probe("Who holds the sessions", function()
  local ready = sql.ready(p.database)
  if not check("PostgreSQL accepts connections", ready, { fault = "down" }) then
    return note(service.status("postgresql", { on = p.database_on }))
  end
  if ready.full then check("slots left", 0, ">", 0, { fault = "exhausted", detail = ready.login_refused }) end
  if ready.full and p.database_admin == "" then return { shut_out = true } end
  local a = sql.activity(server)
  check("slots taken", a.used_percent, "<", p.most,
        { unit = "%", fault = "exhausted", detail = ("%d of %d"):format(a.total, a.slots) })
  check("idle sessions", a.idle, "<", a.slots // 2, { fault = "idle_held" })
  local holders = sql.rows(server, [[
    SELECT count(*)::int AS held, coalesce(state, 'of unknown state') AS state, application_name AS application,
           usename AS "user", extract(epoch FROM now() - min(state_change))::int AS seconds,
           (array_agg(left(query, 80) ORDER BY state_change))[1] AS query
      FROM pg_stat_activity
     WHERE usename IS NOT NULL AND pid <> pg_backend_pid()
     GROUP BY 2, 3, 4 ORDER BY held DESC]]).rows
  note_rows(holders, "%s × %s by %s as %s, the longest for %s s: %s",
            "held", "state", "application", "user", "seconds", "query")
end)

-- Who blocks others and is blocked by nobody: the head of each queue.
local locks = probe("Locks", function()
  local heads = sql.rows(server, [[
    SELECT head.pid, head.application_name AS application, head.state, count(*)::int AS blocked,
           extract(epoch FROM now() - head.xact_start)::int AS seconds, left(head.query, 120) AS query
      FROM pg_stat_activity waiting
     CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS by(pid)
      JOIN pg_stat_activity head ON head.pid = by.pid
     WHERE cardinality(pg_blocking_pids(head.pid)) = 0
     GROUP BY head.pid, head.application_name, head.state, head.xact_start, head.query
     ORDER BY blocked DESC]]).rows
  check("sessions that keep others waiting", #heads, "==", 0, { fault = "blocked" })
  note_rows(heads, "pid %s (%s, %s) blocks %s for %s s: %s",
            "pid", "application", "state", "blocked", "seconds", "query")
  local pids = {}
  for i, head in ipairs(heads) do pids[i] = head.pid end
  return { heads = pids }
end)

local transactions = probe("Long transactions", function()
  local old = sql.rows(server, [[
    SELECT pid, application_name AS application, state, extract(epoch FROM now() - xact_start)::int AS seconds,
           left(query, 120) AS query
      FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND now() - xact_start > $1::interval
     ORDER BY xact_start]], { params = { p.long } }).rows
  local abandoned = 0
  for _, row in ipairs(old) do
    if (row.state or ""):find "^idle in transaction" then abandoned = abandoned + 1 end
  end
  check(("transactions left open and idle for %s"):format(p.long), abandoned, "==", 0, { fault = "abandoned" })
  check(("statements that run for %s"):format(p.long), #old - abandoned, "==", 0, { fault = "long_running" })
  note_rows(old, "pid %s (%s, %s) since %s s: %s", "pid", "application", "state", "seconds", "query")
end)

-- What the API's own settings say of its pool: its variables, else appsettings.json; nil when neither does.
local function pool_setting(instances)
  local texts = {}
  for _, value in pairs(api.variables(place)) do texts[#texts + 1] = value end
  if instances[1] then
    local file = api.exec(place, instances[1], { "cat", "appsettings.json" })
    if not file.error and file.ok then texts[#texts + 1] = file.stdout end
  end
  for _, text in ipairs(texts) do
    local found = re.match(text, [[(?i)\bmax(?:imum)? ?pool ?size\s*=\s*(\d+)]])
    if found then return tonumber(found[1]) end
  end
end

local settings = probe("The API's settings", function()
  local instances = api.instances(place)
  local size = pool_setting(instances)
  note(size and ("%d instances, Maximum Pool Size=%d"):format(#instances, size)
       or ("%d instances; no Maximum Pool Size in the settings: %d is assumed"):format(#instances, p.pool))
  return { pool = size, instances = #instances }
end)

local pools = probe("Pool sizes", function(size, instances)
  local clients = sql.rows(server, [[
    SELECT application_name AS application, coalesce(host(client_addr), 'local') AS address, count(*)::int AS held
      FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
     GROUP BY 1, 2 ORDER BY held DESC]]).rows
  note_rows(clients, "%s sessions of %s at %s", "held", "application", "address")
  local first, most = clients[1], sql.activity(server).slots
  check("sessions of the largest client", first and first.held or 0, "<=", size, { fault = "oversized",
        detail = first and ("%s at %s"):format(first.application, first.address) })
  check("sessions of all pools, when full", size * instances, "<", most, { fault = "too_large",
        detail = ("%d × %d of %d slots"):format(instances, size, most) })
end)

local what_changed = changes.probe { within = p.changed, machines = { p.database_on }, name = p.name,
                                     on_docker = place.on_docker }

----------------------------------------------------------------- Resolution --

local end_heads = remedy("End the sessions that block others", { risk = "high",
  warning = "their transactions are rolled back" }, function(pids) sql.terminate(server, { pids = pids }) end)

local end_abandoned = remedy("End abandoned transactions", { risk = "medium",
  warning = "what they changed is rolled back" }, function()
  sql.terminate(server, { state = "idle in transaction", older_than = p.long })
end)

local end_idle = remedy("End idle sessions", { risk = "medium",
  warning = "their temporary tables are lost" }, function()
  sql.terminate_idle(server, { older_than = p.idle_for })
end)

local restart_api = remedy("Restart the API service", { risk = "low", warning = "requests under way fail" }, function()
  if place.on_docker() then docker.restart(p.name) else kubectl.rollout_restart("deployment", p.name) end
end)

local function alter_role(what) sql.execute(server, ('ALTER ROLE "%s" %s'):format(p.role, what)) end

-- For sessions that begin from now on, while the incident lasts; the setting that stays is a prevention's.
local limit_abandoned = remedy("Let PostgreSQL end abandoned transactions", { risk = "medium", within = "0s", temporary = true,
  undo = function() alter_role "RESET idle_in_transaction_session_timeout" end },
  function() alter_role "SET idle_in_transaction_session_timeout = '5min'" end)

----------------------------------------------------------------- Prevention --

prevention("PostgreSQL defends itself", function()
  local function setting(name) return sql.value(server, "SHOW " .. name).value end
  check("transactions left idle are ended", setting "idle_in_transaction_session_timeout" ~= "0",
        { mend = "ALTER SYSTEM SET idle_in_transaction_session_timeout = '5min';\nSELECT pg_reload_conf();\n" })
  check("waiting for a lock is logged", setting "log_lock_waits" == "on",
        { mend = "ALTER SYSTEM SET log_lock_waits = on;\nSELECT pg_reload_conf();\n" })
end)

prevention("The pools fit into PostgreSQL", function()
  local instances, most = api.instances(place), sql.activity(server).slots
  local size, count = pool_setting(instances) or p.pool, math.max(1, #instances)
  check("all the API's instances can fill their pools", size * count < most,
        { detail = ("%d × %d of %d slots"):format(count, size, most),
          mend = ("# in the API's connection string\nMaximum Pool Size=%d\n"):format(0.8 * most // count) })
end)

prevention("Somebody is warned before", function()
  check("an alert fires at 80 % of the sessions", gaps.alerts_on "pg_stat_activity_count|pg_stat_database_numbackends",
        { mend = gaps.rule { group = "postgresql", alert = "ConnectionPoolExhausted", severity = "critical",
          expr = "sum by (instance) (pg_stat_activity_count) / on (instance) pg_settings_max_connections > 0.8" } })
end)

--------------------------------------------------------------- The decision --

local held = sessions()
if held.down then return unresolved "PostgreSQL accepts no connection at all: api-down.lua goes on from here" end
if held.shut_out then
  return unresolved "PostgreSQL refuses every further session: -p database_admin=… names a role that may use the reserved slots"
end
if held.exhausted == false then return resolved "false alarm: slots are left" end
if not place.settle() then return unresolved(place.unsettled) end

local own, queue, old = together(settings, locks, transactions, what_changed)
local clients = pools(own.pool or p.pool, own.instances or 1)

if queue.blocked     then end_heads(queue.heads) end -- first: everybody behind them holds a session while waiting
if old.abandoned     then end_abandoned()        end
if held.idle_held    then end_idle()             end
if clients.oversized then restart_api()          end -- a pool that leaks or is too large gives back what it holds
if old.abandoned     then limit_abandoned()      end

if clients.too_large then note "the API's pools don't fit: a smaller Maximum Pool Size, or fewer instances" end

return unresolved "sessions are still short, and nothing in this runbook frees more"
