"""The runbooks that API Down names, on the real thing: what they find is really there, what they do really helps."""

import os
import re
import socket
import subprocess
import threading
import time

import pytest

from lab.process import HOST, wait_for
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


@pytest.fixture
def once():
    """once(condition, act): acts as soon as the condition holds, while the test goes on."""
    threads = []

    def once(condition, act):
        def follow():
            wait_for(condition, "what the remedy does", 60)
            act()
        threads.append(threading.Thread(target=follow))
        threads[-1].start()

    yield once
    for thread in threads:
        thread.join()


# ---- Database Connection Pool Exhausted: 40 sessions at most ----

@pytest.fixture
def crowd(postgres):
    """crowd(n, sql) opens n sessions that ran `sql` and idle."""
    clients = []

    def crowd(count, sql="SELECT 1", name="crowd"):
        clients.extend(postgres.session(sql, name=name) for _ in range(count))

    crowd.clients = clients
    yield crowd
    for client in clients:
        client.kill()
        client.wait()


SETTINGS = "ConnectionStrings__Main=Host=db;Password=hunter2;Maximum Pool Size=25"


@pytest.fixture
def pool(runbook, postgres, docker_engine, sandbox):
    """pool(argument…) runs the runbook; the API is a container whose settings say 25 sessions."""
    api = docker_engine.run_api(options=("-e", SETTINGS))
    sandbox.env["DOCKER_HOST"] = docker_engine.host
    return lambda *more, **options: runbook("run", runbook_file("db-connection-pool"), "-p", f"name={api.name}",
                                            "-p", f"database={postgres.admin_dsn}", "-p", "platform=docker", *more, **options)


def test_a_pool_with_room_is_a_false_alarm(pool):
    result = pool()
    assert result.code == 0 and "false alarm" in result.stdout and not unknown(result), result


def test_idle_sessions_are_ended(pool, crowd, answers):
    crowd(34, "SELECT 42")
    time.sleep(1.1)
    result = pool("-p", "idle_for=1s", *answers("End idle sessions"))
    assert result.code == 0 and done(result) == ["sql.terminate_idle"], result
    assert {"exhausted", "idle_held", "oversized"} <= findings(result) and not unknown(result)
    assert re.search(r"34 × idle by crowd as conduit, the longest for \d+ s: SELECT 42", result.stdout), result


def test_the_settings_of_the_api_are_read(pool, crowd):
    crowd(33)
    result = pool("--dry-run")
    assert "1 instances, Maximum Pool Size=25" in result.stdout
    assert "sessions of the largest client 33, should be <= 25 (crowd at 127.0.0.1)" in result.stdout, result
    assert "too_large" not in findings(result) and not unknown(result) and "hunter2" not in result.stdout


def test_pools_of_many_instances_do_not_fit(pool, crowd, docker_engine):
    crowd(33)
    docker_engine.run("api-2", "sleep", "1000")
    result = pool("--dry-run")
    assert "too_large" in findings(result) and "2 × 25 of 37 slots" in result.stdout, result


def test_abandoned_transactions_are_ended(pool, postgres, crowd, answers):
    postgres.psql("CREATE TABLE IF NOT EXISTS queue (id int)", user="conduit")
    crowd(34, "BEGIN; SELECT count(*) FROM queue", name="abandoned")
    time.sleep(1.1)
    result = pool("-p", "long=1s", *answers("End abandoned transactions"))
    assert result.code == 0 and done(result) == ["sql.terminate"] and "abandoned" in findings(result), result
    assert re.search(r"\(abandoned, idle in transaction\) since \d+ s: SELECT count\(\*\) FROM queue", result.stdout), result
    assert postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'abandoned'") == "0"


def test_abandoned_transactions_are_limited_and_that_is_owed(pool, postgres, crowd, answers):
    crowd(34, "BEGIN; SELECT 1", name="abandoned")
    time.sleep(1.1)
    result = pool("-p", "long=1s", *answers("Let PostgreSQL end abandoned transactions"))
    setting = postgres.psql("SELECT setconfig FROM pg_db_role_setting JOIN pg_roles ON oid = setrole WHERE rolname = 'conduit'")
    postgres.psql("ALTER ROLE conduit RESET ALL")
    assert result.code == 1 and "owed 1" in result.stdout and setting == "{idle_in_transaction_session_timeout=5min}", result


def test_a_restart_gives_back_what_a_pool_holds(pool, crowd, answers, once, docker_engine):
    crowd(34)
    began = docker_engine.inspect("conduit-api")["State"]["StartedAt"]

    def restarted():
        return docker_engine.inspect("conduit-api")["State"]["StartedAt"] != began

    clients = crowd.clients
    once(restarted, lambda: [client.kill() for client in clients])
    result = pool(*answers("Restart the API service"))
    assert result.code == 0 and done(result) == ["docker.restart"], result


def test_the_head_of_a_queue_is_found_and_ended(pool, postgres, crowd, answers):
    postgres.psql("CREATE TABLE IF NOT EXISTS queue (id int)", user="conduit")
    crowd(1, "BEGIN; LOCK TABLE queue", name="head")
    head = postgres.psql("SELECT pid FROM pg_stat_activity WHERE application_name = 'head'")
    crowd(32)
    waiting = postgres.session("SELECT 1", name="waiting")
    waiting.stdin.write("SELECT count(*) FROM queue;\n")
    waiting.stdin.flush()
    time.sleep(0.5)
    result = pool("-p", "most=91", *answers("End the sessions that block others"))   # 34 of 37 are 92 %
    waiting.kill()
    waiting.wait()
    assert result.code == 0 and f"pid {head} (head, idle in transaction) blocks 1" in result.stdout, result
    ended = [event["line"] for event in result.events("effect.intent")]
    assert len(ended) == 1 and ended[0].endswith(f"pids={head}") and "blocked" in findings(result)
    assert postgres.psql(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {head}") == "0"


def test_the_audit_of_the_pool(runbook, postgres, pool, docker_engine):
    docker_engine.run("api-2", "sleep", "1000")
    result = runbook("audit", runbook_file("db-connection-pool"), "-p", f"database={postgres.admin_dsn}", "-p", "platform=docker")
    assert "all the API's instances can fill their pools: 2 × 25 of 37 slots" in result.stdout
    assert "Maximum Pool Size=14\n" in result.stdout
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


def test_eviction_is_turned_on_and_stays(runbook, full_redis, answers):
    result = redis_memory(runbook, full_redis, *answers("Let Redis evict what was used least"))
    assert result.code == 0 and "owed 0" in result.stdout, result
    assert full_redis.cli("CONFIG", "GET", "maxmemory-policy").split()[1] == "allkeys-lru"


def test_what_takes_the_memory_is_told(runbook, full_redis):
    full_redis.cli("EVAL", "for i = 1, 2000 do redis.call('HSET', 'cart', i, ('x'):rep(100)) end", 0)
    result = redis_memory(runbook, full_redis, "-p", "measured=1000", "--dry-run")
    assert not unknown(result) and "type string: 501 keys, 1" in result.stdout and "type hash: 1 keys, 0.3 MB" in result.stdout
    assert "session:*: 500 keys, 0.1 MB, 1 % of what was measured" in result.stdout, result
    assert "export (string): 1" in result.stdout and "overhead" in result.stdout


def test_the_limit_is_raised_and_stays(runbook, full_redis, answers):
    used = int(re.search(r"used_memory:(\d+)", full_redis.cli("INFO", "memory"))[1])
    most = int(100 * used / (18 * MEGABYTE))     # too much of 16 MB, not of 20
    result = redis_memory(runbook, full_redis, "-p", f"most={most}", *answers("Raise maxmemory by a quarter"))
    assert result.code == 0 and "owed 0" in result.stdout, result
    assert full_redis.cli("CONFIG", "GET", "maxmemory").split()[1] == str(20 * MEGABYTE)


def test_the_cache_is_cleared(runbook, full_redis, answers):
    result = redis_memory(runbook, full_redis, *answers("Clear the Redis cache"))
    assert result.code == 0 and full_redis.cli("DBSIZE") == "0", result


def test_a_client_that_does_not_read_is_disconnected(runbook, redis_server, answers):
    redis_server.cli("CONFIG", "SET", "maxmemory", 64 * MEGABYTE)
    with socket.create_connection((HOST, redis_server.port)) as reader:
        reader.sendall(b"SUBSCRIBE news\r\n")
        reader.recv(100)
        for _ in range(28):
            redis_server.cli("EVAL", f"redis.call('PUBLISH', 'news', ('x'):rep({MEGABYTE}))", 0)
        result = redis_memory(runbook, redis_server, "-p", "most=30", *answers("Disconnect the client that doesn't read"))
        address = "%s:%d" % reader.getsockname()
        assert result.code == 0 and {"slow_reader", "buffers_large"} & findings(result), result
        assert f"at {address}" in result.stdout and address not in redis_server.cli("CLIENT", "LIST")
    redis_server.cli("CONFIG", "SET", "maxmemory", 0)


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
    return api, ["-p", f"base_url={api.url}", "-p", "path=/health", "-p", f"name={api.name}", "-p", "platform=docker",
                 "-p", f"database={postgres.admin_dsn}",
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


def slowly(runbook, arguments, *more, **options):
    return runbook("run", runbook_file("high-response-time"), *arguments, *more, **options)


def test_a_slow_api_is_restarted(runbook, slow_world, answers):
    api, arguments = slow_world
    api.say("heals", "")
    api.slow_down(0.5)
    result = slowly(runbook, arguments, *answers("Restart the API service"))
    assert result.code == 0 and done(result) == ["docker.restart"] and "slow_api" in findings(result), result


def test_a_stuck_statement_is_ended(runbook, slow_world, postgres, answers, once):
    api, arguments = slow_world
    api.slow_down(0.5)
    stuck = postgres.session(name="report")
    stuck.stdin.write("SELECT pg_sleep(600);\n")
    stuck.stdin.flush()
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'report' AND state = 'active'"
    wait_for(lambda: postgres.psql(count) == "1", "it runs")
    time.sleep(1.1)
    once(lambda: postgres.psql(count) == "0", api.mend)
    result = slowly(runbook, arguments, "-p", "stuck=1s", *answers("End the stuck statements"))
    stuck.kill()
    stuck.wait()
    assert result.code == 0 and done(result) == ["sql.terminate"] and "stuck" in findings(result), result
    assert re.search(r"\(report\) since \d s, on Timeout: SELECT pg_sleep\(600\);", result.stdout)


def test_the_planner_is_told_about_stale_tables(runbook, slow_world, postgres, answers, once):
    api, arguments = slow_world
    api.slow_down(0.5)
    postgres.psql("DROP TABLE IF EXISTS grown; CREATE TABLE grown AS SELECT generate_series(1, 5000) AS id")
    postgres.psql("SELECT pg_stat_force_next_flush()")
    once(lambda: postgres.psql("SELECT last_analyze IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'grown'") == "t", api.mend)
    result = slowly(runbook, arguments, *answers("Tell the planner about the tables"))
    postgres.psql("DROP TABLE grown")
    assert result.code == 0 and done(result) == ["sql.execute"] and "stale" in findings(result), result
    assert "grown: 5000 of 5000 rows changed since ANALYZE" in result.stdout


def test_slow_queries_are_named(runbook, slow_world, postgres):
    api, arguments = slow_world
    api.slow_down(0.5)
    postgres.psql("CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()")
    try:
        postgres.psql("".join("SELECT pg_sleep(0.3);" for _ in range(11)))
        result = slowly(runbook, arguments, "--dry-run")
    finally:
        postgres.psql("DROP EXTENSION pg_stat_statements")
    assert "slow_queries" in findings(result) and not unknown(result), result
    assert re.search(r"11 × 30\d ms: SELECT pg_sleep\(\$1\)", result.stdout), result


def test_late_upstreams_are_told(runbook, slow_world):
    """What the API waits for: one answers late, one not at all."""
    api, arguments = slow_world
    api.slow_down(0.5)
    result = slowly(runbook, arguments, "-p", f"upstreams={api.url}/health/live,http://127.0.0.1:1/", "--dry-run")
    probe = next(event for event in result.events("probe.ended") if event["probe"] == "Upstreams")
    assert probe["findings"] == {"down": True, "slow": True} and "an upstream is late" in result.stdout, result


def test_a_limit_on_cpus_is_seen(runbook, slow_world, docker_engine):
    api, arguments = slow_world
    api.slow_down(0.3)
    docker_engine.cli("update", "--cpus", "0.02", api.name)
    result = slowly(runbook, arguments, "--dry-run", timeout=100)
    assert "throttled" in findings(result) and not unknown(result), result


def test_slow_commands_of_redis_are_told(runbook, slow_world, redis_server):
    api, arguments = slow_world
    api.slow_down(0.5)
    redis_server.cli("EVAL", "for i = 1, 300000 do redis.call('SET', 'x', i) end", 0)
    result = slowly(runbook, arguments, "--dry-run")
    assert "ms: EVAL for i = 1, 300000" in result.stdout and not unknown(result), result


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
def test_what_mends_a_gap_is_accepted(runbook, sandbox, pool, postgres, redis_server, prometheus_server, name, arguments):
    """Rules by promtool, SQL by PostgreSQL: in a transaction that is rolled back, where it can be."""
    sandbox.write(".config/runbook/config.lua", 'return { prometheus = { url = "%s" } }' % prometheus_server.url)
    result = runbook("audit", runbook_file(name), *arguments(postgres, redis_server))
    states = {event["state"] for event in result.events("prevention.ended")}
    assert result.code == 1 and "missing" in states and "unknown" not in states, result
    mends = [event["mend"] for event in result.events("check") if event.get("mend")]
    rules = [text for text in mends if text.startswith("groups:")]
    assert len(rules) == 1
    done = subprocess.run(["/usr/bin/promtool", "check", "rules", sandbox.write("rules.yml", rules[0])],
                          capture_output=True, text=True)
    assert done.returncode == 0 and "SUCCESS: 1 rules found" in done.stdout, done
    for text in mends:
        if text.startswith("ALTER ROLE"):
            postgres.psql(f"BEGIN; {text} ROLLBACK")
