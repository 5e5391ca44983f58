"""runbook init: a repository, or a runbook for an alert; what it writes is green, clean, and read by those it is for."""

import json
import os
import re
import subprocess
import time

import pytest
import yaml

from lab.program import ROOT

FILES = {"README.md", "runbook.config.lua", "runbooks/service-down.lua", "runbooks/service-down.test.lua",
         "definitions/runbook.lua", ".luarc.json", ".vscode/settings.json", ".vscode/tasks.json", ".pre-commit-config.yaml",
         ".github/workflows/runbooks.yml", ".gitlab-ci.yml", "CODEOWNERS"}


def files_below(folder):
    return {os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names}


@pytest.fixture
def made(runbook, sandbox):
    result = runbook("init", "books")
    assert (result.code, result.stderr) == (0, ""), result
    return os.path.join(sandbox.folder, "books")


def read(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return file.read()


def test_its_first_scenarios_hold_within_a_minute_and_nothing_is_found(runbook, sandbox):
    """From nothing to green. Broken by: an example that is behind the language."""
    began = time.monotonic()
    assert runbook("init", "books/deep/").code == 0
    result = runbook("test", "books/deep/runbooks", "--min-coverage", "100")
    assert result.code == 0 and "7 held, 0 failed" in result.stdout and time.monotonic() - began < 60, result
    assert "no scenario for this case" not in result.stdout and "not tried" not in result.stdout, result
    assert files_below(os.path.join(sandbox.folder, "books/deep")) == FILES
    books = [f"books/deep/runbooks/service-down{end}" for end in (".lua", ".test.lua")]
    result = runbook("check", *books)
    assert (result.code, result.stdout) == (0, ""), result


def test_its_config_counts_for_a_run_below_it(runbook, sandbox, made):
    result = runbook("run", "books/runbooks/service-down.lua", "--dry-run", "-p", "url=http://127.0.0.1:1/")
    assert result.code == 0 and "DRY RUN" in result.stdout and "the service does not answer" in result.stdout, result


def test_what_is_there_already_is_left_alone(runbook, sandbox):
    """Broken by: looking at each file when it is written, after others were."""
    sandbox.write("books/CODEOWNERS", "mine")
    result = runbook("init", "books")
    assert result.code == 2 and "books/CODEOWNERS is there already" in result.stderr and result.stdout == "", result
    assert files_below(os.path.join(sandbox.folder, "books")) == {"CODEOWNERS"}
    assert read(sandbox.folder, "books/CODEOWNERS") == "mine"


def test_editors_and_services_can_read_their_files(runbook, made):
    assert read(made, "definitions/runbook.lua") == runbook("effects", "--format", "luals").stdout
    assert json.loads(read(made, ".luarc.json"))["workspace.library"] == ["definitions"]
    json.loads(read(made, ".vscode/settings.json"))
    hooks = yaml.safe_load(read(made, ".pre-commit-config.yaml"))["repos"][0]["hooks"]
    assert all({"id", "name", "entry", "language"} <= set(hook) and hook["language"] == "system" for hook in hooks)
    steps = yaml.safe_load(read(made, ".github/workflows/runbooks.yml"))["jobs"]["runbooks"]["steps"]
    assert [step["run"].split()[:2] for step in steps[1:]] == [["runbook", "check"], ["runbook", "test"]]
    job = yaml.safe_load(read(made, ".gitlab-ci.yml"))["runbooks"]
    assert set(job["artifacts"]["reports"]) == {"junit", "codequality"} and len(job["script"]) == 2


def test_the_commands_that_it_gives_to_hooks_and_ci_are_taken(runbook, made):
    """Broken by: an option that is called otherwise by now."""
    commands = [hook["entry"] for hook in yaml.safe_load(read(made, ".pre-commit-config.yaml"))["repos"][0]["hooks"]]
    commands += yaml.safe_load(read(made, ".gitlab-ci.yml"))["runbooks"]["script"]
    steps = yaml.safe_load(read(made, ".github/workflows/runbooks.yml"))["jobs"]["runbooks"]["steps"]
    commands += [step["run"] for step in steps[1:]]
    commands += [task["command"] for task in json.loads(read(made, ".vscode/tasks.json"))["tasks"]]
    assert len(commands) == 8
    for command in commands:
        words = command.split(" > ")[0].replace("runbooks/*.lua", "books/runbooks/service-down.lua").split()[1:]
        words = ["books/runbooks" if word == "runbooks" else word for word in words]
        result = runbook(*words, *(["books/runbooks/service-down.lua"] if words == ["check"] else []))
        assert result.code == 0, (command, result)


def test_a_finding_is_found_by_the_editors_task(runbook, sandbox, made):
    matcher = json.loads(read(made, ".vscode/tasks.json"))["tasks"][0]["problemMatcher"]["pattern"]
    sandbox.write("x.lua", "local x = 1\n")
    line = runbook("check", "x.lua").stdout.rstrip("\n")
    found = re.match(matcher["regexp"], line)
    assert (found[matcher["file"]], found[matcher["line"]], found[matcher["column"]]) == ("x.lua", "1", "7"), line
    assert found[matcher["code"]] == "unused-local"


def test_the_spec_shows_the_same_hooks(made):
    spec = read(ROOT, "spec/check.md")
    assert f"```yaml\n{read(made, '.pre-commit-config.yaml')}```" in spec


def test_the_readmes_commands_are_those_there_are(runbook, made):
    commands = re.findall(r"^runbook (\w+) ", read(made, "README.md"), re.M)
    assert len(commands) > 5
    for command in commands:
        assert runbook(command, "--help").code == 0, command


RULE = """\
groups:
  - name: a
    rules:
      - alert: KubePod_CrashLoop
        expr: |
          max_over_time(waiting{reason="Crash", job="kube-state",end="x", job="b"}[5m])
            >= 1 and x{a=~"b\\"c", prometheus="d", reason="Crash"}
        for: 15m
        labels: { severity: page }
        annotations: { summary: 'Pod {{ $labels.pod }} is "looping"' }
      - { alert: APIDown, expr: 'up{job="conduit-api"} == 0' }
"""


def test_a_runbook_for_an_alert_is_green_and_clean(runbook, sandbox):
    sandbox.write("r.yml", RULE)
    os.mkdir(os.path.join(sandbox.folder, "runbooks"))
    result = runbook("init", "--alert", "r.yml", "KubePod_CrashLoop")
    paths = ["runbooks/kube-pod-crash-loop.lua", "runbooks/kube-pod-crash-loop.test.lua"]
    assert result.code == 0 and result.stdout.splitlines()[:2] == paths, result
    assert (runbook("check", *paths).stdout, runbook("test", "runbooks", "--min-coverage", "100").code) == ("", 0)
    listed, = json.loads(runbook("list", "--format", "json").stdout)
    assert listed["title"] == "Kube Pod Crash Loop" and listed["alert"] == "KubePod_CrashLoop", listed
    assert listed["severity"] == "critical" and listed["impact"] == 'Pod … is "looping"', listed
    text = read(sandbox.folder, paths[0])
    assert re.findall(r"^  (\w+) = \{ ", text, re.M) == ["prometheus", "reason", "job"]
    assert 'for 15m",\n' in text
    again = runbook("init", "--alert", "r.yml", "KubePod_CrashLoop")
    assert again.code == 2 and "is there already" in again.stderr, again


EXPRESSIONS = [
    'up == 0', 'up{job="a"} == 0', 'x{a="b",c!="d",e=~"f",g!~"h"}', 'x{a="b\\"c", d="e\\\\13"}', 'x{ a = "b" ,\n c="d"}',
    'x{end="b", prometheus="c", a="b"}', 'x{a="b"} / y{a="c"} > z{a="b"}', 'label_replace(x, "a", "b{c=\\"d\\"}", "", "")',
    'x{a=""} > 1\r\n']
ROUND = """
local init_alert = require "commands.init_alert"
for _, expr in ipairs { %s } do
  local text = init_alert.files({ alert = "A", expr = expr, labels = {}, annotations = {} })[1].text
  local declared = load("return " .. text:match "params (%%b{})")()
  local p = {}
  for name, it in pairs(declared) do p[name] = it[1] end
  local made = load("local p = ... return " .. text:match "local EXPRESSION = ([^\\n]*)")(p)
  assert(made == expr, made)
end
require("raw.tty").write(1, "same")
"""


def lua_string(text):
    return '"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"'


def test_with_its_defaults_it_asks_the_rules_own_expression(luahost):
    """Broken by: any text of an expression that is not written as Lua reads it."""
    assert luahost(ROUND % ", ".join(lua_string(it) for it in EXPRESSIONS)).stdout == "same"


def test_it_asks_a_real_server(runbook, sandbox, prometheus_server):
    sandbox.write("r.yml", RULE)
    assert runbook("init", "--alert", "r.yml", "APIDown").code == 0
    result = runbook("run", "api-down.lua", "--dry-run", "-p", f"prometheus={prometheus_server.url}")
    assert result.code == 0 and "false alarm: the alert's condition does not hold" in result.stdout, result
    result = runbook("run", "api-down.lua", "--dry-run", "-p", f"prometheus={prometheus_server.url}", "-p", 'job=x" or 1 #')
    assert result.code == 2 and "job" in result.stderr, result


@pytest.mark.parametrize("words, says", [
    (("--alert", "r.yml", "APIDwn"), "did you mean 'APIDown'?"), (("--alert", "gone.yml", "X"), "gone.yml"),
    (("../x",), "a path without .. expected"), ((), "missing:")])
def test_what_can_not_be_made_is_said(runbook, sandbox, words, says):
    sandbox.write("r.yml", RULE)
    result = runbook("init", *words)
    assert result.code == 2 and says in result.stderr and files_below(sandbox.folder) <= {"r.yml"}, result


def test_a_folder_that_can_not_be_made_is_said(runbook, sandbox):
    sandbox.write("file", "")
    result = runbook("init", "file/books")
    assert result.code == 2 and "file" in result.stderr and result.stdout == "", result
    assert subprocess.run(["test", "-f", os.path.join(sandbox.folder, "file")], timeout=5).returncode == 0
