"""The sql family on a real PostgreSQL: tests/stdlib/sql_test.lua entry by entry, and through whole runs here."""

import os

import pytest

from lab.postgres import answers_start_up_with, fatal
from lab.process import HOST, wait_for
from lab.program import ROOT
from lab.wire import wire

YES = 'return { Act = "yes" }'
APPLICATIONS = "SELECT string_agg(application_name, ',') FROM pg_stat_activity WHERE usename = 'conduit'"

RUNBOOK = """
runbook { title = "Sessions" }
local p = params { database = { "", "the database" } }
local find = probe("Look", function()
%s
end)
local act = remedy("Act", { risk = "low" }, function()
%s
end)
local found = find()
if found.act then act() end
return resolved "done"
"""


@pytest.fixture
def play(runbook, sandbox, postgres):
    """play(probe's body, remedy's body, *arguments) -> the result of a run that answers yes."""
    def run(look, act="", *arguments, dsn=postgres.dsn, **options):
        script = sandbox.write("sessions.lua", RUNBOOK % (look, act))
        answers = ["--answers", sandbox.write("answers.lua", YES)]
        return runbook("run", script, "-p", f"database={dsn}", *answers, *arguments, **options)
    return run


def outcome(result, effect):
    found = [event for event in result.events("effect.outcome") if event["line"].startswith(effect)]
    assert found, result
    return found[-1]


def test_every_entry(sandbox, postgres, closed_port):
    test = os.path.join(ROOT, "tests", "stdlib", "sql_test.lua")
    result = sandbox.run("luahost", test, postgres.dsn, postgres.admin_dsn, closed_port)
    assert result.code == 0, result


def test_what_can_not_be_brought_back(sandbox):
    """Each way to write a statement that loses something has the class that is asked for as such."""
    result = sandbox.run("luahost", os.path.join(ROOT, "tests", "stdlib", "sql_class_test.lua"))
    assert result.code == 0, result


def test_a_server_that_starts_up_is_not_well(play, wire):
    site = wire(answers_start_up_with(fatal("57P03", "the database system is starting up")))
    result = play('  check("up", sql.ready(p.database), { fault = "down" })',
                  dsn=f"postgresql://u@{HOST}:{site.port}/d")
    told = outcome(result, "sql.ready")
    assert told["status"] == "not_well" and told["result"]["state"] == "starting", result
    assert "starting up" in told["result"]["why"]


def test_a_full_server_accepts_connections_but_gives_no_rows(play, postgres):
    """No session left: restarting PostgreSQL would be the wrong remedy, so ready is well and the read is a finding."""
    postgres.psql("ALTER ROLE conduit CONNECTION LIMIT 1")
    try:
        with postgres.session("SELECT 1") as session:
            result = play('  check("up", sql.ready(p.database), { fault = "down" })\n'
                          '  check("counts", sql.row(p.database, "SELECT 1 AS one"), { fault = "act" })',
                          '  note "full"')
            session.stdin.close()
    finally:
        postgres.psql("ALTER ROLE conduit CONNECTION LIMIT -1")
    assert outcome(result, "sql.ready")["status"] == "ok", result
    assert "too many connections" in outcome(result, "sql.ready")["result"]["login_refused"]
    assert outcome(result, "sql.row")["status"] == "not_well"


def test_a_frozen_server_is_not_well_in_time(play, postgres):
    postgres.freeze()
    try:
        result = play('  check("up", sql.ready(p.database, { timeout = "1s" }), { fault = "down" })', timeout=20)
    finally:
        postgres.thaw()
    assert outcome(result, "sql.ready")["status"] == "not_well", result


def test_idle_sessions_are_ended_as_listed(play, postgres):
    idle = [postgres.session("SELECT 1", name="web") for _ in range(3)]
    busy = postgres.session("BEGIN", name="batch")
    result = play('  return { act = sql.activity(p.database).idle_in_transaction >= 1 }',
                  '  local done = sql.terminate_idle(p.database, { older_than = "1ms", application = "web" })\n'
                  '  note(("%s ended, %s left"):format(done.terminated, done.left))')
    assert result.code == 0, result
    effects = result.events("plan")[-1]["effects"]
    assert f"ends 3 idle sessions of 4 on conduit@{HOST}" in effects[0]["radius"], effects
    assert "psql -X postgresql://conduit@" in effects[0]["command"]
    assert outcome(result, "sql.terminate_idle")["result"]["terminated"] == 3
    assert postgres.psql(APPLICATIONS) == "batch"
    for session in [*idle, busy]:
        session.kill()


def test_a_dry_run_ends_nobody_and_leaves_no_session(play, postgres):
    session = postgres.session("SELECT 1", name="web")
    result = play('  return { act = true }', '  sql.terminate_idle(p.database, { older_than = "1ms" })\n'
                  '  sql.execute(p.database, "CREATE TABLE never (a int)")', "--dry-run")
    assert result.code == 0, result
    assert [event["status"] for event in result.events("effect.outcome")] == ["would", "would"], result
    assert f"ends 1 idle session of 1 on conduit@{HOST}" in result.stdout
    wait_for(lambda: postgres.psql(APPLICATIONS) == "web", "only the lab's session")
    assert postgres.psql("SELECT count(*) FROM pg_class WHERE relname = 'never'") == "0"
    session.kill()


@pytest.mark.parametrize("text", [
    "DELETE FROM t", "SELECT 1; DROP TABLE t", "WITH a AS (DELETE FROM t RETURNING 1) SELECT 1"])
def test_what_is_no_read_is_refused_by_its_text(play, text):
    result = play(f'  return sql.row(p.database, "{text}").row')
    assert "unknown" in {event["state"] for event in result.events("probe.ended")}, result
    assert not result.events("effect.outcome")


def test_a_read_that_would_change_something_is_not_sent(play, postgres):
    ends = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'conduit'"
    with postgres.session("SELECT 1") as session:
        result = play(f'  return {{ act = sql.value(p.database, "{ends}").ok }}', dsn=postgres.admin_dsn)
        assert postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'conduit'") == "1"
        session.stdin.close()
    told = outcome(result, "sql.value")
    assert told["status"] == "failed" and told["result"]["error"]["kind"] == "permission", result


def test_a_write_in_a_probe_is_refused(play, postgres):
    result = play('  sql.execute(p.database, "CREATE TABLE never (a int)")')
    assert outcome(result, "sql.execute")["status"] == "refused", result
    assert postgres.psql("SELECT count(*) FROM pg_class WHERE relname = 'never'") == "0"


def test_a_table_that_is_not_there_never_gets_into_a_plan(play):
    result = play('  return { act = true }', '  sql.execute(p.database, "DELETE FROM nowhere")')
    assert 'relation "nowhere" does not exist' in result.stdout, result
    assert not result.events("effect.intent")


def test_passwords_leave_no_trace(runbook, sandbox, postgres):
    """One from a secret, one written into the address: user-info is a secret without being declared."""
    dsn = postgres.dsn.replace("conduit@", "conduit:hushpuppy77@")
    script = sandbox.write("secret.lua", f"""
runbook {{ title = "Secret" }}
local dsn = "postgresql://conduit:" .. secret "DB_PASSWORD" .. "@{HOST}:{postgres.port}/conduit"
local look = probe("Look", function()
  check("up", sql.ready(dsn))
  check("row", sql.row(dsn, "SELECT 1 AS one"))
  check("up too", sql.ready("{dsn}"))
  check("no such host", sql.ready("{dsn.replace(HOST, 'no-such-host.invalid')}", {{ timeout = "3s" }}).error.kind == "dns")
end)
local act = remedy("Act", {{ risk = "low" }}, function()
  sql.execute(dsn, "CREATE TABLE IF NOT EXISTS hush (a int)")
end)
look()
act()
return resolved "done"
""")
    answers = ["--answers", sandbox.write("answers.lua", YES)]
    result = runbook("run", script, *answers, env={"DB_PASSWORD": "hushpuppy88"})
    assert result.code == 0, result
    told = [event for event in result.events("effect.outcome") if event["line"].startswith("sql.ready")]
    assert [event["status"] for event in told] == ["ok", "ok", "failed"], result
    assert told[0]["line"] == f"sql.ready postgresql://conduit@{HOST}:{postgres.port}/conduit"
    assert "hushpuppy" not in result.stdout + result.stderr
    for folder, _, files in os.walk(result.run_dir):
        for name in files:
            if os.path.relpath(folder, result.run_dir).split("/")[0] == "source":
                continue   # the script as its author wrote it
            with open(os.path.join(folder, name), "rb") as file:
                assert b"hushpuppy" not in file.read(), name
