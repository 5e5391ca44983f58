"""Only when it should: one incident has one clock, a level looks at the goal before it tells anybody, and armed means rehearsed by
the process that will carry the level out."""

import json
import os
import time

import pytest

from lab.people import HEAD, people, wait_for

SCRIPT = """
runbook { title = "Twice", severity = "critical" }
params { shard = { "a", "which" } }
%s
escalation("%s", function(run) escalate.page { summary = run.headline } end)
confirm("go on?", { within = "60s" })
return unresolved "x"
"""
GOAL = """recovered("the flag is there", { within = "5s", every = "500ms" },
  function() return files.stat("%s/flag").state == "file" end)"""


def watched(run_dir):
    with open(run_dir + "/escalation.jsonl") as file:
        return [json.loads(line) for line in file]


def armed_of(result):
    return result.events("escalation.armed")[0]


def test_a_new_run_of_the_same_incident_takes_the_clock_over(runbook, sandbox, people):
    """Broken by: arming.arm without take_over."""
    sandbox.write("down.lua", SCRIPT % ('escalation("1h")', "15m"))
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1200))
    first = runbook("run", "down.lua", "--no-input", "--alert-started", since)
    assert first.code == 5 and wait_for(lambda: people.alerts), first
    second = runbook("run", "down.lua", "--no-input")
    said = armed_of(second)
    assert second.code == 5 and "takes over the clock of run " + os.path.basename(first.run_dir) in said["text"], second
    assert [(level["index"], round(level["after"], -2)) for level in said["levels"]] == [(1, 2400)]
    assert second.events("run.continues")[0]["alert_began"].startswith(since[:-1])
    assert wait_for(lambda: watched(first.run_dir)[-1].get("why") == "continued", 5)
    sandbox.write("down.lua", SCRIPT.replace('confirm("go on?", { within = "60s" })\nreturn unresolved "x"', 'return resolved "y"')
                  % ('escalation("1h")', "15m"))
    assert runbook("run", "down.lua").code == 0
    assert [alert["status"] for alert in people.alerts.values()] == ["resolved"]


def test_of_other_parameters_both_clocks_run_and_are_named(runbook, sandbox, people):
    sandbox.write("down.lua", SCRIPT % ("", "15m"))
    first = runbook("run", "down.lua", "--no-input")
    second = runbook("run", "down.lua", "--no-input", "-p", "shard=b")
    name = os.path.basename(first.run_dir)
    assert f"run {name}, with other parameters, is armed too" in armed_of(second)["text"], second
    assert not second.events("run.continues") and watched(first.run_dir)[-1]["event"] == "escalation.armed"
    for run in ("last", name):
        assert runbook("abort", run).code == 0


def test_a_level_looks_at_the_goal_before_it_tells_anybody(runbook, sandbox, people):
    """Broken by: commands/escalate.lua without goal_holds."""
    sandbox.write("down.lua", SCRIPT % (GOAL % sandbox.folder, "3s"))
    run = runbook("run", "down.lua", "--no-input")
    assert run.code == 5, run
    sandbox.write("flag", "")
    assert wait_for(lambda: watched(run.run_dir)[-1]["event"] == "escalation.held"), watched(run.run_dir)
    assert not people.requests
    assert runbook("abort", "last").code == 0


def test_an_unresolved_end_pages_without_looking(runbook, sandbox, people):
    """The goal may hold at that moment: what the script says counts."""
    script = SCRIPT.replace('confirm("go on?", { within = "60s" })\n', "")
    sandbox.write("flag", "")
    sandbox.write("down.lua", script % (GOAL % sandbox.folder, "15m"))
    assert runbook("run", "down.lua").code == 1
    assert wait_for(lambda: people.alerts)


def test_a_secret_that_only_findings_ask_for_is_handed_over(runbook, sandbox, people, slack):
    """Broken by: arming.arm without fetch_all_secrets."""
    script = """
runbook { title = "Cond", severity = "critical" }
escalation("15m", function(run)
  escalate.page { summary = run.headline }
  if (run.findings[1] or ""):find "^P" then escalate.notify { to = "#team-lead", text = run.report } end
end)
probe("P", function() check("is up", false, { fault = "down" }) end)()
return unresolved "x"
"""
    sandbox.write("down.lua", script)
    result = runbook("run", "down.lua")
    assert result.code == 1 and slack.texts("team-lead"), result


@pytest.mark.parametrize("broken", [
    "if #run.findings > 0 then error 'broken' end",
    'if run.findings[1] and not utf8.len(run.findings[1]) then error "broken" end\n  local n = #run.findings > 0 and nil + 1',
    "local first = run.findings[1] .. '!'",
], ids=["with findings", "with bytes", "without findings"])
def test_a_level_is_rehearsed_with_findings_and_without(runbook, sandbox, people, broken):
    """Broken by: commands/escalate.lua whose rehearsal makes nothing up."""
    sandbox.write("down.lua", HEAD.replace("local page =", broken + "\n  local page ="))
    result = runbook("run", "down.lua")
    assert result.code == 6 and "escalation level 1 fails its rehearsal" in result.stderr, result
    assert not result.events("probe.started") and not people.requests


def test_the_rehearsal_is_carried_out_by_the_levels_own_process(runbook, sandbox, people):
    """Its words are in the run's folder when it failed there. Broken by: a rehearsal in the interpreter alone."""
    sandbox.write("down.lua", HEAD.replace("local page =", "if #run.findings > 0 then error 'typo' end\n  local page ="))
    result = runbook("run", "down.lua")
    assert result.code == 6, result
    with open(result.run_dir + "/escalation/rehearsal.failed") as file:
        assert "typo" in file.read()
