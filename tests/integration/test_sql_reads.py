"""Which SQL is sent as a read: what the server says a statement calls, through poolers and from servers that don't say."""

import os
import subprocess

import pytest

from lab.pgbouncer import PgBouncer
from lab.postgres import Postgres, relay
from lab.process import HOST, wait_for
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


class Tiny(Postgres):
    settings = {**Postgres.settings, "max_connections": "6", "superuser_reserved_connections": "2", "max_wal_senders": "0"}


def full_of(server, user, count):
    return [server.session("SELECT 1", user=user) for _ in range(count)]


def test_a_server_without_a_free_session(play, server_of):
    """Its own two refusals: those that are left are a superuser's, and none is left."""
    server = server_of(Tiny)
    body = '  note(sql.ready(db))\n  note(sql.value(db, "SELECT 1"))\n  note(sql.activity(db))'
    sessions = full_of(server, "conduit", 4)
    for dsn, words in ((server.dsn, "remaining connection slots are reserved"), (server.admin_dsn, "too many clients")):
        ready, value, activity = results(play(dsn, body))
        assert ready["ok"] and ready["full"] and words in ready["login_refused"], ready
        assert not value["ok"] and words in value["why"] and words in activity["why"], value
        sessions += full_of(server, "postgres", 2) if dsn == server.dsn else []
    for session in sessions:
        session.kill()


def test_poolers_that_have_no_server_are_not_ready(play, pooler, closed_port):
    """PgBouncer takes a login for a server that is gone. Broken by: every refusal with a code is a server's."""
    site = pooler(closed_port, client_login_timeout=1, server_login_retry=1)
    ready, value = results(play(site.uri(), '  note(sql.ready(db))\n  note(sql.value(db, "SELECT 1"))'))
    assert not ready["ok"] and ready["state"] == "silent" and "server" in ready["why"], ready
    assert not value["ok"] and value["why"], value


def test_a_pooler_without_room_is_full(play, pooler, postgres):
    site = pooler(postgres.port, max_client_conn=1)
    sleeps = [postgres.bin + "/psql", "-Xc", "SELECT pg_sleep(60)", site.uri()]
    with subprocess.Popen(sleeps, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
        wait_for(lambda: postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'") == "1", "a client")
        ready, value = results(play(site.uri(), '  note(sql.ready(db))\n  note(sql.value(db, "SELECT 1"))'))
        client.kill()
    assert ready["ok"] and ready["full"] and "no more connections allowed" in ready["login_refused"], ready
    assert not value["ok"] and "no more connections allowed" in value["why"], value


def test_a_poolers_console_shows_its_pools(play, pooler, postgres):
    site = pooler(postgres.port)
    pools, again, nonsense, select, activity = results(play(site.uri(dbname="pgbouncer"), """
      note(sql.rows(db, "SHOW POOLS"))  note(sql.row(db, "SHOW VERSION"))  note(sql.rows(db, "SHOW NONSENSE"))
      note(sql.value(db, "SELECT 1"))  note(sql.activity(db))"""))
    assert {"cl_active", "sv_idle", "maxwait"} <= set(pools["columns"]) and pools["count"] >= 1, pools
    assert "PgBouncer" in again["row"]["version"]
    assert "SHOW NONSENSE" in nonsense["error"]["message"], nonsense
    for refused in (select, activity):
        assert refused["error"]["kind"] == "usage" and "answers SHOW only" in refused["error"]["message"], refused


def test_a_poolers_console_takes_commands_in_a_remedy(runbook, sandbox, pooler, postgres):
    site = pooler(postgres.port)
    script = sandbox.write("pause.lua", f'''runbook {{ title = "Pause" }}
local pause = remedy("Pause", {{ risk = "low" }}, function()
  sql.execute("{site.uri('postgres', 'pgbouncer')}", "DISABLE conduit")
end)
pause()
return resolved "paused"
''')
    result = runbook("run", script, "--answers", sandbox.write("answers.lua", 'return { Pause = "yes" }'))
    assert results(result)[-1]["command"] == "DISABLE", result
    ready, = results(runbook("run", sandbox.write("look.lua", RUNBOOK % (site.uri(), "  note(sql.ready(db))"))))
    assert "is disabled" in ready["login_refused"] and not ready["full"], ready


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
