"""`runbook doctor`: ready where all is there (a real Docker engine, PostgreSQL, Redis, Prometheus, sshd, kubectl), what it
rehearses, and that it changes nothing, tells nobody and asks nobody. What can be missing is in test_doctor_missing.py."""

import json
import os
import shutil

import pytest

from lab import sshd as ssh, systemd
from lab.doctor import COMPOSE, HEAD, PEOPLE, cluster, configured, doctor, kubeconfig, role  # noqa: F401 (fixtures)
from lab.program import ROOT

API_DOWN = os.path.join(ROOT, "runbooks", "api-down.lua")


# ---- All of it there ----

class Units(systemd.Systemd):
    """With units of the names that API Down restarts."""

    def __init__(self, folder):
        super().__init__(folder)
        for name in ("postgresql", "redis"):
            with open(os.path.join(folder, "units", name + ".service"), "w") as file:
                file.write("[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep 1000\n")


@pytest.fixture(scope="session")
def service_machine(server_of):
    if not systemd.possible():
        pytest.skip("a systemd of the tests' own needs root and the control group hierarchy name=systemd")
    units = server_of(Units)
    return server_of(type("DoctorSshd", (ssh.SudoSshd,), {"more": units.bin + ":"}))


@pytest.fixture
def world(sandbox, configured, docker_engine, role, redis_server, prometheus_server, service_machine, pagerduty, slack, webhook):
    """API Down with all it needs; its arguments."""
    api = docker_engine.run_api()
    sandbox.env.update(DOCKER_HOST=docker_engine.host, PAGERDUTY_KEY=pagerduty.routing_key, SLACK_TOKEN=slack.token)
    people = PEOPLE % (pagerduty.url, slack.url, webhook.url)
    machine = 'machines = { db = { ssh = "%s", config = "%s", sudo = true } },' % (service_machine.name, service_machine.config)
    sandbox.write(".config/runbook/config.lua", 'return { %s %s prometheus = { url = "%s" } }'
                  % (people, machine, prometheus_server.url))
    given = {"base_url": api.url, "name": api.name, "redis": redis_server.url, "machine": "db", "database_on": "db",
             "database": role("GRANT pg_signal_backend, pg_read_all_stats TO doctor"), "redis_on": "db",
             "compose": sandbox.write("docker-compose.yml", COMPOSE)}
    return [word for name, value in given.items() for word in ("-p", f"{name}={value}")]


def test_api_down_with_all_it_needs_is_ready(doctor, world):
    looked = doctor(API_DOWN, *world)
    assert looked.code == 0 and not looked.of("stops"), looked
    assert [what for what, _ in looked.of("warning")] == ["context", "not reached"], looked
    assert "the runbook goes on without" in looked.of("warning")[0][1]                  # no cluster: it is Docker then
    areas = {row["area"] for row in looked.rows if row["state"] == "ok"}
    assert areas == set("secret disk escalation machine docker compose kubectl sql redis http prometheus remedy".split()), looked
    assert "login doctor" in looked.of("ok", "sql")[0][1] and "may end sessions" in looked.of("ok", "sql")[1][1]
    assert "may send all of it" in looked.of("ok", "redis")[1][1] and "sudo works" in str(looked.of("ok", "machine"))
    titles = [event for event in looked.result.stdout.split("\n") if event.startswith("ok       remedy")]
    assert len(titles) == 10 and " · ready: " in looked.result.stdout.splitlines()[-1], looked


# The imitated cluster runs no programs in its pods: kubectl answers for it here.
EXECS = """#!/bin/sh
case " $* " in *" exec "*) echo "{}"; exit 0;; esac
exec %s "$@"
"""


def test_api_down_is_ready_on_kubernetes(doctor, sandbox, world, kubeconfig):
    os.chmod(sandbox.write("bin/kubectl", EXECS % shutil.which("kubectl", path=sandbox.env["PATH"])), 0o755)
    sandbox.env.update(KUBECONFIG=kubeconfig, PATH=os.path.join(sandbox.folder, "bin") + ":" + sandbox.env["PATH"])
    looked = doctor(API_DOWN, *world, "-p", "platform=kubernetes")
    assert looked.code == 0, looked
    program, context, may = [text for _, text in looked.of("ok", "kubectl")]
    assert program.startswith("kubectl v") and "context prod, namespace conduit, server http" in context
    assert may.startswith("may ") and "get deployment/conduit-api, " in may and may.endswith(" more")
    assert any("kubectl.scale deployment conduit-api" in text for _, text in looked.of("ok", "remedy")), looked


def state_of(docker_engine, redis_server, postgres):
    return [docker_engine.cli("ps", "-a", "--format", "{{.ID}} {{.Names}} {{.State}}"), docker_engine.cli("images", "-aq"),
            redis_server.cli("DBSIZE"), redis_server.cli("CONFIG", "GET", "maxmemory"),
            docker_engine.inspect("conduit-api")["State"]["StartedAt"],
            postgres.psql("SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity WHERE usename = 'conduit'")]


def test_it_changes_nothing_and_tells_nobody(doctor, sandbox, world, docker_engine, redis_server, postgres, pagerduty, slack,
                                             webhook):
    redis_server.cli("SET", "key", "value")
    with postgres.session("SELECT 1"):
        before = state_of(docker_engine, redis_server, postgres)
        looked = doctor(API_DOWN, *world)
        assert state_of(docker_engine, redis_server, postgres) == before
    assert [(request.method, request.path) for request in slack.requests] == [("POST", "/api/auth.test")]
    asked = {(request.method, request.path) for site in (pagerduty, webhook) for request in site.requests}
    assert ("HEAD", "/") in asked and asked <= {("HEAD", "/"), ("GET", "/")}
    result = looked.result
    assert not result.events("effect.intent") and not result.events("question") and not result.events("escalation.armed")
    assert {event["class"] for event in result.events("effect.outcome")} <= {"read", "declared"}, result
    assert os.path.basename(result.run_dir).startswith("dry-") and set(os.listdir(result.run_dir)) == {"journal.jsonl", "source"}
    assert not os.path.exists(os.path.join(sandbox.state, "runbook", "locks")), "no lock"


# ---- The rehearsal ----

ALL_KINDS = """
escalation("1s", function(run) escalate.page { summary = run.headline } escalate.notify { to = "#x", text = run.report } end)
recovered("it answers", { within = "1s" }, function() return http.get(at.to .. "/goal") end)
probe("Looks", function(name)
  http.get(at.to .. "/status/503")
  if http.get(at.to .. "/reads").ok then http.post(at.to .. "/declared", { reads = true }) end
  exec({ "touch", at.at }, { reads = true })
  note(docker.inspect(name))
  http.get(at.to .. "/after")
end)
probe("Writes", function() http.post(at.to .. "/from-a-probe") end)
remedy("Asks", { undo = function() http.delete(at.to .. "/undone") end }, function(id)
  if not confirm "Sure?" then error "no" end
  http.put(at.to .. "/" .. choose("Which?", { "first", "second" }))
  http.post(at.to .. "/" .. id)
  exec({ "touch", at.at }, { preview = { "touch", at.at } })
  escalate.page { summary = "from a remedy" }
  files.write(at.at, "made")
end)
prevention("Kept", function() check("x", http.get(at.to .. "/kept"), { mend = "y" }) end)
http.post(at.to .. "/beyond", { reads = true })
"""


def test_what_is_rehearsed_and_what_is_not(doctor, sandbox, http_faults, pagerduty, slack):
    """Broken by: modes/doctor.lua that carries out declared reads; probes that aren't registered; the first not-well read
    given to the script as it is; options.dry_run = "true" (the remedy's own preview is run)."""
    sandbox.write("runbook.config.lua", "return { %s }" % (PEOPLE % (pagerduty.url, slack.url, "http://127.0.0.1:1")))
    sandbox.env.update(PAGERDUTY_KEY=pagerduty.routing_key, SLACK_TOKEN=slack.token)
    made = os.path.join(sandbox.folder, "made")
    for path in ("/after", "/reads"):
        http_faults.set(path)
    looked = doctor(ALL_KINDS, "-p", f"to={http_faults.url}", "-p", f"at={made}")
    sent = [f"{request.method} {request.path}" for request in http_faults.requests]
    assert sorted(sent) == ["GET /after", "GET /goal", "GET /kept", "GET /reads", "GET /status/503"], looked
    assert not os.path.exists(made) and not pagerduty.alerts and not slack.messages
    planned = [text.split(":")[0] for state in ("ok", "stops", "warning") for _, text in looked.of(state, "remedy")]
    assert sorted(word.split()[0] for word in planned) == ["exec", "files.write", "http.delete", "http.post", "http.put"]
    assert any(f"http.post {http_faults.url}/‹id›: what it touches is known only in a run" in text
               for _, text in looked.of("ok", "remedy")), looked
    assert "a probe changes nothing" in looked.only("stops", "probe")
    outcomes = looked.result.events("effect.outcome")
    made_up = {event["line"].split("/")[-1] for event in outcomes if event["result"].get("made_up")}
    assert made_up >= {"503", "declared"} and "after" not in made_up, outcomes
    assert not looked.result.events("effect.intent") and not looked.result.events("question")


def test_what_no_rehearsal_reaches_is_named(doctor, sandbox):
    script = """
local list = require "lib.list"
-- docker.kill("x") and "docker.stop" are only words
probe("P", function()
  note("docker.restart") note [[ redis.ping ]] -- kubectl.get
  for _, name in ipairs(list()) do docker.inspect(name) docker . exec(name) end
  if sysinfo.memory().used_percent > 101 then exec({ "df" }) service.status("x") end
end)
probe("Q", function() local c = docker.logs("x") return { c = c.text } end)
"""
    sandbox.write("lib/list.lua", "return function() return {}, sysinfo.load end\n")
    looked = doctor(script)
    named = looked.only("warning", "script").split(":")[0]
    assert named == "docker.exec, docker.inspect, exec, service.status, sysinfo.load", looked


def test_handovers_are_named(doctor, sandbox):
    sandbox.write("redis-memory.lua", 'runbook { title = "R" }\n')
    looked = doctor('sysinfo.memory()\n-- handover "commented"\nhandover("redis-memory", {})\nhandover "no-such"\n')
    assert looked.of("ok", "handover")[0][0] == "redis-memory" and looked.of("stops", "handover")[0][0] == "no-such", looked
    assert len([row for row in looked.rows if row["area"] == "handover"]) == 2


@pytest.mark.parametrize("script, whys", [
    ('probe("P", function() while true do end end)', ("computed for too long", "took longer than")),  # by CPU or wall
    ('remedy("R", {}, function(pods) if #pods > 0 then docker.restart(pods[1].name) end end)', ("‹pods› is known only in a",)),
])
def test_a_rehearsal_that_fails_is_told_and_stops_nothing(doctor, script, whys):
    looked = doctor(script)
    assert looked.code == 0 and any(why in str(looked.of("warning")) for why in whys), looked


@pytest.mark.parametrize("script, why", [
    ('probe("P", function() return 1 + nil end)', "x.lua:2: attempt to perform arithmetic on a nil value"),
    ('recovered("G", function() return http.gte(at.to).ok end)', "there is no effect http.gte (did you mean 'get'?)"),
    ('remedy("R", {}, function(pod) docker.restart("x", { tiemout = "5s" }) end)', "unknown option 'tiemout'"),
    ('probe("P", function() note(http.get(at.to).body) sysinfo.disks { withn = "5s" } end)', "unknown option 'withn'"),
])
def test_a_mistake_stops(doctor, closed_port, script, why):
    """Broken by: is_certain that is false; is_certain without is_misnamed."""
    looked = doctor(script, "-p", f"to=http://127.0.0.1:{closed_port}/")
    assert looked.code == 6 and why.replace("x.lua", "doctor.lua").split(":2:")[-1] in looked.of("stops")[-1][1], looked
    assert "a mistake of the runbook: " in looked.of("stops")[-1][1]


@pytest.mark.parametrize("script", [
    'local leader\nremedy("R", {}, function() docker.restart(leader.name) end)',
    'local seen\nprobe("P", function() note(seen.text) end)',
    'probe("P", function(n) check("few", n + 1 < 5) end)',
    'probe("P", function() check("few", http.get(at.to).json.count < 5) end)',
    'probe("P", function() error "we can not tell" end)',
])
def test_what_only_a_run_can_tell_stops_nothing(doctor, closed_port, script):
    """A variable that another part sets, an argument, an answer that was made up. Broken by: is_certain of every mistake."""
    assert doctor(script, "-p", f"to=http://127.0.0.1:{closed_port}/").code == 0


def test_what_is_asked_for_on_made_up_answers_stops_nothing(doctor, closed_port, docker_engine):
    """Broken by: on_made_up that does nothing."""
    script = """
remedy("Real", {}, function() docker.restart("nobody") end)
remedy("Made up", {}, function() docker.restart("nobody-" .. http.get(at.to).status) end)"""
    looked = doctor(script, "-p", f"to=http://127.0.0.1:{closed_port}/", env={"DOCKER_HOST": docker_engine.host})
    assert [what for what, _ in looked.of("stops")] == ["Real"], looked
    assert "nobody-200" in looked.only("warning", "remedy") and "made-up" in looked.only("warning", "remedy")


def test_a_rehearsal_that_hangs_ends(doctor, stuck_port):
    looked = doctor(f'probe("P", function() http.get("http://127.0.0.1:{stuck_port}/", {{ timeout = "5m" }}) end)')
    assert looked.code == 0 and "took longer than 20 s" in looked.only("warning", "probe"), looked


def test_on_a_terminal(runbook_tty, sandbox, stuck_port):
    sandbox.write("x.lua", HEAD + f'probe("Slow", function() http.get("http://127.0.0.1:{stuck_port}/") end)')
    terminal = runbook_tty("doctor", "x.lua")
    terminal.expect("http.get http://127.0.0.1")
    terminal.interrupt()
    result = terminal.finish()
    assert result.code == 4 and not result.events("doctor.row"), result


def test_mistakes_have_their_own_exit_codes(runbook, sandbox):
    assert runbook("doctor", "no-such.lua").code == 2
    assert runbook("doctor", sandbox.write("x.lua", "local = 1")).code == 3
    assert runbook("doctor", sandbox.write("x.lua", HEAD), "-p", "nope=1").code == 2
    assert runbook("doctor", "x.lua", "--env", "nope").code == 2
    assert runbook("doctor", "x.lua", "--yes", "low").code == 2


def test_rows_as_jsonl(runbook, sandbox):
    result = runbook("doctor", sandbox.write("x.lua", HEAD), "--format", "jsonl")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events][-1] == "run.ended" and events[-1]["exit"] == 0
    rows = [event for event in events if event["event"] == "doctor.row"]
    assert {row["area"] for row in rows} == {"disk", "escalation", "goal"}, result
    assert set(rows[0]) == {"seq", "at", "event", "prev", "area", "what", "state", "text"}


def test_foreign_text_is_inert(doctor):
    looked = doctor('probe("P", function() error "a\\27[31mb" end)')
    assert "\x1b" not in looked.result.stdout and "31mb" in looked.result.stdout, looked
