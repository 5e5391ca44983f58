"""`runbook doctor` where something is missing, one test for each thing, on the real servers. Only PagerDuty, Slack and webhooks
are imitated. That each stop says how it is put right, and makes exit 6, is asserted by the fixture `doctor`."""

import json
import os
import shutil
import socket
import subprocess
import time

import pytest

from lab import sshd as ssh
from lab.doctor import COMPOSE, HEAD, cluster, configured, doctor, kubeconfig, role  # noqa: F401 (fixtures)
from lab.program import BUILD


# ---- Docker, Compose ----

INSPECT = 'probe("P", function() docker.inspect("x") end)'


def test_no_docker_socket(doctor, sandbox):
    looked = doctor(INSPECT, env={"DOCKER_HOST": f"unix://{sandbox.folder}/no.sock"})
    assert "there is no such socket" in looked.only("stops", "docker") and len(looked.of("stops")) == 1, looked


def test_an_engine_that_refuses_may_be_the_incident(doctor, closed_port):
    looked = doctor(INSPECT, env={"DOCKER_HOST": f"tcp://127.0.0.1:{closed_port}"})
    assert looked.code == 0 and "the incident itself?" in looked.only("warning", "docker"), looked


def outside(sandbox, *wrapper):
    """The doctor on x.lua, run by another program: what root may do is taken from it."""
    done = subprocess.run([*wrapper, os.path.join(BUILD, "runbook"), "doctor", "x.lua", "--format", "jsonl"], timeout=60,
                          cwd=sandbox.folder, env=sandbox.env, capture_output=True, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return done, [row for row in rows if row["event"] == "doctor.row"]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_a_docker_socket_without_permission(sandbox):
    path = os.path.join(sandbox.folder, "docker.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        os.chown(path, 65534, 65534)
        os.chmod(path, 0o600)
        sandbox.env["DOCKER_HOST"] = "unix://" + path
        sandbox.write("x.lua", HEAD + INSPECT)
        done, rows = outside(sandbox, "setpriv", "--bounding-set=-dac_override,-dac_read_search")
    stops = [row for row in rows if row["state"] == "stops"]
    assert done.returncode == 6 and len(stops) == 1, done
    assert stops[0]["area"] == "docker" and "permission denied" in stops[0]["text"] and "usermod" in stops[0]["mend"]


def test_no_compose(doctor, sandbox, docker_engine):
    file = sandbox.write("docker-compose.yml", COMPOSE)
    sandbox.env["DOCKER_HOST"] = docker_engine.host
    looked = doctor(f'remedy("Up", {{}}, function() compose.up("{file}") end)', env={"PATH": only(sandbox, "sh")})
    assert "neither `docker compose` nor docker-compose" in looked.only("stops", "compose"), looked
    assert len(looked.of("stops")) == 1


def only(sandbox, *programs):
    """A PATH that holds these and nothing else."""
    folder = os.path.join(sandbox.folder, "only")
    os.makedirs(folder, exist_ok=True)
    for name in programs:
        os.symlink(shutil.which(name, path="/usr/bin"), os.path.join(folder, name))
    return folder


# ---- kubectl ----

PODS = """
probe("Pods", function() kubectl.get("pods", { selector = "app=conduit-api" }) end)
remedy("Restart", {}, function() kubectl.rollout_restart("deployment", "conduit-api") end)
remedy("Drain", {}, function() kubectl.drain("node-1") end)
"""


def test_no_kubectl(doctor, sandbox):
    looked = doctor(PODS, env={"PATH": only(sandbox, "sh")})
    assert "kubectl" in looked.only("stops", "kubectl"), looked
    assert ("mend", "install kubectl") in looked.rows[-1].items() or "install kubectl" in looked.result.stdout


def test_a_context_that_is_not_there(doctor, sandbox, configured, kubeconfig):
    configured('kubectl = { context = "nope" }')
    looked = doctor(PODS, env={"KUBECONFIG": kubeconfig})
    assert "nope" in looked.only("stops", "kubectl") and looked.of("ok", "kubectl")[0][0] == "program", looked


def test_what_the_cluster_forbids(doctor, kubeconfig, cluster):
    cluster.forbidden = {("patch", "deployments"), ("create", "pods/eviction")}
    looked = doctor(PODS, env={"KUBECONFIG": kubeconfig})
    texts = [text for _, text in looked.of("stops", "kubectl")]
    assert texts == ["may not patch deployment/conduit-api in conduit @ prod",
                     "may not create pods/eviction in all namespaces @ prod"], looked
    assert "list pods" in looked.of("ok", "kubectl")[-1][1]
    assert "not allowed: patch deployment/conduit-api" in str(looked.of("stops", "remedy")), looked


@pytest.mark.parametrize("forbidden, told", [(("update", "deployments/scale"), 1), (("patch", "deployments/scale"), 0)])
def test_what_scaling_needs(doctor, kubeconfig, cluster, forbidden, told):
    cluster.forbidden = {forbidden}
    looked = doctor('remedy("Scale", {}, function() kubectl.scale("deployment", "conduit-api", 4) end)',
                    env={"KUBECONFIG": kubeconfig})
    texts = [text for _, text in looked.of("stops", "kubectl")]
    assert texts == told * ["may not update deployment/scale/conduit-api in conduit @ prod"], looked


def test_a_cluster_that_is_down_may_be_the_incident(doctor, kubeconfig, cluster):
    cluster.stop()
    looked = doctor(PODS, env={"KUBECONFIG": kubeconfig})
    assert looked.code == 0 and "refused" in looked.only("warning", "kubectl"), looked


# ---- PostgreSQL ----

KILLS = 'remedy("Kill", {}, function() sql.terminate_idle(at.to) end)\nprobe("P", function() sql.value(at.to, "SELECT 1") end)'


def test_a_login_that_is_refused(doctor, role):
    looked = doctor(KILLS, "-p", f"to={role('ALTER ROLE doctor NOLOGIN')}")
    assert "not permitted to log in" in looked.only("stops", "sql") and len(looked.of("stops")) == 1, looked


@pytest.mark.limit(100)
def test_a_cluster_that_does_not_answer_ends_in_time(doctor, kubeconfig, cluster):
    cluster.hangs = True
    began = time.monotonic()
    looked = doctor(PODS, env={"KUBECONFIG": kubeconfig})
    assert looked.code == 0 and looked.of("warning", "kubectl") and time.monotonic() - began < 45, looked


def test_a_database_that_is_not_there(doctor, postgres):
    looked = doctor(KILLS, "-p", f"to={postgres.uri('conduit', 'nope')}")
    assert '"nope" does not exist' in looked.only("stops", "sql"), looked


def test_a_role_that_may_not_end_sessions(doctor, role, postgres):
    dsn = role()
    looked = doctor(KILLS, "-p", f"to={dsn}")
    assert "lacks pg_signal_backend and pg_read_all_stats" in looked.only("stops", "sql"), looked
    row = next(row for row in looked.rows if row["state"] == "stops")
    assert row["mend"] == 'GRANT pg_signal_backend, pg_read_all_stats TO "doctor";'
    postgres.psql(row["mend"])
    assert doctor(KILLS, "-p", f"to={dsn}").code == 0
    own = KILLS.replace("at.to)", 'at.to, { user = "doctor" })')
    postgres.psql("REVOKE pg_signal_backend FROM doctor")
    assert doctor(own, "-p", f"to={dsn}").code == 0


def test_a_write_that_the_role_may_not_make(doctor, role, postgres):
    postgres.psql("CREATE TABLE IF NOT EXISTS jobs (id int)")
    dsn = role()
    looked = doctor('remedy("R", {}, function() sql.execute(at.to, "DELETE FROM jobs") end)', "-p", f"to={dsn}")
    assert "permission denied for table jobs" in looked.only("stops", "remedy"), looked


@pytest.mark.parametrize("given, says", [("GRANT pg_monitor TO doctor", None), (None, 'permission denied to set role')])
def test_the_reader_role(doctor, configured, role, given, says):
    configured('environments = { e = { default = true, reader = "pg_monitor" } }')
    looked = doctor(KILLS.split("\n")[1], "-p", f"to={role(*[given] if given else [])}")
    if says:
        assert says in looked.only("stops", "sql"), looked
    else:
        assert "login doctor, reads as pg_monitor" in looked.only("ok", "sql"), looked


def test_a_database_that_is_down_may_be_the_incident(doctor, closed_port):
    looked = doctor(KILLS, "-p", f"to=postgresql://conduit@127.0.0.1:{closed_port}/conduit")
    assert looked.code == 0 and "refused" in looked.only("warning", "sql"), looked


# ---- Redis ----

FLUSHES = 'remedy("Clear", {}, function() redis.command(at.to, "FLUSHDB") end)\nprobe("P", function() redis.ping(at.to) end)'


@pytest.fixture
def redis_user(redis_server):
    """redis_user(rules, password) -> the address for a user `doctor` with these rules."""
    def make(rules, password="secret-of-doctor"):
        redis_server.cli("ACL", "SETUSER", "doctor", "on", ">secret-of-doctor", "~*", *rules.split())
        return redis_server.url.replace("//", f"//doctor:{password}@")
    yield make
    redis_server.cli("ACL", "DELUSER", "doctor")


def test_a_user_who_may_not_flush(doctor, redis_user):
    looked = doctor(FLUSHES, "-p", f"to={redis_user('+@all -flushdb')}")
    assert "user doctor may not send FLUSHDB" in looked.only("stops", "redis") and len(looked.of("stops")) == 1, looked
    assert "secret-of-doctor" not in looked.result.stdout + "".join(looked.result.journal_lines)


def test_an_access_list_that_nobody_may_ask(doctor, redis_user):
    looked = doctor(FLUSHES, "-p", f"to={redis_user('+@all -@admin')}")
    assert looked.code == 0 and "is not known" in looked.only("warning", "redis"), looked


def test_a_wrong_password_of_redis(doctor, redis_user):
    looked = doctor(FLUSHES, "-p", f"to={redis_user('+@all', 'wrong-password')}")
    assert "invalid username-password" in looked.only("stops", "redis") and len(looked.of("stops")) == 1, looked


def test_a_read_only_replica(doctor, redis_server, server_of):
    replica = server_of(type("ReplicaRedis", (type(redis_server),), {}))
    replica.cli("REPLICAOF", "127.0.0.1", redis_server.port)
    looked = doctor(FLUSHES, "-p", f"to={replica.url}")
    assert "is a read-only replica" in looked.only("stops", "remedy"), looked


# ---- Machines ----

THERE = """
probe("P", function() service.status("db", { on = "db" }) end)
remedy("R", {}, function() files.write("/tmp/x", "y", { on = "db" }) end)
"""


def machine(configured, config, more="", name=ssh.Sshd.name):
    configured('machines = { db = { ssh = "%s", config = "%s" %s } }' % (name, config, more))


def test_a_machine_that_is_down_may_be_the_incident(doctor, configured, sandbox, closed_port):
    config = sandbox.write("ssh_config", f"Host down\n  HostName 127.0.0.1\n  Port {closed_port}\n")
    machine(configured, config, name="down")
    looked = doctor(THERE)
    assert looked.code == 0 and "the connection was refused" in looked.only("warning", "machine"), looked


def test_a_machine_with_another_host_key(doctor, configured, sandbox, sshd):
    sandbox.run("runbook", "--version")
    with open(os.path.join(sshd.folder, "client_key.pub")) as key:
        known = sandbox.write("known_hosts", f"[127.0.0.1]:{sshd.port} {' '.join(key.read().split()[:2])}\n")
    text = open(sshd.config).read().replace(f"{sshd.folder}/known_hosts", known)
    machine(configured, sandbox.write("ssh_config", text.replace("accept-new", "yes")))
    looked = doctor(THERE)
    assert "host key is not the one that is known" in looked.only("stops", "machine"), looked


def test_a_sudo_that_wants_a_password(doctor, configured, server_of):
    server = server_of(ssh.RefusingSshd)
    machine(configured, server.config, ", sudo = true")
    looked = doctor(THERE)
    assert "a password is required" in str(looked.of("stops", "machine")) and looked.code == 6, looked


def test_programs_there(doctor, configured, sshd):
    machine(configured, sshd.config)
    calls = 'exec({ "no-such-program" }, { on = "db", reads = true }) exec({ "df" }, { on = "db" })'
    looked = doctor(f'probe("P", function() {calls} end)')
    assert "not there: no-such-program" in looked.only("stops", "machine") and len(looked.of("stops")) == 1, looked
    assert "ssh works" in looked.only("ok", "machine")


def test_a_machine_that_the_config_does_not_know(doctor):
    """Nothing is looked for under that name. Broken by: why_open without is_nowhere."""
    looked = doctor(THERE)
    assert looked.of("stops", "machine") == [("db", "the config's machines hold no such name")], looked
    assert "its machine is not in the config" in looked.only("stops", "remedy") and len(looked.of("stops")) == 2
    asked = [(event["line"], event["result"].get("made_up")) for event in looked.result.events("effect.outcome")]
    assert ("service.status db @db", True) in asked and not [line for line, _ in asked if line.startswith("exec")], looked


@pytest.mark.skipif(os.path.isdir("/run/systemd/system"), reason="this machine runs systemd")
def test_a_service_on_a_machine_without_systemd(doctor):
    looked = doctor('remedy("R", {}, function() service.restart("db") end)', "--here")
    assert "does not run systemd" in looked.only("stops", "remedy"), looked
    assert ("may be changed") in looked.of("ok", "machine")[-1][1]


def test_this_machine_may_not_be_changed(doctor, sandbox, configured):
    script = f'remedy("R", {{}}, function() files.write("{sandbox.folder}/x", "y") end)'
    looked = doctor(script)
    assert "files.write" in looked.only("warning", "machine") and not looked.of("stops"), looked
    assert "--here" in [row["mend"] for row in looked.rows if row["area"] == "machine"][-1]
    assert doctor(script, "--here").code == 0
    configured("here = true")
    assert doctor(script).code == 0


# ---- HTTP, Prometheus ----

def test_addresses(doctor, http_faults, closed_port):
    script = """probe("P", function() http.get(at.to .. "/status/503") http.get(at.to .. "/reset") http.get(at.at) end)
remedy("R", {}, function() http.post("http://no-such-name.invalid/x") http.post(at.to .. "/x") end)"""
    looked = doctor(script, "-p", f"to={http_faults.url}", "-p", f"at=http://127.0.0.1:{closed_port}/")
    assert looked.only("ok", "http") == "answers (HTTP 503)" and "refused" in looked.only("warning", "http"), looked
    assert "does not resolve" in looked.only("stops", "http") and len(looked.of("stops")) == 1


def test_prometheus_without_an_address(doctor):
    query = 'prometheus.query("up")'
    assert "no address" in doctor(f'probe("P", function() {query} end)').only("stops", "prometheus")
    looked = doctor(f'prevention("P", function() {query} end)')
    assert looked.code == 0 and "(for preventions)" in looked.only("warning", "prometheus"), looked


# ---- Escalation and secrets ----

PAGER = 'pager = { "pagerduty", routing_key = secret "PAGERDUTY_KEY", url = "%s" }'
CHAT = 'chat = { "slack", token = secret "SLACK_TOKEN", url = "%s/api" }'
TELLS = """escalation("10m", function(run)
  escalate.page { summary = run.headline } escalate.notify { to = "#x", text = "x" } escalate.channel { name = "inc" } end)"""


def test_a_secret_that_is_missing(doctor, configured, pagerduty, postgres):
    """Nothing is tried without it. Broken by: is_open that doesn't look into secrets."""
    configured(PAGER % pagerduty.url)
    script = TELLS + f"""
local dsn = "postgresql://conduit:" .. secret "DB_PASSWORD" .. "@127.0.0.1:{postgres.port}/conduit"
local token = secret "THERE" .. secret "API_TOKEN"
probe("P", function() sql.value(dsn, "SELECT 1") http.get(at.to, {{ headers = {{ Authorization = token }} }}) end)"""
    looked = doctor(script, "-p", f"to={pagerduty.url}", env={"THERE": "is-there-for-sure"})
    stops = dict(looked.of("stops"))
    assert set(stops) == {"API_TOKEN", "DB_PASSWORD", "PAGERDUTY_KEY"}, looked
    assert "the environment variable DB_PASSWORD is not set" in stops["DB_PASSWORD"]
    assert looked.only("ok", "secret") == "at hand" and not looked.of("ok", "sql")
    asked = [(request.method, request.path) for request in pagerduty.requests]
    assert asked[0] == ("HEAD", "/") and set(asked) <= {("HEAD", "/"), ("GET", "/")}, "only the address, without the secret"


def test_nobody_to_tell(doctor, configured):
    configured('contacts = { "on-call: +49 30 1234567" }')
    looked = doctor(TELLS)
    assert looked.code == 0 and "a page would not be delivered; call: on-call: +49 30" in looked.of("warning", "escalation")[0][1]
    assert "a message, a channel would not" in looked.of("warning", "escalation")[1][1], looked


@pytest.mark.parametrize("text, says", [
    ('pager = { "pigeon" }', "unknown backend"), ('pager = { "pagerduty", key = "x" }', "takes no 'key'"),
    ('pager = { { "slack" }, 5 }', "unknown backend"), ('chat = { "webhook" }', "url is missing"),
])
def test_whom_to_tell_is_looked_at_when_the_config_is_read(doctor, configured, text, says):
    configured(text)
    looked = doctor(TELLS)
    assert looked.code == 2 and says in looked.result.stderr, looked


def test_a_level_that_fails_its_rehearsal(doctor):
    looked = doctor('escalation("1m", function() error "broken" end)')
    assert "broken" in looked.only("stops", "escalation"), looked


@pytest.mark.parametrize("error, scopes, says", [
    ("invalid_auth", None, "Slack says invalid_auth"), (None, "channels:manage,channels:read", "lacks the scope chat:write"),
    (None, "chat:write", "lacks the scope channels:manage, channels:read"),
])
def test_a_token_that_slack_refuses(doctor, configured, slack, error, scopes, says):
    configured(CHAT % slack.url)
    if error:
        slack.error_next(error, method="auth.test")
    slack.scopes = scopes or slack.scopes
    looked = doctor(TELLS, env={"SLACK_TOKEN": slack.token})
    assert says in looked.only("stops", "escalation") and len(looked.of("stops")) == 1, looked
    assert not slack.messages and slack.token not in looked.result.stdout


@pytest.mark.parametrize("url, key, says", [
    ("https://events.invalid", "0123456789abcdef0123456789abcdef", "does not resolve"),
    ("http://127.0.0.1:1", "too-short", "32 letters and digits; this one has 9"),
])
def test_a_pager_that_can_not_be_reached(doctor, configured, url, key, says):
    configured(PAGER % url)
    looked = doctor(TELLS, env={"PAGERDUTY_KEY": key})
    assert says in looked.of("stops", "escalation")[-1][1], looked
    assert key not in looked.result.stdout


# ---- Disk ----

def test_a_state_directory_that_can_not_be_written(doctor, sandbox):
    sandbox.env["XDG_STATE_HOME"] = sandbox.write("a-file", "")
    done = subprocess.run([os.path.join(BUILD, "runbook"), "doctor", sandbox.write("x.lua", HEAD)], cwd=sandbox.folder,
                          env=sandbox.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "kept in memory only" in done.stdout, done


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have a /dev/shm of its own")
def test_nowhere_to_keep_a_run(sandbox):
    sandbox.env["XDG_STATE_HOME"] = sandbox.write("a-file", "")
    sandbox.write("x.lua", HEAD)
    done, rows = outside(sandbox, "unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro none /dev/shm && exec "$@"', "sh")
    stops = [row for row in rows if row["state"] == "stops"]
    assert done.returncode == 6 and [row["area"] for row in stops] == ["disk"], done
    assert "no run directory" in stops[0]["text"] and "XDG_STATE_HOME" in stops[0]["mend"]
