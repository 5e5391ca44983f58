"""The runbooks that API Down names, on the real thing: what they find is really there, what they do really helps."""

import os
import subprocess
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


# ---- Redis Memory Usage ----

MEGABYTE = 1 << 20


@pytest.fixture
def full_redis(redis_server):
    """11 MB in one key and many small ones, of 16 MB; nothing is evicted."""
    redis_server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
    redis_server.cli("EVAL", "for i = 1, 500 do redis.call('SET', 'session:' .. i, ('x'):rep(100)) end", 0)
    redis_server.cli("EVAL", f"redis.call('SET', 'export', ('x'):rep({11 * MEGABYTE}))", 0)
    redis_server.cli("CONFIG", "SET", "maxmemory", 16 * MEGABYTE)
    yield redis_server
    redis_server.cli("CONFIG", "SET", "maxmemory", "0")
    redis_server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")


def redis_memory(runbook, server, *arguments):
    return runbook("run", runbook_file("redis-memory"), "-p", f"redis={server.url}", "-p", "most=60", *arguments)


def test_a_redis_with_room_is_a_false_alarm(runbook, redis_server):
    redis_server.cli("CONFIG", "SET", "maxmemory", 64 * MEGABYTE)
    result = redis_memory(runbook, redis_server)
    redis_server.cli("CONFIG", "SET", "maxmemory", 0)
    assert result.code == 0 and "false alarm" in result.stdout and not unknown(result), result


def test_the_biggest_key_is_found_and_dropped(runbook, full_redis, answers):
    result = redis_memory(runbook, full_redis, "-p", "big=5MB", "-p", "measured=1000", *answers("Drop the biggest keys"))
    assert result.code == 0 and done(result) == ["redis.command"] and not unknown(result), result
    assert {"full", "never_evicts", "big_keys", "lasting"} <= findings(result)
    assert full_redis.cli("DBSIZE") == "500" and full_redis.cli("EXISTS", "export") == "0"


def test_eviction_is_turned_on_and_owed(runbook, full_redis, answers):
    result = redis_memory(runbook, full_redis, *answers("Let Redis evict what was used least"))
    assert result.code == 0 and "owed 1" in result.stdout, result
    assert full_redis.cli("CONFIG", "GET", "maxmemory-policy").split()[1] == "allkeys-lru"


def test_dry_nothing_is_changed(runbook, full_redis):
    before = full_redis.cli("DBSIZE"), full_redis.cli("CONFIG", "GET", "maxmemory*")
    result = redis_memory(runbook, full_redis, "--dry-run")
    assert result.code == 0 and "would redis.command" in result.stdout, result
    assert (full_redis.cli("DBSIZE"), full_redis.cli("CONFIG", "GET", "maxmemory*")) == before


# ---- High Response Time ----

@pytest.fixture
def slow_world(sandbox, docker_engine, postgres, redis_server):
    """The arguments that point the runbook at the lab, and the API there."""
    api = docker_engine.run_api()
    sandbox.env["DOCKER_HOST"] = docker_engine.host
    return api, ["-p", f"url={api.url}/health", "-p", f"name={api.name}", "-p", f"database={postgres.admin_dsn}",
                 "-p", f"redis={redis_server.url}", "-p", "samples=6", "-p", "slow=250"]


def test_a_fast_api_is_a_false_alarm(runbook, slow_world):
    result = runbook("run", runbook_file("high-response-time"), *slow_world[1])
    assert result.code == 0 and "false alarm" in result.stdout and not unknown(result), result


def test_where_the_time_goes(runbook, slow_world, postgres):
    """The API waits half a second; its first byte is what is late, and every probe knows."""
    api, arguments = slow_world
    api.slow_down(0.5)
    postgres.psql("DROP TABLE IF EXISTS grown; CREATE TABLE grown AS SELECT generate_series(1, 5000) AS id; "
                  "SELECT pg_stat_force_next_flush()")
    result = runbook("run", runbook_file("high-response-time"), *arguments, "--dry-run")
    postgres.psql("DROP TABLE grown")
    assert result.code == 0 and not unknown(result), result
    assert {"slow", "slow_api"} <= findings(result) and not {"slow_dns", "slow_network"} & findings(result), result
    told = [event["line"] for event in result.events("effect.outcome") if event["status"] == "would"]
    assert f"docker.restart {api.name}" in told


def test_the_pools_runbook_goes_on(runbook, slow_world, crowd, answers):
    """High Response Time finds the pool short, and the idle sessions are ended by the other runbook."""
    api, arguments = slow_world
    api.slow_down(0.5)
    crowd(34)
    result = runbook("run", runbook_file("high-response-time"), *arguments, "--dry-run")
    assert [event["runbook"] for event in result.events("handover.started")] == ["db-connection-pool"], result
    assert "34 × idle by crowd" in result.stdout and result.code == 0


# ---- What mends their gaps ----

@pytest.mark.parametrize("name, arguments", [
    ("db-connection-pool", lambda postgres, redis: ["-p", f"database={postgres.admin_dsn}"]),
    ("redis-memory", lambda postgres, redis: ["-p", f"redis={redis.url}"]),
    ("high-response-time", lambda postgres, redis: ["-p", f"database={postgres.admin_dsn}"]),
])
def test_what_mends_a_gap_is_accepted(runbook, sandbox, postgres, redis_server, prometheus_server, name, arguments):
    """Rules by promtool, SQL by PostgreSQL: in a transaction that is rolled back, where it can be."""
    sandbox.write(".config/runbook/config.lua", 'return { prometheus = { url = "%s" } }' % prometheus_server.url)
    result = runbook("audit", runbook_file(name), *arguments(postgres, redis_server))
    states = {event["state"] for event in result.events("prevention.ended")}
    assert result.code == 1 and states == {"missing"}, result
    mends = [event["mend"] for event in result.events("check") if event.get("mend")]
    rules = [text for text in mends if text.startswith("groups:")]
    assert len(rules) == 1
    done = subprocess.run(["/usr/bin/promtool", "check", "rules", sandbox.write("rules.yml", rules[0])],
                          capture_output=True, text=True)
    assert done.returncode == 0 and "SUCCESS: 1 rules found" in done.stdout, done
    for text in mends:
        if text.startswith("ALTER ROLE"):
            postgres.psql(f"BEGIN; {text} ROLLBACK")
