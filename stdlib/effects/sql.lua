-- sql: PostgreSQL. Reads are one statement in a READ ONLY transaction (sql_server.lua says what that lets through);
-- execute commits by itself. Sessions are looked at and ended in sql_sessions.lua.
local blame = require "blame"
local catalogue = require "catalogue"
local duration = require "duration"
local json = require "raw.json"
local outcome = require "outcome"
local sends = require "sends"
local settings = require "settings"
local sql_called = require "effects.sql_called"
local sql_answer = require "effects.sql_answer"
local sql_class = require "effects.sql_class"
local sql_dsn = require "effects.sql_dsn"
local sql_server = require "effects.sql_server"
local sql_text = require "effects.sql_text"
local sql_unseen = require "effects.sql_unseen"
local tasks = require "tasks"
local values = require "values"

-- sql.rows and sql.execute give this many rows unless max_rows says otherwise, and never more than the limit.
local ROWS_MAX, ROWS_LIMIT = 1000, 100000
-- A write waits this long for somebody's lock unless lock_timeout says otherwise: whatever comes later waits behind it.
local LOCK_WAIT = "5s"

local dsn_param = { "dsn", "string",
                    "postgresql://user@host:5432/database, or libpq's keyword=value form; may hold secrets",
                    secret = true, show = sql_dsn.shown }
local sql_param = { "sql", "string", "The statement, with $1, $2 … for params" }

---------------------------------------------------------------- Arguments --

local function check_dsn(entry_name, call)
  local problem = sql_dsn.problem(call.dsn)
  if problem then blame.raise("%s: argument 1 (dsn): %s", entry_name, problem) end
end

local plain = { string = true, number = true, boolean = true }

local function check_params(entry_name, params)
  if params == nil or values.is_placeholder(params) then return end
  for i, value in ipairs(params) do
    if values.is_secret(value) then
      blame.raise("%s: params[%d]: a secret may not go here: it would be shown", entry_name, i)
    end
    if not plain[type(value)] and value ~= json.null and not values.is_placeholder(value) then
      blame.raise("%s: params[%d]: a string, number, boolean or json.null expected, got %s", entry_name, i,
        values.describe(value))
    end
  end
end

-- The statement's tokens; raises at the script's line when `problem_of` finds one.
local function check_statement(entry_name, text, problem_of)
  if type(text) ~= "string" then return end -- a dry result's placeholder
  local tokens, why = sql_text.statement(text)
  if tokens then why = problem_of(tokens) end
  if why then blame.raise("%s: %s", entry_name, why) end
end

local function check_rows(entry_name, call)
  local max = call.max_rows
  if math.type(max) == "integer" and (max < 1 or max > ROWS_LIMIT) then
    blame.raise("%s: option 'max_rows': 1 to %d expected, got %d", entry_name, ROWS_LIMIT, max)
  end
end

local function checker(entry_name, problem_of)
  return function(call)
    check_dsn(entry_name, call)
    check_statement(entry_name, call.sql, problem_of)
    check_params(entry_name, call.params)
    check_rows(entry_name, call)
  end
end

-- Parameters for raw.pg, which takes nil for NULL.
local function bound(params)
  if not params then return nil end
  local list = { n = #params }
  for i, value in ipairs(params) do if value ~= json.null then list[i] = value end end
  return list
end

------------------------------------------------------------------ Outcomes --

-- Reads: kinds that are the server's own words become findings where they say how it is doing.
local function learned(err)
  if err.sqlstate == "55P03" then return outcome.not_well("a lock was not to be had in time: " .. err.message) end
  if err.sqlstate == "25006" then
    return outcome.failed("permission", "%s", err.message .. ": sql.execute, in a remedy, makes changes")
  end
  -- No socket in the folder: nobody listens there.
  if err.kind == "missing" and err.connecting and not err.sqlstate then return outcome.not_well(err.message) end
  return outcome.from_error(err)
end

-- Writes: without a connection nothing was asked of the server, so nothing is in doubt; and what the server itself
-- stopped it has undone.
local function undone(err)
  if err.connecting and (err.kind == "timeout" or err.kind == "reset") then
    return outcome.failed("unreachable", "%s", err.message)
  end
  if err.sqlstate == "57014" then
    return outcome.failed("limit", "%s",
      err.message .. ": the server undid it, except what a CONCURRENTLY or VACUUM did")
  end
  if err.sqlstate == "55P03" then
    return outcome.failed("limit", "%s",
      err.message .. ": somebody holds a lock on it, see pg_locks; option lock_timeout")
  end
  return nil, err
end

-- psql's words for one statement, its parameters filled in; `before`: what the session is told first, as the act does.
local function psql(call, before)
  local filled = sql_text.filled(call.sql, call.params)
  if not filled then return nil end
  local words = sql_dsn.psql(call.dsn)
  for _, statement in ipairs(before) do table.move({ "-c", statement }, 1, 2, #words + 1, words) end
  return table.move({ "-c", filled }, 1, 2, #words + 1, words)
end

local function read_by_hand(call)
  local before = { "BEGIN READ ONLY" }
  if settings.reader then before[2] = "SET ROLE " .. sql_text.literal(settings.reader) end
  return psql(call, before)
end

local function write_by_hand(call)
  return psql(call, { ("SET lock_timeout = %s"):format(sql_text.literal(duration.text(call.lock_timeout))) })
end

local function sends_of(call)
  local lines = sends.split(call.sql)
  for i, value in ipairs(not values.is_placeholder(call.params) and call.params or {}) do
    lines[#lines + 1] = ("$%d = %s"):format(i, value == json.null and "NULL" or tostring(value))
  end
  return lines
end

local function target(call) return sql_dsn.target(call.dsn) end

-------------------------------------------------------------------- ready --

-- Whether the very refusal says that no session is left: PostgreSQL's own, or a pooler's in front of it.
local function is_full(err)
  return err.sqlstate == "53300" or err.message:find("no more connections allowed", 1, true) ~= nil
    or err.message:find("client connections exceeded", 1, true) ~= nil
end

-- What a pooler says when it has no server to give: it speaks for itself, so nothing is known of the server but that.
local serverless = { "cannot connect to server", "server login has been failing", "(server down)", "query_wait_timeout",
                     "server_connect_timeout" }

local function has_no_server(err)
  if err.sqlstate ~= "08P01" then return false end
  for _, words in ipairs(serverless) do if err.message:find(words, 1, true) then return true end end
  return false
end

-- As pg_isready sees it: a server that refuses this login, or has no session left, accepts connections all the same.
local function ready(call)
  local began = tasks.now()
  local info, err = sql_server.look(call.dsn, call.timeout)
  local ms = (tasks.now() - began) * 1000
  if info then
    return { state = "accepting", full = false, ms = ms, version = info.server_version, in_recovery = info.in_recovery }
  end
  if err.kind == "starting" then return outcome.not_well(err.message, { state = "starting", full = false, ms = ms }) end
  if (err.sqlstate or err.kind == "login") and not has_no_server(err) then
    return { state = "accepting", full = is_full(err), ms = ms, login_refused = err.message,
             summary = "accepts connections, but not this one: " .. err.message }
  end
  local fields, failure = learned(err)
  if fields then fields.state, fields.full, fields.ms = "silent", false, ms end
  return fields, failure
end

catalogue.effect("sql.ready", {
  summary = "Does PostgreSQL accept connections? As pg_isready: also when it refuses this login",
  class = "read",
  params = { dsn_param },
  result = {
    state = "string: accepting, starting (or shutting down), silent", ms = "number: how long it took, milliseconds",
    full = "boolean: it refused this login because no session is left",
    login_refused = "string: why this login was refused; nil when it was accepted",
    version = "string: the server's version",
    in_recovery = "boolean: a standby", summary = "string: in words",
  },
  check = function(call) check_dsn("sql.ready", call) end,
  run = ready,
  command = function(call)
    local words = sql_dsn.psql(call.dsn)
    if words[3] ~= "-h" then return { "pg_isready", "-d", words[3] } end
    return { "pg_isready", table.unpack(words, 3) }
  end,
  target = target,
  specimen = { state = "accepting", full = false, ms = 3.0, version = "15.10", in_recovery = false },
})

-------------------------------------------------------------------- Reads --

local read_options = {
  params = { "map", nil, "A list: the values of $1, $2 …; json.null is NULL", what = true },
}

local function read(call, max_rows)
  local tokens = sql_text.statement(call.sql)
  if not tokens then return outcome.failed("usage", "not one statement: %s", call.sql) end
  local answer, err = sql_server.read(call.dsn, call.timeout, { sql = call.sql, params = bound(call.params),
    carried_out = sql_text.carried_out(tokens, call.sql), calls = sql_text.calls(tokens),
    names = sql_text.names(tokens), max_rows = max_rows, role = settings.reader })
  if not answer then return nil, err end
  return answer
end

local function reader(name, entry)
  entry.class, entry.params = "read", { dsn_param, sql_param }
  entry.result.unasked = "string: why the server was not asked what the statement calls; nil when it was"
  entry.options = entry.options or {}
  entry.options.params = read_options.params
  entry.check, entry.command, entry.target = checker("sql." .. name, sql_text.not_a_read), read_by_hand, target
  catalogue.effect("sql." .. name, entry)
end

-- A scenario's row unless the file says: its columns hold 1, 10, 100 …, as a count is usually followed by its limit.
local function specimen_row(call)
  local row, value = {}, 1
  for _, name in ipairs(type(call.sql) == "string" and sql_text.columns(call.sql) or {}) do
    row[name], value = value, value * 10
  end
  return row
end

local function row_text(row)
  local parts = {}
  for _, name in ipairs(values.keys(row)) do parts[#parts + 1] = name .. "=" .. tostring(row[name]) end
  return table.concat(parts, " ")
end

-- The first row as raw.pg gives it, and the whole answer. One that does not fit is not "no row".
local function first_row(call)
  local answer, err = read(call, 1)
  if answer and answer.cut and not answer.rows[1] then
    err = { kind = "answer", message = ("the first row is larger than %d MB: select less of it"):format(
      sql_server.BYTES_MAX >> 20) }
    answer = nil
  end
  return answer, err
end

reader("row", {
  summary = "The first row of a query",
  result = { row = "map: column → value, NULL absent, of columns with one name the first; nil when there is no row",
             columns = "list: the columns' names" },
  run = function(call)
    local answer, err = first_row(call)
    if not answer then return learned(err) end
    return { row = answer.rows[1], columns = answer.columns, unasked = answer.unasked }
  end,
  specimen = function(call) return { row = specimen_row(call) } end,
  sum_up = function(fields) return fields.row and row_text(fields.row) or "no row" end,
})

reader("value", {
  summary = "The first column of a query's first row",
  result = { value = "any: number, string or boolean; nil for NULL and when there is no row" },
  run = function(call)
    local answer, err = first_row(call)
    if not answer then return learned(err) end
    return { value = answer.rows[1] and answer.rows[1][answer.columns[1]], unasked = answer.unasked }
  end,
  specimen = { value = 1 },
  sum_up = function(fields) return tostring(fields.value) end,
})

reader("rows", {
  summary = "The rows of a query",
  options = { max_rows = { "integer", ROWS_MAX, ("Rows that are kept, at most %d and 4 MB"):format(ROWS_LIMIT) } },
  result = { rows = "list: of maps, column → value, NULL absent", count = "integer: rows in the list",
             columns = "list: the columns' names", cut = "boolean: there were more" },
  run = function(call)
    local answer, err = read(call, call.max_rows)
    if not answer then return learned(err) end
    return { rows = answer.rows, count = #answer.rows, columns = answer.columns, cut = answer.cut or nil,
             unasked = answer.unasked }
  end,
  specimen = { rows = {}, count = 0, columns = {} },
  sum_up = function(fields)
    return ("%d row%s%s"):format(fields.count, fields.count == 1 and "" or "s", fields.cut and ", cut" or "")
  end,
})

------------------------------------------------------------------ execute --

local doing = { Update = "updates", Delete = "deletes", Insert = "inserts", Merge = "changes" }

local function rows_of(node) return math.type(node["Plan Rows"]) and node["Plan Rows"] or 0 end

-- EXPLAIN's JSON: a list whose first has the plan.
local function plan_of(text)
  local ok, said = pcall(json.decode, text)
  local first = ok and type(said) == "table" and said[1]
  return type(first) == "table" and type(first.Plan) == "table" and first.Plan or nil
end

local function find_change(node)
  if node["Node Type"] == "ModifyTable" then return node end
  for _, child in ipairs(node.Plans or {}) do
    local found = find_change(child)
    if found then return found end
  end
end

-- A query that calls something for each of its rows.
local function counted(rows, call)
  return { size = rows, text = ("runs %s for about %d row%s, the planner expects"):format(
    sql_text.headline(sql_text.statement(call.sql)), rows, rows == 1 and "" or "s") }
end

-- What the planner expects an INSERT, UPDATE, DELETE, MERGE or WITH to touch; asked as a read, nothing is carried out.
local function estimate(call)
  local answer, err = sql_server.read(call.dsn, call.timeout,
    { sql = "EXPLAIN (FORMAT JSON) " .. call.sql, params = bound(call.params), max_rows = 1,
      expects = { ["QUERY PLAN"] = "string" }, least = 1 })
  if not answer then return nil, err end
  local plan = plan_of(answer.rows[1]["QUERY PLAN"])
  if not plan then return nil, sql_answer.error("a plan in JSON", "something else") end
  local change = find_change(plan)
  if not change then return counted(rows_of(plan), call) end
  local rows = 0
  for _, child in ipairs(change.Plans or {}) do rows = rows + rows_of(child) end
  return { size = rows,
    text = ("%s about %d row%s of %s, the planner expects"):format(doing[change.Operation] or "changes", rows,
    rows == 1 and "" or "s", change["Relation Name"] or "a table") }
end

-- How much a DROP TABLE or TRUNCATE takes along, by the statistics.
local function contents(call, tables)
  local answer, err = sql_server.read(call.dsn, call.timeout, { params = { sql_called.array(tables) }, least = 1,
    expects = { tables = "number", found = "number", rows = "number", size = "string" }, sql = [[
    SELECT pg_catalog.count(*) AS tables, pg_catalog.count(t.oid) AS found,
           coalesce(pg_catalog.sum(greatest(c.reltuples, 0)), 0)::bigint AS rows,
           pg_catalog.pg_size_pretty(coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(t.oid)), 0)) AS size
    FROM (SELECT pg_catalog.to_regclass(name)::oid AS oid FROM pg_catalog.unnest($1::text[]) AS name) AS t
         LEFT JOIN pg_catalog.pg_class c ON c.oid = t.oid]] })
  if not answer then return nil, err end
  local row = answer.rows[1]
  return { size = row.rows,
    text = ("%d table%s with about %d rows, %s"):format(row.found, row.found == 1 and "" or "s", row.rows,
    row.size) }
end

local function intends(call)
  local tokens = type(call.sql) == "string" and sql_text.statement(call.sql)
  return ("runs %s on %s"):format(tokens and sql_text.headline(tokens) or "a statement", target(call))
end

-- What no plan shows, behind the text of one that was looked at; a server that can't tell says nothing here.
local function with_unseen(plan, call, tokens)
  local answer = sql_server.read(call.dsn, call.timeout, { sql = sql_unseen.QUERY, params = sql_unseen.params({ tokens }, true),
    expects = { unseen = "string" } })
  local text = answer and sql_unseen.text(answer.rows)
  if text then plan.text = ("%s; not in it is what happens in: %s"):format(plan.text, text) end
  return plan
end

local function preview(call)
  local tokens, place = type(call.sql) == "string" and sql_text.statement(call.sql), target(call)
  if not tokens then
    return { text = "radius unknown: only the run knows the statement", size = math.huge, unknown = true }
  end
  local tables = sql_text.emptied(tokens)
  local found, err
  if tables and #tables > 0 then
    found, err = contents(call, tables)
    if found then found.text = ("%s: %s"):format(intends(call), found.text) end
  elseif sql_text.is_planned(tokens) then
    found, err = estimate(call)
    if found then found.text = ("%s (%s)"):format(found.text, place) end
  end
  if found then return with_unseen(found, call, tokens) end
  if err and err.sqlstate and (err.kind == "sqlstate" or err.kind == "permission") then
    return { text = err.message, impossible = err.message }
  end
  if err then return { text = "radius unknown: " .. err.message, size = math.huge, unknown = true } end
  return with_unseen({ text = intends(call), size = 1 }, call, tokens)
end

local check_execute = checker("sql.execute", sql_text.not_a_write)

catalogue.effect("sql.execute", {
  summary = "Runs one statement on a connection of its own; it is committed when it succeeds",
  class = function(call)
    local tokens = type(call.sql) == "string" and sql_text.statement(call.sql)
    return tokens and sql_class(tokens) or "write"
  end,
  class_help = "write; destructive for DROP, TRUNCATE, DELETE, ALTER, MERGE, GRANT, REVOKE, CLUSTER, VACUUM FULL, REINDEX "
    .. "without CONCURRENTLY, DO, an UPDATE whose WHERE leaves no row out, and calls of what ends sessions or resets",
  params = { dsn_param, sql_param },
  options = {
    params = read_options.params,
    timeout = { "duration", "1m", "The longest it may take; then the server stops and undoes it" },
    lock_timeout = { "duration", LOCK_WAIT, "The longest it may wait for a lock" },
    max_rows = { "integer", ROWS_MAX, ("Rows of RETURNING that are kept, at most %d and 4 MB"):format(ROWS_LIMIT) },
  },
  result = { affected = "integer: rows touched; nil for statements that touch none",
             command = "string: the server's word, UPDATE 3",
             rows = "list: of RETURNING, or of a SELECT", columns = "list: their columns",
             cut = "boolean: there were more rows" },
  check = check_execute,
  run = function(call)
    local answer, err = sql_server.write(call.dsn, call.timeout, call.sql, bound(call.params),
      call.lock_timeout, call.max_rows)
    if not answer then return undone(err) end
    return { affected = answer.affected, command = answer.command, rows = answer.rows, columns = answer.columns,
             cut = answer.cut or nil }
  end,
  command = write_by_hand,
  intends = intends,
  sends = sends_of,
  target = target,
  preview = preview,
  would = function() return {} end,
  specimen = { affected = 1, command = "UPDATE 1", rows = {}, columns = {} },
  sum_up = function(fields) return fields.command end,
})

require("effects.sql_sessions")(dsn_param,
  { target = target, check_dsn = check_dsn, learned = learned, undone = undone })
