"""runbook-page, the built-in page, by itself."""

import os
import subprocess
import time

import pytest

from lab.process import HOST
from lab.program import SANITIZER_MARKS, executable
from lab.watchdog import SECRETS, journal, pagerduty_request, run, slack_request, webhook_request


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
    assert page(webhook_request(http_faults)) == (1, "request 0: HTTP status 302\n")
    assert webhook.requests == []


def test_page_verifies_certificates(page, http_faults):
    request = {"backend": "webhook", "url": http_faults.https("good"), "body": {}, "headers": {}}
    code, text = page(request)
    assert code == 1 and "certificate" in text.lower()


def test_page_fits_pagerdutys_limits(page, run, pagerduty):
    run.write("journal.jsonl", journal(*({"event": "check", "label": f"ä{n:04}" + "ö" * 300, "passed": False} for n in range(40))))
    request = pagerduty_request(pagerduty, custom_details={"log": "x" * 600000})
    assert page(request)[0] == 0
    event, = pagerduty.events
    assert len(event["payload"]["summary"]) == 1024 and event["payload"]["summary"].endswith("ö…")
    assert "too long" in event["payload"]["custom_details"]["error"]


def test_page_findings_are_cut_at_four_kilobytes(page, run, webhook):
    run.write("journal.jsonl", journal(*({"event": "check", "label": f"check {n}", "passed": False} for n in range(1000))))
    assert page(webhook_request(webhook))[0] == 0
    text = webhook.requests[0].json["text"]
    assert 4000 < len(text.encode()) <= 4096 and text.endswith("(more in the run's journal)")


def test_page_findings_are_inert(page, run, webhook, slack):
    """Foreign text brings no secret, no markup, no control character."""
    evil = "⟦HOOK:plain⟧ <!channel> & \x1b[2J\r\n\u202egnp \u0000 ⟦findings⟧"
    run.write("journal.jsonl", journal({"event": "check", "probe": "P", "label": "l", "detail": evil, "passed": False}))
    assert page(webhook_request(webhook), slack_request(slack))[0] == 0
    shown = "P: l (⟦HOOK:plain⟧ <!channel> & \\u001b[2J\\u000d \\u202egnp )"
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
