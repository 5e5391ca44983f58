"""Which SQL is sent as a read: what the server says a statement calls, through poolers and from servers that don't say."""

import os

import pytest

from lab.pgbouncer import PgBouncer
from lab.postgres import relay
from lab.process import HOST
from lab.program import ROOT
from lab.wire import wire

RUNBOOK = """
runbook { title = "Reads" }
local db = "%s"
local look = probe("Look", function()
%s
end)
look()
return unresolved "looked"
"""


@pytest.fixture
def play(runbook, sandbox):
    """play(dsn, body of a probe) -> the result of a run."""
    return lambda dsn, body: runbook("run", sandbox.write("reads.lua", RUNBOOK % (dsn, body)))


@pytest.fixture
def bumped(postgres):
    """A server with functions, a view and an operator that take a lock, which can be seen afterwards."""
    for sql in ("DROP SCHEMA IF EXISTS bumped CASCADE", "CREATE SCHEMA bumped", "GRANT USAGE ON SCHEMA bumped TO conduit",
                "CREATE FUNCTION bumped.bump() RETURNS bool LANGUAGE sql VOLATILE AS 'SELECT true FROM pg_advisory_lock(5)'",
                "CREATE VIEW bumped.seen AS SELECT bumped.bump()", "CREATE VIEW bumped.fine AS SELECT 40 AS a",
                "GRANT SELECT ON bumped.seen, bumped.fine TO conduit"):
        postgres.psql(sql)
    yield postgres
    postgres.psql("DROP SCHEMA bumped CASCADE")


def results(result):
    return [event["result"] for event in result.events("effect.outcome")]


def test_what_statements_call_behind_their_backs(sandbox, postgres):
    test = os.path.join(ROOT, "tests", "stdlib", "sql_called_test.lua")
    result = sandbox.run("luahost", test, postgres.dsn, postgres.admin_dsn)
    assert result.code == 0, result


def test_the_same_through_a_pooler_by_transaction(sandbox, postgres, pooler):
    site = pooler(postgres.port)
    test = os.path.join(ROOT, "tests", "stdlib", "sql_called_test.lua")
    result = sandbox.run("luahost", test, site.uri(), site.uri("postgres"))
    assert result.code == 0, result


def test_a_refused_read_says_what_it_would_have_called(play, bumped):
    result = play(bumped.dsn, '  note(sql.rows(db, "SELECT * FROM bumped.seen"))\n  note(sql.value(db, "SELECT 1"))')
    refused, well = results(result)
    assert refused["error"]["kind"] == "permission", refused
    assert refused["error"]["message"].startswith("refused: bumped.bump() may change something"), refused
    assert well["value"] == 1 and "unasked" not in well
    assert bumped.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"


def test_a_poll_asks_once(play, bumped):
    """The server's own log holds what it was asked: a goal that polls must not fill it."""
    result = play(bumped.dsn, '  for i = 1, 5 do note(sql.value(db, "SELECT a AS once FROM bumped.fine")) end')
    assert [fields["value"] for fields in results(result)] == [40] * 5, result
    with open(bumped.folder + "/log") as log:
        assert log.read().count(":resname once") == 1


NO_WORD = {"is_kept": lambda kind: kind != b"N"}
UNKNOWN = {"change": lambda data: data.replace(b"debug_print_rewritten", b"debug_print_tomorrows")}


@pytest.mark.parametrize("how, why", [(NO_WORD, "nothing came back"), (UNKNOWN, "unrecognized configuration parameter")],
                         ids=["a pooler that holds it back", "a server that can't"])
def test_a_server_that_does_not_say_is_judged_by_the_names_in_the_text(play, bumped, wire, how, why):
    site = wire(relay(bumped.port, **how))
    dsn = f"postgresql://conduit@{HOST}:{site.port}/conduit?sslmode=disable"
    result = play(dsn, '  for i = 1, 2 do note(sql.value(db, "SELECT a + $1 FROM bumped.fine", { params = { i } })) end\n'
                  '  note(sql.value(db, "SELECT bumped.bump()"))\n  note(sql.value(db, "SHOW work_mem"))')
    first, second, named, shown = results(result)
    assert first["value"] == 41 and second["value"] == 42, result
    assert why in first["unasked"] and why in second["unasked"]
    assert "bumped.bump() may change something" in named["error"]["message"], named
    assert shown["value"] and "unasked" not in shown


@pytest.fixture
def pooler(server_of):
    """pooler(port of a server, **settings) -> a PgBouncer in front of it, gone after the test with its sessions."""
    started = []

    def start(port, **settings):
        started.append(server_of(type("Pooler", (PgBouncer,), {"__init__": lambda self, folder: PgBouncer.__init__(
            self, folder, port, **settings)})))
        return started[-1]
    yield start
    for site in started:
        site.stop()
