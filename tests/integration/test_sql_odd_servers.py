"""sql.* on servers that speak PostgreSQL's protocol badly, and on values and bytes that are not what a script expects: what was
expected and what came is told, and never a line of our own."""

import pytest

from lab.pgwire import columns, done, like_a_database, message, row, serves
from lab.process import HOST
from lab.wire import wire

LOOKS = """
runbook { title = "Odd" }
local db = "%s"
local look = probe("Look", function()
  pcall(function() return sql.rows(db, "SELECT a FROM b", { timeout = "3s" }) end)
  pcall(function() return sql.activity(db, { timeout = "3s" }) end)
end)
local act = remedy("Act", { risk = "low" }, function()
  sql.terminate_idle(db, { timeout = "3s" })
  sql.execute(db, "UPDATE a SET b = 1 WHERE c", { timeout = "3s" })
  sql.execute(db, "DROP TABLE a", { timeout = "3s" })
  sql.execute(db, "INSERT INTO a VALUES (1)", { timeout = "3s" })
end)
look()
act()
return unresolved "looked"
"""
INVALID = b"\xff\xfe\x1b[2J"
ODD = {
    "no rows": (lambda sql: done(b"SELECT 0", columns(b"x")), "a row expected, none came"),
    "no columns": (lambda sql: done(b"SELECT 0"), "a row expected, none came"),
    "other columns": (lambda sql: done(b"SELECT 1", columns(b"zzz", b"count") + row(b"a", b"b")),
                      "expected, columns zzz, count came"),
    "NULLs": (lambda sql: done(b"SELECT 1", columns(b"name", b"state") + row(None, None)),
              "expected, columns name, state came"),
    "text for numbers": (lambda sql: done(b"SELECT 1", columns(
        b"name", b"schema", b"volatile", b"application", b"count", b"QUERY PLAN", b"total") + row(*[b"[1]"] * 7)), "as text came"),
    "bytes that are no text": (lambda sql: done(b"SELECT 1", columns(INVALID) + row(INVALID)), "expected, columns"),
    "an error of such bytes": (lambda sql: message(b"E", b"SERROR\0C42P01\0M" + INVALID + b"\0\0"), r"\xff\xfe\x1b[2J"),
    "an error without words": (lambda sql: message(b"E", b"\0"), ""),
    "garbage": (lambda sql: b"\xff\xfe garbage", "lost synchronization"),
    "a length below 0": (lambda sql: b"D\x80\0\0\1", "lost synchronization"),
    "a description cut short": (lambda sql: done(b"SELECT 1", message(b"T", b"\0\5a\0")), "insufficient data"),
    "a row of another width": (lambda sql: done(b"SELECT 1", columns(b"a", b"b") + row(b"1")), "unexpected field count"),
    "a message of no kind": (lambda sql: message(b"~", b"x"), "unexpected response"),
    "COPY": (lambda sql: message(b"1") + message(b"2") + message(b"H", b"\0\0\0"), "COPY does not work"),
    "an end in the middle": (lambda sql: None, "closed the connection"),
}
OURS = ("stdlib/", "attempt to", "a defect", "integer index", "AddressSanitizer", "runtime error")


def text_of(result):
    outcomes = [event["result"] for event in result.events("effect.outcome") + result.events("plan") if "result" in event]
    return result.stdout + result.stderr + repr(outcomes)


@pytest.mark.parametrize("name", ODD)
def test_a_server_that_is_none(runbook, sandbox, wire, name):
    answer, words = ODD[name]
    site = wire(serves(like_a_database(answer)))
    script = sandbox.write("odd.lua", LOOKS % f"postgresql://u@{HOST}:{site.port}/d")
    result = runbook("run", script, "--answers", sandbox.write("answers.lua", 'return { Act = "no" }'))
    told = text_of(result)
    assert result.code == 1 and not [part for part in OURS if part in told], result
    looked = [event for event in result.events("effect.outcome") if event["line"].startswith(("sql.rows", "sql.activity"))]
    assert len(looked) == 2 and all(event["status"] in ("failed", "not_well") for event in looked), result
    assert all(words in str(event["result"].get("why") or event["result"]["error"]["message"]) for event in looked), looked


def test_a_server_that_begins_nothing_gets_no_read(runbook, sandbox, wire):
    """READ ONLY is the guard: where BEGIN is not done nothing may be sent."""
    sent = []

    def answer(sql):
        sent.append(sql)
        return done(b"SELECT 1", columns(b"a") + row(b"1"))
    script = sandbox.write("odd.lua", LOOKS % f"postgresql://u@{HOST}:{wire(serves(answer)).port}/d")
    result = runbook("run", script, "--dry-run")
    assert "BEGIN expected, SELECT 1 came" in repr(result.events("effect.outcome")), result
    assert not [sql for sql in sent if b"FROM b" in sql], sent


VALUES = """
runbook { title = "Values" }
local db = "%s"
local look = probe("Look", function()
  note(sql.row(db, [==[%s]==]))
end)
look()
return unresolved "looked"
"""


@pytest.fixture
def row_of(runbook, sandbox, postgres):
    """row_of(SQL) -> the outcome of it as sql.row, in a run that must not stumble"""
    def run(sql, dsn=None):
        result = runbook("run", sandbox.write("values.lua", VALUES % (dsn or postgres.dsn, sql)))
        assert not [part for part in OURS if part in text_of(result)], result
        return result.events("effect.outcome")[-1]
    return run


def test_values_without_a_number_of_lua(row_of):
    told = row_of("SELECT 'NaN'::numeric AS a, '-Infinity'::numeric AS b, 'NaN'::float4 AS c, 'infinity'::date AS d, "
                  "'-infinity'::timestamptz AS e, ARRAY[1, NULL, 3] AS f, ARRAY[['a', '\"']] AS g, '{}'::int[] AS h, "
                  "'9999999999999999999'::numeric AS i, ''::text AS j, '[1,)'::int4range AS k, (1, NULL) AS l")
    assert told["result"]["row"] == {
        "a": "NaN", "b": "-Infinity", "c": "NaN", "d": "infinity", "e": "-infinity", "f": "{1,NULL,3}", "g": '{{a,"\\""}}',
        "h": "{}", "i": 1e19, "j": "", "k": "[1,)", "l": "(1,)"}, told


def test_of_two_columns_with_one_name_the_first_counts(row_of):
    assert row_of("SELECT 1 AS a, 2 AS a, 3 AS b")["result"]["row"] == {"a": 1, "b": 3}
    assert row_of("SELECT NULL::int AS a, 2 AS a, 3 AS b")["result"]["row"] == {"b": 3}


def test_a_row_that_does_not_fit_is_not_no_row(row_of):
    told = row_of("SELECT repeat('x', 100000000) AS a")
    assert told["status"] == "failed" and "the first row is larger than 4 MB" in told["result"]["error"]["message"], told


def test_a_database_without_an_encoding(row_of, postgres):
    """What such a database holds may be any bytes: they come as they are, and the run goes on."""
    postgres.psql("DROP DATABASE IF EXISTS bytes", dbname="postgres")
    postgres.psql("CREATE DATABASE bytes ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0 OWNER conduit", dbname="postgres")
    try:
        dsn = postgres.uri("conduit", "bytes")
        told = row_of(r"SELECT E'\xff\xfe' AS a, E'\x1b[31m' AS b", dsn)
        assert told["status"] == "ok" and told["result"]["row"]["a"] == {"$bytes": "//4="}, told
        failed = row_of(r"""SELECT 1 FROM "no\xff" """, dsn)
        assert failed["status"] == "failed" and failed["result"]["error"]["kind"] == "sqlstate", failed
    finally:
        postgres.psql("DROP DATABASE bytes WITH (FORCE)", dbname="postgres")
