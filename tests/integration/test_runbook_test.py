"""runbook test: all scenarios of all files, side by side; what differs, what no scenario tried, in each format."""

import os
import re
import signal
import subprocess
import time
import xml.etree.ElementTree as ElementTree

import pytest

from lab.program import executable

RUNBOOK = """
runbook { title = "Worker", severity = "warning" }
escalation("5m")
recovered("the worker runs", { within = "1m" }, function() return docker.inspect("worker").state == "running" end)
local worker = probe("Worker", function()
  check("the worker runs", docker.inspect("worker").state == "running", { fault = "stopped" })
end)
local restart = remedy("Restart", { risk = "low" }, function() docker.restart("worker") end)
local found = worker()
if found.stopped then restart() elseif found.stopped == false then return resolved "it runs" end
return unresolved "the worker does not run"
"""
WORLD = 'world { ["docker.inspect worker"] = { state = "exited" } }\n'
CURED = """
scenario "cured" {
  answers = { Restart = "yes" },
  after   = { ["docker.restart worker"] = { ["docker.inspect worker"] = { state = "running" } } },
  expect  = { outcome = "resolved", by = "Restart", does = { "docker.restart worker" } },
}
"""
FALSE_ALARM = """
scenario "false alarm" {
  given  = { ["docker.inspect worker"] = { state = "running" } },
  expect = { outcome = "resolved", does = {} },
}
"""
DECLINED = 'scenario "declined" { answers = { Restart = "no" }, expect = { outcome = "unresolved", does = {} } }\n'
SILENT = 'scenario "silent" { answers = { Restart = "silence" }, expect = { outcome = "unresolved", does = {} } }\n'
NO_HELP = 'scenario "no help" { answers = { Restart = "yes" }, expect = { outcome = "unresolved", pages = 1 } }\n'
BLIND = """
scenario "blind" { given = { ["docker.inspect worker"] = { error = "no engine" } }, expect = { unknown = 1 } }
"""
WRITE_FAILS = """
scenario "write fails" {
  answers = { Restart = "yes" }, after = { ["docker.restart worker"] = { reply = { why = "no space" } } },
  expect  = { outcome = "unresolved" },
}
"""
WRONG = 'scenario "wrong" { answers = { Restart = "no" }, expect = { outcome = "resolved", does = { "docker.restart worker" } } }\n'
EVERY = WORLD + CURED + FALSE_ALARM + DECLINED + SILENT + NO_HELP + BLIND + WRITE_FAILS
ENDLESS = 'runbook { title = "Endless" }\nnote "begins"\nwhile true do end\n'


@pytest.fixture
def tested(runbook, sandbox):
    """tested(scenarios, *options) -> what runbook test says of them"""
    def test(text, *options):
        sandbox.write("worker.lua", RUNBOOK)
        sandbox.write("worker.test.lua", text)
        return runbook("test", *options)
    return test


def summary(result):
    return result.stdout.splitlines()[-1]


def test_all_hold(tested):
    result = tested(EVERY)
    assert result.code == 0 and result.stderr == "", result
    assert "worker.test.lua\n  ok    cured " in result.stdout
    assert re.match(r"7 scenarios of 1 file: 7 held, 0 failed, in [\d.]+m?s$", summary(result)), result
    assert "worker.lua: 8 of 8 tried, 100 %" in result.stdout and "no scenario for" not in result.stdout, result


def test_one_that_differs_tells_its_place_the_difference_and_its_story(tested):
    result = tested(WORLD + CURED + WRONG)
    assert result.code == 1 and summary(result).startswith("2 scenarios of 1 file: 1 held, 1 failed"), result
    story = result.stdout.split("FAIL  wrong")[1]
    assert "worker.test.lua:8\n" in story and "differs: outcome: expected resolved, got unresolved" in story
    assert "differs: does: expected docker.restart worker, got nothing" in story
    assert "looked once" in story and "check failed: " in story and "because of: " in story
    assert "“Restart”: not approved (operator)" in story, result


@pytest.mark.parametrize("missing, text", [
    (FALSE_ALARM, "false alarm"), (BLIND, "can't be looked at"), (DECLINED, "declined"), (SILENT, "silent"),
    (NO_HELP + WRITE_FAILS, "does not help")], ids=lambda value: value if len(value) < 30 else "")
def test_a_case_that_no_scenario_has_is_named(tested, missing, text):
    left = EVERY
    for scenario in (missing, ) if missing in EVERY else (NO_HELP, WRITE_FAILS):
        left = left.replace(scenario, "")
    result = tested(left)
    assert result.code == 0 and f"no scenario for this case: {text}" in result.stdout, result


def test_escalates_is_named_where_no_level_was_carried_out(tested):
    result = tested(WORLD + CURED + FALSE_ALARM)
    assert "no scenario for this case: escalates" in result.stdout and "not tried: level 1: never" in result.stdout, result


@pytest.mark.parametrize("scenario, says", [
    (FALSE_ALARM, "worker.lua:6: check “the worker runs”: never passed"), (BLIND, "probe “Worker”: never not known"),
    (DECLINED, "remedy “Restart”: never declined"), (WRITE_FAILS, "remedy “Restart”: never failed")])
def test_what_no_scenario_tried_is_named(tested, scenario, says):
    result = tested(EVERY.replace(scenario, ""))
    assert f"not tried: {says}" in result.stdout and "7 of 8 tried, 87 %" in result.stdout, result


def test_coverage_below_the_least_fails(tested):
    assert tested(EVERY.replace(BLIND, ""), "--min-coverage", "87").code == 0
    result = tested(EVERY.replace(BLIND, ""), "--min-coverage", "88")
    assert result.code == 1 and "FAIL    coverage: 87 %, at least 88 % expected" in result.stdout, result


@pytest.mark.parametrize("value", ["101", "-1", "x"])
def test_a_coverage_that_is_none_is_refused(tested, value):
    result = tested(EVERY, f"--min-coverage={value}")
    assert result.code == 2 and "a percentage from 0 to 100 expected" in result.stderr, result


def test_a_pattern_of_the_world_that_no_scenario_uses_is_an_error(tested):
    world = WORLD.replace("}\n", ', ["docker.inspect wroker"] = { state = "x" } }\n', 1).replace("} ,", "},")
    result = tested(world + CURED + DECLINED)
    says = 'FAIL  world "docker.inspect wroker": no scenario asks for it; the nearest: docker.inspect worker'
    assert result.code == 1 and says in result.stdout, result
    assert tested(world + CURED + DECLINED, "--filter", "cured").code == 0, "only all scenarios together can say so"


def test_what_a_scenario_does_not_use_fails_it(tested):
    result = tested(WORLD + CURED.replace("Restart =", "Restrat ="))
    assert result.code == 1 and 'unused: answers "Restrat": nothing was asked by that name; the nearest: Restart' in result.stdout


def test_without_an_expectation_the_exit_code_counts(tested):
    result = tested(WORLD + 'scenario "plain" { answers = { Restart = "no" } }')
    assert result.code == 1 and "nothing is expected, so the exit code counts: 1" in result.stdout, result


def test_a_filter_chooses_by_name(tested):
    assert summary(tested(EVERY, "--filter", "c*d")).startswith("2 scenarios"), "cured, declined"
    result = tested(EVERY, "--filter", "nothing such")
    assert result.code == 2 and "no scenario is called so" in result.stderr, result


def test_failed_chooses_those_that_failed_last(tested):
    assert tested(WORLD + CURED + WRONG).code == 1
    assert summary(tested(WORLD + CURED + WRONG, "--failed")).startswith("1 scenario of 1 file: 0 held, 1 failed")
    mended = WRONG.replace("resolved", "unresolved").replace('"docker.restart worker"', "")
    assert tested(WORLD + CURED + mended, "--failed").code == 0
    assert summary(tested(WORLD + CURED, "--failed")).startswith("0 scenarios")


def test_files_are_named_by_themselves_their_runbook_or_a_folder(runbook, sandbox, tested):
    tested(EVERY)
    sandbox.write("deep/er/worker.lua", RUNBOOK)
    sandbox.write("deep/er/worker.test.lua", WORLD + CURED)
    for path in ("deep", "deep/er/worker.lua", "deep/er/worker.test.lua"):
        assert summary(runbook("test", path)).startswith("1 scenario of 1 file: 1 held"), path
    assert summary(runbook("test", "deep", "deep/er/worker.lua")).startswith("1 scenario of 1 file"), "a file counts once"
    assert summary(runbook("test")).startswith("8 scenarios of 2 files: 8 held")


@pytest.mark.parametrize("files, says", [
    ({}, "no test file below "),
    ({"x.test.lua": 'scenario "s" { given = {} }'}, "x.test.lua: its runbook x.lua is missing"),
    ({"x.test.lua": "", "x.lua": RUNBOOK}, "x.test.lua: there is no scenario in it"),
    ({"x.test.lua": "scenario(", "x.lua": RUNBOOK}, "x.test.lua:1: "),
    ({"x.test.lua": 'scenario "s" { gievn = {} }', "x.lua": RUNBOOK}, "(did you mean 'given'?)"),
])
def test_what_is_wrong_with_the_files_is_said(runbook, sandbox, files, says):
    for name, text in files.items():
        sandbox.write(name, text)
    result = runbook("test")
    assert result.code == 2 and says in result.stdout + result.stderr, result


def test_a_path_that_is_not_there_is_said(runbook):
    result = runbook("test", "nowhere")
    assert result.code == 2 and "nowhere: there is no such file or folder" in result.stderr, result


@pytest.mark.parametrize("command", ["test", "list"])
def test_a_folder_that_cannot_be_looked_into_is_said(sandbox, tested, command):
    tested(EVERY)
    sandbox.write("closed/x.lua", "")
    os.chmod(os.path.join(sandbox.folder, "closed"), 0)
    as_others = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    result = subprocess.run([*as_others, executable("runbook"), command], cwd=sandbox.folder, capture_output=True, text=True,
                            timeout=60, env=sandbox.env)
    os.chmod(os.path.join(sandbox.folder, "closed"), 0o755)
    assert result.returncode == 2 and "can be looked into: " in result.stderr and "closed" in result.stderr, result


def test_a_runbook_that_is_wrong_fails_its_scenarios(runbook, sandbox):
    sandbox.write("x.lua", 'runbook { title = "X" }\nnote(nothing.at.all)\n')
    sandbox.write("x.test.lua", 'scenario "s" { expect = { outcome = "resolved" } }\nscenario "t" { params = { y = 1 } }')
    result = runbook("test")
    assert result.code == 1 and "outcome: expected resolved, got failed (x.lua:2: " in result.stdout, result
    assert "2 scenarios of 1 file: 0 held, 2 failed" in result.stdout, result


def test_a_run_that_broke_off_does_not_hold_by_what_it_did_not_do(runbook, sandbox):
    sandbox.write("x.lua", 'runbook { title = "X" }\nnote(nothing.at.all)\n')
    sandbox.write("x.test.lua", 'scenario "s" { expect = { does = {} } }\n')
    result = runbook("test")
    assert result.code == 1 and "differs: the run broke off: failed" in result.stdout.replace("FAILED", "failed"), result


def test_a_level_that_one_scenario_carried_out_is_tried(tested):
    assert "level 1" not in tested(WORLD + NO_HELP + CURED).stdout


def test_what_a_runbook_handed_over_to_has_is_not_counted(runbook, sandbox):
    sandbox.write("other.lua", 'runbook { title = "Other" }\nprobe("Of the other", function() check("x", true) end)()\n'
                               'return unresolved "no"')
    sandbox.write("x.lua", 'runbook { title = "X" }\nhandover("other", {})\nreturn unresolved "x"')
    sandbox.write("x.test.lua", 'scenario "s" { expect = { outcome = "unresolved" } }\n')
    result = runbook("test", "-v")
    assert result.code == 0 and "Of the other" not in result.stdout and "x.lua: 0 of 0 tried" in result.stdout, result


def test_junit_is_xml_whatever_stands_in_it(runbook, sandbox):
    sandbox.write("x.lua", 'runbook { title = "X" }\nreturn unresolved "\\0\\1\\27[31m <&\\"]]> \\xff\\xfe \u202e"')
    sandbox.write("x.test.lua", 'scenario "<&\\"\\7" { expect = { outcome = "resolved" } }\n'
                                'scenario "held" { expect = { exit = 1 } }')
    result = runbook("test", "--format", "junit")
    root = ElementTree.fromstring(result.out)
    suite, = root
    assert result.code == 1 and (root.tag, suite.tag) == ("testsuites", "testsuite"), result
    assert (root.get("tests"), root.get("failures"), suite.get("tests"), suite.get("failures")) == ("3", "1", "3", "1")
    failed, held, file = suite
    assert failed.find("failure").get("message").startswith("outcome: expected resolved"), result
    assert held.find("failure") is None and file.get("name") == "the file" and failed.get("classname") == "x.test.lua"


def test_tap_has_a_line_a_scenario_and_a_plan(tested):
    result = tested(WORLD + CURED + WRONG.replace('"wrong"', '"wrong # TODO"'), "--format", "tap")
    lines = [line for line in result.stdout.splitlines() if not line.startswith("# ")]
    assert lines == ["TAP version 13", "1..3", "ok 1 - worker.test.lua: cured",
                     r"not ok 2 - worker.test.lua: wrong \# TODO", "ok 3 - worker.test.lua: the file"], result
    assert "# differs" not in result.stdout and "# outcome: expected resolved, got unresolved" in result.stdout


def test_nothing_is_left_on_disk_but_which_failed(tested, sandbox):
    tested(EVERY)
    assert sandbox.runs() == [] and os.listdir(os.path.join(sandbox.state, "runbook")) == ["tests.json"]


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


@pytest.fixture
def endless(sandbox):
    """A test of a script that computes for ever, with its one copy."""
    sandbox.write("x.lua", ENDLESS)
    sandbox.write("x.test.lua", 'scenario "s" { expect = { outcome = "failed" } }')
    process, limit = sandbox.start("runbook", "test"), time.monotonic() + 30
    while not (children := children_of(process.pid)):
        assert time.monotonic() < limit and process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process, children[0]


def test_a_copy_that_is_killed_fails_its_scenario_alone(endless):
    process, child = endless
    os.kill(child, signal.SIGKILL)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 1 and b"its process was ended by signal 9" in out, out


def test_an_interrupt_ends_all_copies(endless):
    process, child = endless
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130 and not os.path.exists(f"/proc/{child}")


def test_watch_tests_again_when_a_module_changes(sandbox, tested):
    tested(EVERY)
    sandbox.write("lib/x.lua", "return {}")
    sandbox.write("worker.lua", RUNBOOK.replace("escalation", 'require "lib.x"\nescalation', 1))
    process = sandbox.start("runbook", "test", "--watch")

    def lines_until(text):
        seen = []
        for line in process.stdout:
            seen.append(line.decode())
            if text in seen[-1]:
                return seen
        raise AssertionError(seen + [process.stderr.read()])
    lines_until("7 held")
    os.utime(os.path.join(sandbox.folder, "lib/x.lua"))
    assert any("ok    cured" in line for line in lines_until("7 held"))
    assert b"changed: ./lib/x.lua\n" in iter(process.stderr.readline, b"")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
