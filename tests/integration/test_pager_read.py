"""With a read token an acknowledgement made in the pager stops the later levels, and an answer that can't be had stops nothing."""

import json
import os

import pytest

from lab.people import HEAD, people, wait_for  # noqa: F401 (a fixture)

LEVELS = """
escalation("2s", function(run) escalate.page { summary = "first: " .. run.headline } end)
escalation("5s", function(run) escalate.page { summary = "second: " .. run.headline } end)
"""
SCRIPT = ('runbook { title = "API Down", severity = "critical" }' + LEVELS
          + 'wait_until("never", { within = "90s", every = "1s" }, function() return false end)')


@pytest.fixture
def started(sandbox, people):
    """started() -> a run under way whose config has a read token and whose first level has paged."""
    processes = []

    def start(script=SCRIPT):
        config = open(sandbox.folder + "/runbook.config.lua").read()
        sandbox.write("runbook.config.lua", config.replace('"PAGERDUTY_KEY",', '"PAGERDUTY_KEY", read_token = secret "PD_READ",'
                                                           f' api = "{people.url}",'))
        sandbox.env["PD_READ"] = people.read_token
        sandbox.write("down.lua", script)
        processes.append(sandbox.start("runbook", "run", "down.lua"))
        assert wait_for(lambda: people.alerts), (processes[-1].kill(), processes[-1].communicate())
        return processes[-1]
    yield start
    for process in processes:
        process.kill()
        process.communicate()


def summaries(people):
    return [event["payload"]["summary"].split(":")[0] for event in people.events]


def watched(sandbox):
    with open(sandbox.runs()[-1] + "/escalation.jsonl") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("status", ["acknowledged", "resolved"])
def test_who_took_it_in_the_pager_is_not_paged_again(sandbox, people, started, status):
    """Broken by: commands/escalate.lua without taken_in_pager."""
    process = started()
    people.take(status)
    assert wait_for(lambda: watched(sandbox)[-1]["event"] == "escalation.stopped", 20), watched(sandbox)
    assert watched(sandbox)[-1]["why"] == "pager" and summaries(people) == ["first"]
    key = "runbook%2F" + sandbox.runs()[-1].split("/")[-1] + "%2F1"
    assert people.reads == [("GET", f"/incidents?incident_key={key}")], "one look, when the level is due"
    with open(sandbox.runs()[-1] + "/journal.jsonl") as file:
        wait_for(lambda: "escalation.stopped" in open(file.name).read(), 5)
        told = [json.loads(line) for line in file if '"escalation.stopped"' in line]
    assert [event["text"] for event in told] == [f"{status} in the pager by Ada Example: no later level fires"]
    process.kill()
    assert f"{status} in the pager by Ada Example" in process.communicate()[0].decode()


def test_an_incident_that_nobody_took_is_paged_for_again(people, started):
    started()
    assert wait_for(lambda: summaries(people) == ["first", "second"]) and len(people.reads) == 1


def hangs(handler):
    handler.silence()


ANSWERS = {
    "401": lambda h: h.reply(401, {"error": {"message": "Unauthorized"}}),
    "404": lambda h: h.reply(404, {"error": {"message": "Not Found"}}),
    "429": lambda h: h.reply(429, "later", {"Retry-After": 600}),
    "500": lambda h: h.reply(500, "boom"),
    "hangs": hangs,
    "foreign bytes": lambda h: h.reply(200, b'{"incidents": [{"status": "acknow\xff\xfeledged", "created_at": "\xc3("}]}'),
    "a login page": lambda h: h.reply(200, "<html>acknowledged</html>", {"Content-Type": "text/html"}),
    "a redirect": lambda h: h.reply(302, "", {"Location": "http://127.0.0.1:1/"}),
    "no list": lambda h: h.reply(200, {"incidents": "acknowledged"}),
    "odd items": lambda h: h.reply(200, {"incidents": [None, 1, "x", {"status": "resolved"}, {"status": ["acknowledged"],
                                                       "created_at": "2026"}]}),
    "another key": lambda h: h.reply(200, {"incidents": [{"status": "resolved", "created_at": "2026", "incident_key": "x"}]}),
    "taken before, open anew": lambda h: h.reply(200, {"incidents": [
        {"status": "resolved", "created_at": "2026-11-23T17:40:05Z"},
        {"status": "triggered", "created_at": "2026-11-23T18:40:05Z"}]}),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_can_not_be_had_stops_no_page(people, started, answer):
    """Broken by: a look that lets its error pass; one without a deadline; a status taken by its first letters."""
    people.read_failures = [ANSWERS[answer]] * 3
    started()
    people.take()
    assert wait_for(lambda: summaries(people) == ["first", "second"], 40), people.events
    assert len(people.reads) == 1, "not asked again and again"


def test_a_rest_api_that_is_gone_stops_no_page(sandbox, people, started):
    started_with = sandbox.write
    sandbox.write = lambda name, text: started_with(name, text.replace(f'api = "{people.url}"', 'api = "http://127.0.0.1:1"')
                                                    if isinstance(text, str) else text)
    started()
    people.take()
    assert wait_for(lambda: summaries(people) == ["first", "second"], 30) and not people.reads


def test_without_a_token_nobody_asks(runbook, sandbox, people):
    sandbox.write("down.lua", SCRIPT)
    process = sandbox.start("runbook", "run", "down.lua")
    assert wait_for(lambda: people.alerts)
    people.take()
    assert wait_for(lambda: summaries(people) == ["first", "second"]) and not people.reads
    process.kill()
    process.wait()


def test_the_first_level_has_nothing_to_ask_about(runbook, people, started):
    process = started(HEAD + 'return unresolved "x"')
    process.wait(30)
    assert not people.reads


@pytest.mark.parametrize("token, says", [
    (None, "ok"), ("wrong", "an acknowledgement made in the pager would not be seen: HTTP 401")])
def test_a_doctor_tries_the_token(runbook, sandbox, people, started, token, says):
    started().kill()
    sandbox.env["PD_READ"] = token or people.read_token
    result = runbook("doctor", "down.lua", "--format", "jsonl")
    row, = [json.loads(line) for line in result.stdout.splitlines() if "its read token" in line]
    assert row["state"] == ("ok" if not token else "warning") and says in str(row), row
    assert "wrong" not in result.stdout and people.read_token not in result.stdout


def test_the_token_stands_nowhere_on_disk(runbook, sandbox, people, started):
    started()
    people.take()
    assert wait_for(lambda: watched(sandbox)[-1]["event"] == "escalation.stopped")
    for folder, _, names in os.walk(sandbox.state):
        for name in names:
            assert people.read_token.encode() not in open(os.path.join(folder, name), "rb").read(), name
