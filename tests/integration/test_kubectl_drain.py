"""kubectl.drain where a disruption budget lets no pod go: it says why, and what it left."""

import os
import shutil

import pytest

from test_effects_kubectl import PATHS, cluster, kubeconfig, kubectl, path, perform  # noqa: F401 (fixtures)

pytestmark = pytest.mark.skipif(not PATHS, reason="there is no kubectl")


def test_a_drain_that_a_budget_blocks(kubectl, cluster):  # noqa: F811
    cluster.budget = True  # kubectl looks at its limit before a try, each 5 s: it is ended before that
    it, = kubectl(("drain", "vm", {"timeout": "5s"}))
    assert "--timeout=3s" in it["command"]
    assert "disruption budget" in it["preview"]["text"] and it["error"]["partly"], it
    assert "stays cordoned, 0 of its 2 pods went" in it["error"]["message"] and "disruption budget" in it["error"]["message"]
    assert cluster.find("nodes", "vm")["spec"]["unschedulable"]


def test_what_a_failed_drain_left_is_told(runbook, sandbox, path, kubeconfig, cluster):  # noqa: F811
    cluster.budget = True
    sandbox.write("drain.lua", """
runbook { title = "Drain" }
remedy("Drain", {}, function() kubectl.drain("vm", { timeout = "12s" }) end)()
return unresolved "x"
""")
    sandbox.write("runbook.config.lua", f'return {{ kubectl = {{ kubeconfig = "{kubeconfig}" }} }}')
    done = runbook("run", "drain.lua", "--yes", "high", env={"PATH": path})
    assert "left: node vm is cordoned; back by kubectl.uncordon vm" in " ".join(done.stdout.split()), done
    ended = [e for e in done.events("effect.outcome") if e["class"] == "destructive"][-1]
    assert ended["status"] == "failed" and ended["result"]["partly"] and "disruption budget" in done.stdout


SILENT = """#!/bin/sh
case " $* " in *" drain "*) echo "node/vm cordoned"; echo "Cannot evict pod: disruption budget" >&2; trap "" TERM; sleep 60;; esac
exec %s "$@"
"""


@pytest.mark.parametrize("path", PATHS[:1], indirect=True)
def test_what_a_kubectl_said_that_had_to_be_ended(runbook, sandbox, path, kubeconfig):  # noqa: F811
    os.chmod(sandbox.write("bin/kubectl", SILENT % shutil.which("kubectl", path=path)), 0o755)
    sandbox.write("drain.lua", """
runbook { title = "Drain" }
remedy("Drain", {}, function() kubectl.drain("vm", { timeout = "3s" }) end)()
return unresolved "x"
""")
    sandbox.write("runbook.config.lua", f'return {{ kubectl = {{ kubeconfig = "{kubeconfig}" }} }}')
    done = runbook("run", "drain.lua", "--yes", "high", env={"PATH": os.path.join(sandbox.folder, "bin") + ":" + path})
    ended = [e for e in done.events("effect.outcome") if e["class"] == "destructive"][-1]
    assert ended["status"] == "unknown" and "disruption budget" in ended["result"]["error"]["message"], done
    assert "left: node vm is cordoned; back by" in " ".join(done.stdout.split()), done
