-- Against a real server: luahost --stdlib stdlib tests/stdlib/sql_called_test.lua DSN ADMIN_DSN
-- DSN's role owns its database and is nobody special; ADMIN_DSN's is a superuser of the same database.
local catalogue = require "catalogue"
local result = require "result"
local settings = require "settings"
local sql_called = require "effects.sql_called"
local values = require "values"
catalogue.family "sql"

local dsn, admin = ...

local function has(text, part)
  assert(tostring(text):find(part, 1, true), ("%q does not hold %q"):format(tostring(text), part))
end

local function entry(name) return catalogue.effects["sql." .. name] end

local function read(where, text, params)
  local it = entry "rows"
  local call = values.reveal_all(catalogue.call(it, where, text, { params = params }))
  local fields, err = it.run(call)
  return fields and fields.ok ~= false and fields or { error = err or { kind = "not_well", message = fields.why } }
end

local function define(text)
  local call = values.reveal_all(catalogue.call(entry "execute", admin, text))
  local fields, err = entry("execute").run(call)
  assert(fields, text .. ": " .. tostring(err and err.message))
end

-- Who called it is seen by the lock that its session keeps.
local function locks()
  return read(admin, "SELECT count(*)::int AS held FROM pg_locks WHERE locktype = 'advisory'").rows[1].held
end

local BUMP = "CREATE FUNCTION called.bump(%s) RETURNS %s LANGUAGE sql VOLATILE AS 'SELECT %s FROM pg_advisory_lock(77)'"

local setup = {
  "DROP SCHEMA IF EXISTS called CASCADE", "CREATE SCHEMA called", "GRANT USAGE ON SCHEMA called TO PUBLIC",
  BUMP:format("", "bool", "true"), BUMP:format("int", "int", "$1"), BUMP:format("int, int", "int", "$1"),
  BUMP:format("int, int, bool", "bool", "true"),
  "CREATE VIEW called.seen AS SELECT called.bump() AS a", "CREATE VIEW called.nested AS SELECT * FROM called.seen",
  "CREATE FUNCTION called.same(int, int) RETURNS bool LANGUAGE sql VOLATILE AS 'SELECT called.bump()'",
  "CREATE OPERATOR called.### (LEFTARG = int, RIGHTARG = int, FUNCTION = called.same)",
  "CREATE VIEW called.operated AS SELECT 1 OPERATOR(called.###) 2 AS a",
  "CREATE TYPE called.pair AS (a int, b int)",
  "CREATE FUNCTION called.first(called.pair) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT called.bump(1)'",
  "CREATE CAST (called.pair AS int) WITH FUNCTION called.first(called.pair) AS IMPLICIT",
  "CREATE FUNCTION public.field(called.pair) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT called.bump(1)'",
  "CREATE AGGREGATE called.total(int) (SFUNC = called.bump, STYPE = int, INITCOND = '0')",
  "CREATE DOMAIN called.odd AS int CHECK (called.bump(VALUE) > 0)", "CREATE DOMAIN called.odder AS called.odd",
  "CREATE TYPE called.box AS (a called.odd)",
  "CREATE FUNCTION called.gives() RETURNS called.odd LANGUAGE plpgsql STABLE AS 'BEGIN RETURN 1; END'",
  "CREATE FUNCTION called.takes(a int DEFAULT called.bump(1)) RETURNS int LANGUAGE sql STABLE AS 'SELECT a'",
  "CREATE FUNCTION called.looks() RETURNS int LANGUAGE sql STABLE AS 'SELECT 7'",
  "CREATE TABLE called.t AS SELECT 1 AS a", "CREATE TABLE called.guarded AS SELECT 1 AS a",
  "ALTER TABLE called.guarded ENABLE ROW LEVEL SECURITY",
  "CREATE POLICY sees ON called.guarded USING (called.bump())",
  "GRANT SELECT ON ALL TABLES IN SCHEMA called TO PUBLIC",
  "CREATE EXTENSION IF NOT EXISTS pg_stat_statements", "CREATE EXTENSION IF NOT EXISTS tablefunc",
}

-- What calls called.bump() without naming it, or names it where no parenthesis follows.
local changing = {
  ["a view"] = "SELECT * FROM called.seen",
  ["TABLE"] = "TABLE called.nested",
  ["a view in a subselect"] = "SELECT 1 WHERE EXISTS (SELECT 1 FROM called.nested)",
  ["a view in a WITH"] = "WITH x AS (SELECT * FROM called.nested) SELECT a FROM x",
  ["EXPLAIN ANALYZE"] = "EXPLAIN (ANALYZE, COSTS off) SELECT * FROM called.seen",
  ["EXPLAIN ANALYZE without parentheses"] = "EXPLAIN ANALYZE VERBOSE SELECT * FROM called.seen",
  ["an operator"] = "SELECT 1 OPERATOR(called.###) 2",
  ["an operator of a view"] = "SELECT * FROM called.operated",
  ["an operator with ANY"] = "SELECT 1 OPERATOR(called.###) ANY (ARRAY[1, 2])",
  ["an operator in an ORDER BY"] = "SELECT a FROM called.t ORDER BY a OPERATOR(called.###) 1",
  ["a cast"] = "SELECT ROW(1, 2)::called.pair::int",
  ["an implicit cast"] = "SELECT abs(ROW(1, 2)::called.pair)",
  ["a cast of an array"] = "SELECT ARRAY[ROW(1, 2)::called.pair]::int[]",
  ["field notation"] = "SELECT (p).field FROM (SELECT ROW(1, 2)::called.pair AS p) AS x",
  ["an aggregate"] = "SELECT called.total(a) FROM called.t",
  ["an aggregate as a window function"] = "SELECT called.total(a) OVER () FROM called.t",
  ["a policy"] = "SELECT * FROM called.guarded",
  ["a default of an argument"] = "SELECT called.takes()",
  ["a domain"] = "SELECT 1::called.odd",
  ["a domain over a domain"] = "SELECT a::called.odder FROM called.t",
  ["a domain that a function gives"] = "SELECT called.gives()",
  ["a domain within a type"] = "SELECT a::text::called.box FROM (SELECT '(1)'::text AS a) AS x",
  ["a function in FROM"] = "SELECT * FROM called.bump() AS x",
  ["a quoted name"] = [[SELECT "called"."bump"()]],
  ["a filter"] = "SELECT count(*) FILTER (WHERE called.bump()) FROM called.t",
  ["a text that is run"] = "SELECT query_to_xml('SELECT * FROM called.seen', true, true, '')",
  ["a table that is read by its name"] = "SELECT table_to_xml('called.seen', true, true, '')",
  ["a text that an extension runs"] = "SELECT * FROM crosstab('SELECT 1, 2, called.bump(3)') AS x (a int, b int, c int)",
}

local looking = {
  "SELECT called.looks()", "SELECT a FROM called.t WHERE a BETWEEN 1 AND 2", "EXPLAIN SELECT * FROM called.seen",
  "SELECT * FROM pg_stat_statements LIMIT 1", "SELECT * FROM pg_stat_activity", "SELECT * FROM pg_locks",
  "SHOW work_mem", "SELECT n, sum(n) OVER () FROM generate_series(1, 3) AS x (n)",
  "SELECT (1, 2) < (3, 4), ARRAY[1] @> ARRAY[2], '{1}'::int[], '[1,2)'::int4range, NULLIF(1, 2), 1 IS DISTINCT FROM 2",
}

local tests = {}

function tests.what_is_called_behind_its_back_is_refused()
  for what, text in pairs(changing) do
    local it = read(dsn, text)
    assert(it.error, what .. ": it was sent")
    assert(it.error.kind == "permission", what .. ": " .. it.error.kind .. ": " .. it.error.message)
    has(it.error.message, "may change something")
    assert(locks() == 0, what .. ": it was called")
  end
end

function tests.the_refusal_names_the_function_and_the_way()
  local it = read(dsn, "SELECT * FROM called.seen")
  has(it.error.message, "refused: called.bump() may change something (it is behind a view, ")
  has(it.error.message, "if it only looks, ALTER FUNCTION called.bump() STABLE says so; else sql.execute, in a remedy, runs it")
  it = read(dsn, "SELECT called.bump(1)")
  has(it.error.message, "refused: called.bump() may change something, and a read only looks")
end

-- A parameter takes the type of its place, a domain's too: its checks are made as it is sent.
function tests.a_domain_of_a_parameter()
  local it = read(dsn, "SELECT $1::called.odd", { 1 })
  has(it.error and it.error.message, "called.bump(integer) may change something")
end

function tests.what_only_looks_is_sent()
  for _, text in ipairs(looking) do
    local it = read(dsn, text)
    assert(not it.error, text .. ": " .. tostring(it.error and it.error.message))
    assert(it.unasked == nil, text .. ": " .. tostring(it.unasked))
  end
  local it = read(dsn, "SELECT $1::int + $2 AS n", { 1, 2 })
  assert(it.rows[1].n == 3)
end

-- No view of the server's own calls what is not known to look.
function tests.the_catalogs_views_may_be_read()
  local views = read(admin, [[SELECT c.oid::regclass::text AS name FROM pg_class c WHERE c.relkind = 'v'
    AND c.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)]]).rows
  assert(#views > 100)
  for _, view in ipairs(views) do
    local it = read(admin, "SELECT * FROM " .. view.name .. " LIMIT 0")
    assert(not it.error, view.name .. ": " .. tostring(it.error and it.error.message))
  end
end

function tests.a_statement_is_judged_for_its_role_and_anew_after_a_write()
  define "ALTER FUNCTION called.bump() STABLE"
  local it = read(dsn, "SELECT * FROM called.nested LIMIT 0")
  assert(not it.error, it.error and it.error.message)
  define "ALTER FUNCTION called.bump() VOLATILE"
  it = read(dsn, "SELECT * FROM called.nested LIMIT 0")
  has(it.error and it.error.message, "called.bump()")
  -- A policy that doesn't bind a superuser binds the reader.
  assert(not read(admin, "SELECT a FROM called.guarded").error)
  settings.reader = "conduit"
  it = read(admin, "SELECT a FROM called.guarded")
  settings.reader = nil
  has(it.error and it.error.message, "called.bump()")
end

function tests.errors_are_the_statements_own()
  local it = read(dsn, "SELECT * FROM nowhere")
  assert(it.error.kind == "sqlstate", it.error.kind)
  has(it.error.message, 'relation "nowhere" does not exist')
  assert(not read(dsn, "SELECT 1").unasked)
end

function tests.the_numbers_of_a_tree()
  local ids = sql_called.ids ":opno 96 :opfuncid\n65 :opnos (o 97 521) :funcid 0 :aggfnoid 2108 :resulttype 23 :opno 96"
  assert(table.concat(ids.functions, " ") == "2108 65")
  assert(table.concat(ids.operators, " ") == "521 96 97")
  assert(table.concat(ids.types, " ") == "23")
end

for _, text in ipairs(setup) do define(text) end
local names, failed = values.keys(tests), 0
for _, name in ipairs(names) do
  local ok, why = xpcall(tests[name], debug.traceback)
  print((ok and "ok " or "FAILED ") .. name .. (ok and "" or ": " .. tostring(why)))
  if not ok then failed = failed + 1 end
end
define "DROP SCHEMA called CASCADE"
assert(failed == 0, "some tests failed")
