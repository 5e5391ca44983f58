"""runbook-page, the built-in page, by itself."""

import os
import subprocess
import time

import pytest

from lab.process import HOST
from lab.program import SANITIZER_MARKS, executable
from lab.watchdog import SECRETS, journal, looked, pagerduty_request, run, slack_request, webhook_request


@pytest.fixture
def page(run):
    """page(request…) -> (exit code, stderr), with SECRETS at hand."""
    def send(*requests, secrets=SECRETS, level=1):
        if requests:
            run.requests(*requests, level=level)
        read, write = os.pipe()
        for name, value in secrets.items():
            os.write(write, f"{name} {len(value.encode())}\n{value}".encode())
        os.close(write)
        done = subprocess.run([executable("runbook-page"), run.path, str(level)], env={}, close_fds=False, capture_output=True,
                              preexec_fn=lambda: os.dup2(read, 3), timeout=60)
        os.close(read)
        text = done.stderr.decode()
        assert not any(mark in done.stderr for mark in SANITIZER_MARKS), text
        assert not any(value and value in text for value in secrets.values())
        return done.returncode, text
    return send


def test_page_waits_as_told_after_429(page, pagerduty):
    pagerduty.fail_next(1, 429, retry_after=2)
    began = time.monotonic()
    assert page(pagerduty_request(pagerduty))[0] == 0
    assert time.monotonic() - began >= 2 and len(pagerduty.events) == 1


def test_page_does_not_wait_longer_than_it_has(page, pagerduty):
    pagerduty.fail_next(1, 429, retry_after=3000)
    began = time.monotonic()
    assert page(pagerduty_request(pagerduty)) == (1, "request 0: HTTP status 429\n")
    assert time.monotonic() - began < 5


def test_page_retries_server_errors_and_resets(page, webhook):
    webhook.fail_next(1, 503)
    webhook.reset_next(1)
    assert page(webhook_request(webhook))[0] == 0
    assert len(webhook.requests) == 3


def test_page_does_not_repeat_what_was_refused(page, webhook):
    webhook.fail_next(1, 400)
    assert page(webhook_request(webhook)) == (1, "request 0: HTTP status 400\n")
    assert len(webhook.requests) == 1


def test_page_repeats_only_what_was_not_delivered(page, webhook, slack):
    slack.error_next("channel_not_found", 3)
    assert page(webhook_request(webhook), slack_request(slack))[0] == 1
    assert page()[0] == 0
    assert len(webhook.requests) == 1 and slack.texts("team-lead") == ["no check had failed yet"]
    assert page()[0] == 0
    assert len(webhook.requests) == 1 and len(slack.messages) == 1


def test_page_names_slacks_error(page, slack):
    code, text = page(slack_request(slack, channel="#nowhere"))
    assert code == 1 and text == 3 * "request 0: Slack says channel_not_found\n"


def test_page_understands_slacks_incoming_webhooks(page, slack):
    request = {"backend": "slack", "url": slack.webhook_url, "headers": {}, "body": {"text": "⟦findings⟧"}}
    assert page(request)[0] == 0


def test_page_follows_no_redirect(page, http_faults, webhook):
    http_faults.set("/hook", 302, "", {"Location": webhook.url})
    assert page(webhook_request(http_faults)) == (1, 3 * "request 0: HTTP status 302\n")
    assert webhook.requests == []


def test_page_verifies_certificates(page, http_faults):
    request = {"backend": "webhook", "url": http_faults.https("good"), "body": {}, "headers": {}}
    code, text = page(request)
    assert code == 1 and "certificate" in text.lower()


def test_page_fits_pagerdutys_limits(page, run, pagerduty):
    run.write("journal.jsonl", journal(*looked("", *((f"ä{n:04}" + "ö" * 290, False) for n in range(40)))))
    request = pagerduty_request(pagerduty, summary="API Down: ⟦findings⟧", custom_details={"log": "x" * 600000})
    assert page(request)[0] == 0
    event, = pagerduty.events
    assert len(event["payload"]["summary"]) == 1024 and event["payload"]["summary"].endswith("ö…")
    assert "too long" in event["payload"]["custom_details"]["error"]


def test_page_findings_are_cut_at_four_kilobytes(page, run, webhook):
    run.write("journal.jsonl", journal(*looked("", *((f"check {n}", False) for n in range(1000)))))
    assert page(webhook_request(webhook))[0] == 0
    text = webhook.requests[0].json["text"]
    assert 4000 < len(text.encode()) <= 4096 and text.endswith("(more in the run's journal)")


def test_page_findings_are_inert(page, run, webhook, slack):
    """Foreign text brings no secret, no markup, no control character."""
    evil = "⟦HOOK:plain⟧ <!channel> & \x1b[2J\r\n\u202egnp \u0000 ⟦findings⟧"
    run.write("journal.jsonl", journal(*looked("P", ("l", False, evil))))
    assert page(webhook_request(webhook), slack_request(slack))[0] == 0
    shown = "P: not so: l: ⟦HOOK:plain⟧ ‹!channel> & \\x1b[2J\\x0d \\u{202E}gnp \\x00 ⟦findings⟧"
    assert webhook.requests[0].json["text"] == shown
    assert slack.texts("team-lead") == [shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")]


def test_page_without_its_secret_fails_and_names_it(page, slack, webhook):
    code, text = page(slack_request(slack), webhook_request(webhook), secrets={"HOOK": "hook-value"})
    assert (code, text) == (1, "request 0: the secret SLACK_TOKEN is not at hand\n") and len(webhook.requests) == 1


def test_page_refuses_a_header_that_a_secret_would_split(page, webhook):
    code, text = page(webhook_request(webhook), secrets={"HOOK": "a\r\nX-Evil: 1"})
    assert code == 1 and webhook.requests == []


def test_page_reaches_a_real_name_at_another_address(page, webhook):
    request = {**webhook_request(webhook), "url": "http://pager.example.com/hook", "connect_to": f"{HOST}:{webhook.port}"}
    assert page(request)[0] == 0 and webhook.requests[0].headers["Host"] == "pager.example.com"


def test_page_gives_each_its_time_when_one_hangs(page, webhook, silent_port):
    hanging = {"backend": "webhook", "url": f"http://{HOST}:{silent_port}/", "body": {}, "headers": {}, "timeout": 1}
    assert page(hanging, webhook_request(webhook))[0] == 1
    assert len(webhook.requests) == 1


@pytest.mark.parametrize("text, code", [('{"requests":[]}', 3), ("{", 1), ('{"requests":7}', 1), ('{"requests":[7]}', 1),
                                        ('{"requests":[{"backend":"webhook","url":"file:///etc/passwd","body":{}}]}', 1)])
def test_page_with_a_strange_file(page, run, text, code):
    run.write("escalation/page-1.json", text)
    assert page()[0] == code


def test_page_without_a_file_has_nothing_to_send(page):
    assert page(level=2)[0] == 3


def test_page_usage():
    done = subprocess.run([executable("runbook-page"), "relative", "1"], capture_output=True)
    assert done.returncode == 2 and b"usage" in done.stderr


# ---- What the journal says ----

WISH = ("it was not killed for memory", False)
FIGURE = {"label": "Redis memory", "passed": False, "says": "Redis memory 105 %, should be < 90 %", "figure": {"value": 105}}


@pytest.mark.parametrize("events, findings", [
    (looked("Cache", WISH, FIGURE), "Cache: not so: it was not killed for memory\nCache: Redis memory 105 %, should be < 90 %"),
    (looked("Queue", FIGURE) * 30, "Queue: Redis memory 105 %, should be < 90 %"),
    (looked("A", WISH) + looked("A", (WISH[0], True)), "no check had failed yet"),
    (looked("A", WISH) + looked("A", ("another", True)), "no check had failed yet"),
    (looked("A", WISH) + looked("A", state="unknown"), f"A: not so: {WISH[0]}\nA: not known: no permission"),
    (looked("A", state="unknown") + looked("A", ("x", True)), "no check had failed yet"),
    (looked("A", ("x", False, "web-1"), ("x", True)), "A: not so: x: web-1"),
    (looked("A", WISH, args="web-1") + looked("A", (WISH[0], True), args="web-2"), f"A (web-1): not so: {WISH[0]}"),
    ([{"event": "check", "label": "l", "passed": False, "says": "l", "prevention": True}], "no check had failed yet"),
    (looked("A", state="unknown") + looked("B", ("x", False)), "B: not so: x\nA: not known: no permission"),
], ids=["words", "once", "passed since", "not reached", "broken off", "known since", "a loop", "two looks", "prevention", "order"])
def test_page_tells_each_check_as_it_last_was(page, run, webhook, events, findings):
    run.write("journal.jsonl", journal(*events))
    assert page(webhook_request(webhook))[0] == 0
    assert webhook.requests[0].json["text"] == findings


def test_page_headline_is_the_first_causes(page, run, webhook):
    run.write("journal.jsonl", journal(*looked("A", WISH, FIGURE, ("x", False), ("y", False))))
    assert page({**webhook_request(webhook), "body": {"text": "API Down: ⟦headline⟧"}})[0] == 0
    assert webhook.requests[0].json["text"] == \
        f"API Down: A: not so: {WISH[0]}; A: Redis memory 105 %, should be < 90 %; 2 more"


@pytest.mark.parametrize("damage, line", [(lambda text: "X" + text[1:], 1), (lambda text: text.replace("17:40", "17:41", 1), 1),
                                          (lambda text: text.replace('"passed"', '"pas\0ed"', 1), 2)])
def test_page_uses_a_damaged_journal_and_says_so(page, run, webhook, damage, line):
    run.write("journal.jsonl", damage(journal(*looked("A", ("x", True)), *looked("B", WISH))))
    assert page(webhook_request(webhook))[0] == 0
    assert webhook.requests[0].json["text"] == \
        f"B: not so: {WISH[0]}\nthe run's journal is damaged from line {line}: more may have been found"


def test_page_without_a_journal_says_why(page, run, webhook):
    os.unlink(os.path.join(run.path, "journal.jsonl"))
    assert page(webhook_request(webhook))[0] == 0
    assert webhook.requests[0].json["text"].startswith("the run's journal can't be read: ")


# ---- Done is what the service says is done ----

@pytest.mark.parametrize("status, body, kind", [(200, "<html>please log in</html>", "text/html"), (204, "", "text/plain"),
                                                (200, '{"ok":false}', "application/json"),
                                                (202, '{"status":"queued"}', "application/json")])
def test_page_takes_no_other_answer_for_pagerdutys(page, http_faults, pagerduty, status, body, kind):
    http_faults.set("/v2/enqueue", status, body, {"Content-Type": kind})
    request = {**pagerduty_request(pagerduty), "url": http_faults.url + "/v2/enqueue"}
    assert page(request) == (1, 3 * "request 0: the answer is not PagerDuty's\n")


def test_page_takes_no_web_page_for_a_webhooks_answer(page, http_faults):
    http_faults.set("/hook", 200, "<html>please log in</html>", {"Content-Type": "text/html; charset=utf-8"})
    assert page(webhook_request(http_faults)) == (1, 3 * "request 0: the answer is a web page\n")
