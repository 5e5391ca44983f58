-- luahost --stdlib stdlib tests/stdlib/sql_class_test.lua: no server is asked.
local catalogue = require "catalogue"
local values = require "values"
catalogue.family "sql"

local execute = catalogue.effects["sql.execute"]
local dsn = "postgresql://h/d"

-- What leaves what was there, or can be told to.
local kept = {
  "WITH a AS (SELECT 1) SELECT b FROM x FOR UPDATE OF x",
  "WITH a AS (SELECT 1) INSERT INTO x SELECT 1 ON CONFLICT (a) DO UPDATE SET b = 1",
  "INSERT INTO x VALUES (1)", "INSERT INTO x VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 2",
  "SELECT 1 FROM x FOR NO KEY UPDATE", "SELECT 1 FROM x FOR UPDATE", "UPDATE x SET a = 1 WHERE b",
  "UPDATE x SET a = 1 WHERE b = $1", "UPDATE x SET a = 1 WHERE \"b\"",
  "UPDATE x SET a = (SELECT 1 FROM y WHERE z) WHERE (SELECT c FROM d)",
  "WITH a AS (SELECT 1 WHERE b) UPDATE x SET c = 1 WHERE d", "UPDATE x SET a = 1 WHERE b = 1 OR b = 2",
  "UPDATE x SET a = 1 WHERE 1 = 1 AND b", "UPDATE x SET a = 1 WHERE b BETWEEN 1 AND 2",
  "UPDATE x SET a = 1 WHERE b = 'b'", "UPDATE x SET a = 1 WHERE NOT (b OR c)",
  "UPDATE x SET a = 1 WHERE b = c RETURNING true",
  "CREATE TABLE x (a int REFERENCES y ON UPDATE CASCADE ON DELETE CASCADE)",
  "CREATE TRIGGER a BEFORE UPDATE ON x EXECUTE FUNCTION f()", "CREATE INDEX CONCURRENTLY ON x (a)", "VACUUM x",
  "VACUUM (ANALYZE) x", "REINDEX TABLE CONCURRENTLY x", "ANALYZE x", "REFRESH MATERIALIZED VIEW x",
  "EXPLAIN DELETE FROM x", "SELECT 'DROP TABLE x'", "SELECT $$DELETE FROM x$$", "SELECT E'\\'; DROP TABLE x'",
  "INSERT INTO x SELECT 1 -- ; DELETE FROM x", "INSERT INTO x SELECT \"delete\" FROM y", "SELECT setval('s', 1)",
  "CALL p()",
}

-- What can't be brought back.
local lost = {
  "UPDATE x SET a = 1 WHERE b = b AND 1 = 1",
  "WITH a AS (UPDATE x SET b = 1), c AS (SELECT 1 WHERE d) SELECT 1",
  "UPDATE x SET a = 1", "UPDATE ONLY x SET a = 1", "UPDATE x AS y SET a = 1 FROM z",
  "UPDATE x SET a = (SELECT b FROM y WHERE c)", "UPDATE x SET a = 1 /* WHERE b */", "UPDATE x SET a = 1 -- WHERE b",
  "UPDATE x SET a = 'WHERE b'", "UPDATE x SET a = $q$ WHERE b $q$", "UPDATE x SET a = E'\\' WHERE b'",
  'UPDATE x SET "where" = 1', "UPDATE x SET a = 1 WHERE true", "UPDATE x SET a = 1 WHERE 1=1",
  "UPDATE x SET a = 1 WHERE (1 = 1)", "UPDATE x SET a = 1 WHERE ((true))", "UPDATE x SET a = 1 WHERE NOT false",
  "UPDATE x SET a = 1 WHERE b = b", "UPDATE x SET a = 1 WHERE x.b = x.b", "UPDATE x SET a = 1 WHERE b OR true",
  "UPDATE x SET a = 1 WHERE (b = 1 OR (1 = 1))", "UPDATE x SET a = 1 WHERE 'a' = 'a' AND 2 > 1",
  "UPDATE x SET a = 1 WHERE 1 IN (1, 2)", "UPDATE x SET a = 1 WHERE EXISTS (SELECT 1)",
  "UPDATE x SET a = 1 WHERE 1::int = 1", "UPDATE x SET a = 1 WHERE true RETURNING b", "UPDATE x SET a = 1 WHERE $1",
  "UPDATE x SET a = 1 /* /* WHERE */ */ WHERE NULL IS NULL", "EXPLAIN ANALYZE UPDATE x SET a = 1",
  "WITH a AS (UPDATE x SET b = 1) SELECT 1 WHERE c",
  "WITH a AS (UPDATE x SET b = 1 RETURNING c) UPDATE y SET d = 1 WHERE e",
  "WITH a AS (SELECT 1 WHERE b) UPDATE x SET c = 1",
  "WITH a AS MATERIALIZED (UPDATE x SET b = 1 WHERE true RETURNING 1) SELECT 1",
  "WITH RECURSIVE a AS (SELECT 1 AS b) CYCLE b SET c USING d UPDATE x SET e = 1", "DELETE FROM x",
  "DELETE FROM x WHERE a", "DELETE FROM x WHERE true", "-- read only\nDELETE FROM x", "/* a /* b */ */ DELETE FROM x",
  "WITH a AS (DELETE FROM x RETURNING 1) SELECT 1", "WITH a AS (DELETE FROM ONLY x) INSERT INTO y SELECT 1",
  "WITH a AS (SELECT 1) DELETE FROM x", "INSERT INTO y WITH a AS (DELETE FROM x RETURNING *) SELECT * FROM a",
  "EXPLAIN (ANALYZE) DELETE FROM x", "EXPLAIN ANALYZE VERBOSE DELETE FROM x",
  "MERGE INTO x USING y ON a = b WHEN MATCHED THEN DELETE",
  "WITH a AS (SELECT 1) MERGE INTO x USING a ON true WHEN MATCHED THEN DELETE", "drop table x", "DROP DATABASE x",
  "DROP OWNED BY x", "REASSIGN OWNED BY x TO y", "TRUNCATE x", "TRUNCATE TABLE ONLY x CASCADE",
  "ALTER TABLE x DROP COLUMN y", "ALTER TABLE x ADD y int", "ALTER SYSTEM SET a = 1", "ALTER ROLE x NOLOGIN",
  "GRANT ALL ON x TO PUBLIC", "GRANT UPDATE ON x TO y", "REVOKE ALL ON x FROM y", "CLUSTER x", "VACUUM FULL",
  "VACUUM (FULL, ANALYZE) x", "vacuum full x", "REINDEX TABLE x", "REINDEX (VERBOSE) DATABASE x",
  "DO $$ BEGIN DELETE FROM x; END $$", "DO LANGUAGE plpgsql 'BEGIN END'", "/* x */ SELECT pg_terminate_backend(1)",
  "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
  "SELECT pg_catalog.PG_Terminate_Backend (pid) FROM pg_stat_activity", 'SELECT pg_catalog."pg_terminate_backend"(1)',
  "SELECT 1 FROM a, LATERAL pg_cancel_backend(pid)", "WITH a AS (SELECT pg_terminate_backend(1)) SELECT 1",
  "VALUES (lo_unlink(1))", "SELECT pg_stat_reset_single_table_counters(1)",
  "INSERT INTO x SELECT pg_drop_replication_slot('a')",
}

-- What never gets so far as to have a class.
local never = {
  ["COPY x FROM PROGRAM 'curl'"] = "COPY does not work here",
  ["COPY (DELETE FROM x RETURNING 1) TO STDOUT"] = "COPY does not work here",
  ["SELECT 1; DROP TABLE x"] = "more than one", ["DO $$ $$; DROP TABLE x"] = "more than one",
  ["SELECT 'a"] = "no end", ["SELECT $a$ ; $b$"] = "no end", ["/* /* */ DELETE FROM x"] = "no end",
  ["PREPARE a AS DELETE FROM x"] = "would end with this statement", ["SET a = 1"] = "would end with this statement",
  ["SELECT E'a' ';' -- x"] = "in several parts", [""] = "empty", [";"] = "empty",
}

local failed = {}

local function note(is_so, ...) if not is_so then failed[#failed + 1] = ("%s: %s"):format(...) end end

local function class(text) return execute.class(values.reveal_all(catalogue.call(execute, dsn, text))) end

for _, text in ipairs(kept) do note(class(text) == "write", text, "write expected") end
for _, text in ipairs(lost) do note(class(text) == "destructive", text, "destructive expected") end
for text, words in pairs(never) do
  local ok, why = pcall(catalogue.call, execute, dsn, text)
  note(not ok and tostring(why):find(words, 1, true), text, words .. " expected")
end
assert(#failed == 0, table.concat(failed, "\n"))
