"""Where the API runs is found out: a container on a real engine, a deployment on lab/kubernetes.py by the real kubectl, both,
neither; and what is asked, noted, and left alone."""

import os
import shutil
import subprocess

import pytest

from lab.effects import PATH
from lab.kubernetes import Cluster
from lab.program import BUILD, ROOT

API_DOWN = os.path.join(ROOT, "runbooks", "api-down.lua")
# The process is named by a pattern that no command line matches, this one neither: containers of other tests are seen too.
NOWHERE = ["-p", "base_url=http://127.0.0.1:1", "-p", "database=postgresql://127.0.0.1:1/x", "-p", "redis=redis://127.0.0.1:1",
           "-p", "process=no-such-[p]rocess"]

pytestmark = pytest.mark.skipif(not shutil.which("kubectl", path=PATH), reason="there is no kubectl")


@pytest.fixture
def cluster(sandbox):
    """A cluster that holds the deployment conduit-api; the sandbox's kubectl goes there."""
    server = Cluster()
    sandbox.write("kubeconfig", server.kubeconfig())
    sandbox.env["KUBECONFIG"] = os.path.join(sandbox.folder, "kubeconfig")
    yield server
    server.stop()


@pytest.fixture
def engine(sandbox, docker_engine):
    sandbox.env["DOCKER_HOST"] = docker_engine.host
    return docker_engine


def notes(result):
    return [event["text"] for event in result.events("note")]


def platform(result):
    """The one note that says where it runs."""
    said, = [text for text in notes(result) if text.startswith(("Docker", "Kubernetes"))]
    return said


def looked(result, family):
    return [event["line"] for event in result.events("effect.outcome") if event["line"].startswith(family)]


def test_a_container_and_no_cluster(runbook, sandbox, engine):
    engine.run("conduit-api", "sleep", "1000")
    result = runbook("run", API_DOWN, "--dry-run", *NOWHERE)
    assert platform(result).startswith("Docker: there is a container conduit-api (running for "), result
    assert platform(result).endswith("and no cluster (the kubeconfig names no cluster: it has no current context)")
    assert "would docker.restart conduit-api" in result.stdout
    assert "CPU of the API" not in [event["label"] for event in result.events("check")], "no process is no health"
    assert looked(result, "kubectl") == ["kubectl.get deployment conduit-api"]


def test_a_deployment_and_no_such_container(runbook, engine, cluster):
    result = runbook("run", API_DOWN, "--dry-run", *NOWHERE)
    assert platform(result) == ("Kubernetes: there is no container conduit-api, and there is a deployment conduit-api "
                                "(conduit @ prod)"), result
    assert "would kubectl.rollout_restart deployment conduit-api" in result.stdout
    assert looked(result, "docker") == ["docker.inspect conduit-api"]


def test_a_deployment_and_no_engine(runbook, sandbox, cluster):
    sandbox.env["DOCKER_HOST"] = f"unix://{sandbox.folder}/no.sock"
    result = runbook("run", API_DOWN, "--dry-run", *NOWHERE)
    assert platform(result).startswith("Kubernetes: no Docker engine ("), result


def test_both_and_the_operator_says_which(runbook, sandbox, engine, cluster):
    engine.run("conduit-api", "sleep", "1000")
    sandbox.write("answers.lua", 'return { ["Where does the API run?"] = "kubernetes", ["*"] = "no" }')
    result = runbook("run", API_DOWN, *NOWHERE, "--answers", "answers.lua")
    question, = [event for event in result.events("question") if event["kind"] == "choose"]
    assert question["text"] == "Where does the API run?"
    assert any(text.startswith("There is a container conduit-api (running for ") and
               text.endswith(", and there is a deployment conduit-api (conduit @ prod)") for text in notes(result)), result
    assert question["options"] == ["docker", "kubernetes"]
    assert platform(result).startswith("Kubernetes, as answered"), result
    assert not looked(result, "docker")[1:] and "kubectl.rollout_restart" in result.stdout


def test_a_cluster_that_refuses_us_is_not_guessed_at(runbook, sandbox, engine, cluster):
    engine.run("conduit-api", "sleep", "1000")
    cluster.forbidden = {("get", "deployments")}
    sandbox.write("answers.lua", 'return { ["Where does the API run?"] = "docker", ["*"] = "no" }')
    result = runbook("run", API_DOWN, *NOWHERE, "--answers", "answers.lua")
    assert [event["kind"] for event in result.events("question")][0] == "choose"
    assert any("it can't be seen whether there is a deployment conduit-api (Error from server (Forbidden)" in text
               for text in notes(result)), result
    assert platform(result).startswith("Docker, as answered")


@pytest.mark.parametrize("command", [["run", "--dry-run"], ["audit"]], ids=["dry", "audit"])
def test_a_dry_run_and_an_audit_ask_nothing_and_say_so(runbook, engine, cluster, command):
    engine.run("conduit-api", "sleep", "1000")
    result = runbook(command[0], API_DOWN, *command[1:], *NOWHERE)
    assert not result.events("question"), result
    assert platform(result).startswith("Docker, ") and "first choice" in platform(result)


def test_an_audit_looks_once_for_all_preventions(runbook, sandbox, engine, cluster):
    """They look side by side; the first look is waited for."""
    shutil.copytree(os.path.join(ROOT, "runbooks", "lib"), os.path.join(sandbox.folder, "lib"))
    script = sandbox.write("x.lua", """
runbook { title = "X" }
local place = require("lib.platform").of("auto", "conduit-api")
for i = 1, 5 do prevention("P" .. i, function() check("kubernetes", place.on_docker() == false) end) end
return unresolved "never reached"
""")
    result = runbook("audit", script)
    assert result.code == 0 and "preventions: 5 in place" in result.stdout, result
    assert looked(result, "docker") == ["docker.inspect conduit-api"] and len(looked(result, "kubectl")) == 1
    assert platform(result)


@pytest.mark.parametrize("given, other", [("docker", "kubectl"), ("kubernetes", "docker")])
def test_what_is_given_is_not_looked_for(runbook, engine, cluster, given, other):
    result = runbook("run", API_DOWN, "--dry-run", *NOWHERE, "-p", f"platform={given}")
    assert not looked(result, other) and not [text for text in notes(result) if text.startswith(("Docker", "Kubernetes"))]
    assert "Platform" not in [event["probe"] for event in result.events("probe.started")]


def test_a_false_alarm_asks_nobody(runbook, engine, cluster):
    api = engine.run_api()
    result = runbook("run", API_DOWN, *NOWHERE, "-p", f"base_url={api.url}")
    assert result.code == 0 and "false alarm" in result.stdout and not result.events("question"), result
    assert "first choice" in platform(result)            # for the preventions that a resolved run looks at


def test_the_level_of_a_script_with_modules_is_carried_out(runbook, sandbox, pagerduty):
    """Another process runs the declarations again, from source/, with the modules as they were."""
    shutil.copytree(os.path.join(ROOT, "runbooks"), sandbox.folder, dirs_exist_ok=True)
    path = os.path.join(sandbox.folder, "api-down.lua")
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        removal = 'exec({ "rm", "lib/platform.lua" }, { reads = true })'
        file.write(text.replace("local answers = alert()", f"{removal}\nlocal answers = alert()"))
    sandbox.write("runbook.config.lua", 'return { pager = { "pagerduty", routing_key = secret "PAGERDUTY_KEY", url = "%s" } }'
                  % pagerduty.url)
    sandbox.env["PAGERDUTY_KEY"] = pagerduty.routing_key
    sandbox.env["DOCKER_HOST"] = f"unix://{sandbox.folder}/no.sock"
    sandbox.write("answers.lua", 'return { ["Where*"] = "docker", ["*"] = "no" }')
    result = runbook("run", "api-down.lua", *NOWHERE, "--answers", "answers.lua")
    assert result.code == 1 and "the on-call engineer was paged" in result.stdout, result
    assert not os.path.exists(os.path.join(sandbox.folder, "lib", "platform.lua"))
    kept = [open(os.path.join(result.run_dir, "source", name)).read() for name in sorted(os.listdir(result.run_dir + "/source"))]
    assert any(text.startswith("-- Where does the API run?") for text in kept)
    with open(os.path.join(result.run_dir, "escalation.jsonl")) as file:
        assert '"event":"escalation.delivered","level":1,"by":"script"' in file.read()
    event = next(iter(pagerduty.alerts.values()))["events"][0]
    assert "/health/ready" in str(event["payload"]["custom_details"])


def test_an_installed_runbook_finds_its_modules(runbook, tmp_path):
    subprocess.run(["cmake", "--install", BUILD, "--prefix", tmp_path / "usr"], check=True, capture_output=True)
    installed = tmp_path / "usr/share/runbook/runbooks/api-down.lua"
    result = runbook("run", str(installed), "--scenario", API_DOWN.replace(".lua", ".test.lua") + ":demo")
    assert result.code == 0 and 'resolved by "Restart the API service"' in result.stdout, result
