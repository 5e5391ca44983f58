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


@pytest.mark.parametrize("path, name", shipped())
def test_a_shipped_scenario_holds(runbook, path, name):
    result = runbook("run", path.replace(".test.lua", ".lua"), "--scenario", f"{path}:{name}")
    assert "differs" not in result.stderr and result.code in (0, 1), result


def test_a_scenario_that_does_not_hold_says_how(runbook, sandbox):
    sandbox.write("x.lua", 'runbook { title = "X" }\nreturn unresolved "x"')
    sandbox.write("x.test.lua", 'scenario "s" { expect = { outcome = "resolved", does = { "a.b" } } }')
    result = runbook("run", "x.lua", "--scenario", "x.test.lua:s")
    assert result.code == 1 and "differs: outcome: expected resolved, got unresolved" in result.stderr, result
