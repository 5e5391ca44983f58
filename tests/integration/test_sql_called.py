"""What a read calls without naming it: asked of a real PostgreSQL. Every function here that changes something raises when it
is carried out, so that a read of it which was let through says "it ran"."""

import pytest

from test_effects_sql import outcome

CHANGES = "LANGUAGE plpgsql VOLATILE AS $$ BEGIN RAISE EXCEPTION 'it ran'; END $$"
COMMON = f"""
CREATE FUNCTION bump() RETURNS bool {CHANGES};
CREATE FUNCTION bump(int) RETURNS int {CHANGES};
CREATE FUNCTION bump(int, int) RETURNS int {CHANGES};
CREATE FUNCTION look() RETURNS int LANGUAGE sql STABLE AS 'SELECT 7';
CREATE TYPE pair AS (a int, b int);
CREATE TABLE t (a int, b int);
INSERT INTO t VALUES (1, 2);
"""
# One reason in a database at a time: what makes it, and reads that call it. A reason hides that another is not seen.
REASONS = {
    "view": ("CREATE VIEW v AS SELECT bump(); CREATE VIEW over_v AS SELECT 1 AS one WHERE EXISTS (SELECT FROM v); "
             'CREATE SCHEMA other; CREATE VIEW other."A view" AS TABLE over_v; GRANT USAGE ON SCHEMA other TO conduit; '
             "CREATE VIEW system AS SELECT pg_reload_conf(); CREATE VIEW sampled AS SELECT a FROM t WHERE a = (SELECT bump(1))",
             ["SELECT * FROM v", "SELECT * FROM over_v", 'TABLE other."A view"', "SELECT * FROM V", "SELECT * FROM system",
              "WITH x AS (SELECT * FROM v) SELECT 1 FROM x", "EXPLAIN ANALYZE SELECT * FROM v", "SELECT 1 FROM sampled",
              "EXPLAIN (ANALYZE, COSTS OFF) (SELECT * FROM v)", "SELECT 1 FROM t UNION SELECT one FROM over_v"]),
    "policy": ("CREATE TABLE guarded (a int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; "
               "CREATE POLICY bumps ON guarded USING (bump())", ["SELECT * FROM guarded", "SELECT count(*) FROM public.guarded"]),
    "operator": ("CREATE OPERATOR ### (leftarg = int, rightarg = int, function = bump); "
                 "CREATE OPERATOR !## (rightarg = int, function = bump)",
                 ["SELECT 1 ### 2", "SELECT !## 2", "SELECT a FROM t WHERE a ### b = 1", "SELECT 1 OPERATOR(public.###) 2",
                  "SELECT a FROM t ORDER BY a ### b"]),
    "built-in operator": ("CREATE OPERATOR <!> (leftarg = int, rightarg = bigint, function = pg_terminate_backend)",
                          ["SELECT 0 <!> 0::bigint", "SELECT 1 FROM t WHERE 0 <!> ANY (ARRAY[0::bigint])"]),
    "cast": (f"CREATE FUNCTION of_pair(pair) RETURNS int {CHANGES}; CREATE CAST (pair AS int) WITH FUNCTION of_pair(pair)",
             ["SELECT ROW(1,2)::pair::int", "SELECT CAST(ROW(1,2)::pair AS int)", "SELECT (ARRAY[ROW(1,2)::pair])::int[]"]),
    "implicit cast": (f"CREATE FUNCTION to_pair(int) RETURNS pair {CHANGES}; CREATE FUNCTION takes_pair(pair) RETURNS int "
                      "LANGUAGE sql IMMUTABLE AS 'SELECT 1'; CREATE CAST (int AS pair) WITH FUNCTION to_pair(int) AS IMPLICIT",
                      ["SELECT takes_pair(1)"]),
    "aggregate": ("CREATE AGGREGATE sums (int) (sfunc = bump, stype = int)",
                  ["SELECT sums(a) FROM t", "SELECT sums(a) OVER () FROM t", "SELECT 1 FROM t HAVING sums(a) > 1"]),
    "last of an aggregate": ("CREATE AGGREGATE lasts (int) (sfunc = int4pl, stype = int, finalfunc = bump)",
                             ["SELECT lasts(a) FROM t"]),
    "field": (f"CREATE FUNCTION field(t) RETURNS int {CHANGES}",
              ["SELECT t.field FROM t", 'SELECT x."field" FROM t AS x', "SELECT (SELECT y.field) FROM t AS y"]),
    "domain": ("CREATE DOMAIN checked AS int CHECK (bump(VALUE) = 1); CREATE DOMAIN of_checked AS checked; "
               "CREATE FUNCTION takes_checked(checked) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'",
               ["SELECT 1::checked", "SELECT 1::of_checked", "SELECT takes_checked(1)"]),
}
CALLED = [(reason, statement) for reason, (_, statements) in REASONS.items() for statement in statements]
HARMLESS = """
CREATE VIEW seen AS SELECT look(), count(*) FROM pg_stat_activity, pg_locks;
CREATE AGGREGATE counts (int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FUNCTION takes_pair(pair) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE TABLE own (a name);
ALTER TABLE own ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON own USING (a = current_user);
CREATE EXTENSION pg_stat_statements;
CREATE VIEW statements AS SELECT calls FROM pg_stat_statements;
CREATE VIEW v AS SELECT bump();
"""
LOOKS = ["SELECT * FROM seen", "SELECT a FROM t", "SELECT * FROM own", "SELECT counts(a) FROM t", "SELECT 1::positive",
         "SELECT calls FROM pg_stat_statements LIMIT 1", "SELECT calls FROM statements LIMIT 1",
         "SELECT count(*) FROM pg_stat_activity", "EXPLAIN SELECT * FROM v",
         "SHOW server_version", "SELECT a + b FROM t", "SELECT takes_pair(NULL::pair)", "VALUES (1), (2)",
         "SELECT relname FROM pg_class, t LIMIT 1"]


@pytest.fixture(scope="module")
def databases(postgres_session):
    """databases(SQL) -> the address of a database that holds it, made once"""
    postgres_session.start()
    made = {}

    def database(sql):
        if sql not in made:
            name = made[sql] = f"called_{len(made)}"
            postgres_session.psql(f"CREATE DATABASE {name}", dbname="postgres")
            postgres_session.psql_file(COMMON + sql + ";GRANT SELECT ON ALL TABLES IN SCHEMA public TO conduit;", dbname=name)
            if "SCHEMA other" in sql:
                postgres_session.psql("GRANT SELECT ON ALL TABLES IN SCHEMA other TO conduit", dbname=name)
        return postgres_session.uri("conduit", made[sql])
    yield database
    for name in made.values():
        postgres_session.psql(f"DROP DATABASE {name} WITH (FORCE)", dbname="postgres")


@pytest.fixture
def read(runbook, sandbox, databases):
    """read(SQL of the database, statement, params) -> the outcome of it as a read of a dry run"""
    def run(sql, statement, params="{}", dsn=None):
        dsn = dsn or databases(sql)
        script = sandbox.write("read.lua", 'runbook { title = "Read" }\n'
                               f"pcall(sql.rows, '{dsn}', [==[{statement}]==], {{ params = {params} }})\nreturn unresolved 'x'")
        return outcome(runbook("run", script, "--dry-run"), "sql.rows")
    return run


@pytest.mark.parametrize("reason, statement", CALLED)
def test_what_is_called_behind_a_name_is_refused(read, reason, statement):
    """Broken by: a LOOK_UP without this reason; sql_called.ids without its fields."""
    told = read(REASONS[reason][0], statement)
    assert told["status"] == "failed" and told["result"]["error"]["kind"] == "permission", told
    assert "may change something" in told["result"]["error"]["message"], told


@pytest.mark.parametrize("statement", LOOKS)
def test_what_only_looks_is_read(read, statement):
    told = read(HARMLESS, statement)
    assert told["status"] == "ok", told


def test_a_statement_with_parameters(read):
    refused = read(HARMLESS, "SELECT * FROM v WHERE $1::int = 1", "{ 1 }")
    assert refused["result"]["error"]["kind"] == "permission", refused
    assert read(HARMLESS, "SELECT * FROM seen WHERE look = $1", "{ 7 }")["result"]["count"] == 1


def test_the_servers_log_is_left_alone_without_a_reason(read, postgres):
    """What the server prints of a statement goes into its log too. Broken by: a question for each read."""
    log = postgres.folder + "/log"
    before = open(log).read().count("rewritten parse tree")
    for statement in ("SELECT count(*) FROM pg_stat_activity", "SELECT 1 + 1", "SELECT * FROM information_schema.tables"):
        assert read("", statement, dsn=postgres.dsn)["status"] == "ok"
    assert open(log).read().count("rewritten parse tree") == before


def test_what_can_not_be_seen_whole_is_refused(read):
    """Of what the server prints 4 MB are read. Broken by: look_behind() that takes too much for nothing called."""
    values = ",".join(map(str, range(40000)))
    told = read(f"CREATE VIEW big AS SELECT a FROM t WHERE a IN ({values})", "SELECT * FROM big")
    assert "it is not known what is called behind it" in told["result"]["error"]["message"], told


# What no plan shows

UNSEEN = """
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER notes AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION noted();
CREATE TABLE plain (a int);
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE far (a int) SERVER files OPTIONS (filename '/dev/null');
CREATE VIEW through AS SELECT look() AS l, a FROM far;
GRANT UPDATE ON t, plain TO conduit;
"""


@pytest.fixture
def plan(runbook, sandbox, databases):
    """plan(statement) -> the radius of a sql.execute as the question shows it"""
    def run(statement):
        script = sandbox.write("plan.lua", f'''runbook {{ title = "Change" }}
remedy("Change", {{ risk = "high", warning = "it may lose rows" }}, function()
  sql.execute("{databases(UNSEEN)}", [==[{statement}]==])
end)()
return unresolved "x"''')
        return " ".join(runbook("run", script, "--dry-run").stdout.split())
    return run


def test_the_question_says_what_no_plan_shows(plan):
    """Broken by: preview without with_unseen."""
    told = plan("UPDATE t SET a = look() WHERE b = 2")
    assert "updates about" in told and "not in it is what happens in: function look(), trigger notes on t" in told
    assert "not in it is what happens in" not in plan("UPDATE plain SET a = 1 WHERE a = 2")
    through = plan("UPDATE plain SET a = 1 WHERE a IN (SELECT l FROM through)")
    assert "foreign table far, function look()" in through, through


def test_doctor_says_what_no_plan_shows(runbook, sandbox, databases):
    """Broken by: look_at without unseen."""
    script = sandbox.write("read.lua", f'''runbook {{ title = "Read" }}
local rows = probe("Rows", function() note(sql.rows("{databases(UNSEEN)}", "SELECT look() FROM t").count) end)
rows()
return unresolved "x"''')
    told = " ".join(runbook("doctor", script).stdout.split())
    assert "no plan shows what happens in: function look()" in told and "trigger" not in told, told
