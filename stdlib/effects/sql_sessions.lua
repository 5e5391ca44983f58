-- Sessions of PostgreSQL: what they do, and ending them. A preview lists the sessions; the run ends those, each told by
-- pid and start time, as far as they still are what they were listed for. What came since is left and counted.
local blame = require "blame"
local catalogue = require "catalogue"
local duration = require "duration"
local outcome = require "outcome"
local sql_answer = require "effects.sql_answer"
local sql_called = require "effects.sql_called"
local sql_dsn = require "effects.sql_dsn"
local sql_server = require "effects.sql_server"
local tasks = require "tasks"
local values = require "values"

-- Sessions listed at most; a server rarely has a tenth of it.
local SESSIONS_MAX = 10000
-- How long to wait for ended sessions to be gone, and how often to look, in seconds.
local GONE_WITHIN, GONE_EVERY = 2, 0.1

local states = { "idle", "active", "idle in transaction", "idle in transaction (aborted)",
  "fastpath function call", "disabled" }

-- Clients' sessions: a role without pg_read_all_stats isn't told the type of others', only that they have a user.
local CLIENTS = "coalesce(a.backend_type, 'client backend') = 'client backend' AND a.usesysid IS NOT NULL"

-- All but our own: $1 the database (* for all), $2 our pids.
local OTHERS = [[
  FROM pg_catalog.pg_stat_activity AS a LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
  WHERE ]] .. CLIENTS .. [[ AND a.pid <> pg_catalog.pg_backend_pid() AND a.pid <> ALL ($2::int[])
    AND ($1 = '*' OR a.datname = coalesce(nullif($1, ''), pg_catalog.current_database()))]]

-- Of them those that are meant: $3 user, $4 application, $5 seconds in the state, $6 state, $7 pids; NULL is any.
local MEANT = OTHERS .. [[

    AND ($3::text IS NULL OR a.usename = $3) AND ($4::text IS NULL OR a.application_name = $4)
    AND ($5::float8 IS NULL OR a.state_change < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $5))
    AND ($6::text IS NULL OR a.state = $6) AND ($7::int[] IS NULL OR a.pid = ANY ($7))]]

-- May this role end it, as pg_terminate_backend decides (signalfuncs.c), and see when it began, so that it can be
-- pinned?
local ALLOWED = [[(a.backend_start IS NOT NULL AND (
    (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) OR NOT coalesce(r.rolsuper, true)
      AND (pg_catalog.pg_has_role(a.usesysid, 'USAGE') OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'))))]]

-- The moment it began in microseconds: exact, and the same in every time zone and date style.
local BEGAN = "(extract(epoch FROM a.backend_start) * 1000000)::bigint"

local function meaning(call)
  return { call.dbname or "", sql_called.array(sql_server.own_pids()), call.user, call.application,
           call.older_than, call.state, call.pids and sql_called.array(call.pids), n = 7 }
end

----------------------------------------------------------------- Preview --

local LIST = "SELECT a.pid, " .. BEGAN .. [[ AS began, a.usename AS "user", a.application_name AS application,
    extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::float8 AS seconds, ]] .. ALLOWED
      .. " AS allowed" .. MEANT
  .. " ORDER BY a.state_change"
-- Without pg_read_all_stats a role sees that others' sessions are there, and nothing of what they do.
local COUNT = [[SELECT pg_catalog.count(*) AS total, pg_catalog.count(*) FILTER (WHERE a.state IS NULL
    AND a.query = '<insufficient privilege>') AS hidden]] .. OTHERS

local LISTED = { pid = "number", began = "number?", user = "string?", application = "string?", seconds = "number?",
                 allowed = "boolean" }

local function plural(count, word, words)
  return ("%s %s"):format(count == 0 and "no" or tostring(count), count == 1 and word or words)
end

local function what_ends(call, count)
  local state = call.state and call.state .. " " or ""
  return plural(count, state .. "session", state .. "sessions")
end

-- Whose they are, for the screen: names come from outside, so they stand beside the plan's text and not in it.
local function whose(sessions)
  local groups, order = {}, {}
  for _, session in ipairs(sessions) do
    local name = ("%s, %s"):format(session.user or "?",
      session.application ~= "" and session.application or "no application name")
    if not groups[name] then order[#order + 1] = name end
    local group = groups[name] or { count = 0, oldest = 0 }
    group.count, group.oldest = group.count + 1, math.max(group.oldest, session.seconds or 0)
    groups[name] = group
  end
  local lines = {}
  for i, name in ipairs(order) do
    lines[i] = ("%d of %s, for up to %s"):format(groups[name].count, name, duration.text(groups[name].oldest))
  end
  return lines
end

local function told(sessions)
  local list = {}
  for i, it in ipairs(sessions) do
    list[i] = { pid = it.pid, began = it.began, user = it.user, application = it.application, seconds = it.seconds }
  end
  return list
end

local function ages(sessions)
  local youngest, oldest = sessions[#sessions].seconds or 0, sessions[1].seconds or 0
  if #sessions == 1 then return (", for %s"):format(duration.text(oldest)) end
  return (", for %s to %s"):format(duration.text(youngest), duration.text(oldest))
end

local function describe(call, sessions, counted)
  local text = ("ends %s of %d on %s"):format(what_ends(call, #sessions), counted.total, sql_dsn.target(call.dsn))
  if call.dbname == "*" then
    text = text .. ", in every database"
  elseif call.dbname then
    text = text .. ", in " .. call.dbname
  end
  if #sessions > 0 then text = text .. ages(sessions) end
  if counted.hidden > 0 then text = text .. ("; what %d of them do, this role may not see"):format(counted.hidden) end
  return text
end

local function list(call)
  local found, err = sql_server.read(call.dsn, call.timeout,
    { sql = LIST, params = meaning(call), max_rows = SESSIONS_MAX, expects = LISTED })
  if not found then return nil, err end
  local params = meaning(call)
  local counted
  counted, err = sql_server.read(call.dsn, call.timeout,
    { sql = COUNT, params = { params[1], params[2] }, max_rows = 1, least = 1,
      expects = { total = "number", hidden = "number" } })
  if not counted then return nil, err end
  return found.rows, counted.rows[1]
end

-- { text, size, pins = { { pid, began }, … }, detail = lines for the screen }
local function preview(call)
  local sessions, counted = list(call)
  if not sessions then return { text = "radius unknown: " .. counted.message, size = math.huge, unknown = true } end
  local pins, forbidden = {}, 0
  for i, session in ipairs(sessions) do
    pins[i] = { session.pid, session.began or 0 }
    if not session.allowed then forbidden = forbidden + 1 end
  end
  local made = { text = describe(call, sessions, counted), size = #sessions, pins = pins, detail = whose(sessions),
                 sessions = told(sessions) }
  if forbidden > 0 then
    made.impossible = ("%d of the %d sessions may not be ended by this role: it needs pg_signal_backend and "
      .. "pg_read_all_stats, and for a superuser's sessions to be a superuser"):format(forbidden, #sessions)
  end
  return made
end

--------------------------------------------------------------------- End --

-- One statement: all of them or, when one may not be ended, none. $8 and $9 are the pins.
local END = "WITH still AS MATERIALIZED (SELECT a.pid, " .. ALLOWED .. " AS allowed" .. MEANT .. [[

    AND (a.pid, ]] .. BEGAN .. [[) IN (SELECT * FROM ROWS FROM (unnest($8::int[]), unnest($9::bigint[])))),
  signalled AS MATERIALIZED (SELECT CASE WHEN (SELECT pg_catalog.bool_and(allowed) FROM still)
    THEN pg_catalog.pg_terminate_backend(pid) END AS done FROM still)
  SELECT pg_catalog.count(*) FILTER (WHERE done) AS ended,
    pg_catalog.count(*) FILTER (WHERE done IS NULL) AS forbidden
  FROM signalled]]

local REMAIN = "SELECT pg_catalog.count(*) AS count" .. OTHERS .. [[

    AND (a.pid, ]] .. BEGAN .. [[) IN (SELECT * FROM ROWS FROM (unnest($3::int[]), unnest($4::bigint[])))]]

local CAME = "SELECT pg_catalog.count(*) AS count" .. MEANT .. [[

    AND (a.pid, ]] .. BEGAN .. [[) NOT IN (SELECT * FROM ROWS FROM (unnest($8::int[]), unnest($9::bigint[])))]]

local function arrays(pins)
  local pids, moments = {}, {}
  for i, pin in ipairs(pins) do pids[i], moments[i] = pin[1], pin[2] end
  return sql_called.array(pids), sql_called.array(moments)
end

local function count_of(call, sql, params)
  local answer = sql_server.read(call.dsn, call.timeout, { sql = sql, params = params, max_rows = 1, least = 1,
    expects = { count = "number" } })
  return answer and answer.rows[1].count
end

-- A session ends when its server process reads the signal: most at once, one in a long write to a slow client later.
local function wait_until_gone(call, pids, moments, due)
  local params = meaning(call)
  while tasks.now() < due do
    local remaining = count_of(call, REMAIN, { params[1], params[2], pids, moments })
    if not remaining or remaining == 0 then return end
    tasks.sleep(GONE_EVERY)
  end
end

-- `how` as sql.lua gives it: how writes' errors are told.
local function ender(how)
  return function(call, plan)
    local due = tasks.now() + math.min(GONE_WITHIN, call.timeout / 2)
    plan = plan or preview(call) -- approved beyond the plan: what is there now
    if plan.impossible then return outcome.failed("permission", "%s", plan.impossible) end
    if plan.unknown then return outcome.failed("unreachable", "%s", plan.text) end
    local pids, moments = arrays(plan.pins)
    local params = meaning(call)
    params[8], params[9], params.n = pids, moments, 9
    local done, err = sql_server.write(call.dsn, call.timeout, END, params)
    err = err or sql_answer.problem(done, { ended = "number", forbidden = "number" }, 1)
    if err then return how.undone(err) end
    local row = done.rows[1]
    if row.forbidden > 0 then
      return outcome.failed("permission", "none was ended: this role may not end all %d of them", row.forbidden)
    end
    wait_until_gone(call, pids, moments, due)
    return { terminated = row.ended, left = #plan.pins - row.ended, new = count_of(call, CAME, params) }
  end
end

---------------------------------------------------------------- Evidence --

local PINNED = [[SELECT pid, backend_start, usename, application_name, client_addr, datname, state, state_change,
    xact_start, query_start, wait_event_type, wait_event, left(query, 1000) AS query
  FROM pg_stat_activity WHERE pid = ANY ($1::int[]) ORDER BY state_change]]

-- What the sessions did that are about to be ended.
local function evidence(save, call, plan)
  if not plan or not plan.pins or #plan.pins == 0 then return end
  save("sql.rows", call.dsn, PINNED, { params = { (arrays(plan.pins)) } })
end

----------------------------------------------------------------- Entries --

local function words_of_filter(call)
  local where = { "backend_type = 'client backend'", "pid <> pg_backend_pid()" }
  local function add(text, value)
    if value then where[#where + 1] = text:format((tostring(value):gsub("'", "''"))) end
  end
  if call.dbname ~= "*" then
    add(call.dbname and "datname = '%s'" or "datname = current_database()", call.dbname or "")
  end
  add("usename = '%s'", call.user)
  add("application_name = '%s'", call.application)
  add("state = '%s'", call.state)
  add("state_change < now() - interval '%s s'", call.older_than)
  add("pid IN (%s)", call.pids and not values.is_placeholder(call.pids) and table.concat(call.pids, ", "))
  return table.concat(where, " AND ")
end

local function by_hand(call)
  return sql_dsn.psql(call.dsn, "-c",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE " .. words_of_filter(call))
end

-- Who was ended: for the journal.
local function pins_of(plan) return plan.sessions end

local options = {
  user = { "string", nil, "Only sessions of this role", what = true },
  application = { "string", nil, "Only sessions with this application_name", what = true },
  dbname = { "string", nil, "Sessions of this database, \"*\" for all; unless given that of the connection",
    what = true },
}

local result = {
  terminated = "integer: sessions that were ended",
  left = "integer: listed, but gone or at work again when the time came",
  new = "integer: would be ended now, but came after the list was made",
}

-- "ends idle sessions of app in their state for longer than 5m on conduit@db1"
local function intends(call)
  local words = { call.state and ("ends %s sessions"):format(tostring(call.state)) or "ends sessions" }
  local function add(text, value) if value then words[#words + 1] = text:format(tostring(value)) end end
  add("of %s", call.user)
  add("of the application %s", call.application)
  add("in %s", call.dbname == "*" and "every database" or call.dbname)
  add("with pid %s", call.pids and not values.is_placeholder(call.pids) and table.concat(call.pids, ", "))
  add("in their state for longer than %s", type(call.older_than) == "number" and duration.text(call.older_than))
  add("on %s", sql_dsn.target(call.dsn))
  return table.concat(words, " ")
end

local function entry(name, how, fields)
  fields.class, fields.result, fields.target, fields.command = "destructive", result, how.target, by_hand
  fields.intends, fields.preview, fields.evidence, fields.run, fields.pins = intends, preview, evidence, ender(how), pins_of
  fields.would = function(_, seen) return { terminated = seen and seen.pins and seen.size, left = 0, new = 0 } end
  fields.specimen = { terminated = 3, left = 0, new = 0 }
  fields.sum_up = function(it) return ("ended %s, left %s, new %s"):format(it.terminated, it.left, it.new) end
  for option, spec in pairs(options) do fields.options[option] = spec end
  catalogue.effect("sql." .. name, fields)
end

local function check_terminate(call)
  if not (call.pids or call.user or call.application or call.older_than or call.state) then
    blame.raise("sql.terminate: say which sessions: pids, user, application, older_than or state")
  end
  for _, pid in ipairs(not values.is_placeholder(call.pids) and call.pids or {}) do
    if type(pid) == "string" and not pid:find "^%d+$" then
      blame.raise("sql.terminate: option 'pids': %q is no pid", pid)
    end
  end
end

-- The server's limit, and what of it others than superusers may use: a pool is full before the limit is reached.
local LIMITS = [[pg_catalog.current_setting('max_connections')::int AS max_connections,
         pg_catalog.current_setting('max_connections')::int
           - pg_catalog.current_setting('superuser_reserved_connections')::int
           - coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::int AS slots]]

local ACTIVITY = [[
  SELECT coalesce(a.state, '') AS state, coalesce(a.application_name, '') AS application,
         coalesce(a.usename, '') AS "user", coalesce(a.datname, '') AS dbname, pg_catalog.count(*) AS count,
         pg_catalog.max(extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change))::float8 AS oldest,
         pg_catalog.max(extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start))::float8 AS oldest_transaction,
         pg_catalog.count(*) FILTER (WHERE a.wait_event_type = 'Lock') AS waiting,
         ]] .. LIMITS .. [[

  FROM pg_catalog.pg_stat_activity AS a WHERE ]] .. CLIENTS .. [[ AND a.pid <> pg_catalog.pg_backend_pid()
  GROUP BY 1, 2, 3, 4 ORDER BY count DESC, 1, 2, 3, 4]]

local GROUP = { state = "string", application = "string", user = "string", dbname = "string", count = "number",
                oldest = "number?", oldest_transaction = "number?", waiting = "number", max_connections = "number",
                slots = "number" }

local function sum_states(rows)
  local sums = { total = 0, active = 0, idle = 0, idle_in_transaction = 0, waiting = 0,
    oldest_transaction = 0, rows = rows }
  for _, row in ipairs(rows) do
    local name = row.state:gsub(" %(aborted%)", ""):gsub(" ", "_")
    sums.total, sums.waiting = sums.total + row.count, sums.waiting + row.waiting
    if name == "active" or name == "idle" or name == "idle_in_transaction" then sums[name] = sums[name] + row.count end
    sums.oldest_transaction = math.max(sums.oldest_transaction, row.oldest_transaction or 0)
    sums.max_connections, row.max_connections = row.max_connections, nil
    sums.slots, row.slots = row.slots, nil
  end
  return sums
end

local function activity(how)
  return function(call)
    local settings = require "settings"
    local found, err = sql_server.read(call.dsn, call.timeout,
      { sql = ACTIVITY, max_rows = SESSIONS_MAX, role = settings.reader, expects = GROUP })
    if not found then return how.learned(err) end
    local sums = sum_states(found.rows)
    if not sums.max_connections then -- nobody but us
      found, err = sql_server.read(call.dsn, call.timeout,
        { sql = "SELECT " .. LIMITS, max_rows = 1, least = 1,
          expects = { max_connections = "number", slots = "number" } })
      if not found then return how.learned(err) end
      sums.max_connections, sums.slots = found.rows[1].max_connections, found.rows[1].slots
    end
    sums.used_percent = math.floor(1000 * sums.total / math.max(1, sums.slots) + 0.5) / 10
    return sums
  end
end

return function(dsn_param, how)
  catalogue.effect("sql.activity", {
    summary = "The server's sessions, of all databases, by state, application, user and database; our own left out",
    class = "read", params = { dsn_param },
    result = {
      rows = "list: of groups: state application user dbname count waiting oldest (in the state, in seconds) "
        .. "oldest_transaction",
      total = "integer: clients' sessions", active = "integer", idle = "integer",
      idle_in_transaction = "integer: aborted too",
      waiting = "integer: for a lock", max_connections = "integer: the server's limit",
      slots = "integer: what of it is not reserved for superusers",
      used_percent = "number: total of the slots",
      oldest_transaction = "number: seconds since the oldest open transaction began, 0 without",
    },
    check = function(call) how.check_dsn("sql.activity", call) end,
    run = activity(how),
    command = function(call) return sql_dsn.psql(call.dsn, "-c", "SELECT * FROM pg_stat_activity") end,
    target = how.target,
    specimen = { rows = {}, total = 5, active = 1, idle = 4, idle_in_transaction = 0, waiting = 0,
                 max_connections = 100, slots = 97, used_percent = 5.2, oldest_transaction = 0 },
    sum_up = function(it)
      return it.total and ("%d of %d sessions, %d active, %d idle, %d idle in transaction"):format(it.total,
        it.slots, it.active, it.idle, it.idle_in_transaction)
    end,
  })
  entry("terminate_idle", how, {
    summary = "Ends sessions that idle, outside a transaction, for longer than a time",
    params = { dsn_param },
    options = { older_than = { "duration", "5m", "Only sessions that have been idle for longer", what = true } },
    check = function(call)
      how.check_dsn("sql.terminate_idle", call)
      call.state = "idle"
    end,
  })
  entry("terminate", how, {
    summary = "Ends sessions, whatever they do; at least one option must say which",
    params = { dsn_param },
    options = {
      pids = { "strings", nil, "Only these server processes", what = true },
      older_than = { "duration", nil, "Only sessions that have been in their state for longer", what = true },
      state = { "string", nil, "Only sessions in this state", what = true, one_of = states },
    },
    check = function(call)
      how.check_dsn("sql.terminate", call)
      check_terminate(call)
    end,
  })
end
