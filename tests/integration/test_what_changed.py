"""The probe that the runbooks share: what changed, in one sentence, on the real engine, by the real kubectl, and from scripted
worlds; what can't be looked at is said, and is not "nothing changed"."""

import json
import os
import shutil
import time

import pytest

from lab.program import ROOT
from test_platform import cluster, engine, looked  # noqa: F401 (fixtures)

SCRIPT = """
runbook { title = "X" }
local p = params { within = { "24h", "x" }, docker = { true, "x" }, name = { "conduit-api", "x" }, on = { {}, "x" } }
local look = require("lib.changes").probe { within = p.within, name = p.name ~= "" and p.name or nil, machines = p.on,
                                        on_docker = function() return p.docker end }
local found = look()
return unresolved("changed: " .. tostring(found.changed))
"""


@pytest.fixture
def look(runbook, sandbox):
    """look(…parameters) -> (the sentence, whether something changed or nil, the result)"""
    shutil.copytree(os.path.join(ROOT, "runbooks", "lib"), os.path.join(sandbox.folder, "lib"))
    sandbox.write("x.lua", SCRIPT)

    def run(*arguments, world=None):
        words = ["--dry-run"]
        if world:
            sandbox.write("x.test.lua", 'scenario "x" { given = { %s } }' % world)
            words = ["--scenario", "x.test.lua"]
        result = runbook("run", "x.lua", *words, "--format", "jsonl",
                         *[word for argument in arguments for word in ("-p", argument)])
        events = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
        ended, = [event for event in events if event["event"] == "probe.ended" and event["probe"] == "What changed"]
        notes = [event["text"] for event in events if event["event"] == "note" and event.get("probe") == "What changed"]
        said = notes[0] if notes else f"What changed: unknown: {ended['why']}"
        return said, ended["findings"].get("changed"), result
    return run


def stamp(ago):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))


def test_a_container_that_was_just_made(look, engine):
    engine.run("conduit-api", "sleep", "1000")
    image = engine.inspect("conduit-api")["Image"]
    said, changed, result = look()
    assert changed is True and " the container was created from " in said and image[:19] in said, result
    assert not looked(result, "kubectl") and looked(result, "docker") == ["docker.inspect conduit-api"]


def test_a_container_that_was_started_again(look, engine):
    engine.run("conduit-api", "sleep", "1000")
    engine.cli("stop", "-t", "0", "conduit-api")
    time.sleep(11)
    engine.cli("start", "conduit-api")
    said, _, result = look()
    assert " the container was started; " in said and "created from" in said, result
    said, changed, _ = look("within=1s", "name=none")
    assert (said, changed) == ("nothing changed in the last 1s", False)


def test_rollouts_and_config_maps(look, cluster):
    cluster.load("crashloop")
    revision = "deployment.kubernetes.io/revision"
    old, new = sorted(cluster.objects("replicasets"), key=lambda it: it["metadata"]["annotations"][revision])
    old["metadata"]["creationTimestamp"], new["metadata"]["creationTimestamp"] = stamp(200_000), stamp(750)
    new["metadata"]["annotations"]["kubernetes.io/change-cause"] = "kubectl set env"
    cluster.config_map("settings", kubectl_create=stamp(900_000), kubectl_edit=stamp(190))
    cluster.config_map("calm", kubectl_create=stamp(900_000))
    cluster.config_map("kube-root-ca.crt", kube_controller_manager=stamp(60))  # the cluster's own, in each namespace
    said, changed, result = look("docker=no")
    assert said == ("3 minutes ago config map settings was changed by kubectl-edit; 12 minutes ago deployment conduit-api "
                    'went to revision 2 (image registry.local/conduit/conduit-api:1.4.2; "kubectl set env")'), result
    assert changed is True and not looked(result, "docker")
    assert not [line for line in result.journal_lines if "KEY" in line]      # what config maps hold is nobody's business


def test_what_is_refused_hides_nothing_else(look, cluster):
    cluster.objects("replicasets")[0]["metadata"]["creationTimestamp"] = stamp(750)
    cluster.forbidden = {("list", "configmaps")}
    said, changed, result = look("docker=no")
    assert said.startswith("12 minutes ago deployment conduit-api went to revision 1 ("), result
    assert "; not known: config maps (Error from server (Forbidden): " in said and changed is True


def test_unknown_is_not_nothing_changed(look, cluster):
    cluster.objects("replicasets")[0]["metadata"]["creationTimestamp"] = stamp(200_000)
    cluster.forbidden = {("list", "configmaps")}
    said, changed, result = look("docker=no")
    assert said.startswith("What changed: unknown: ") and "not known: config maps (" in said and changed is None, result
    cluster.forbidden = set()
    cluster.config_map("dateless")
    said, changed, _ = look("docker=no")
    assert "not known: when 1 config maps were changed" in said and changed is None
    cluster.world["configmaps"] = []
    assert look("docker=no")[:2] == ("nothing changed in the last 24h", False)


UPGRADE = """["sysinfo.packages *@db1"] = { packages = {
  { at = ago "3m", action = "upgrade", name = "postgresql-15", from = "15.17", to = "15.18" } } },
["docker.inspect *"] = { created_at = ago "2d1h", started_at = ago "2d1h", image = "conduit-api:1" },"""


def test_the_sentence(look):
    said, changed, result = look("within=3d", "on=db1", world=UPGRADE)
    assert said == ("3 minutes ago postgresql-15 15.17 → 15.18 was upgraded on db1; 2 days ago the container was created "
                    "from conduit-api:1 (sha256:000000000000…)"), result
    assert look("within=24h", "on=db1", world=UPGRADE)[0] == "3 minutes ago postgresql-15 15.17 → 15.18 was upgraded on db1"
    assert look("within=1m", "on=db1", world=UPGRADE)[:2] == ("nothing changed in the last 1m", False)


def test_what_changed_together_is_one_event(look):
    packages = ", ".join(f'{{ at = ago "{60 + i}s", action = "install", name = "p{i}", to = "{i}" }}' for i in range(9))
    services = """["service.changes @db1"] = { changes = {
      { at = ago "10m", name = "db.service", what = "state", type = "simple", state = "failed", result = "oom-kill" },
      { at = ago "11m", name = "logrotate.service", what = "state", type = "oneshot", state = "inactive", result = "success" },
      { at = ago "12m", name = "user@0.service", what = "state", type = "notify", state = "active", result = "success" },
      { at = ago "13m", name = "web.service", what = "file", type = "simple", state = "active", result = "success",
        file = "/etc/systemd/system/web.service", needs_reload = true } } },"""
    world = f'["sysinfo.packages @db1"] = {{ packages = {{ {packages} }} }}, {services}'
    said, _, result = look("on=db1", "name=", world=world)
    assert said == ("1 minute ago p0 0, p1 1, p2 2 and 6 more were installed on db1; 10 minutes ago db.service failed "
                    "(oom-kill) on db1; 13 minutes ago /etc/systemd/system/web.service was written on db1 (not loaded yet)"), result


def test_logs_that_do_not_reach_back(look):
    said, changed, result = look("on=db1", world='["sysinfo.packages @db1"] = { cut = true },')
    assert said == "What changed: unknown: not known: older packages on db1" and changed is None, result


def test_each_machine_is_looked_at_once(look):
    _, _, result = look("on=db1,db2,db1", world='["sysinfo.packages *"] = {},')
    looks = [json.loads(line)["line"] for line in result.stdout.splitlines() if '"effect.outcome"' in line]
    assert looks.count("sysinfo.packages @db1") == 1 and "sysinfo.packages @db2" in looks, result


def test_api_down_says_it_before_the_medicine(runbook):
    path = os.path.join(ROOT, "runbooks", "api-down")
    result = runbook("run", path + ".lua", "--scenario", path + ".test.lua:an upgrade on db1 brought it down")
    before, after = result.stdout.split("Restart PostgreSQL (risk high)", 1)
    assert "3 minutes ago postgresql-15 15.17 → 15.18 was upgraded on db1" in before and "What changed" not in after, result
