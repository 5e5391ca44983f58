"""Laws 8 and 12 through the command line: whatever state the interpreter is in, the on-call engineer is paged once, in
time, with the findings so far. PagerDuty and Slack are imitated, the watchdog and the network are real."""

import os
import signal
import subprocess
import time

import pytest

from lab.people import AFTER, GRACE, HEAD, armed, paged, people, wait_for

def start(sandbox, script):
    sandbox.write("down.lua", HEAD + script)
    began = time.monotonic()
    return sandbox.start("runbook", "run", "down.lua"), began


def test_an_unresolved_end_pages_at_once_and_does_every_step(runbook, sandbox, people, slack, webhook):
    """Long before its time. Broken by: an ending that fires no level; take_fire that leaves the level's time as it is."""
    sandbox.write("down.lua", HEAD.replace('"2s"', '"15m"') + 'return unresolved "nothing helped"')
    result = runbook("run", "down.lua")
    assert result.code == 1, result
    event = paged(people)
    assert "the API answers" in event["payload"]["summary"]
    assert "the on-call engineer was paged" in result.stdout, result
    assert wait_for(lambda: webhook.requests)
    assert any("inc-" in request.body.decode() for request in slack.requests if "create" in request.path)
    assert any("API Down" in text for text in slack.texts("team-lead"))
    assert result.events("escalation.armed") and result.events("escalation.fired")


def test_a_waiting_prompt_does_not_hold_the_page_back(runbook_tty, sandbox, people):
    sandbox.write("down.lua", HEAD + 'confirm("restart it?", { within = "60s" })\nreturn unresolved "no"')
    terminal = runbook_tty("run", "down.lua")
    terminal.expect("yes or no")
    event = paged(people)
    assert event["dedup_key"].startswith("runbook/")
    terminal.sendline("no")
    assert terminal.finish().code == 1
    paged(people)


@pytest.mark.parametrize("script", [
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    'return ("a"):rep(40):find(("a*"):rep(40) .. "b")',
    'wait_until("never", { within = "60s", every = "1s" }, function() return false end)',
], ids=["spins", "spins behind pcall", "stuck in C", "waits"])
def test_a_busy_interpreter_is_paged_around(sandbox, people, script):
    process, began = start(sandbox, script)
    event = paged(people)
    assert time.monotonic() - began >= AFTER - 0.5
    assert "the API answers" in event["payload"]["summary"]
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_or_stopped_interpreter_is_paged_around(sandbox, people, number):
    process, _ = start(sandbox, 'wait_until("never", { within = "60s", every = "1s" }, function() return false end)')
    assert wait_for(lambda: armed(sandbox))
    time.sleep(0.3)
    process.send_signal(number)
    event = paged(people)
    assert "the API answers" in event["payload"]["summary"]
    process.kill()
    process.wait()


@pytest.mark.parametrize("broken", [
    'error "broken"',
    "while true do end",
    "escalate.page { summary = run.nothing.at.all }",
])
def test_a_broken_level_brings_the_built_in_page(sandbox, people, broken):
    """The rehearsal must pass, so these break only when some time has passed, which is in the real thing."""
    script = HEAD.replace("local page =", "if run.elapsed ~= '00:00' then " + broken + " end\n  local page =")
    sandbox.write("down.lua", script + 'wait_until("never", { within = "90s" }, function() return false end)')
    process = sandbox.start("runbook", "run", "down.lua")
    assert wait_for(lambda: people.alerts, 80 if "while" in broken else AFTER + GRACE)
    event = paged(people)
    assert "the API answers" in str(event["payload"])
    process.kill()
    process.wait()


@pytest.mark.parametrize("left", ["chat", "incident"])
def test_without_a_pager_the_built_in_page_goes_where_the_level_tells(runbook, sandbox, people, slack, webhook, left):
    """Broken by: backends.built_in_requests that knows #general alone, or that ends with the chat."""
    config = open(sandbox.folder + "/runbook.config.lua").read().split("\n")
    kept = [line for line in config if not line.startswith("  pager") and (left == "chat" or not line.startswith("  chat"))]
    sandbox.write("runbook.config.lua", "\n".join(kept))
    broken = "if (run.findings[1] or ''):find '^Health' then error 'broken' end\n  local page ="
    sandbox.write("down.lua", HEAD.replace("local page =", broken).replace('"2s"', '"15m"') + 'return unresolved "x"')
    runbook("run", "down.lua")
    if left == "chat":
        assert wait_for(lambda: slack.texts("team-lead")) and "could not be carried out" in slack.texts("team-lead")[0]
    else:
        assert wait_for(lambda: webhook.requests) and webhook.requests[0].json["title"].startswith("API Down: Health: not so")
        assert "could not be carried out" in webhook.requests[0].json["text"]


def test_a_level_that_fails_its_rehearsal_is_refused(runbook, sandbox, people):
    sandbox.write("down.lua", HEAD.replace("local page =", "error 'typo'\n  local page ="))
    result = runbook("run", "down.lua")
    assert result.code == 6 and "rehearsal" in result.stderr, result
    assert not people.alerts


def test_a_missing_secret_is_refused_before_the_first_probe(runbook, sandbox, people):
    del sandbox.env["PAGERDUTY_KEY"]
    sandbox.write("down.lua", HEAD)
    result = runbook("run", "down.lua")
    assert result.code == 6 and "PAGERDUTY_KEY" in result.stderr, result
    assert not result.events("probe.started")


def test_resolved_in_time_pages_nobody(runbook, sandbox, people, http_faults):
    sandbox.write("down.lua", HEAD + 'return resolved "fine again"')
    assert runbook("run", "down.lua").code == 0
    time.sleep(AFTER + 1)
    assert not people.requests


def test_resolved_after_the_page_resolves_it(runbook, sandbox, people):
    sandbox.write("down.lua", HEAD + 'wait_until("x", { within = "6s", every = "1s" }, function() return false end)\n'
                                     'return resolved "fine again"')
    result = runbook("run", "down.lua")
    assert result.code == 0, result
    assert [alert["status"] for alert in people.alerts.values()] == ["resolved"]


def test_resolved_after_the_page_says_so_in_the_channel(runbook, sandbox, people, slack, webhook):
    """Broken by: arming.settle without tell_resolved."""
    sandbox.write("down.lua", HEAD + 'wait_until("x", { within = "7s", every = "1s" }, function() return false end)\n'
                                     'return resolved "fine again"')
    result = runbook("run", "down.lua")
    channel = "inc-" + os.path.basename(result.run_dir)
    for name in ("team-lead", channel):
        last = slack.texts(name)[-1]
        assert last.startswith("Resolved: API Down, fine again, 00:0") and os.path.basename(result.run_dir) in last, result
    assert "told that it is over: " in result.stdout and "#team-lead" in result.stdout


def test_an_acknowledgement_stops_the_later_level(runbook, sandbox, people):
    process, _ = start(sandbox, 'wait_until("never", { within = "8s", every = "1s" }, function() return false end)')
    assert wait_for(lambda: armed(sandbox))
    assert runbook("ack", "last").code == 0
    time.sleep(AFTER + 1)
    assert not people.alerts
    process.kill()
    process.wait()


def test_a_killed_watchdog_is_started_again(sandbox, people):
    process, _ = start(sandbox, 'wait_until("never", { within = "60s", every = "1s" }, function() return false end)')
    assert wait_for(lambda: armed(sandbox))
    os.kill(int(open(sandbox.runs()[-1] + "/watchdog.lock").read().split()[0]), signal.SIGKILL)
    paged(people)
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.limit(120)
def test_a_stopped_watchdog_is_replaced(sandbox, people):
    """Its process is there; that it works it must say. Broken by: a guard that looks at `alive` alone."""
    script = HEAD.replace('"2s"', '"4s"') + 'wait_until("never", { within = "90s", every = "1s" }, function() return false end)'
    sandbox.write("down.lua", script)
    process = sandbox.start("runbook", "run", "down.lua")
    assert wait_for(lambda: armed(sandbox))
    first = int(open(sandbox.runs()[-1] + "/watchdog.lock").read().split()[0])
    os.kill(first, signal.SIGSTOP)
    assert wait_for(lambda: people.alerts, 60)
    paged(people)
    assert not os.path.exists(f"/proc/{first}")
    process.kill()
    process.wait()


def watchdog_of(sandbox):
    """The pid of the newest run's watchdog, from the moment on at which there is one."""
    def pid():
        try:
            with open(sandbox.runs()[-1] + "/watchdog.lock") as lock:
                return int(lock.read().split()[0])
        except (IndexError, OSError, ValueError):
            return None
    assert wait_for(pid)
    return pid()


def test_a_watchdog_that_is_ended_while_it_pages_is_replaced(sandbox, people):
    """At the end of the run, whose screen promised that it keeps trying. Broken by: arming.wait_for without `fires`."""
    people.timeout_next()
    sandbox.write("down.lua", HEAD.replace('"2s"', '"15m"') + 'return unresolved "nothing helped"')
    process = sandbox.start("runbook", "run", "down.lua", stdout=subprocess.PIPE)
    assert wait_for(lambda: people.requests), "the first attempt, which nobody answers"
    os.kill(watchdog_of(sandbox), signal.SIGTERM)
    said = process.communicate(timeout=60)[0].decode()
    paged(people)
    assert process.returncode == 1 and "the on-call engineer was paged" in said, said


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
@pytest.mark.parametrize("when", ["at its start", "once armed"])
def test_a_watchdog_that_is_lost_in_a_short_run_is_replaced(sandbox, people, number, when):
    """Nobody looks after it once the run is over. Broken by: arming.settle without look_a_last_time; arm() that refuses for a
    broken pipe; rehearse_there that waits for one that was stopped."""
    sandbox.write("down.lua", HEAD.replace('"2s"', '"15m"') + 'return unresolved "nothing helped"')
    process = sandbox.start("runbook", "run", "down.lua")
    pid = watchdog_of(sandbox)
    assert when == "at its start" or wait_for(lambda: armed(sandbox))
    os.kill(pid, number)
    paged(people)
    process.kill()
    process.wait()


@pytest.mark.parametrize("end", ['resolved "fine"', 'error "x"'])
def test_a_stopped_watchdog_does_not_page_when_it_goes_on_after_the_end(sandbox, people, end):
    """Broken by: stop() that only tells it."""
    sandbox.write("down.lua", HEAD.replace('"2s"', '"3s"') + f'exec({{ "sleep", "1" }}, {{ reads = true }}) return {end}')
    process = sandbox.start("runbook", "run", "down.lua")
    assert wait_for(lambda: armed(sandbox))
    pid = watchdog_of(sandbox)
    os.kill(pid, signal.SIGSTOP)
    process.communicate(timeout=30)
    assert not os.path.exists(f"/proc/{pid}"), "it is ended, or it would page"
    assert end.startswith("error") or not people.alerts


def test_an_older_alert_is_paged_for_at_the_scripts_time(runbook, sandbox, people):
    """Broken by: a level that stands in without GUARD_SECONDS, or under the number of one of the script's."""
    sandbox.write("down.lua", HEAD.replace('"2s"', '"2h"') + 'exec({ "sleep", "2" }, { reads = true })\nreturn resolved "fine"')
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1800))
    result = runbook("run", "down.lua", "--alert-started", since)
    assert result.code == 0 and not people.requests, result
    assert [round(level["after"], -2) for level in result.events("escalation.armed")[0]["levels"]] == [5400]


def test_ctrl_c_leaves_the_escalation_armed(runbook_tty, sandbox, people):
    sandbox.write("down.lua", HEAD + 'wait_until("never", { within = "60s" }, function() return false end)')
    terminal = runbook_tty("run", "down.lua")
    terminal.expect("waiting until never")
    terminal.interrupt()
    result = terminal.finish()
    assert result.code == 4 and "runbook ack" in result.stdout and "runbook abort" in result.stdout, result
    paged(people)


def test_without_a_pager_a_page_is_never_called_done(runbook, sandbox):
    sandbox.write("runbook.config.lua", 'return { contacts = { "on-call: +49 30 1234567" } }')
    sandbox.write("down.lua", HEAD + 'return unresolved "nothing helped"')
    result = runbook("run", "down.lua")
    assert result.code == 1 and "NOT DELIVERED" in result.stdout and "+49 30 1234567" in result.stdout, result


@pytest.mark.parametrize("failure", ["429", "500", "refused", "timeout after success"])
def test_a_failing_pager_is_tried_again(runbook, sandbox, people, failure):
    if failure == "429":
        people.fail_next(1, status=429, retry_after=1)
    elif failure == "500":
        people.fail_next(2, status=500)
    elif failure == "refused":
        people.stop()
    else:
        people.timeout_after_success(1)
    sandbox.write("down.lua", HEAD + 'return unresolved "nothing helped"')
    result = runbook("run", "down.lua")
    assert result.code == 1
    if failure == "refused":
        assert not people.alerts and "NOT DELIVERED" in result.stdout, result
        people.start()
    assert wait_for(lambda: people.alerts, 45)
    paged(people)


def test_slack_refusals_in_a_200_are_failures(runbook, sandbox, people, slack):
    slack.error_next("not_in_channel", method="chat.postMessage")
    sandbox.write("down.lua", HEAD + 'return unresolved "nothing helped"')
    result = runbook("run", "down.lua")
    paged(people)
    assert not slack.texts("team-lead")
    outbox = os.path.join(result.run_dir, "outbox")
    assert wait_for(lambda: any("not_in_channel" in open(os.path.join(outbox, name)).read()
                                for name in os.listdir(outbox)))


def test_no_secret_in_the_run_directory(runbook, sandbox, people, slack):
    sandbox.write("down.lua", HEAD + 'return unresolved "nothing helped"')
    result = runbook("run", "down.lua")
    paged(people)
    for folder, _, names in os.walk(result.run_dir):
        for name in names:
            data = open(os.path.join(folder, name), "rb").read()
            assert people.routing_key.encode() not in data and slack.token.encode() not in data, name


def test_a_module_that_only_a_level_requires_is_there_for_it(sandbox, runbook, people):
    """Broken by: arm_levels that writes the manifest before the rehearsal."""
    sandbox.write("words.lua", 'return { of = function(run) return "in our own words: " .. run.headline end }')
    sandbox.write("lazy.lua", """runbook { title = "Lazy", severity = "critical" }
escalation("1h", function(run) escalate.page { summary = require("words").of(run), severity = run.severity } end)
local look = probe("Health", function() check("it is up", false, { fault = "down" }) end)
look()
return unresolved "x"
""")
    assert runbook("run", "lazy.lua").code == 1
    assert paged(people)["payload"]["summary"].startswith("in our own words: Lazy"), people.alerts


def test_the_level_that_stands_in_is_not_called_by_its_number(runbook, sandbox, people):
    """The script failed before its levels were armed. Broken by: a view or report that says "level 16"."""
    sandbox.write("down.lua", 'runbook { title = "Down" }\nescalation { "15m" }')
    result = runbook("run", "down.lua")
    report = open(os.path.join(result.run_dir, "report.md")).read()
    level = "the escalation before the script's own levels"
    assert result.code == 3 and level + " is being carried out: failed" in result.stdout, result
    assert level + " is due" in report and "level 16" not in report + result.stdout, report
    paged(people)
