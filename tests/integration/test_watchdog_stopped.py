"""A stop that comes while the child of a level is at work: what fails afterwards tells nobody."""

import os
import signal

from lab.process import wait_for
from lab.watchdog import SECRETS, SOON, run, webhook_request  # noqa: F401


def test_a_child_that_fails_after_a_stop_pages_nobody(run, webhook):
    """Somebody owns it by now. Broken by: script_ended (watchdog.c) that begins a page without a look at the stop."""
    run.plan(["hang"])
    run.requests(webhook_request(webhook))
    run.arm({1: SOON}, SECRETS)
    wait_for(lambda: run.calls, "the child")
    run.say("stop ack")
    wait_for(lambda: "stopped" in run.story(), "the stop")
    os.kill(run.calls[0]["pid"], signal.SIGKILL)
    run.let_go()
    run.wait_end()
    run.expect(["armed", "fired 1", "stopped", "failed 1 script"])
    assert webhook.requests == []


def test_a_page_that_fails_after_a_stop_is_not_tried_again(run, webhook):
    """Broken by: watchdog_stop that leaves a level as it is between two attempts, and job_work that makes the next one."""
    run.plan([1])
    run.requests(webhook_request(webhook))
    webhook.stop()
    run.arm({1: SOON}, SECRETS)
    run.wait_for("failed 1 built-in")
    run.say("stop ack")
    wait_for(lambda: "stopped" in run.story(), "the stop")
    webhook.start()
    run.let_go()
    run.wait_end()
    assert webhook.requests == []
