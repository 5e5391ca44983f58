"""Preventions: `runbook audit`, and what a resolved run says of them. Those of API Down are in test_gaps.py."""

import os

import pytest

HEAD = 'runbook { title = "Prevent" }\nlocal p = params { fine = { true, "x" } }\n'
TWO = HEAD + """
prevention("One", function() check("first", p.fine, { mend = "key: value\\n  nested: 1\\n" }) end)
prevention("Two", function() check("second", sysinfo.memory().used_percent < 101) end)
local made = remedy("Write", function() files.write("/tmp/x", "y") end)
made()
return resolved "done"
"""


def ended(result):
    return {event["prevention"]: event for event in result.events("prevention.ended")}


def test_all_in_place(runbook, sandbox):
    result = runbook("audit", sandbox.write("x.lua", TWO))
    assert result.code == 0 and "preventions: 2 in place" in result.stdout, result
    assert [event["state"] for event in result.events("prevention.ended")] == ["in place", "in place"]
    assert not result.events("remedy.started") and not result.events("escalation.armed")
    assert not os.path.exists(os.path.join(result.run_dir, "watchdog.lock"))


def test_a_gap_prints_its_snippet_as_it_is(runbook, sandbox):
    result = runbook("audit", sandbox.write("x.lua", TWO), "-p", "fine=no")
    assert result.code == 1 and "preventions: 1 missing, 1 in place" in result.stdout, result
    assert "\n\nkey: value\n  nested: 1\n\n" in result.stdout
    assert ended(result)["One"]["missing"] == ["first"]


@pytest.mark.parametrize("body, why", [
    ('check("x", http.get("http://x.invalid/").status == 200)', "http.get http://x.invalid/ failed"),
    ('check("x", true) error "broken"', "broken"),
    ("", "it checked nothing"),
])
def test_unknown_is_no_gap_and_not_well(runbook, sandbox, body, why):
    result = runbook("audit", sandbox.write("x.lua", HEAD + f'prevention("P", function() {body} end)'))
    assert result.code == 1 and not result.events("mistake") and ended(result)["P"]["state"] == "unknown", result
    assert why in ended(result)["P"]["why"] and "1 unknown" in result.stdout


@pytest.mark.parametrize("body, why", [
    ('service.restart("postgresql")', "a probe changes nothing"),
    ('escalate.page { summary = "x", severity = "critical" }', "a probe tells nobody"),
    ('remedy("R", function() end)()', "refused inside a probe"),
    ('return re.find("x", "[")', "x.lua:3: wrong pattern"),
])
def test_a_mistake_in_one_is_the_runbooks(runbook, sandbox, body, why):
    """Broken by: blame.text instead of mistake.text in words/prevention.lua; mistake.located that gives the text back."""
    result = runbook("audit", sandbox.write("x.lua", HEAD + f'prevention("P", function() {body} end)'))
    assert result.code == 3 and why in result.events("mistake")[0]["text"] and why in ended(result)["P"]["why"], result
    assert "MISTAKE of the runbook, in prevention “P”" in result.stdout


@pytest.mark.parametrize("text, says", [
    ('prevention("P")', "a function expected"),
    ('probe("A", function() end)() prevention("P", function() end)', None),
    ('check("x", true, { mend = "y" })', "only a check of a prevention"),
    ('prevention("P", function() check("x", true, { mend = 1 }) end)', "mend: a string expected"),
])
def test_mistakes_are_told(runbook, sandbox, text, says):
    result = runbook("audit", sandbox.write("x.lua", HEAD + text))
    if says is None:
        assert result.code == 1 and "declares no prevention" in result.stdout, result
    else:
        assert result.code in (1, 3) and says in result.stdout + result.stderr, result


def test_it_must_be_declared_before_the_run_acts(runbook, sandbox):
    text = HEAD + 'probe("A", function() end)() prevention("P", function() end)'
    result = runbook("run", sandbox.write("x.lua", text), "--dry-run")
    assert result.code == 3 and "declared before the first effect" in result.stderr, result


def test_a_resolved_run_counts_them_in_a_line(runbook, sandbox):
    text = TWO.replace("made()", "")
    result = runbook("run", sandbox.write("x.lua", text), "-p", "fine=no")
    assert result.code == 0, result
    assert "1 prevention is missing: runbook audit " in result.stdout and "first" not in result.stdout
    assert "key: value" not in result.stdout and result.stdout.rstrip().endswith("nobody looked: done")
    assert not runbook("run", "x.lua", "--dry-run").events("prevention.ended")
    unresolved = sandbox.write("y.lua", text.replace("return resolved", "return unresolved"))
    assert not runbook("run", unresolved).events("prevention.ended")


def test_a_run_ended_by_its_goal_looks_too(runbook, sandbox):
    text = HEAD + """
recovered("it is", { every = "10ms" }, function() return true end)
prevention("One", function() check("first", (pcall(sysinfo.memory))) end)
remedy("R", function() end)()
"""
    result = runbook("run", sandbox.write("x.lua", text))
    assert result.code == 0 and "the prevention is in place" in result.stdout, result
