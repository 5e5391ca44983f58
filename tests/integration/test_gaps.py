"""What API Down's preventions find missing, and that each snippet closes its gap: accepted by the program it is for, applied,
and then the audit says "in place"."""

import copy
import json
import os
import re
import subprocess

import pytest
import yaml

from lab.docker import CLIENT, IMAGE
from lab.exporters import Exporters
from lab.kubernetes import Cluster
from lab.process import HOST, wait_for
from lab.program import ROOT

API_DOWN = os.path.join(ROOT, "runbooks", "api-down.lua")
DEPLOYMENT = ("deployment", "conduit-api")


def ended(result):
    return {event["prevention"]: event for event in result.events("prevention.ended")}


def states(result):
    return {title: event["state"] for title, event in ended(result).items()}


def mends(result, begins=""):
    """label -> snippet of the checks that failed."""
    return {event["label"]: event["mend"] for event in result.events("check") if event.get("mend", "").startswith(begins)
            and event.get("mend")}


def details(result):
    return {event["label"]: event.get("detail") for event in result.events("check")}


def tool(*words, check=True, **options):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, **options)
    assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture
def api(docker_engine, sandbox):
    sandbox.env["DOCKER_HOST"] = docker_engine.host
    return docker_engine.run_api()


@pytest.fixture
def audit(runbook, sandbox, prometheus_server, api):
    """audit(argument…): of API Down, on the container `api`, with Prometheus at hand."""
    sandbox.write(".config/runbook/config.lua", 'return { prometheus = { url = "%s" } }' % prometheus_server.url)
    return lambda *more: runbook("audit", API_DOWN, "-p", f"base_url={api.url}", "-p", f"name={api.name}", *more)


@pytest.fixture
def audited(audit):
    """An audit where everything is at hand and little is in place."""
    result = audit("-p", "upstreams=http://127.0.0.1:1/")
    assert result.code == 1 and "unknown" not in states(result).values(), result
    return result


def test_what_is_missing(audited):
    assert set(states(audited).values()) == {"missing"}
    passed = {event["label"] for event in audited.events("check") if event["passed"]}
    assert passed == {"an alert fires when it can't be scraped", "/health is there", "/health/ready is there",
                      "/health/live is there"}, audited
    failed = {event["label"] for event in audited.events("check") if not event["passed"]}
    assert failed == set(mends(audited)) and len(failed) == 16, failed
    told = details(audited)
    assert told["the container is started again when it ends"] == "restart: no"
    assert told["its health is checked"] == "health: no health check"
    assert re.fullmatch(r"none, \d MB used", told["its memory has a limit"]) and told["its CPUs have a limit"] == "none"


# ---- Prometheus ----

@pytest.fixture
def configured(prometheus_server):
    """configured(name, text) gives Prometheus another file until the end of the test."""
    paths = [os.path.join(prometheus_server.folder, name) for name in ("rules.yml", "prometheus.yml")]
    before = {path: open(path).read() for path in paths}

    def write(name, text):
        with open(os.path.join(prometheus_server.folder, name), "w") as file:
            file.write(text)
        tool("curl", "-sfX", "POST", prometheus_server.url + "/-/reload")

    yield write
    for path, text in before.items():
        write(path, text)


@pytest.fixture
def exporters(api, prometheus_server, configured):
    """When the test is over they fail to be scraped before they are forgotten: their series end."""
    site = Exporters(api.name)
    yield site
    site.stop()
    wait_for(lambda: not prometheus_server.query("redis_memory_used_bytes"), "its series are stale")


def kubernetes_rules(runbook, sandbox, prometheus_server):
    """The rules of an audit of the same API on Kubernetes; the cluster need not be there for them."""
    sandbox.write(".config/runbook/config.lua", 'return { prometheus = { url = "%s" } }' % prometheus_server.url)
    return runbook("audit", API_DOWN, "-p", "platform=kubernetes", "-p", "base_url=http://127.0.0.1:1")


def groups_of(rules):
    return [group for text in rules for group in yaml.safe_load(text)["groups"]]


def test_promtool_accepts_the_rules(audited, sandbox):
    rules = mends(audited, "groups:")
    assert len(rules) == 7
    for number, text in enumerate(rules.values()):
        said = tool("/usr/bin/promtool", "check", "rules", sandbox.write(f"rules-{number}.yml", text))
        assert "SUCCESS: 1 rules found" in said, (text, said)


CADVISOR = 'container_{name}{{{labels},id="/x"{more}}}'


@pytest.mark.parametrize("platform, labels", [
    ("docker", 'name="conduit-api"'), ("kubernetes", 'namespace="n",pod="conduit-api-7c9f-x",container="api",name="k8s_api"')])
def test_the_rules_fire_at_80_percent(request, runbook, sandbox, prometheus_server, platform, labels):
    """In Prometheus' own rule tests: with 85 % of the limit used they fire, with 70 % they don't."""
    result = (request.getfixturevalue("audited") if platform == "docker"
              else kubernetes_rules(runbook, sandbox, prometheus_server))
    rules = groups_of(mends(result, "groups:").values())
    one = {rule["alert"]: rule for group in rules for rule in group["rules"]}
    chosen = [one["APIMemory"], one["APICPU"]]
    sandbox.write("rules.yml", yaml.safe_dump({"groups": [{"name": "g", "rules": chosen}]}))
    for percent, firing in ((85, True), (70, False)):
        series = {"memory_working_set_bytes": f"{percent}x60", "spec_memory_limit_bytes": "100x60",
                  "spec_cpu_quota": "50000x60", "spec_cpu_period": "100000x60",
                  "cpu_usage_seconds_total": f"0+{percent * 0.5 * 60 / 100}x60"}
        given = [{"series": CADVISOR.format(name=name, labels=labels, more=',cpu="total"' if name.startswith("cpu_") else ""),
                  "values": values} for name, values in series.items()]
        expected = {"exp_labels": {"severity": "warning", **({"name": "conduit-api"} if platform == "docker" else
                                                             {"pod": "conduit-api-7c9f-x", "container": "api"})}}
        cases = [{"alertname": rule["alert"], "eval_time": "30m", "exp_alerts": [expected] if firing else []} for rule in chosen]
        test = {"rule_files": ["rules.yml"], "evaluation_interval": "1m",
                "tests": [{"interval": "1m", "input_series": given, "alert_rule_test": cases}]}
        sandbox.write("test.yml", yaml.safe_dump(test))
        tool("/usr/bin/promtool", "test", "rules", "test.yml", cwd=sandbox.folder)


def test_promtool_accepts_the_jobs(audited, sandbox, runbook, prometheus_server):
    jobs = mends(audited, "scrape_configs:")
    assert len(jobs) == 5
    cluster = mends(kubernetes_rules(runbook, sandbox, prometheus_server), "scrape_configs:")
    text = cluster["CPU and memory of the API are recorded"]
    found = "kubernetes_sd_configs: [ { role: node } ]"
    assert "/metrics/cadvisor" in text and found in text
    jobs["on Kubernetes"] = text.replace(found, "static_configs: []")  # Debian's promtool is built without Kubernetes
    for number, text in enumerate(jobs.values()):
        tool("/usr/bin/promtool", "check", "config", "--syntax-only", sandbox.write(f"jobs-{number}.yml", text))


def test_rules_and_jobs_close_the_gaps(audited, audit, api, configured, exporters, prometheus_server):
    """Given to Prometheus, with the exporters there, nothing of what they are about is missing any more."""
    rules = yaml.safe_load(open(os.path.join(prometheus_server.folder, "rules.yml")))
    for number, group in enumerate(groups_of(mends(audited, "groups:").values())):
        rules["groups"].append({**group, "name": f"g{number}"})
    config = yaml.safe_load(open(os.path.join(prometheus_server.folder, "prometheus.yml")))
    place = f"{HOST}:{exporters.port}"
    for text in mends(audited, "scrape_configs:").values():
        text = re.sub(r"\b(cadvisor|[a-z]+-exporter):\d+", place, text).replace("http://127.0.0.1:1/", api.url + "/health/live")
        config["scrape_configs"] += yaml.safe_load(text)["scrape_configs"]
    configured("rules.yml", yaml.safe_dump(rules))
    configured("prometheus.yml", yaml.safe_dump(config))
    for expression, count in (("redis_memory_used_bytes", 1), ("pg_stat_activity_count", 1), ("probe_success", 2)):
        wait_for(lambda: len(prometheus_server.query(expression)) >= count, expression)
    seen = states(audit("-p", f"upstreams={api.url}/health/live"))
    assert {title for title, state in seen.items() if state != "in place"} == {"Automatic restarts", "Resource limits"}, seen


@pytest.mark.parametrize("expr, passes", [('up == 0', True), ('up{job="other"} == 0', False),
                                          ('up{env="x",job="conduit-api"} == 0', True), ('process_up == 0', False)])
def test_an_alert_on_others_is_none_on_the_api(audit, configured, expr, passes):
    rule = {"alert": "Down", "expr": expr}
    configured("rules.yml", yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}))
    seen = {event["label"]: event["passed"] for event in audit().events("check")}
    assert seen["an alert fires when it can't be scraped"] is passes


WORDINGS = {  # as public collections of rules write them, and one that is told as a candidate
    'absent(up{job="conduit-api"} == 1)': "an alert fires when it can't be scraped",
    '100 - (avg by(instance) (rate(node_cpu_seconds_total{mode="idle"}[2m])) * 100) >= 80': "an alert fires at 80 % CPU",
    'avg by(instance) (rate(node_cpu_seconds_total{mode="idle"}[2m])) * 100 <= 20': "an alert fires at 80 % CPU",
    "sum(container_memory_working_set_bytes) / sum(container_spec_memory_limit_bytes > 0) >= 0.8":
        "an alert fires at 80 % memory",
    "pg_up != 1": "an alert fires when PostgreSQL is down", "redis_up < 1": "an alert fires when Redis is down",
    'count(redis_instance_info{role="master"}) == 0': "an alert fires when Redis is down"}


def test_alerts_in_other_words(audit, configured):
    rules = [{"alert": f"Rule{number}", "expr": expr} for number, expr in enumerate(WORDINGS)]
    for number, (expr, label) in enumerate(WORDINGS.items()):
        configured("rules.yml", yaml.safe_dump({"groups": [{"name": "g", "rules": [rules[number]]}]}))
        result = audit()
        seen, said = {event["label"]: event["passed"] for event in result.events("check")}, details(result)
        if "redis_instance_info" in expr:
            assert not seen[label] and said[label] == f"not recognised, have a look: Rule{number} ({expr})", said
        else:
            assert seen[label], (expr, said)
        assert not said["an alert fires when the connections run out"], said


# ---- Compose ----

BASE = """services:
  api:
    image: {image}
    container_name: {name}
    network_mode: host
    environment: [ "PORT={port}", "ADDRESS=127.0.0.1" ]
"""


def test_the_compose_snippets_close_the_gaps(audited, audit, sandbox, docker_engine, api):
    """Accepted by docker-compose, and the container that it starts with them lacks nothing."""
    snippets = list(mends(audited, "services:").values())
    assert len(snippets) == 4 and f"http://127.0.0.1:{api.port}/health/live" in snippets[1]
    docker_engine.cli("rm", "-f", api.name)
    files = [sandbox.write("docker-compose.yml", BASE.format(image=IMAGE, name=api.name, port=api.port))]
    files += [sandbox.write(f"mend-{number}.yml", text) for number, text in enumerate(snippets)]
    compose = ["/usr/bin/docker-compose", *(word for file in files for word in ("-f", file))]
    merged = yaml.safe_load(tool(*compose, "config"))["services"]["api"]
    assert (merged["restart"], merged["mem_limit"], merged["cpus"]) == ("unless-stopped", "256m", 1)
    for version in ("2.4", "3.8"):             # pasted into a file that names an old version
        pasted = {key: value for text in snippets for key, value in yaml.safe_load(text)["services"]["api"].items()}
        old = {"version": version, "services": {"api": {"image": IMAGE, **pasted}}}
        tool("/usr/bin/docker-compose", "-f", sandbox.write("old.yml", yaml.safe_dump(old)), "config")
    tool(*compose, "up", "-d", env={**os.environ, "DOCKER_HOST": docker_engine.host})
    wait_for(api.status, "the API answers")
    run = docker_engine.inspect(api.name)["Config"]["Healthcheck"]["Test"][1]
    tool(CLIENT, "-H", docker_engine.host, "exec", api.name, "sh", "-c", run)
    seen = audit()
    assert states(seen)["Automatic restarts"] == states(seen)["Resource limits"] == "in place", seen
    assert details(seen)["its memory has a limit"].startswith("256 MB, ") and details(seen)["its CPUs have a limit"] == "1 CPUs"


def test_a_health_check_that_fails_is_none(audit, docker_engine, api):
    docker_engine.cli("rm", "-f", api.name)
    api.create(options=("--health-cmd", "false", "--health-interval", "1s", "--health-retries", "1"))
    wait_for(lambda: docker_engine.inspect(api.name)["State"]["Health"]["Status"] == "unhealthy", "it is unhealthy")
    assert details(audit())["its health is checked"] == "health: unhealthy"


# ---- Kubernetes ----

@pytest.fixture
def cluster():
    server = Cluster()
    yield server
    server.stop()


@pytest.fixture
def kubectl(cluster, sandbox):
    path = sandbox.write("kubeconfig", cluster.kubeconfig())
    return lambda *words, **options: tool("/usr/bin/kubectl", "--kubeconfig", path, *words, **options)


@pytest.fixture
def audit_cluster(runbook, sandbox, cluster, kubectl):
    sandbox.write("runbook.config.lua", 'return { kubectl = { kubeconfig = "%s/kubeconfig" } }' % sandbox.folder)
    sandbox.env["KUBECONFIG"] = sandbox.folder + "/kubeconfig"
    return lambda: runbook("audit", API_DOWN, "-p", "platform=kubernetes", "-p", "base_url=http://127.0.0.1:1")


def strip(container):
    """A container as somebody in a hurry writes it."""
    for key in ("livenessProbe", "readinessProbe", "resources"):
        container.pop(key, None)


def containers(cluster):
    return cluster.deployment()["spec"]["template"]["spec"]["containers"]


SIDECAR = {"name": "proxy", "image": "proxy:1", "ports": [{"containerPort": 9000}],
           "resources": {"requests": {"memory": "2Gi", "cpu": "2"}}, "livenessProbe": {"exec": {"command": ["true"]},
                                                                                   "periodSeconds": 300}}
WORKER = {"name": "worker", "image": "worker:1", "resources": {"limits": {"memory": "1Gi", "cpu": "1"}}}


def worlds(cluster, which):
    if which == "nothing":
        strip(containers(cluster)[0])
        del containers(cluster)[0]["ports"]
    if which == "three containers":
        strip(containers(cluster)[0])
        containers(cluster).extend(copy.deepcopy([SIDECAR, WORKER]))


def survives(snippet, whole, path=""):
    """Everything that the snippet says stands in the object."""
    if isinstance(snippet, dict):
        for key, value in snippet.items():
            assert value is None and key not in whole or value is not None and key in whole, f"{path}.{key}: {whole}"
            if value is not None:
                survives(value, whole[key], f"{path}.{key}")
    elif isinstance(snippet, list):
        for one in snippet:
            survives(one, next(it for it in whole if it["name"] == one["name"]), f"{path}[{one['name']}]")
    else:
        assert snippet == whole, f"{path}: {snippet} {whole}"


@pytest.mark.parametrize("which, count", [("recorded", 2), ("nothing", 4), ("three containers", 8)])
def test_the_patches_close_the_gaps(audit_cluster, kubectl, cluster, sandbox, which, count):
    """Each is taken by the real kubectl, whose types know every field of it; applied to the cluster, nothing is missing."""
    worlds(cluster, which)
    patches = mends(audit_cluster(), "# kubectl --namespace=conduit patch deployment conduit-api")
    assert len(patches) == count, patches
    local = sandbox.write("deployment.json", json.dumps(cluster.deployment()))
    for number, (label, text) in enumerate(patches.items()):
        file = sandbox.write(f"patch-{number}.yml", text)
        patched = kubectl("patch", "--local", "-f", local, "--patch-file", file, "-o", "json")
        typed = json.loads(kubectl("set", "env", "--local", "-f", "-", "TYPED=yes", "-o", "json", input=patched))
        survives(yaml.safe_load(text), typed)
        kubectl("--namespace=conduit", "patch", *DEPLOYMENT, "--patch-file", file)
        kinds = {"httpGet", "tcpSocket", "exec", "grpc"}
        for it in containers(cluster):
            for kind in ("livenessProbe", "readinessProbe"):
                assert len(kinds & set(it.get(kind, ["exec"]))) == 1, (label, it)
    after = states(audit_cluster())
    assert after["Automatic restarts"] == after["Resource limits"] == "in place", after


def test_what_the_cluster_has_is_told(audit_cluster, cluster):
    told = details(audit_cluster())
    assert told["livenessProbe of container api"] == "TCP every 5 s, 3 failures"
    assert told["readinessProbe of container api"] == "HTTP /healthz every 2 s, 2 failures"
    assert told["memory limit of container api"] == "32Mi" and told["cpu limit of container api"] == "200m"
    cluster.world["deployments"] = []
    assert states(audit_cluster())["Automatic restarts"] == "missing"


@pytest.mark.parametrize("changes, passes", [
    ({}, True), ({"periodSeconds": 31}, False), ({"failureThreshold": 1}, False), ({"failureThreshold": 30}, False),
    ({"httpGet": {"path": "/", "port": 80}}, False), ({"periodSeconds": None, "failureThreshold": None}, True)])
def test_what_a_liveness_probe_must_be(audit_cluster, cluster, changes, passes):
    probe = {"httpGet": {"path": "/health/live", "port": 80}, "periodSeconds": 30, "failureThreshold": 3, **changes}
    containers(cluster)[0]["livenessProbe"] = {key: value for key, value in probe.items() if value is not None}
    seen = {event["label"]: event["passed"] for event in audit_cluster().events("check")}
    assert seen["livenessProbe of container api"] is passes
