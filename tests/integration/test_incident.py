"""Only when it should: one incident has one clock, a level looks at the goal before it tells anybody, and armed means rehearsed by
the process that will carry the level out."""

import json
import os
import signal
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


def is_watched(run_dir):
    return os.path.exists(run_dir + "/watchdog.lock")


def kill_watchdog(run_dir):
    """As a machine that was switched off: nothing is written down, its lock is left to whoever looks."""
    with open(run_dir + "/watchdog.lock") as lock:
        os.kill(int(lock.read().split()[0]), signal.SIGKILL)
    os.remove(run_dir + "/watchdog.lock")


RESOLVED = SCRIPT.replace('confirm("go on?", { within = "60s" })\nreturn unresolved "x"', 'return resolved "y"')


def continued(result):
    return [event["run"] for event in result.events("run.continues")]


def test_a_run_whose_watchdog_is_gone_is_continued_from_disk(runbook, sandbox, people):
    """Broken by: predecessor.find of watched runs alone."""
    sandbox.write("down.lua", SCRIPT % ('escalation("1h")', "2h"))
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1200))
    first = runbook("run", "down.lua", "--no-input", "--alert-started", since)
    kill_watchdog(first.run_dir)
    second = runbook("run", "down.lua", "--no-input")
    said, name = armed_of(second), os.path.basename(first.run_dir)
    assert f"takes over the clock of run {name}, unfinished: its watchdog is gone" in said["text"], second
    assert [(level["index"], round(level["after"], -2)) for level in said["levels"]] == [(1, 2400), (2, 6000)]
    assert runbook("abort", "last").code == 0


def test_a_level_that_a_lost_watchdog_did_not_deliver_is_carried_out(runbook, sandbox, people):
    """Broken by: predecessor.lua that takes what fired for told."""
    sandbox.write("down.lua", SCRIPT % ("", "1h"))
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3590))
    first = runbook("run", "down.lua", "--no-input", "--alert-started", since)
    people.fail_next(50, status=503)
    assert wait_for(lambda: people.requests and "escalation.fired" in [event["event"] for event in watched(first.run_dir)], 20)
    kill_watchdog(first.run_dir)
    people.script.clear()
    second = runbook("run", "down.lua", "--no-input")
    assert continued(second) == [os.path.basename(first.run_dir)] and wait_for(lambda: people.alerts), second


def left_after_its_levels(runbook, sandbox, people):
    sandbox.write("down.lua", SCRIPT % ("", "1s"))
    first = runbook("run", "down.lua", "--no-input")
    assert first.code == 5 and wait_for(lambda: people.alerts and not is_watched(first.run_dir)), first
    return first


def test_a_run_whose_levels_all_went_out_is_continued_and_its_page_resolved(runbook, sandbox, people):
    """Broken by: predecessor.find of watched runs alone."""
    first = left_after_its_levels(runbook, sandbox, people)
    again = runbook("run", "down.lua", "--no-input")
    assert continued(again) == [os.path.basename(first.run_dir)] and again.code == 5, again
    sandbox.write("down.lua", RESOLVED % ("", "1s"))
    assert runbook("run", "down.lua").code == 0
    assert [(alert["status"], alert["opened"]) for alert in people.alerts.values()] == [("resolved", 1)]


def age(run_dir, hours):
    for name in ("journal.jsonl", "escalation.jsonl"):
        os.utime(f"{run_dir}/{name}", (time.time() - hours * 3600,) * 2)


@pytest.mark.parametrize("how", ["acknowledged", "long ago", "parameters"])
def test_an_incident_that_is_over_is_not_continued(runbook, sandbox, people, how):
    """What was told of it must not silence a new one. Broken by: of_unwatched without is_settled; candidate without is_recent."""
    first = left_after_its_levels(runbook, sandbox, people)
    if how == "acknowledged":
        with open(first.run_dir + "/inbox/1764182018000-ack.json", "w") as word:
            json.dump({"action": "ack", "by": "somebody", "at": time.time()}, word)
    elif how == "long ago":
        age(first.run_dir, 4.1)
    more = ["-p", "shard=b"] if how == "parameters" else []
    second = runbook("run", "down.lua", "--no-input", *more)
    assert not continued(second) and wait_for(lambda: len(people.alerts) == 2), second


def test_the_report_of_a_run_that_was_left_is_told_the_rest(runbook, sandbox, people):
    """Broken by: commands/escalate.lua without tell_report; predecessor.lua without it."""
    first = left_after_its_levels(runbook, sandbox, people)
    second = runbook("run", "down.lua", "--no-input")
    with open(first.run_dir + "/report.md") as file:
        rest = file.read().split("## Since this report was written\n")[1].strip().split("\n")
    assert len(rest) == 2 and "level 1 of the escalation: the on-call engineer was paged (pagerduty: 202" in rest[0], rest
    assert rest[1].endswith(f"run {os.path.basename(second.run_dir)} goes on with it"), rest
    assert runbook("verify", os.path.basename(first.run_dir)).code == 0
    assert os.stat(first.run_dir + "/report.md").st_mode & 0o777 == 0o600


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
