"""What kubectl's plans say of the cluster around the change: room on other nodes, autoscalers, pods that stay as they are;
and where it goes: a slow look at the kubeconfig, a pod without one."""

import copy
import os
import shutil
import subprocess

import pytest

from lab.program import BUILD
from lab.tls import Authority
from test_effects_kubectl import DEPLOYMENT, PATHS, PODS, cluster, kubeconfig, kubectl, path, perform  # noqa: F401 (fixtures)

pytestmark = pytest.mark.skipif(not PATHS, reason="there is no kubectl")


# Drains

def node(cluster, name, **spec):  # noqa: F811
    it = copy.deepcopy(cluster.find("nodes", "vm"))
    it["metadata"].update(name=name, uid="uid-" + name)
    it["spec"] = spec
    it["status"]["allocatable"] = {"cpu": "1", "memory": "256Mi", "pods": "110"}
    cluster.objects("nodes").append(it)
    return it


def request(cluster, memory):  # noqa: F811
    for pod in cluster.objects("pods"):
        pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100m", "memory": memory}}


def drain(kubectl):  # noqa: F811
    return kubectl(("drain", "vm"), only_preview=True)[0]["preview"]["text"]


def test_a_drain_says_whether_other_nodes_have_room(kubectl, cluster):  # noqa: F811
    """Broken by: left_of without its takes_pods, or without what runs there taken off."""
    request(cluster, "200Mi")
    assert "no other node takes pods: they will wait until one does" in drain(kubectl)
    node(cluster, "cordoned", unschedulable=True)
    node(cluster, "control", taints=[{"key": "x", "effect": "NoSchedule"}])
    node(cluster, "lost")["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    assert "no other node takes pods" in drain(kubectl)
    node(cluster, "b")
    assert "other nodes have room for 1 of 2, by what they request: the others will wait" in drain(kubectl)
    node(cluster, "c")
    assert "2 other nodes have room for them, by what they request" in drain(kubectl)
    there = copy.deepcopy(cluster.objects("pods")[0])
    there["metadata"].update(name="there", uid="there")
    there["spec"]["nodeName"] = "c"
    cluster.objects("pods").append(there)
    assert "room for 1 of 2" in drain(kubectl)
    cluster.forbidden.add(("list", "nodes"))
    assert "whether other nodes have room is not known" in drain(kubectl)


def test_a_pod_without_a_namespace(kubectl, cluster):  # noqa: F811
    """Broken by: name_of that takes for granted that there is one."""
    cluster.objects("pods")[0]["metadata"]["namespace"] = None
    assert "evicts 2 pods" in drain(kubectl)


# Autoscalers

def test_an_autoscaler_sets_it_back(kubectl, cluster):  # noqa: F811
    """Broken by: autoscaled that answers nothing."""
    cluster.world["horizontalpodautoscalers"] = [
        {"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v1", "metadata": {"name": name, "namespace": "conduit"},
         "spec": {"minReplicas": 2, "maxReplicas": 10, "scaleTargetRef": {"kind": "Deployment", "name": target}}}
        for name, target in (("other", "other"), ("api", "conduit-api"))]
    up, off = kubectl(("scale", *DEPLOYMENT, 5), ("scale", *DEPLOYMENT, 0), only_preview=True)
    assert "; autoscaler api (2 to 10 pods) will set it back" in up["preview"]["text"]
    assert "; autoscaler api is off while it is 0" in off["preview"]["text"]
    cluster.forbidden.add(("list", "horizontalpodautoscalers"))
    unseen, = kubectl(("scale", *DEPLOYMENT, 5), only_preview=True)
    assert "whether an autoscaler sets it back is not known" in unseen["preview"]["text"] and unseen["preview"]["size"] == 3
    cluster.world["horizontalpodautoscalers"], cluster.forbidden = [], set()
    none, = kubectl(("scale", *DEPLOYMENT, 5), only_preview=True)
    assert "autoscaler" not in none["preview"]["text"]


# Pods that are renewed only when they are deleted

def test_on_delete(kubectl, cluster):  # noqa: F811
    """Broken by: waits_for_deletion that marks nothing: the restart is offered, and the change waits in vain."""
    it = copy.deepcopy(cluster.deployment())
    it.update(kind="StatefulSet")
    it["metadata"].update(name="queue", uid="queue")
    it["spec"]["updateStrategy"] = {"type": "OnDelete"}
    it["status"]["updatedReplicas"] = 0
    cluster.objects("statefulsets").append(it)
    restart, change, status = kubectl(("rollout_restart", "statefulset", "queue"), ("set_env", "statefulset", "queue", {"A": "1"}),
                                      ("rollout_status", "statefulset", "queue"))
    assert "OnDelete: a restart renews no pod" in restart["preview"]["impossible"]
    assert "its pods stay as they are until somebody deletes them (OnDelete)" in change["preview"]["text"]
    assert change["fields"]["changed"] and change["fields"]["state"] == "paused" == status["fields"]["state"]
    assert "OnDelete" in status["fields"]["summary"]


# Where it goes

SLOW = """#!/bin/sh
echo "$*" >> "{folder}/asked"
case " $* " in *" config view "*) sleep {seconds}; {then} ;; esac
exec {real} "$@"
"""


def wrap(sandbox, path, seconds, then):  # noqa: F811
    text = SLOW.format(folder=sandbox.folder, seconds=seconds, then=then, real=shutil.which("kubectl", path=path))
    os.chmod(sandbox.write("bin/kubectl", text), 0o755)
    return os.path.join(sandbox.folder, "bin") + ":" + path


def looks(sandbox):
    with open(os.path.join(sandbox.folder, "asked")) as file:
        return sum("config view" in line for line in file)


@pytest.mark.parametrize("path", PATHS[:1], indirect=True)
def test_a_slow_look_at_the_kubeconfig(perform, sandbox, path, kubeconfig):  # noqa: F811
    """It has the effect's time, and all share it. Broken by: client.place(CONFIG_SECONDS)."""
    settings = {"environment": {"PATH": wrap(sandbox, path, 6, ":"), "HOME": sandbox.folder}}
    first, second = perform(kubeconfig, PODS, PODS, **settings)
    assert first["fields"]["total"] == 2 == second["fields"]["total"] and looks(sandbox) == 1


@pytest.mark.parametrize("path", PATHS[:1], indirect=True)
def test_a_failed_look_is_not_made_anew_by_each(perform, sandbox, path, kubeconfig):  # noqa: F811
    """Broken by: client.place without `failed`."""
    settings = {"environment": {"PATH": wrap(sandbox, path, 0, "echo broken >&2; exit 1"), "HOME": sandbox.folder}}
    first, second = perform(kubeconfig, PODS, PODS, **settings)
    assert "broken" in first["error"]["message"] == second["error"]["message"] and looks(sandbox) == 1


POD = """
runbook { title = "In a pod" }
local pods = kubectl.get("pods", { selector = "app=conduit-api" })
note(pods.error and pods.error.message or pods.summary .. " in " .. pods.place)
return unresolved "looked"
"""


@pytest.mark.parametrize("path", PATHS, indirect=True)
def test_in_a_pod_without_a_kubeconfig(sandbox, tmp_path, path, cluster):  # noqa: F811
    """By the service account, as kubectl does. Broken by: place_of_pod that answers nil."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    authority = Authority(str(tmp_path))
    port = cluster.listen(context=authority.context("good"))
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text("x")
    (account / "namespace").write_text("conduit")
    shutil.copy(authority.ca, account / "ca.crt")
    shell = ('mount --make-rprivate / && mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io && '
             'cp -r "$0" /run/secrets/kubernetes.io/serviceaccount && exec "$@"')
    env = {**sandbox.env, "PATH": path, "HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "127.0.0.1",
           "KUBERNETES_SERVICE_PORT": str(port)}
    env.pop("KUBECONFIG", None)
    done = subprocess.run(["unshare", "-m", "sh", "-c", shell, account, os.path.join(BUILD, "runbook"), "run",
                           sandbox.write("pod.lua", POD), "--dry-run"], capture_output=True, text=True, env=env)
    assert "2 of 2 ready in conduit @ this pod's cluster" in done.stdout, done
