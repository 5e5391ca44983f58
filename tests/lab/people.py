"""Whom an escalation tells: imitated PagerDuty, Slack and a webhook, known to a config. The fixture `people` is for test files to
import; it needs sandbox, pagerduty, slack and webhook."""

import os
import time

import pytest

AFTER = 2          # seconds until the level in these runbooks
GRACE = 15         # how much later a page may be seen: sanitized builds on a busy machine
CONFIG = """
return {
  pager = { "pagerduty", routing_key = secret "PAGERDUTY_KEY", url = "%s" },
  chat = { "slack", token = secret "SLACK_TOKEN", url = "%s" },
  incident = { "webhook", url = "%s" },
  contacts = { "on-call: +49 30 1234567" },
}
"""
HEAD = """
runbook { title = "API Down", severity = "critical" }
escalation("2s", function(run)
  local page = escalate.page { summary = run.headline, severity = run.severity, details = run.findings }
  escalate.notify { to = "#team-lead", text = run.report }
  local channel = escalate.channel { name = "inc-" .. run.id, topic = run.headline }
  escalate.incident { title = run.title, severity = run.severity, channel = channel, page = page }
end)
local look = probe("Health", function() check("the API answers", http.get("http://127.0.0.1:1/"), { fault = "down" }) end)
look()
"""


@pytest.fixture
def people(sandbox, pagerduty, slack, webhook):
    """A config that knows whom to tell."""
    sandbox.write("runbook.config.lua", CONFIG % (pagerduty.url, slack.url + "/api", webhook.url))
    sandbox.env.update(PAGERDUTY_KEY=pagerduty.routing_key, SLACK_TOKEN=slack.token)
    slack.channel("team-lead")
    return pagerduty


def wait_for(condition, seconds=AFTER + GRACE):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if condition():
            return True
        time.sleep(0.05)
    return False


def armed(sandbox):
    """Whether the newest run's escalation is armed."""
    journal = sandbox.runs()[-1] + "/journal.jsonl" if sandbox.runs() else ""
    return os.path.exists(journal) and "escalation.armed" in open(journal).read()


def paged(pagerduty):
    """The one alert that is open; more than one page is a failure."""
    assert wait_for(lambda: pagerduty.alerts), "nobody was paged"
    time.sleep(0.5)
    assert len(pagerduty.alerts) == 1 and all(alert["opened"] == 1 for alert in pagerduty.alerts.values())
    return next(iter(pagerduty.alerts.values()))["events"][0]
