"""runbook list: the runbooks below a folder and their alerts, the one for an alert, without running any."""

import json

import pytest

ONE = 'runbook { title = "API \\27[31mDown", alert = "APIDown", severity = "critical" }\nwhile true do end\n'


@pytest.fixture
def shelf(sandbox):
    sandbox.write("api.lua", ONE)
    sandbox.write("api.test.lua", 'scenario "runbook" {}')
    sandbox.write("deep/disk.lua", '-- first a word\nlocal t = "Disk"\nrunbook { title = t, alert = "DiskFull" }\n')
    sandbox.write("deep/lib/x.lua", 'return { runbook = 1 }')
    sandbox.write("none.lua", 'runbook { title = "For no alert" }')
    sandbox.write("broken.lua", 'runbook { title = "Broken"')


def test_all_are_listed_by_their_alerts(runbook, shelf):
    result = runbook("list")
    rows = [line.split()[:3] for line in result.stdout.splitlines()]
    assert rows == [["APIDown", "api.lua", "critical"], ["DiskFull", "deep/disk.lua", "-"], ["-", "broken.lua", "-"],
                    ["-", "none.lua", "-"]], result
    assert result.code == 0 and "\x1b" not in result.stdout and "can't be read: line 1: " in result.stdout, result
    assert "its title is not written out" in result.stdout and "For no alert" in result.stdout, result


def test_the_one_for_an_alert_is_found_however_it_is_typed(runbook, shelf):
    for alert in ("DiskFull", "diskfull"):
        result = runbook("list", alert)
        assert result.code == 0 and result.stdout.count("\n") == 1 and "deep/disk.lua" in result.stdout, result


def test_an_alert_without_a_runbook_is_told_with_the_nearest(runbook, shelf):
    result = runbook("list", "DiskFul")
    assert result.code == 1 and result.stdout == "" and "(did you mean 'DiskFull'?)" in result.stderr, result


def test_as_json(runbook, shelf):
    result = runbook("list", "APIDown", "--format", "json")
    assert [(it["file"], it["alert"], it["severity"]) for it in json.loads(result.stdout)] == [("api.lua", "APIDown", "critical")]


def test_where_there_is_none_it_is_said(runbook):
    result = runbook("list")
    assert result.code == 1 and "no runbook is below this folder" in result.stderr, result
