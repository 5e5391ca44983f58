"""What is sent stands in the plan (law 6): before it is approved, in a dry run, and in a scenario."""

import json
import os

import pytest

SCRIPT = """
runbook {{ title = "Sends" }}
{head}
remedy("Do it", {{}}, function() {act} end)()
return unresolved "x"
"""


@pytest.fixture(name="planned")
def planned_fixture(sandbox, runbook):
    """planned(act) -> the plan's one row, and what a dry run printed."""
    def planned(act, head="", **env):
        sandbox.write("a.lua", SCRIPT.format(act=act, head=head))
        sandbox.env.update(env)
        result = runbook("run", "a.lua", "--dry-run", "--here")
        assert result.code == 0, result
        return result.events("plan")[0]["effects"][0], result
    return planned


def test_a_body_and_headers(planned):
    row, result = planned('http.post("http://h/", { body = "DROP TABLE a\\nSYNC", headers = { A = "b" } })')
    assert row["sends"] == ["DROP TABLE a", "SYNC", "A: b"]
    assert "| DROP TABLE a\n" in result.stdout


def test_secrets_and_what_only_a_run_knows_in_json(planned):
    row, _ = planned('local made = http.post("http://h/", { json = { key = "k=" .. secret "TOKEN" } }) '
                     'http.put("http://h/", { json = { id = made.remote_address } })', TOKEN="0123456789abcdef")
    assert row["sends"][0] == '{"key":"k=***"}'


def test_of_many_lines_the_first_and_how_many_more(planned):
    row, _ = planned('http.put("http://h/", { body = ("line\\n"):rep(30) })')
    assert row["sends"] == ["line"] * 8 + ["… 22 more lines"]


def test_a_secret_is_masked_before_its_line_is_cut(planned):
    """The line is cut in the middle of it: half a secret would be found by nobody."""
    row, result = planned('http.put("http://h/", { body = ("x"):rep(190) .. os_secret })',
                          head='local os_secret = "0123456789abcdef0123456789abcdef"\nsecret "TOKEN"',
                          TOKEN="0123456789abcdef0123456789abcdef")
    assert "01234567" not in str(row["sends"]) + result.stdout


@pytest.mark.parametrize("old, new, lines", [
    ("a = 4\nport = 80\n", "a = 8\nport = 80\n", ["-a = 4", "+a = 8"]),
    ("a\nb\nc\nd\n", "a\nx\nb\nd\n", ["+x", "-c"]),
    ("a\n", "a", ["the end of the last line"]),
    ("", "a\nb\n", ["+a", "+b"]),
    (None, "a\nb\n", ["+a", "+b"]),
])
def test_a_files_change(planned, sandbox, old, new, lines):
    path = os.path.join(sandbox.folder, "f")
    if old is not None:
        sandbox.write("f", old)
    row, _ = planned(f"files.write({path!r}, {new!r})")
    assert row["sends"] == lines


def test_what_changes_nothing_sends_nothing(planned, sandbox):
    path = sandbox.write("f", "same\n")
    row, _ = planned(f"files.write({path!r}, 'same\\n')")
    assert "sends" not in row and "changes nothing" in row["radius"]


def test_a_statement_with_its_parameters(planned):
    row, _ = planned('sql.execute("postgresql://h:1/d", "UPDATE t\\nSET a = $1", { params = { "x" } })')
    assert row["sends"] == ["UPDATE t", "SET a = $1", "$1 = x"]


def test_of_a_line_that_is_cut_the_whole(planned):
    words = "x" * 150
    row, _ = planned(f'redis.command("redis://h:1", "SET", "a", "{words}")')
    assert words in "".join(row["sends"]) and words not in row["line"]


def test_every_write_tells_by_its_arguments_what_it_is_meant_to_do(luahost):
    """That is what a scenario's plan shows: nobody looks at a real world there."""
    done = luahost("""local catalogue = require "catalogue"
        for _, family in ipairs(catalogue.families) do catalogue.family(family) end
        for name, entry in pairs(catalogue.effects) do
          if entry.class ~= "read" and entry.class ~= "notify" and not entry.intends then print(name) end
        end""")
    assert (done.code, done.stdout) == (0, ""), done


@pytest.mark.parametrize("act, told", [
    ('redis.command("redis://c:1", "CONFIG", "SET", "maxmemory", "1gb")', "sets maxmemory on c:1"),
    ('redis.command("redis://c:1", "DEL", "a", "b")', "deletes a, b on c:1; how much is not known in a scenario"),
    ('redis.command("redis://c:1/3", "FLUSHDB")', "deletes every key of db 3 on c:1; how much is not known in a scenario"),
    ('sql.terminate_idle("postgresql://u@h/d", { user = "app" })',
     "ends idle sessions of app in their state for longer than 5m on d@h; how much is not known in a scenario"),
    ('sql.execute("postgresql://u@h/d", "UPDATE t SET a = 1 WHERE b")', "runs UPDATE on d@h"),
    ('files.delete { under = "/x", name = "*.log", older_than = "7d" }',
     "deletes *.log under /x older than 7d; how much is not known in a scenario"),
    ('docker.prune { images = true, older_than = "7d" }',
     "deletes unused images older than 7d; how much is not known in a scenario"),
    ('kubectl.set_env("deployment", "api", { A = "1", B = false })', "sets A; removes B of deployment api, renewing its pods"),
    ('kubectl.rollout_restart("deployment", "api")', "restarts the pods of deployment api"),
    ('compose.up("/c.yml")', "brings up all services of /c.yml"),
    ('exec { "/opt/app", "go" }', "runs app"),
])
def test_a_scenarios_plan_states_nothing_of_a_world(sandbox, runbook, act, told):
    sandbox.write("a.lua", SCRIPT.format(act=act, head=""))
    sandbox.write("a.test.lua", 'scenario "x" { answers = { ["*"] = "yes" } }')
    result = runbook("run", "a.lua", "--scenario", "a.test.lua", "--format", "jsonl")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["radius"] for event in events if event["event"] == "plan" for row in event["effects"]] == [told], result


def test_what_goes_is_in_the_journal_before_and_after(sandbox, runbook):
    folder = os.path.join(sandbox.folder, "d")
    os.mkdir(folder)
    for name in ("a.log", "b.log"):
        sandbox.write("d/" + name, "1")
    sandbox.write("a.lua", SCRIPT.format(head="", act=f'files.delete {{ under = "{folder}", name = "*.log" }}'))
    result = runbook("run", "a.lua", "--here", "--yes", "high")
    for name in ("effect.intent", "effect.outcome"):
        (event,) = [it for it in result.events(name) if it["line"].startswith("files.delete")]
        assert [(os.path.basename(pin["path"]), pin["bytes"]) for pin in event["pins"]] == [("a.log", 1), ("b.log", 1)]
