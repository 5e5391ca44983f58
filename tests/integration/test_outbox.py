"""Every step, everybody: all steps of a level are on disk before the first attempt, attempts stand side by side, and what takes
a page back waits behind it. PagerDuty, Slack and the webhook are imitated; the watchdog and its children are real."""

import glob
import json
import os
import subprocess

import pytest

from lab.people import HEAD, people, wait_for
from lab.program import executable

UNRESOLVED = HEAD.replace('"2s"', '"15m"') + 'return unresolved "nothing helped"'
LATER = 'wait_until("x", { within = "%ds", every = "1s" }, function() return false end)\nreturn resolved "fine again"'


def entries(run_dir):
    """{file name: content} of a run's outbox."""
    return {os.path.basename(path): json.load(open(path)) for path in glob.glob(run_dir + "/outbox/*")}


def pages(pagerduty, action="trigger"):
    return [request.json for request in pagerduty.requests if request.json["event_action"] == action]


def test_two_pagers_of_one_kind_are_two(runbook, sandbox, people):
    """Broken by: name_of without the instance."""
    config = open(sandbox.folder + "/runbook.config.lua").read()
    second = "f" * 32
    sandbox.env["SECOND_KEY"] = second
    pager = '{ "pagerduty", routing_key = secret "%s", url = "' + people.url + '" }'
    sandbox.write("runbook.config.lua", config.replace(pager % "PAGERDUTY_KEY", "{ " + pager % "PAGERDUTY_KEY" + ", "
                                                       + pager % "SECOND_KEY" + " }"))
    people.fail_next(1, status=500)
    sandbox.write("down.lua", UNRESOLVED)
    result = runbook("run", "down.lua")
    assert wait_for(lambda: {key for key, _ in people.alerts} == {people.routing_key, second}), result
    assert all(alert["opened"] == 1 for alert in people.alerts.values())


def test_a_busy_pager_holds_up_nobody(runbook, sandbox, people, slack, webhook):
    """Broken by: post.send that waits for Retry-After itself; attempts one after another."""
    people.fail_next(100, status=429, retry_after=60)
    sandbox.write("down.lua", UNRESOLVED)
    result = runbook("run", "down.lua")
    assert slack.texts("team-lead") and webhook.requests, result
    assert webhook.requests[0].at - people.requests[0].at < 5, "nobody waits for the pager"
    assert len(pages(people)) == 1, "Retry-After is obeyed"
    assert "NOT DELIVERED yet" in result.stdout and "+49 30 1234567" in result.stdout


def test_all_steps_are_on_disk_before_the_first_attempt(runbook, sandbox, people, webhook):
    """Broken by: outbox.queue that tries at once."""
    seen = []
    answer = people.answer
    people.answer = lambda *rest: (seen.append(sorted(os.listdir(sandbox.runs()[-1] + "/outbox"))), answer(*rest))[1]
    sandbox.write("down.lua", UNRESOLVED)
    runbook("run", "down.lua")
    queued = [name for name in seen[0] if name.endswith(".json")]
    assert [name.rsplit("-", 2)[1] for name in queued].count("slack") == 2 and len(queued) == 4, seen[0]
    incident, = [request.json for request in webhook.requests]
    assert incident["channel"]["id"].startswith("C") and incident["page"]["id"].startswith("runbook/")


def test_a_refused_message_neither_fails_the_level_nor_pages_twice(runbook, sandbox, people, slack):
    """Broken by: outbox.verdict that counts a refused message as nobody."""
    slack.error_next("not_in_channel", method="chat.postMessage")
    sandbox.write("down.lua", UNRESOLVED)
    result = runbook("run", "down.lua")
    assert len(pages(people)) == 1 and "the API answers" in pages(people)[0]["payload"]["summary"]
    assert "NOT TOLD: #team-lead, by slack: Slack says not_in_channel" in result.stdout, result


def test_a_level_that_breaks_after_its_page_pages_once(runbook, sandbox, people, slack):
    """Broken by: commands/escalate.lua that raises what a level raised, whoever was told."""
    broken = "  if (run.findings[1] or ''):find '^Health' then error 'broken' end\n  local channel"
    script = UNRESOLVED.replace("  local channel", broken)
    sandbox.write("down.lua", script)
    result = runbook("run", "down.lua")
    assert result.code == 1 and slack.texts("team-lead"), result
    event, = pages(people)
    assert "could not be carried out" not in event["payload"]["summary"]


@pytest.mark.parametrize("failures", [0, 1], ids=["taken", "not taken"])
def test_a_resolve_stands_behind_its_trigger(runbook, sandbox, people, failures):
    """A page that was tried may have been taken, whatever came back: it is not sent again, and its resolve follows. Broken by:
    outbox_work of watchdog.c without script_runs."""
    people.timeout_next(failures)
    sandbox.write("down.lua", HEAD + LATER % 6)
    result = runbook("run", "down.lua")
    assert result.code == 0 and "the page is resolved too: done" in result.stdout, result
    trigger, resolve = people.requests
    assert [request.json["event_action"] for request in (trigger, resolve)] == ["trigger", "resolve"]
    assert not failures or resolve.at - trigger.at > 9, "an attempt under way is waited for to its end"


def test_what_nobody_was_told_yet_is_dropped_at_a_resolved_end(runbook, sandbox, people):
    """Broken by: outbox.flush that tries what was never tried although the incident is over."""
    sandbox.write("down.lua", HEAD.replace('"2s"', '"15m"') + 'return resolved "fine"')
    folder = runbook("run", "down.lua").run_dir
    record = {"step": "page", "args": {"summary": "late"}, "key": "runbook/x/1", "backend": "pagerduty", "instance": 1}
    for name, attempts in (("a", 0), ("b", 1)):
        with open(f"{folder}/outbox/{name}.json", "w") as file:
            json.dump({**record, "key": "runbook/x/" + name, "attempts": attempts}, file)
    with open(folder + "/outbox/over.json", "w") as file:
        json.dump({"text": "Resolved: x", "keys": []}, file)
    secret = people.routing_key.encode()
    read, write = os.pipe()
    os.write(write, b"PAGERDUTY_KEY %d\n%s" % (len(secret), secret))
    os.close(write)
    process = subprocess.Popen([executable("runbook"), "_deliver", folder], env=sandbox.env, preexec_fn=lambda: os.dup2(read, 3),
                               close_fds=False)
    assert process.wait(30) == 0
    actions = [(request.json["event_action"], request.json["dedup_key"]) for request in people.requests]
    assert actions == [("resolve", "runbook/x/b")]
    assert "dropped" in entries(folder)["a.done"]


def test_a_doctor_sends_a_page_and_a_message_for_real(runbook, sandbox, people, slack):
    """Marked as a test, and the page is resolved; without --page nobody is told. Broken by: send_page without its end."""
    sandbox.write("down.lua", UNRESOLVED)
    assert runbook("doctor", "down.lua").code == 0 and not people.alerts and not slack.texts("team-lead")
    result = runbook("doctor", "down.lua", "--page")
    for words in ("pagerduty took it (202 success)", "slack took it (ok)"):
        assert result.code == 0 and words in result.stdout, result
    alert, = people.alerts.values()
    assert alert["status"] == "resolved" and alert["events"][0]["payload"]["summary"].startswith("TEST")
    assert [text.startswith("TEST") for text in slack.texts("team-lead")] == [True]


def test_a_doctor_says_what_the_services_refused(runbook, sandbox, people, slack):
    slack.error_next("not_in_channel", method="chat.postMessage")
    people.fail_next(2, status=400, body="no such key")     # its address is asked for first
    sandbox.write("down.lua", UNRESOLVED)
    result = runbook("doctor", "down.lua", "--page")
    assert result.code == 6, result
    assert "pagerduty did not take it: HTTP 400: no such key" in result.stdout and "not_in_channel" in result.stdout, result
