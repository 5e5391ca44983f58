"""API Down's lines, dry, against real programs: from a laptop, where API, PostgreSQL and Redis are elsewhere, and on Kubernetes."""

import time

import pytest

from test_api_down import RUNBOOK
from test_gaps import cluster, kubectl  # noqa: F401 (fixtures)


def dry(runbook, *arguments):
    result = runbook("run", RUNBOOK, "--dry-run", *arguments)
    assert result.code == 0, result
    return result, {event["line"] for event in result.events("effect.outcome")}


def unknown(result):
    return {event["probe"]: event["why"] for event in result.events("probe.ended") if event["state"] == "unknown"}


@pytest.fixture
def elsewhere(sandbox, docker_engine, sshd, redis_server, closed_port):
    """The arguments of a laptop: the engine by DOCKER_HOST, the machines by ssh; PostgreSQL is down."""
    sshd.start()
    api = docker_engine.run_api(options=("-e", "CONDUIT_API_KEY=hunter2-hunter2", "-e", "Logging__LogLevel__Default=Debug"))
    api.break_with(503)
    sandbox.env["DOCKER_HOST"] = docker_engine.host
    machine = '{ ssh = "%s", config = "%s" }' % (sshd.name, sshd.config)
    sandbox.write(".config/runbook/config.lua", "return { machines = { api = %s, db = %s, cache = %s } }" % (3 * (machine,)))
    return ["-p", f"base_url={api.url}", "-p", f"name={api.name}", "-p", f"database=postgresql://conduit@127.0.0.1:{closed_port}/x",
            "-p", f"redis={redis_server.url}", "-p", "machine=api", "-p", "database_on=db", "-p", "redis_on=cache"]


def test_from_a_laptop(runbook, elsewhere):
    result, lines = dry(runbook, *elsewhere)
    assert not unknown(result), result
    assert {"sysinfo.memory @api", "sysinfo.disks @api", "sysinfo.du /var/lib/docker @api",
            "sysinfo.process ConduitLLM.Http @api", "service.status postgresql @db", "service.restart postgresql @db",
            "docker.stats conduit-api", "docker.logs conduit-api", "docker.inspect conduit-api",
            "docker.exec conduit-api cat appsettings.json"} <= lines, lines
    assert "CONDUIT_ENVIRONMENT=lab" in result.stdout and "CONDUIT_API_KEY=***" in result.stdout
    assert "Logging__LogLevel__Default: Information in appsettings.json, Debug in the environment" in result.stdout
    assert "hunter2-hunter2" not in result.stdout


CONFIG_MAP = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "conduit-api", "namespace": "conduit"},
              "data": {"CONDUIT_MODE": "strict", "CONDUIT_DB": "Host=db;Password=hunter2-hunter2;Maximum Pool Size=9"}}


@pytest.mark.parametrize("state, failing", [("crashloop", True), ("healthy", False)])
def test_on_kubernetes(runbook, sandbox, cluster, kubectl, postgres, redis_server, state, failing):  # noqa: F811
    """Everything but what runs inside a pod: the lab's cluster runs none."""
    cluster.load(state)
    cluster.world["configmaps"] = [CONFIG_MAP]
    container = cluster.deployment()["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "CONDUIT_TOKEN", "value": "hunter2-hunter2"}, {"name": "CONDUIT_REGION", "value": "north"},
                        {"name": "CONDUIT_SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    sandbox.env["KUBECONFIG"] = sandbox.folder + "/kubeconfig"
    result, lines = dry(runbook, "-p", "platform=kubernetes", "-p", "base_url=http://127.0.0.1:1",
                        "-p", f"database={postgres.dsn}", "-p", f"redis={redis_server.url}")
    verbs = {line.split(" ")[0] for line in lines}
    assert {"kubectl.get", "kubectl.describe", "kubectl.logs", "kubectl.top", "kubectl.exec", "sql.activity", "redis.info",
            "kubectl.rollout_restart", "kubectl.set_env"} <= verbs and not any(verb.startswith("docker.") for verb in verbs)
    named = {pod["metadata"]["name"] for pod in cluster.objects("pods")}
    assert any(line.split()[:2] == ["kubectl.logs", pod] for line in lines for pod in named)
    assert "CONDUIT_REGION=north" in result.stdout and "CONDUIT_TOKEN=***" in result.stdout
    assert "CONDUIT_MODE=strict" in result.stdout and "CONDUIT_DB=Host=db;Password=***;Maximum" in result.stdout
    assert "hunter2-hunter2" not in result.stdout, result
    assert failing is any(not event["passed"] for event in result.events("check") if event["label"] == "pods ready")


def crashing(name, restarts=7):
    return {"name": name, "ready": False, "restartCount": restarts, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}


def well(name):
    return {"name": name, "ready": True, "restartCount": 0, "state": {"running": {}}}


WAITING = {"name": "main", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}}


@pytest.mark.parametrize("forbidden", [set(), {("get", "deployments")}])  # who may not see deployments may see pods
@pytest.mark.parametrize("statuses, asked", [
    ({"containerStatuses": [well("main"), crashing("sidecar")]}, {"sidecar"}),
    ({"containerStatuses": [crashing("main"), well("between"), crashing("sidecar")]}, {"main", "sidecar"}),
    ({"initContainerStatuses": [crashing("migrate")], "containerStatuses": [WAITING]}, {"migrate"})])
def test_the_logs_of_the_containers_in_trouble(runbook, sandbox, cluster, kubectl, closed_port, forbidden,  # noqa: F811
                                               statuses, asked):
    pod = cluster.objects("pods")[0]
    pod["status"].update({"initContainerStatuses": [], **statuses})
    for kind in ("initContainers", "containers"):  # kubectl wants each in the pod's spec
        named = statuses.get(kind[:-1] + "Statuses", [])
        pod["spec"][kind] = [{"name": it["name"], "image": "registry.local/api:1"} for it in named]
    next(it for it in pod["status"]["conditions"] if it["type"] == "Ready")["status"] = "False"
    cluster.forbidden, cluster.world["logs"] = forbidden, {}
    sandbox.env["KUBECONFIG"] = sandbox.folder + "/kubeconfig"
    nowhere = f"127.0.0.1:{closed_port}"
    result, lines = dry(runbook, "-p", "platform=kubernetes", "-p", f"base_url=http://{nowhere}",
                        "-p", f"database=postgresql://a@{nowhere}/x", "-p", f"redis=redis://{nowhere}")
    name, = {line.split()[1] for line in lines if line.startswith("kubectl.logs ")}
    assert name == pod["metadata"]["name"]
    # No log of before a restart is kept here: that of now is read too.
    expected = {f"kubectl.logs {name} container={it}{more}" for it in asked for more in ("", " previous=true")}
    assert {line for line in lines if line.startswith("kubectl.logs ")} == expected
    status, = [it for it in result.events("probe.ended") if it["probe"] == "Container or pod status"]
    assert status["state"] == "known" and status["findings"]["stopped"] and status["findings"]["out_of_memory"], status


def look_at_cluster(runbook, sandbox, nowhere):
    sandbox.env["KUBECONFIG"] = sandbox.folder + "/kubeconfig"
    result, _ = dry(runbook, "-p", "platform=kubernetes", "-p", f"base_url=http://{nowhere}",
                    "-p", f"database=postgresql://a@{nowhere}/x", "-p", f"redis=redis://{nowhere}")
    status, = [it for it in result.events("probe.ended") if it["probe"] == "Container or pod status"]
    return result, status["findings"]


REVISION = "deployment.kubernetes.io/revision"


def ago(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds))


@pytest.mark.parametrize("minutes, offered", [(4, "Roll back to the revision before"), (70, "Restart the API service")])
def test_a_new_revision_that_fails_is_rolled_back_first(runbook, sandbox, cluster, kubectl, closed_port,  # noqa: F811
                                                        minutes, offered):
    """A restart would make another revision of the same image. Broken by: restart_api before roll_back; any age taken for new."""
    cluster.load("rollout-stuck")
    sets = sorted(cluster.objects("replicasets"), key=lambda it: int(it["metadata"]["annotations"][REVISION]))
    for number, it in enumerate(sets):
        it["metadata"]["creationTimestamp"] = ago(86400 * 9 if number == 0 else minutes * 60)
    result, findings = look_at_cluster(runbook, sandbox, f"127.0.0.1:{closed_port}")
    assert findings["stopped"] and bool(findings.get("rollout_failed")) == (minutes == 4), (findings, result)
    named = [event["remedy"] for event in result.events("remedy.started")]
    assert offered in named and named.count("Restart the API service") == (0 if minutes == 4 else 1), named
    if minutes == 4:
        assert "not ready" in result.stdout and "revision 1 had " in result.stdout, result


@pytest.mark.parametrize("addresses", [2, 0])
def test_a_service_that_selects_no_pod(runbook, sandbox, cluster, kubectl, closed_port, addresses):  # noqa: F811
    """Healthy pods that nobody reaches are not restarted. Broken by: a probe that looks at pods alone."""
    cluster.service({"app": "conduit-api" if addresses else "conduit-apx"}, addresses, kubectl_edit=ago(3))
    result, findings = look_at_cluster(runbook, sandbox, f"127.0.0.1:{closed_port}")
    assert findings["cut_off"] == (addresses == 0) and findings["stopped"] is False, (findings, result)
    restarted = "Restart the API service" in [event["remedy"] for event in result.events("remedy.started")]
    assert restarted == (addresses == 2), result
    assert "Service conduit-api was changed by kubectl-edit" in result.stdout, result
    if not addresses:
        assert "Service conduit-api looks for app=conduit-apx, and 2 pods are ready" in result.stdout, result
