"""The main job on the real thing: API Down against a Docker engine, PostgreSQL and Redis. The container is really stopped,
the runbook really restarts it; dry, nothing at all changes."""

import os

import pytest

from lab.program import ROOT

RUNBOOK = os.path.join(ROOT, "runbooks", "api-down.lua")
ONLY = 'return { ["%s"] = "yes", ["*"] = "no" }'


@pytest.fixture
def api(docker_engine):
    return docker_engine.run_api()


@pytest.fixture
def world(sandbox, docker_engine, api, postgres, redis_server):
    """The arguments that point the runbook at the lab."""
    sandbox.env["DOCKER_HOST"] = docker_engine.host
    arguments = ["-p", f"base_url={api.url}", "-p", f"name={api.name}", "-p", f"database={postgres.dsn}",
                 "-p", f"redis={redis_server.url}"]
    return arguments


def state_of(docker_engine, api, postgres, redis_server):
    """Everything a remedy of the runbook could have changed."""
    inspected = docker_engine.inspect(api.name)
    return {
        "started": inspected["State"]["StartedAt"], "state": inspected["State"]["Status"], "id": inspected["Id"],
        "env": inspected["Config"]["Env"], "images": docker_engine.cli("images", "-aq"),
        "containers": docker_engine.cli("ps", "-aq"), "keys": redis_server.cli("DBSIZE"),
        "sessions": postgres.psql("SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity "
                                  "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"),
    }


def answers(sandbox, title):
    return ["--answers", sandbox.write("answers.lua", ONLY % title)]


def test_a_stopped_container_is_restarted_and_the_run_resolved(runbook, sandbox, world, docker_engine, api):
    api.stop()
    before = docker_engine.inspect(api.name)["State"]["StartedAt"]
    result = runbook("run", RUNBOOK, *world, *answers(sandbox, "Restart the API service"), timeout=120)
    assert result.code == 0, result
    assert 'resolved by "Restart the API service"' in result.stdout
    after = docker_engine.inspect(api.name)["State"]
    assert after["Status"] == "running" and after["StartedAt"] > before
    done = [event["line"] for event in result.events("effect.intent")]
    assert done == [f"docker.restart {api.name}"]
    assert result.events("plan") and result.events("approval")[-1]["granted"] is True


def test_a_false_alarm_changes_nothing(runbook, world, docker_engine, api, postgres, redis_server):
    before = state_of(docker_engine, api, postgres, redis_server)
    result = runbook("run", RUNBOOK, *world)
    assert result.code == 0 and "false alarm" in result.stdout, result
    assert not result.events("effect.intent")
    assert state_of(docker_engine, api, postgres, redis_server) == before


def test_a_dry_run_looks_for_real_and_changes_nothing(runbook, sandbox, world, docker_engine, api, postgres, redis_server):
    redis_server.cli("SET", "key", "value")
    with postgres.session("SELECT 1"):
        api.break_with(503)
        before = state_of(docker_engine, api, postgres, redis_server)
        result = runbook("run", RUNBOOK, "--dry-run", *world)
        assert result.code == 0, result
        assert state_of(docker_engine, api, postgres, redis_server) == before
    statuses = {event["status"] for event in result.events("effect.outcome") if event["class"] in ("write", "destructive")}
    assert statuses == {"would"}, result
    assert "would docker.restart" in result.stdout and "HTTP 503" in result.stdout
    assert "DRY RUN, nothing was changed" in result.stdout
    assert os.path.basename(result.run_dir).startswith("dry-")
    assert not result.events("question") and not result.events("escalation.armed")


def test_every_probe_of_the_page_knows(runbook, world, api):
    """With everything at hand no probe is unknown: a false alarm is never believed because a probe failed."""
    api.break_with(503)
    result = runbook("run", RUNBOOK, "--dry-run", *world)
    unknown = [(event["probe"], event["why"]) for event in result.events("probe.ended") if event["state"] == "unknown"]
    assert unknown == [], result


def test_an_unreachable_engine_is_unknown_not_a_fault(runbook, sandbox, world):
    sandbox.env["DOCKER_HOST"] = f"unix://{sandbox.folder}/no.sock"
    world[1] = "base_url=http://127.0.0.1:1"
    result = runbook("run", RUNBOOK, "--dry-run", *world)
    assert result.code == 0, result
    workload = [event for event in result.events("probe.ended") if event["probe"] == "Container or pod status"]
    assert workload[0]["state"] == "unknown" and "no.sock" in workload[0]["why"]


def test_idle_sessions_are_ended_when_they_fill_the_pool(runbook, sandbox, world, postgres, api):
    api.break_with(503)
    result = runbook("run", RUNBOOK, *world, *answers(sandbox, "nothing"), timeout=120)
    assert result.code == 1, result
    assert "no remedy in this runbook brought the API back" in result.stdout


def test_a_restart_at_a_terminal(runbook_tty, world, api):
    """The operator sees the plan, says yes, and watches the API come back."""
    api.stop()
    terminal = runbook_tty("run", RUNBOOK, *world)
    terminal.expect("Restart the API service  +risk low")
    terminal.expect("yes or no")
    terminal.sendline("yes")
    result = terminal.finish()
    assert result.code == 0, result
    assert 'resolved by "Restart the API service"' in result.stdout


