"""runbook doc: the page that people read, told by the file's text."""

import os

import pytest

from lab.program import ROOT

RUNBOOK = '''-- why
runbook { title = "API | Down", alert = "APIDown", severity = "critical", impact = "all of *it*", related = { "redis" } }
local helper = require "lib.helper"
local p = params { name = { "api", "the container" }, key = { "", "a key", required = true }, size = { 2 + 3 } }
recovered("it answers", { within = "2m" }, function() return http.get("http://x").ok end)
escalation "5m"
escalation("15m", function(run) escalate.notify { to = "#ops", text = run.report } end)
local function look(c) check("it runs", c.state, "==", "running", { fault = "stopped" }) end
local state = probe("State", function()
  look(docker.inspect(p.name))
  check("its log", #docker.logs(p.name).lines, "<", #p.name // 2, { unit = "lines" })
end)
local deep = probe("Deep", function() helper.look(p.name) end)
local restart = remedy("Restart", { risk = "medium", warning = "requests fail", undo = function() end }, function()
  note(docker.inspect(p.name)) docker.restart(p.name) -- twice
  docker.restart(p.name)
end)
prevention("Watched", function() check("an alert", true) end)
local now, more = state(), {}
local seen = together(state, deep)
if now.stopped and --[[ why ]] seen then
  restart()
elseif now.stopped == nil then
  return unresolved("not known: " .. p.name)
else
  do more.x = 1 end
end
if confirm "well?" then return end
return resolved "it runs"
'''

PAGE = r'''# API \| Down

| | |
| --- | --- |
| alert | APIDown |
| severity | critical |
| impact | all of \*it\* |

See also: redis

## Parameters

| name | default | |
| --- | --- | --- |
| name | `"api"` | the container |
| key | required | a key |
| size | `2 + 3` |  |

## It is over when

it answers (within 2m)

## When it is not over

- after 5m: a page with the headline and the findings
- after 15m: `escalate.notify { to = "#ops", text = run.report }`

## What is looked at

### State

- it runs == running (else **stopped**)
- its log \< `#p.name // 2` lines

### Deep

- `helper.look(p.name)`

## What can be done

### Restart

- risk: medium
- warning: requests fail
- can be taken back
- does `docker.restart(p.name)`

## The decision

- `local now, more = state(), {}`
- look side by side: **State**, **Deep**
- if `now.stopped and seen`
  - propose: **Restart**
- else if `now.stopped == nil`
  - end *unresolved*: `"not known: " .. p.name`
- else
  - `more.x = 1`
- if `confirm "well?"`
  - end
- end *resolved*: it runs

## So that it does not happen again

### Watched

- an alert
'''


def test_the_whole_page(runbook, sandbox):
    """Broken by: any part that is left out, or told as the file does not have it."""
    sandbox.write("x.lua", RUNBOOK)
    result = runbook("doc", "x.lua")
    assert result.stdout == PAGE, result.stdout
    assert (result.code, result.stderr) == (0, ""), result


def test_nothing_is_run_and_foreign_text_is_inert(runbook, sandbox):
    sandbox.write("x.lua", 'runbook { title = "a\\27[31m\\nb" }\nwhile true do end\n')
    result = runbook("doc", "x.lua")
    assert result.code == 0 and result.stdout.startswith("# a") and "\x1b" not in result.stdout, result
    assert result.stdout.count("\n") == 1 and sandbox.runs() == [], result


def test_the_graph_is_that_of_explore(runbook, sandbox):
    """Broken by: an explored page whose fence holds anything else."""
    sandbox.write("x.lua", RUNBOOK.replace('local helper = require "lib.helper"\n', "").replace("helper.look(p.name)", "look({})"))
    plain, graph = runbook("doc", "x.lua"), runbook("explore", "x.lua", "--format", "mermaid", "--faults", "1", "-p", "key=x")
    result = runbook("doc", "x.lua", "--graph", "--faults", "1", "-p", "key=x")
    assert graph.stdout.startswith("flowchart TD\n") and "Restart" in graph.stdout, graph
    assert result.stdout == f"{plain.stdout}\n## Every way it can go\n\n```mermaid\n{graph.stdout}```\n", result
    assert result.code == 0, result
    assert runbook("doc", "x.lua", "--graph", "--faults", "x").code == 2


@pytest.mark.parametrize("text, why", [("if x", "x.lua: line 1: "), ("note(1)", "it is no runbook"), (None, "x.lua")])
def test_what_is_no_runbook_is_said(runbook, sandbox, text, why):
    if text:
        sandbox.write("x.lua", text)
    result = runbook("doc", "x.lua")
    assert result.code == 2 and result.stdout == "" and why in result.stderr, result


@pytest.mark.parametrize("name", ["api-down", "db-connection-pool", "high-response-time", "redis-memory"])
def test_our_own_have_every_part(runbook, name):
    page = runbook("doc", os.path.join(ROOT, "runbooks", name + ".lua")).stdout
    for heading in ("Parameters", "It is over when", "When it is not over", "What is looked at", "What can be done",
                    "The decision", "So that it does not happen again"):
        assert f"\n## {heading}\n" in page, heading
    assert "\n\n\n" not in page and "- risk: " in page and "- does `" in page
