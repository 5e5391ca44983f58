"""The prometheus family on a real Prometheus: tests/stdlib/prometheus_test.lua entry by entry, and in runs here."""

import os

import pytest

from lab.process import HOST, wait_for
from lab.program import ROOT
from lab.web import Site

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


class Odd(Site):
    """Answers every question with one text."""

    def __init__(self, body, status=200, headers=()):
        self.body, self.status, self.headers = body, status, headers
        super().__init__()

    def answer(self, handler, request):
        handler.reply(self.status, self.body, self.headers)


@pytest.fixture
def odd():
    sites = []

    def start(*arguments):
        sites.append(Odd(*arguments))
        return sites[-1]
    yield start
    for site in sites:
        site.stop()


CALLS = {"query": 'query("up")', "range": 'range("up")', "alerts": "alerts()", "rules": "rules()"}


def asked(runbook, sandbox, verb, site):
    """The outcome of one question in a dry run, and the run."""
    call = CALLS[verb].replace("()", "(nil)").replace(")", f', {{ url = "http://{HOST}:{site.port}" }})')
    result = runbook("run", sandbox.write("odd.lua", f"""runbook {{ title = "Odd" }}
local p = probe("Odd", function() note(prometheus.{call}) end)
p()
return unresolved "looked"
"""), "--dry-run")
    return result.events("effect.outcome")[0], result


def data(**fields):
    return {"status": "success", "data": fields}


PAIR = [1700000000, "1"]


@pytest.mark.parametrize("verb, answer, told", [
    ("query", {"status": "success", "data": None}, "data should be a list or an object, and null came"),
    ("query", {"status": "success"}, "data should be a list or an object, and nothing came"),
    ("query", data(resultType="vector", result=None), "result should be a list or an object, and null came"),
    ("query", data(resultType="vector"), "result should be a list or an object, and nothing came"),
    ("query", data(resultType="vector", result=["up"]), "a series should be a list or an object, and a string came"),
    ("query", data(resultType="vector", result=[{"metric": {}}]), "a sample should be a list or an object, and nothing came"),
    ("query", data(resultType="vector", result=[{"metric": None, "value": PAIR}]), "metric should be a list or an object"),
    ("query", data(resultType="vector", result=[{"metric": {}, "value": [1, 2]}]), "value should be a string, and a number came"),
    ("query", data(resultType="vector", result=[{"value": ["x", "2"]}]), "a sample's time should be a number, and a string came"),
    ("query", data(resultType="streams", result=[]), 'resultType should be "vector", and "streams" came'),
    ("query", data(result=[]), 'resultType should be "vector", and nothing came'),
    ("query", {"status": "ok"}, 'status should be "success", and "ok" came'),
    ("query", {"status": "error", "error": "no stores"}, "HTTP 200: no stores"),
    ("query", [], "status should be"), ("query", "<html>Log in</html>", "JSON expected, and other text came"),
    ("query", "null", "JSON expected, and null came"), ("query", b"\xff\xfe{}", "JSON expected"),
    ("query", '{"status": NaN}', "JSON expected"), ("query", "[" * 100000, "JSON expected"),
    ("range", data(resultType="matrix", result=None), "result should be a list or an object, and null came"),
    ("range", data(resultType="matrix", result=[{"metric": {}}]), "values should be a list or an object, and nothing came"),
    ("alerts", data(alerts=None), "alerts should be a list or an object, and null came"),
    ("alerts", data(), "alerts should be a list or an object, and nothing came"),
    ("alerts", data(alerts=[{"state": "firing"}]), "an alert's labels should be"),
    ("rules", data(groups=None), "groups should be a list or an object, and null came"),
    ("rules", data(groups=[{"rules": None}]), "a group's rules should be a list or an object, and null came")])
def test_an_answer_of_another_shape_is_a_failed_look(runbook, sandbox, odd, verb, answer, told):
    """What was expected and what came; never no samples, and never a line of our own."""
    event, result = asked(runbook, sandbox, verb, odd(answer))
    error = event["result"]["error"]
    assert event["status"] == "failed" and error["kind"] == "prometheus" and "where" not in error, result
    assert told in error["message"], result


def test_a_redirect_says_where_to(runbook, sandbox, odd):
    event, result = asked(runbook, sandbox, "query", odd("", 308, {"Location": "https://sso.example.com/login"}))
    assert "HTTP 308: to https://sso.example.com/login" in event["result"]["error"]["message"], result


@pytest.mark.parametrize("verb, answer, told", [
    ("query", data(resultType="string", result=[1, "7"]), "7"),
    ("query", data(resultType="vector", result=[{"metric": {}, "histogram": [1, {"count": "3", "sum": "0.5", "buckets": []}]}]),
     "a histogram of 3, their sum 0.5"),
    ("query", data(resultType="vector", result=[{"metric": {}, "value": [1, "+Inf"]}]), "+Inf")])
def test_what_is_no_number_has_no_value(runbook, sandbox, odd, verb, answer, told):
    event, result = asked(runbook, sandbox, verb, odd(answer))
    assert event["status"] == "ok" and "value" not in event["result"] and event["result"]["count"] == 1, result
    assert told in result.stdout, result


@pytest.mark.parametrize("more, partial", [
    ({"isPartial": True}, True), ({"isPartial": False}, False), ({}, False),
    ({"warnings": ["receive series from 10.0.0.7:10901: connection refused"]}, True),
    ({"warnings": ['PromQL warning: bucket label "le" is missing']}, False)])
def test_a_partial_answer_says_so(runbook, sandbox, odd, more, partial):
    """A sample that isn't there may be in a store that didn't answer."""
    answers = {"query": data(resultType="vector", result=[]), "range": data(resultType="matrix", result=[]),
               "alerts": data(alerts=[]), "rules": data(groups=[])}
    for verb, answer in answers.items():
        event, result = asked(runbook, sandbox, verb, odd({**answer, **more}))
        assert event["status"] == "ok" and event["result"]["partial"] == partial, result
        assert ("of a part of the stores only" in " ".join(result.stdout.split())) == partial, result
