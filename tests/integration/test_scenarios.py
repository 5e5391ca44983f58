"""Every scenario that ships with a runbook holds, alone as beside the others."""

import glob
import os
import re
import xml.etree.ElementTree as ElementTree

import pytest

from lab.program import ROOT

FILES = sorted(glob.glob(os.path.join(ROOT, "runbooks", "*.test.lua")))


def names_of(path):
    with open(path, encoding="utf-8") as file:
        return re.findall(r'^scenario "(.+?)"', file.read(), re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=os.path.basename)
def test_the_shipped_scenarios_hold_and_use_all_of_their_world(runbook, path):
    result = runbook("test", path, "--format", "junit")
    cases = list(ElementTree.fromstring(result.out).iter("testcase"))
    assert result.code == 0 and [case.get("name") for case in cases] == names_of(path) + ["the file"], result


@pytest.mark.parametrize("path", FILES, ids=os.path.basename)
def test_one_of_them_alone_says_the_same(runbook, path):
    name = names_of(path)[1]
    result = runbook("run", path.replace(".test.lua", ".lua"), "--scenario", f"{path}:{name}")
    assert result.code in (0, 1) and "differs:" not in result.stderr and "unused:" not in result.stderr, result


def test_a_scenario_that_does_not_hold_says_how(runbook, sandbox):
    sandbox.write("x.lua", 'runbook { title = "X" }\nreturn unresolved "x"')
    sandbox.write("x.test.lua", 'scenario "s" { expect = { outcome = "resolved", does = { "docker.*" } } }')
    result = runbook("run", "x.lua", "--scenario", "x.test.lua:s")
    assert result.code == 1 and "differs: outcome: expected resolved, got unresolved" in result.stderr, result
