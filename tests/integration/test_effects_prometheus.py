"""The prometheus family on a real Prometheus: tests/stdlib/prometheus_test.lua entry by entry, and in runs here."""

import os

import pytest

from lab.process import wait_for
from lab.program import ROOT

SCRIPT = """
runbook { title = "Measures" }
local p = params { prometheus = { "", "the server" } }
local one = probe("Known", function()
  check("up", prometheus.query('up{job="prometheus"}', { url = p.prometheus }).value == 1, { fault = "down" })
  check("always", prometheus.alerts("AlwaysFiring", { url = p.prometheus }).firing == 0, { fault = "firing" })
end)
local two = probe("Unknown", function()
  check("errors", prometheus.query("vector(0) / 0", { url = p.prometheus }).value, "<", 0.1, { fault = "errors" })
end)
one()
two()
return unresolved "looked"
"""


@pytest.fixture
def scraped(prometheus_server):
    """It has looked at itself, and evaluated its rules, once."""
    def known(expression):
        return [sample["value"][1] for sample in prometheus_server.query(expression)] == ["1"]
    wait_for(lambda: known('up{job="prometheus"}') and known('ALERTS{alertname="AlwaysFiring"}'), "a first scrape")
    return prometheus_server


def test_every_entry(sandbox, scraped, closed_port):
    test = os.path.join(ROOT, "tests", "stdlib", "prometheus_test.lua")
    result = sandbox.run("luahost", test, scraped.url, closed_port)
    assert result.code == 0, result


def test_in_a_run(runbook, sandbox, scraped):
    """A ratio of nothing is unknown: neither a fault nor health."""
    result = runbook("run", sandbox.write("measures.lua", SCRIPT), "-p", f"prometheus={scraped.url}", "--dry-run")
    assert result.code == 0, result
    ended = {event["probe"]: event for event in result.events("probe.ended")}
    assert ended["Known"]["state"] != "unknown" and ended["Unknown"]["state"] == "unknown", result
    told = [event for event in result.events("effect.outcome") if event["line"].startswith("prometheus.query")]
    assert told[0]["line"] == f"""prometheus.query up{{job="prometheus"}} url={scraped.url}"""
