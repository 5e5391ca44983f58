"""runbook coverage: alerts without a runbook, runbooks without an alert, runbook_url both ways; by files and by a real server."""

import json
import os
import subprocess

import pytest
import yaml

RULES = """\
groups:
  - name: api
    rules:
      - alert: APIDown
        expr: up{job="api"} == 0
        for: 1m
        labels: &page { severity: critical }
        annotations: { runbook_url: "https://wiki/runbooks/api-down.md#now" }
      - { record: "job:up", expr: sum(up) }
      - alert: DiskFull
        expr: 1
        labels: *page
"""
MORE = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
spec:
  groups:
    - name: more
      rules:
        - { alert: Slow, expr: vector(1), annotations: { runbook_url: https://wiki/api_down } }
        - { alert: Slow, expr: vector(2), labels: { severity: info } }
        - { alert: Queue, expr: vector(1), annotations: { runbook_url: https://wiki/gone.lua } }
---
groups: []
"""


def book(title, alert=None):
    return f'runbook {{ title = "{title}"{f", alert = {json.dumps(alert)}" if alert else ""} }}\n'


@pytest.fixture
def shop(sandbox):
    sandbox.write("rules/api.yml", RULES)
    sandbox.write("rules/deep/more.yaml", MORE)
    sandbox.write("books/api-down.lua", book("API", "APIDown") + "while true do end\n")
    sandbox.write("books/slow.lua", book("Slow", "Slow"))
    sandbox.write("books/queue.lua", book("Queue", "Queue"))
    sandbox.write("books/old.lua", book("Old", "DiskFul"))
    sandbox.write("books/none.lua", book("For nobody"))
    return sandbox


def gaps(result):
    return [(it["kind"], it["name"], it["at"]) for it in json.loads(result.stdout)["gaps"]]


def test_every_gap_is_told_with_its_place(runbook, shop):
    """Broken by: any comparison that is made one way alone."""
    result = runbook("coverage", "books", "--rules", "rules/api.yml", "--rules", "rules/deep", "--format", "json")
    assert result.code == 1 and json.loads(result.stdout)["covered"] == 3, result
    assert gaps(result) == [
        ("no-runbook", "DiskFull", "rules/api.yml:10"),
        ("url", "Queue", "rules/deep/more.yaml:9"), ("url", "Slow", "rules/deep/more.yaml:7"),
        ("url", "Slow", "rules/deep/more.yaml:8"),
        ("no-alert", "For nobody", "books/none.lua"), ("no-alert", "DiskFul", "books/old.lua")], result
    text = runbook("coverage", "books", "--rules", "rules").stdout
    assert "its runbook_url leads to books/api-down.lua, which is for the alert APIDown (rules/deep/more.yaml:7)" in text
    assert "its rule names no runbook_url: books/slow.lua is for it (rules/deep/more.yaml:8)" in text
    assert "https://wiki/gone.lua is none of these runbooks; books/queue.lua is for it" in text
    assert "no rule has the alert DiskFul (did you mean 'DiskFull'?)" in text
    assert text.endswith("alerts 4 · with a runbook 3 · runbooks 5 · gaps 6\n")


def test_without_a_gap_it_is_well(runbook, sandbox):
    sandbox.write("r.yml", RULES.split("      - alert: DiskFull")[0])
    sandbox.write("api-down.lua", book("API", "APIDown"))
    result = runbook("coverage", "--rules", "r.yml")
    assert (result.code, result.stdout) == (0, "alerts 1 · with a runbook 1 · runbooks 1 · gaps 0\n"), result
    done = subprocess.run(["promtool", "check", "rules", os.path.join(sandbox.folder, "r.yml")], capture_output=True, timeout=30)
    assert done.returncode == 0, done


def test_a_server_is_asked_for_its_rules(runbook, sandbox, prometheus_server):
    sandbox.write("api-down.lua", book("API", "APIDown"))
    result = runbook("coverage", "--prometheus", prometheus_server.url)
    assert result.code == 1 and "no-runbook  AlwaysFiring " in result.stdout and "rules.yml)" in result.stdout, result
    assert "its rule names no runbook_url: api-down.lua is for it" in result.stdout, result


@pytest.mark.parametrize("options, why", [
    ((), "which alerts?"), (("--rules", "gone.yml"), "gone.yml"), (("--rules", "x.yml", "--prometheus", "http://x"), "either"),
    (("--rules", "broken.yml"), "broken.yml: line 3: "), (("--rules", "none.yml"), "none.yml: groups: of rules expected"),
    (("--rules", "bare.yml"), "bare.yml: line 4: the alert A has no expr"),
    (("--rules", "twice.yml"), "twice.yml: line 2: the key groups stands twice"),
])
def test_what_can_not_be_read_is_no_coverage(runbook, sandbox, options, why):
    sandbox.write("broken.yml", "groups:\n  - [a\n")
    sandbox.write("none.yml", "a: 1\n")
    sandbox.write("bare.yml", "groups:\n- name: x\n  rules:\n  - alert: A\n")
    sandbox.write("twice.yml", "groups: []\ngroups: []\n")
    result = runbook("coverage", *options)
    assert result.code == 2 and result.stdout == "" and why in result.stderr, result


def test_a_server_that_is_not_there_is_said(runbook, sandbox, closed_port):
    result = runbook("coverage", "--prometheus", f"http://127.0.0.1:{closed_port}")
    assert result.code == 2 and "refused" in result.stderr and result.stdout == "", result


TEXTS = {
    "kinds": "a: 1\nb: [x, 'y', \"z\\n\\u00e4\"]\nc: |\n  two\n  lines\nd: >-\n  folded\n  text\ne: {f: {g: h}}\n",
    "anchors": "a: &x {b: c}\nd: *x\ne: [*x, *x]\n", "documents": "---\na: 1\n---\n- b\n...\n", "comments": "# why\na: b # more\n",
    "none": "", "odd keys": "? a\n: b\n'c d': e\n1: f\n", "utf8": "ä: ö €\n", "crlf": "a: b\r\nc:\r\n  - d\r\n",
}
DECODE = """
local yaml, json = require "raw.yaml", require "raw.json"
local function plain(value)
  if type(value) ~= "table" then return value end
  local copy = value[0] == nil and json.list {} or {}
  for key, item in pairs(value) do if key ~= 0 then copy[key] = plain(item) end end
  return copy
end
local found, problem = yaml.decode(%s)
require("raw.tty").write(1, problem and problem.message or json.encode(plain(found)))
"""


def lua_string(text):
    return '"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"'


@pytest.mark.parametrize("name", TEXTS)
def test_yaml_is_read_as_others_read_it(luahost, name):
    """The other reader is PyYAML, which takes every scalar for text too. Broken by: any kind of node that is read otherwise."""
    result = luahost(DECODE % lua_string(TEXTS[name]))
    assert json.loads(result.stdout) == list(yaml.load_all(TEXTS[name], Loader=yaml.BaseLoader)), result


@pytest.mark.parametrize("text, says", [
    ("a: " + "[" * 200 + "]" * 200, "more than 100 levels"), ("a: *b", "line 1: "), ("? [a]\n: b", "a key is no text"),
    ("a: \x01", "line"), ("a: \udcff".encode("utf-8", "surrogateescape").decode("latin-1"), '{"a":"ÿ"}'),
], ids=["deep", "alias", "key", "control", "latin"])
def test_yaml_that_is_none_is_said(luahost, text, says):
    assert says in luahost(DECODE % lua_string(text)).stdout


def test_at_the_edges_of_its_limits(luahost, runbook, sandbox):
    """Broken by: counting one level, or one byte, more or less."""
    deep = lambda levels: DECODE % lua_string("a: " + "[" * levels + "]" * levels)
    assert luahost(deep(100)).stdout.startswith('[{"a":') and "more than 100 levels" in luahost(deep(101)).stdout
    text = "groups: []\n#" + "x" * ((8 << 20) - 12)
    sandbox.write("r.yml", text)
    assert runbook("coverage", "--rules", "r.yml").code == 0
    sandbox.write("r.yml", text + "x")
    result = runbook("coverage", "--rules", "r.yml")
    assert result.code == 2 and "longer than 8388608 bytes" in result.stderr, result


def test_aliases_of_aliases_cost_nothing(luahost):
    """Broken by: making an alias' table anew: 9^12 of them."""
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 13)]
    script = f'local d = require("raw.yaml").decode({lua_string(chr(10).join(lines))})\nrequire("raw.tty").write(1, #d[1].a12)'
    assert luahost(script).stdout == "9"
    assert luahost('local d = require("raw.yaml").decode("a: &x {b: *x}")\n'
                   'require("raw.tty").write(1, tostring(d[1].a.b == d[1].a))').stdout == "true"
