"""handover: another runbook as a part of the run. Its end is its own; the caller's decides; journal and escalation are one."""

import os
import time

import pytest

from lab.program import executable

CALLER = """
runbook { title = "Caller", severity = "critical" }
local p = params { file = { "state", "What is looked at" } }
recovered("it is mended", { within = "1s", every = "10ms" }, function() return files.stat(p.file).state == "file" end)
escalation("10m")
local look = probe("Look", function() check("it is there", files.stat(p.file).state == "file", { fault = "missing" }) end)
local own = remedy("Own remedy", function() files.write(p.file, "own") end)
if look().missing then note("it was " .. handover("callee", { %s })) end
own()
return unresolved "not mended"
"""
CALLEE = """
runbook { title = "Callee" }
local p = params { file = { "", "What it writes", required = true }, times = { 1, "How often" } }
recovered("its own goal", { within = "100ms", every = "10ms" }, function() return files.stat(p.file).state == "file" end)
escalation("1s", function() error "never armed" end)
prevention("Of the callee", function() check("never looked at", false) end)
local probe_it = probe("Its probe", function() check("twice", p.times == 2, { fault = "once" }) end)
local write = remedy("Its remedy", { risk = "high" }, function() files.write(p.file, "callee") end)
probe_it()
write()
return unresolved "the callee could not"
"""


@pytest.fixture
def call(runbook, sandbox):
    """call(params, *options) -> Result of the caller, whose goal is the file `state`."""
    def call(given, *options, caller=CALLER, callee=CALLEE, answers='{ ["Its remedy"] = "yes", ["*"] = "yes" }'):
        sandbox.write("callee.lua", callee)
        sandbox.write("answers.lua", f"return {answers}")
        path = sandbox.write("caller.lua", caller.replace("%s", given))
        state = os.path.join(sandbox.folder, "state")
        return runbook("run", path, "--here", "--answers", "answers.lua", "-p", f"file={state}", *options)
    return call


def lines(result):
    return [os.path.basename(event["args"]["path"]) for event in result.events("effect.intent")]


def test_a_part_that_mends_ends_the_run_by_the_callers_goal(call):
    result = call("file = p.file")
    assert result.code == 0 and 'resolved by "Its remedy"' in result.stdout, result
    assert lines(result) == ["state"]
    ended = result.events("handover.ended")
    assert [(event["outcome"], event["by"]) for event in ended] == [("resolved", "Its remedy")]
    assert result.events("run.ended")[0]["by"] == "Its remedy"


def test_its_end_is_its_own(call, sandbox):
    """The callee's goal holds; the caller's doesn't, and the caller goes on."""
    other = os.path.join(sandbox.folder, "other")
    result = call(f'file = "{other}"')
    assert lines(result) == ["other", "state"] and "NOTED    it was resolved" in result.stdout, result
    assert result.code == 0 and 'resolved by "Own remedy"' in result.stdout


def test_an_unresolved_part_is_told(call, sandbox):
    result = call(f'file = "{sandbox.folder}/other"', answers='{ ["Own remedy"] = "yes", ["*"] = "no" }')
    assert "NOTED    it was unresolved" in result.stdout and lines(result) == ["state"], result
    assert "back from callee: unresolved: the callee could not" in result.stdout


def test_the_escalation_stays_the_callers(call, sandbox):
    result = call(f'file = "{sandbox.folder}/other"')
    assert "level 1 in 10m" in result.events("escalation.armed")[0]["text"], result
    assert len(result.events("escalation.armed")) == 1 and "never looked at" not in result.stdout


ALONE = CALLEE.replace('escalation("1s", function() error "never armed" end)\n', "")
SLOW = ALONE.replace("probe_it()\n", 'wait_until("never", { within = "20s", every = "100ms" }, function() return false end)\n')


def wait_for_event(folder, name):
    limit = time.monotonic() + 15
    while time.monotonic() < limit:
        try:
            if f'"event":"{name}"' in open(os.path.join(folder, "journal.jsonl")).read():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"no {name} in {folder}")


def test_a_part_takes_its_own_lock(call, sandbox):
    """Somebody works the callee already: the part does nothing, and the caller goes on. Broken by: lock.take that returns."""
    state = os.path.join(sandbox.folder, "state")
    sandbox.write("callee.lua", SLOW)
    first = sandbox.start("runbook", "run", "callee.lua", "-p", f"file={state}")
    try:
        while not sandbox.runs():
            time.sleep(0.05)
        wait_for_event(sandbox.runs()[0], "escalation.armed")
        result = call("file = p.file", callee=SLOW)
        name = os.path.basename(sandbox.runs()[0])
        assert f"back from callee: refused: run {name} of this runbook is under way" in result.stdout, result
        assert "NOTED    it was refused" in result.stdout and 'resolved by "Own remedy"' in result.stdout, result
    finally:
        first.kill()
        first.wait()


def test_the_parts_lock_is_given_back_at_its_end(call, sandbox):
    """Another run may work the callee while the caller goes on. Broken by: put_back without lock.release."""
    state = os.path.join(sandbox.folder, "other")
    other = f'{{ "{executable("runbook")}", "run", "callee.lua", "-p", "file={state}", "--no-input" }}'
    goes_on = f'own()\nnote("beside: " .. exec({other}, {{ cwd = "{sandbox.folder}", reads = true, expect = {{ 0, 6 }}, ' \
              f'env = {{ XDG_STATE_HOME = "{sandbox.state}" }} }}).code)'
    result = call(f'file = "{state}"', caller=CALLER.replace("own()", goes_on), callee=ALONE,
                  answers='{ ["Its remedy"] = "yes", ["*"] = "no" }')
    assert "back from callee: resolved" in result.stdout and "NOTED    beside: 0" in result.stdout, result


def test_a_lock_is_the_files_wherever_it_is_called_from(runbook, sandbox):
    """Broken by: lock.lua without real_path."""
    sandbox.write("callee.lua", SLOW)
    os.symlink("callee.lua", os.path.join(sandbox.folder, "link.lua"))
    first = sandbox.start("runbook", "run", "callee.lua", "-p", "file=/nowhere/x")
    try:
        while not sandbox.runs():
            time.sleep(0.05)
        wait_for_event(sandbox.runs()[0], "escalation.armed")
        for name in ("./callee.lua", os.path.join(sandbox.folder, "callee.lua"), "link.lua"):
            assert runbook("run", name, "-p", "file=/nowhere/x").code == 6, name
    finally:
        first.kill()
        first.wait()


def test_sources_are_kept(call):
    result = call("file = p.file")
    kept = "".join(open(os.path.join(result.run_dir, "source", name)).read()
                   for name in os.listdir(os.path.join(result.run_dir, "source")) if name.endswith(".lua"))
    assert "Callee" in kept and "Caller" in kept


def test_dry(call, sandbox):
    result = call("file = p.file", "--dry-run")
    assert result.code == 0 and not os.path.exists(os.path.join(sandbox.folder, "state")), result
    assert [event["state"] for event in result.events("remedy.ended")] == ["would", "would"]
    assert result.events("handover.ended")[0]["outcome"] == "unresolved"


def test_in_a_scenario(runbook, sandbox):
    sandbox.write("callee.lua", CALLEE)
    sandbox.write("caller.lua", CALLER.replace("%s", "file = p.file"))
    sandbox.write("caller.test.lua", """scenario "s" {
      params = { file = "/state" }, given = { ["files.stat *"] = { state = "absent" } }, answers = { ["Its remedy"] = "yes" },
      after = { ["files.write *"] = { ["files.stat *"] = { state = "file" } } },
      expect = { outcome = "resolved", by = "Its remedy", does = { "files.write /state" }, pages = 0 } }""")
    result = runbook("run", "caller.lua", "--scenario", "caller.test.lua:s")
    assert result.code == 0 and "differs" not in result.stderr, result


@pytest.mark.parametrize("given, says", [
    ("", "parameter 'file' is required"),
    ('file = p.file, times = "often"', "a number expected"),
    ('file = p.file, flie = "x"', "there is no parameter 'flie'"),
])
def test_parameters_are_the_callees(call, given, says):
    result = call(given)
    assert result.code == 3 and says in result.stderr and "caller.lua:8:" in result.stderr, result


@pytest.mark.parametrize("text, says", [
    ('handover("nowhere")', "can't be read"),
    ('handover("../etc/x")', "the name of a runbook beside this one"),
    ('handover(1)', "the name of a runbook beside this one"),
    ('handover("self")', "at most 3 runbooks deep"),
    ('together(function() handover("self") end)', "refused inside together"),
    ('remedy("R", function() handover("self") end)()', "refused inside a remedy"),
    ('print(probe("P", function() handover("self") end)().x)', "refused inside a probe"),
])
def test_mistakes_are_told(runbook, sandbox, text, says):
    path = sandbox.write("self.lua", f'runbook {{ title = "Self" }}\n{text}\nreturn resolved "x"')
    result = runbook("run", path, "--no-input")
    assert says in result.stdout + result.stderr and not result.events("effect.intent"), result


def test_a_failing_part_fails_the_run_at_its_line(call):
    result = call("", callee='runbook { title = "Callee" }\nerror "broken"')
    assert result.code == 3 and "callee.lua:2: broken" in result.stderr, result


def test_what_a_part_does_not_know_keeps_it_unresolved(call):
    callee = 'runbook { title = "Callee" }\nprobe("Dark", function() error "no light" end)()\nreturn resolved "fine"'
    result = call("", callee=callee)
    assert "back from callee: unresolved" in result.stdout and "Dark is unknown" in result.stdout, result


def test_a_secret_is_handed_over(runbook, sandbox):
    sandbox.write("callee.lua", 'runbook { title = "Callee" }\nlocal p = params { token = { "", "x", secret = true } }\n'
                  'note("it is " .. tostring(p.token))\nreturn unresolved "x"')
    path = sandbox.write("caller.lua", 'runbook { title = "Caller" }\nhandover("callee", { token = secret "TOKEN" })\n'
                         'return resolved "x"')
    result = runbook("run", path, env={"TOKEN": "correct-horse"})
    assert result.code == 0 and "NOTED    it is ***" in result.stdout, result
    assert "correct-horse" not in "".join(result.journal_lines)
