"""Kubernetes' objects of another shape than expected, part by part, through the real kubectl: a look that failed, in words, and
never a trace into this program."""

import copy

import pytest

from test_gaps import cluster, kubectl  # noqa: F401 (fixtures)
from test_odd_answers import OTHERS, places

SCRIPT = """
runbook {{ title = "Odd" }}
local it = {read}
note(it.error and "failed: " .. it.error.message or it.summary)
return unresolved "looked"
"""
KINDS = {"pods": 'kubectl.get("pods")', "deployments": 'kubectl.get("deployment", "conduit-api")', "nodes": 'kubectl.get("nodes")'}
# What kubectl itself reads of an object, and fails about.
KUBECTLS = {"kind", "apiVersion", "metadata"}
LOOKED_INTO = ("status", "spec")


def with_part(value, path, other):
    made = copy.deepcopy(value)
    part = made
    for key in path[:-1]:
        part = part[key]
    if other == "absent" and isinstance(part, dict):
        del part[path[-1]]
    else:
        part[path[-1]] = other
    return made


def chosen(value):
    """Every part of the status, and the first two levels of the spec."""
    return [path for path in places(value) if path and path[0] in LOOKED_INTO and len(path) <= (5 if path[0] == "status" else 2)]


@pytest.mark.slow
@pytest.mark.limit(400)
@pytest.mark.parametrize("kind", KINDS)
def test_an_object_of_another_shape(runbook, sandbox, cluster, kubectl, kind):  # noqa: F811
    sandbox.env["KUBECONFIG"] = sandbox.folder + "/kubeconfig"
    sandbox.write("odd.lua", SCRIPT.format(read=KINDS[kind]))
    ordinary = copy.deepcopy(cluster.objects(kind)[0])
    odd = []
    for number, path in enumerate(chosen(ordinary)):
        other = OTHERS[number % len(OTHERS)]
        cluster.world[kind] = [with_part(ordinary, path, other)]
        result = runbook("run", "odd.lua", "--dry-run")
        notes = [event["text"] for event in result.events("note")]
        said = result.stdout + result.stderr
        if len(notes) != 1 or any(word in said for word in ("attempt to", "stdlib/", "nil value", "bad argument")):
            odd.append(f"{'.'.join(map(str, path))} = {other!r}: {notes or said[-300:]}")
    assert not odd, f"{len(odd)}:\n" + "\n".join(odd[:60])
