"""Every scenario that ships with a runbook holds."""

import glob
import os
import re

import pytest

from lab.program import ROOT


def shipped():
    for path in sorted(glob.glob(os.path.join(ROOT, "runbooks", "*.test.lua"))):
        with open(path, encoding="utf-8") as file:
            for name in re.findall(r'^scenario "(.+?)"', file.read(), re.MULTILINE):
                yield pytest.param(path, name, id=f"{os.path.basename(path)[:-9]}: {name}")


def ran(runbook, path, name, results={}):
    """The result of a shipped scenario, carried out once."""
    if (path, name) not in results:
        results[path, name] = runbook("run", path.replace(".test.lua", ".lua"), "--scenario", f"{path}:{name}")
    return results[path, name]


@pytest.mark.parametrize("path, name", shipped())
def test_a_shipped_scenario_holds(runbook, path, name):
    result = ran(runbook, path, name)
    assert result.code in (0, 1) and not mistakes(result.stderr), result


IDLE = re.compile(r'scenario ".*?": of the world it did not use (.*)')


def mistakes(stderr):
    """Lines that say what differs, or what of the scenario itself was not used."""
    return [line for line in stderr.splitlines() if not IDLE.search(line)]


@pytest.mark.parametrize("path", sorted({case.values[0] for case in shipped()}), ids=os.path.basename)
def test_each_pattern_of_a_shipped_world_is_used_by_a_scenario(runbook, path):
    idle = []
    for name in [case.values[1] for case in shipped() if case.values[0] == path]:
        found = IDLE.search(ran(runbook, path, name).stderr)
        idle.append(set(found[1].split(", ")) if found else set())
    assert idle and not set.intersection(*idle)


def test_a_scenario_that_does_not_hold_says_how(runbook, sandbox):
    sandbox.write("x.lua", 'runbook { title = "X" }\nreturn unresolved "x"')
    sandbox.write("x.test.lua", 'scenario "s" { expect = { outcome = "resolved", does = { "docker.*" } } }')
    result = runbook("run", "x.lua", "--scenario", "x.test.lua:s")
    assert result.code == 1 and "differs: outcome: expected resolved, got unresolved" in result.stderr, result
