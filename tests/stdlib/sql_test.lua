-- Against a real server: luahost --stdlib stdlib tests/stdlib/sql_test.lua DSN ADMIN_DSN CLOSED_PORT
-- DSN's role owns its database and is nobody special; ADMIN_DSN's is a superuser of the same database.
local catalogue = require "catalogue"
local result = require "result"
local json = require "raw.json"
local settings = require "settings"
local sql_dsn = require "effects.sql_dsn"
local sql_text = require "effects.sql_text"
local tasks = require "tasks"
local values = require "values"
catalogue.family "sql"

local dsn, admin, closed_port = ...
local place = dsn:match "@([^/:]+)"

local function equal(found, expected, what)
  if found ~= expected then
    error(("%s: expected %s, got %s"):format(what or "", tostring(expected), tostring(found)), 2)
  end
end

local function has(text, part)
  assert(tostring(text):find(part, 1, true), ("%q does not hold %q"):format(tostring(text), part))
end

local function raises(part, f, ...)
  local ok, problem = pcall(f, ...)
  assert(not ok, "it should have raised: " .. part)
  has(problem, part)
end

local function entry(name) return catalogue.effects["sql." .. name] end

-- As the gate does: checked arguments, run, a result.
local function read(name, ...)
  local it = entry(name)
  local call = catalogue.call(it, ...)
  local fields, err = it.run(values.reveal_all(call))
  if not fields then fields, err = require("outcome").from_error(err) end
  local status = not fields and "failed" or fields.ok == false and "not_well" or "ok"
  fields = fields or { ok = false, error = err }
  if fields.ok == nil then fields.ok = true end
  return result.new(it, catalogue.line(it, call, catalogue.LINE_ARGUMENT), status, fields)
end

local function call_of(name, ...) return values.reveal_all(catalogue.call(entry(name), ...)) end

local function preview(name, ...) return entry(name).preview(call_of(name, ...)) end

local function write(name, ...)
  local call = call_of(name, ...)
  return entry(name).run(call, entry(name).preview(call))
end

local tests = {}

------------------------------------------------------------------- Texts --

function tests.what_a_read_may_be()
  local well = { "SELECT 1;", "-- why\nSELECT ';' /* a /* nested */ one */", "WITH a AS (SELECT 1) SELECT * FROM a",
  "VALUES (1)",
    "TABLE x", "SHOW max_connections", "EXPLAIN DELETE FROM x", "EXPLAIN (ANALYZE) SELECT 1", "EXPLAIN (SELECT 1)",
    "(SELECT 1) UNION (SELECT 2)", "SELECT $$;$$, $a$ $$; $a$, E'\\';'", "SELECT 'it''s; fine', \"a;b\"",
    "WITH delete AS (SELECT 1) SELECT count(update) FROM delete" }
  for _, text in ipairs(well) do
    local tokens, why = sql_text.statement(text)
    equal(tokens and sql_text.not_a_read(tokens) or why, nil, text)
  end
  local bad = {
    ["SELECT 1; DELETE FROM x"] = "more than one", ["DELETE FROM x"] = "this is DELETE", [""] = "empty",
    ["/* x"] = "no end",
    ["SELECT 'x"] = "no end", ["WITH a AS (DELETE FROM x RETURNING 1) SELECT 1"] = "holds DELETE",
    ["WITH a AS (SELECT 1) UPDATE x SET a = 1"] = "holds UPDATE", ["EXPLAIN ANALYZE DELETE FROM x"] = "carries",
    ["EXPLAIN (VERBOSE, ANALYZE false) UPDATE x SET a = 1"] = "carries", ["SELECT E'a' 'b'"] = "as one",
    ["BEGIN"] = "this is BEGIN", ['SELECT U&"x"()'] = "not read here", ["SELECT $a$ x"] = "no end", [";"] = "empty",
    ["CALL p()"] = "this is CALL", ["COPY x TO STDOUT"] = "this is COPY", ["1"] = "none of them",
  }
  for text, part in pairs(bad) do
    raises(part, catalogue.call, entry "row", dsn, text)
  end
end

function tests.connection_strings_lose_their_password()
  local secret = values.secret("PW", "hush")
  local shown = {
    ["postgresql://u:hush@h:1/d"] = "postgresql://u@h:1/d", ["postgres://h/d?password=hush&a=b"] = "postgres://h/d?a=b",
    ["host=h password='a \\' hush' user=u"] = "host=h user=u", ["postgresql://u:a/hush@h/d"] = "postgresql://u@h/d",
  }
  for given, expected in pairs(shown) do equal(sql_dsn.shown(given), expected) end
  equal(sql_dsn.shown("postgresql://u:" .. secret .. "@h/d"), "postgresql://u@h/d")
  local whole = values.secret("DSN", "postgresql://u:hush@h:77/d")
  equal(sql_dsn.shown(whole), "***")
  equal(table.concat(sql_dsn.psql(whole, "-c", "X"), " "), "psql -X -h h -p 77 -U u -d d -c X")
  equal(sql_dsn.target(whole), "d@h")
  equal(catalogue.line(entry "ready", catalogue.call(entry "ready", "postgresql://u:hush@h/d")),
    "sql.ready postgresql://u@h/d")
  raises("postgresql://user@host", catalogue.call, entry "ready", "db1")
  raises("%40", catalogue.call, entry "ready", "postgresql://u:a@b@h/d")
end

------------------------------------------------------------------- Reads --

function tests.ready()
  local it = read("ready", dsn)
  equal(it.ok, true)
  equal(it.state, "accepting")
  assert(it.ms > 0 and it.version:find "^%d")
  equal(it.in_recovery, false)
  local refused = read("ready", (dsn:gsub("//[^@]+@", "//nobody@")))
  equal(refused.ok, true, "a refused login")
  has(refused.login_refused, "nobody")
  local silent = read("ready", ("postgresql://conduit@%s:%s/conduit"):format(place, closed_port))
  equal(silent.ok, false)
  equal(silent.state, "silent")
  has(silent.why, "refused")
  local nowhere = read("ready", "postgresql://conduit@no-such-host.invalid/conduit", { timeout = "3s" })
  equal(nowhere.error.kind, "dns")
  equal(result.status(nowhere), "failed")
  local folder = read("ready", "postgresql:///conduit?host=/nonexistent")
  equal(folder.ok, false)
  equal(folder.state, "silent")
end

function tests.row_value_rows()
  local it = read("row", dsn,
    "SELECT 1 AS a, 'x' AS b, NULL AS c, 1.5::float8 AS d, true AS e UNION ALL SELECT 2,'','',0,false")
  equal(it.row.a, 1)
  equal(it.row.b, "x")
  equal(it.row.c, nil)
  equal(it.row.d, 1.5)
  equal(it.row.e, true)
  equal(table.concat(it.columns, " "), "a b c d e")
  local none = read("row", dsn, "SELECT 1 WHERE false")
  equal(none.ok, true)
  equal(none.row, nil)
  equal(read("value", dsn, "SHOW max_connections").value ~= nil, true)
  equal(read("value", dsn, "SELECT $1::int + $2::int", { params = { 2, "3" } }).value, 5)
  equal(read("value", dsn, "SELECT coalesce($1, 'none')", { params = { json.null } }).value, "none")
  local rows = read("rows", dsn, "SELECT generate_series(1, 50) AS n", { max_rows = 20 })
  equal(rows.count, 20)
  equal(rows.rows[20].n, 20)
  equal(rows.cut, true)
  equal(read("rows", dsn, "SELECT 1 WHERE false").count, 0)
  has(read("row", dsn, "EXPLAIN ANALYZE SELECT 1").row["QUERY PLAN"], "Result")
  equal(read("value", dsn, "TABLE pg_catalog.pg_database").ok, true)
  raises("1 to 100000", catalogue.call, entry "rows", dsn, "SELECT 1", { max_rows = 0 })
  raises("secret", catalogue.call, entry "rows", dsn, "SELECT $1", { params = { values.secret("X", "y") } })
end

function tests.what_goes_wrong_in_a_read()
  local wrong = read("row", dsn, "SELECT no_such_column")
  equal(result.status(wrong), "failed")
  has(wrong.error.message, "no_such_column")
  equal(wrong.error.kind, "sqlstate")
  raises("failed", function() return wrong.row end)
  local late = read("row", dsn, "SELECT count(*) FROM generate_series(1, 1000000000)", { timeout = "300ms" })
  equal(result.status(late), "not_well")
  has(late.why, "statement timeout")
  local denied = read("row", dsn, "SELECT * FROM pg_catalog.pg_authid")
  equal(denied.error.kind, "permission")
  local refused = read("value", ("postgresql://conduit@%s:%s/conduit"):format(place, closed_port), "SELECT 1")
  equal(result.status(refused), "not_well")
  raises("Connection refused: it has no value", function() return refused.value end)
end

function tests.reads_change_nothing()
  write("execute", dsn, [[CREATE OR REPLACE FUNCTION sneaky() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1']])
  write("execute", dsn, [[CREATE OR REPLACE FUNCTION "Honest"() RETURNS int LANGUAGE sql STABLE AS 'SELECT 7']])
  write("execute", dsn, [[CREATE OR REPLACE FUNCTION count(rw) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1']])
  for _, text in ipairs { "pg_terminate_backend(1)", "pg_reload_conf()", "lo_creat(1)", "pg_advisory_lock(1)",
    "nextval('x')",
    "set_config('a.b', 'c', false)", "pg_sleep(1)", "sneaky()", "public . sneaky /* x */ ()", '"sneaky"()',
    "PG_RELOAD_CONF()",
    "pg_catalog.pg_cancel_backend(1)", "txid_current()", "pg_notify('a', 'b')", "count(1)", "pg_read_file('x')" } do
    local it = read("value", admin, "SELECT " .. text)
    equal(result.status(it), "failed", text)
    equal(it.error.kind, "permission", text)
    has(it.error.message, "may change something")
  end
  write("execute", dsn, "DROP FUNCTION count(rw)")
  equal(read("value", dsn, 'SELECT "Honest"()').value, 7)
  for _, text in ipairs { "SELECT count(*) FROM pg_stat_activity",
    "SELECT pg_size_pretty(pg_database_size(current_database()))",
    "SELECT now(), clock_timestamp(), random()", "SELECT pg_is_in_recovery()",
    "SELECT coalesce(max(a), 0) FROM rw AS t(a)",
    "SELECT extract(year FROM now()), substring('abc' FROM 2)",
    "SELECT x.* FROM generate_series(1, 2) AS x (n) WHERE n IN (1, 2)",
    "SELECT cast(1 AS numeric(10, 2)), row_number() OVER (ORDER BY 1)", "SELECT pg_stat_get_backend_pid(1)",
    "SELECT * FROM rw TABLESAMPLE system (10)" } do
    local it = read("row", dsn, text)
    assert(it.ok, text .. ": " .. tostring(result.summary(it)))
  end
  -- What the text doesn't tell, the transaction does.
  local into = read("value", dsn, "SELECT 1 INTO rw2")
  equal(into.error.kind, "permission")
  has(into.error.message, "read-only transaction")
  equal(read("value", dsn, "SELECT * FROM rw FOR UPDATE").error.kind, "permission")
end

function tests.the_readers_role()
  write("execute", admin, "CREATE ROLE looker")
  settings.reader = "looker"
  equal(read("value", admin, "SELECT current_user::text").value, "looker")
  equal(read("value", admin, "SELECT rolpassword FROM pg_authid").error.kind, "permission")
  settings.reader = nil
  equal(read("value", admin, "SELECT current_user::text").value, "postgres")
  write("execute", admin, "DROP ROLE looker")
end

function tests.a_connection_serves_the_next_read_and_is_closed_soon()
  local function pid() return read("value", dsn, "SELECT pg_backend_pid()").value end
  read("ready", dsn)
  local first = pid()
  equal(pid(), first)
  tasks.sleep(1.5)
  assert(pid() ~= first)
  -- One that the server closed meanwhile is replaced.
  first = pid()
  write("execute", admin, "SELECT pg_terminate_backend($1)", { params = { first } })
  tasks.sleep(0.1)
  assert(pid() ~= first)
end

function tests.locks()
  local pg = require "raw.pg"
  local holder = pg.connect { dsn = dsn }
  holder:query "BEGIN"
  holder:query "LOCK TABLE rw"
  local it = read("value", dsn, "SELECT count(*) FROM rw")
  equal(result.status(it), "not_well")
  has(it.why, "lock")
  local fields, err = entry("execute").run(call_of("execute", dsn, "DELETE FROM rw", { lock_timeout = "200ms" }))
  equal(fields, nil)
  equal(err.kind, "limit")
  local _, timeout = entry("execute").run(call_of("execute", dsn, "DELETE FROM rw", { timeout = "300ms" }))
  equal(timeout.kind, "limit", "the server's own timeout leaves no doubt")
  holder:close()
end

------------------------------------------------------------------ Writes --

function tests.execute()
  write("execute", dsn, "TRUNCATE rw")
  equal(write("execute", dsn, "INSERT INTO rw SELECT generate_series(1, 100)").affected, 100)
  write("execute", dsn, "ANALYZE rw")
  local deleting = preview("execute", dsn, "DELETE FROM rw WHERE a <= $1", { params = { 40 } })
  assert(deleting.size > 35 and deleting.size < 45)
  has(deleting.text, ("deletes about %d rows of rw, the planner expects (conduit@%s)"):format(deleting.size, place))
  equal(read("value", dsn, "SELECT count(*) FROM rw").value, 100)
  local done = write("execute", dsn, "DELETE FROM rw WHERE a <= $1 RETURNING a", { params = { 40 } })
  equal(done.affected, 40)
  equal(#done.rows, 40)
  has(preview("execute", dsn, "DROP TABLE rw").text,
    "runs DROP TABLE on conduit@" .. place .. ": 1 table with about 100 rows")
  has(preview("execute", dsn, "DELETE FROM nowhere").impossible, "nowhere")
  has(preview("execute", ("postgresql://conduit@%s:%s/x"):format(place, closed_port), "DELETE FROM x").text,
    "radius unknown")
  has(preview("execute", dsn, "SELECT pg_cancel_backend(a) FROM rw").text, "runs SELECT for about ")
  equal(preview("execute", dsn, "VACUUM rw").text, "runs VACUUM on conduit@" .. place)
  equal(write("execute", dsn, "VACUUM rw").command, "VACUUM")
  local it = entry("execute")
  local _, err = it.run(call_of("execute", dsn, "INSERT INTO nowhere VALUES (1)"))
  equal(err.kind, "sqlstate")
  _, err = it.run(call_of("execute", ("postgresql://conduit@%s:%s/x"):format(place, closed_port), "VACUUM"))
  equal(err.kind, "refused")
end

local function session(name, text)
  local conn = assert(require("raw.pg").connect { dsn = dsn .. "?application_name=" .. name })
  if text then assert(conn:query(text)) end
  return conn
end

-- What earlier tests left behind is gone.
local function settle()
  write("execute", admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'conduit'")
  tasks.sleep(0.3)
end

local function alive(conn) return conn:query "SELECT 1" ~= nil end

function tests.activity()
  local idle, open = session("web"), session("batch", "BEGIN")
  tasks.sleep(0.2)
  local it = read("activity", dsn)
  assert(it.ok)
  assert(it.total >= 2 and it.idle >= 1 and it.idle_in_transaction == 1)
  assert(it.oldest_transaction >= 0.2 and it.oldest_transaction < 60)
  equal(it.max_connections, read("value", dsn, "SELECT current_setting('max_connections')::int").value)
  local found
  for _, row in ipairs(it.rows) do if row.application == "batch" then found = row end end
  equal(found.state .. found.user .. found.dbname .. found.count, "idle in transactionconduitconduit1")
  idle:close()
  open:close()
end

function tests.terminate_idle_ends_what_was_listed()
  settle()
  local first, second, third = session "web", session "web", session("batch", "BEGIN")
  tasks.sleep(0.4)
  local call = call_of("terminate_idle", dsn, { older_than = "300ms" })
  local plan = entry("terminate_idle").preview(call)
  equal(plan.size, 2)
  has(plan.text, "ends 2 idle sessions of 3 on conduit@" .. place)
  equal(#plan.detail, 1)
  has(plan.detail[1], "2 of conduit, web")
  local late = session "late"
  second:query "BEGIN" -- at work again when the time comes
  tasks.sleep(0.4)
  local done = entry("terminate_idle").run(call, plan)
  equal(done.terminated, 1)
  equal(done.left, 1)
  equal(done.new, 1)
  equal(alive(first), false)
  assert(alive(second) and alive(third) and alive(late))
  for _, conn in ipairs { second, third, late } do conn:close() end
  has(preview("terminate_idle", dsn).text, "ends no idle sessions of")
end

function tests.terminate_by_pid_and_state()
  settle()
  local open, idle = session("batch", "BEGIN"), session "web"
  raises("say which", catalogue.call, entry "terminate", dsn)
  raises("no pid", catalogue.call, entry "terminate", dsn, { pids = { "x" } })
  local plan = preview("terminate", dsn, { state = "idle in transaction", user = "conduit" })
  equal(plan.size, 1)
  has(plan.text, "ends 1 idle in transaction session of 2 on conduit@" .. place)
  local pid = idle:info().pid
  local done = write("terminate", dsn, { pids = { pid } })
  equal(done.terminated, 1)
  equal(alive(idle), false)
  assert(alive(open))
  local line = catalogue.line(entry "terminate",
    catalogue.call(entry "terminate", "postgresql://h/d",
    { pids = { 12, 7 }, older_than = "90s" }))
  equal(line, "sql.terminate postgresql://h/d older_than=1m30s pids=\"12 7\"")
  has(table.concat(entry("terminate").command(call_of("terminate", "postgresql://h/d", { user = "o'x" })), " "),
    "psql -X postgresql://h/d -c SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type")
  open:close()
end

-- A statement with its parameters' values in their places asks what it asks with parameters.
function tests.a_filled_statement_asks_the_same()
  local cases = {
    { "SELECT $1::text || '$1' || $2 AS a -- $1", { "it's \\ $2", "E" } },
    { "SELECT 1 WHERE 5 > $1 AND $2 = 1.5 AND $3::int IS NULL", { -5, 1.5, json.null } },
    { "SELECT $1 + 1 AS a, $2::boolean AS b LIMIT $3", { 41, true, 1 } },
    { 'SELECT $1::text AS "$1", $tag$ $1 $tag$ AS b, E\'\\\'$1\' AS c', { "x" } },
    { "SELECT 10 -$1 AS a", { -3 } },
  }
  for _, case in ipairs(cases) do
    local asked = read("rows", dsn, case[1], { params = case[2] })
    local filled = read("rows", dsn, sql_text.filled(case[1], case[2]))
    equal(json.encode(filled.rows), json.encode(asked.rows), case[1])
  end
  equal(catalogue.line(entry "row", call_of("row", "postgresql://h/d", "SELECT $1", { params = { json.null } })),
    'sql.row postgresql://h/d "SELECT $1" params=null', "NULL in a line")
end

-- A role that may not end others' sessions is told so before anything is ended.
function tests.sessions_of_others()
  settle()
  local other = assert(require("raw.pg").connect { dsn = admin })
  local mine = session "web"
  local plan = preview("terminate", dsn, { pids = { other:info().pid, mine:info().pid } })
  has(plan.impossible, "1 of the 2 sessions may not be ended by this role")
  local call = call_of("terminate", dsn, { pids = { other:info().pid, mine:info().pid } })
  write("execute", admin, "GRANT pg_read_all_stats TO conduit")
  plan = preview("terminate", dsn, { pids = { other:info().pid, mine:info().pid } })
  has(plan.impossible, "1 of the 2")
  plan.impossible = nil
  local fields, err = entry("terminate").run(call, plan)
  equal(fields, nil)
  equal(err.kind, "permission")
  write("execute", admin, "REVOKE pg_read_all_stats FROM conduit")
  assert(alive(other) and alive(mine))
  has(preview("terminate_idle", dsn).text, "of them do, this role may not see")
  equal(write("terminate", admin, { pids = { mine:info().pid } }).terminated, 1)
  other:close()
end

function tests.specimens()
  local row = entry("row").specimen(call_of("row", dsn,
    "SELECT count(*) AS now, current_setting('x')::int AS most FROM y")).row
  equal(row.now, 1)
  equal(row.most, 10)
end

write("execute", dsn, "DROP TABLE IF EXISTS rw")
equal(write("execute", dsn, "CREATE TABLE rw (a int)").command, "CREATE TABLE")
local names, failed = values.keys(tests), 0
for _, name in ipairs(names) do
  local ok, why = xpcall(tests[name], debug.traceback)
  print((ok and "ok " or "FAILED ") .. name .. (ok and "" or ": " .. tostring(why)))
  if not ok then failed = failed + 1 end
end
assert(failed == 0, "some tests failed")
