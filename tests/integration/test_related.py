"""The runbooks that API Down names, on the real thing: what they find is really there, what they do really helps."""

import os
import time

import pytest

from lab.program import ROOT

ONLY = 'return { ["%s"] = "yes", ["*"] = "no" }'


def runbook_file(name):
    return os.path.join(ROOT, "runbooks", name + ".lua")


@pytest.fixture
def answers(sandbox):
    return lambda title: ["--answers", sandbox.write("answers.lua", ONLY % title)]


def unknown(result):
    return [(event["probe"], event["why"]) for event in result.events("probe.ended") if event["state"] == "unknown"]


def findings(result):
    return {name for event in result.events("probe.ended") for name, value in event["findings"].items() if value is True}


def done(result):
    return [event["line"].split()[0] for event in result.events("effect.intent")]


# ---- Database Connection Pool Exhausted: 40 sessions at most ----

@pytest.fixture
def crowd(postgres):
    """crowd(n, sql) opens n sessions that ran `sql` and idle."""
    clients = []

    def crowd(count, sql="SELECT 1", name="crowd"):
        clients.extend(postgres.session(sql, name=name) for _ in range(count))

    yield crowd
    for client in clients:
        client.kill()
        client.wait()


def pool(runbook, postgres, *arguments, **options):
    return runbook("run", runbook_file("db-connection-pool"), "-p", f"database={postgres.admin_dsn}", *arguments, **options)


def test_a_pool_with_room_is_a_false_alarm(runbook, postgres):
    result = pool(runbook, postgres)
    assert result.code == 0 and "false alarm" in result.stdout and not unknown(result), result


def test_idle_sessions_are_ended(runbook, postgres, crowd, answers):
    crowd(34)
    time.sleep(1.1)
    result = pool(runbook, postgres, "-p", "idle_for=1s", *answers("End idle sessions"))
    assert result.code == 0 and done(result) == ["sql.terminate_idle"], result
    assert {"exhausted", "idle_held", "oversized"} <= findings(result) and not unknown(result)
    assert "34 × idle by crowd as conduit" in result.stdout


def test_the_head_of_a_queue_is_found_and_ended(runbook, postgres, crowd, answers):
    postgres.psql("CREATE TABLE IF NOT EXISTS queue (id int)", user="conduit")
    crowd(1, "BEGIN; LOCK TABLE queue", name="head")
    head = postgres.psql("SELECT pid FROM pg_stat_activity WHERE application_name = 'head'")
    crowd(32)
    waiting = postgres.session("SELECT 1", name="waiting")
    waiting.stdin.write("SELECT count(*) FROM queue;\n")
    waiting.stdin.flush()
    time.sleep(0.5)
    result = pool(runbook, postgres, *answers("End the sessions that block others"), "--dry-run")
    waiting.kill()
    waiting.wait()
    assert result.code == 0 and f"pid {head} (head, idle in transaction) blocks 1" in result.stdout, result
    told = [event["line"] for event in result.events("effect.outcome") if event["status"] == "would"]
    assert told[0].endswith(f"pids={head}") and "blocked" in findings(result)


def test_the_audit_of_the_pool(runbook, postgres):
    result = runbook("audit", runbook_file("db-connection-pool"), "-p", f"database={postgres.admin_dsn}")
    assert result.code == 1 and "ALTER SYSTEM SET idle_in_transaction_session_timeout = '5min';" in result.stdout, result
