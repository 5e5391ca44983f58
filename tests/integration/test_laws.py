"""The laws of the design, 1 to 7, each through the command line. "Broken by" says which change of stdlib/ was made by hand,
in a copy given by --stdlib, to see the test fail. Laws 8 to 14 are in test_laws_more.py; the language is in tests/cases/."""

import json
import os
import signal

import pytest

import hashlib
from lab.process import wait_for
from lab.program import ROOT
from lab.web import Site

HEAD = 'runbook { title = "Law" }\nlocal base = params { url = { "", "Where" } }.url\n'


@pytest.fixture
def law(sandbox, runbook, http_faults):
    """law(script, *arguments): the script, with `base` the address of `http_faults`, through `runbook run`."""
    def run(script, *arguments, **options):
        for path in ("/fix", "/again", "/right", "/wrong", "/search", "/x", "/new", "/old", "/first"):
            http_faults.set(path)
        sandbox.write("law.lua", HEAD + script)
        return runbook("run", "law.lua", "-p", f"url={http_faults.url}", *arguments, **options)
    return run


def sent(site, *methods):
    return [f"{request.method} {request.path}" for request in site.requests if request.method in methods]


def writes(site):
    return sent(site, "POST", "PUT", "PATCH", "DELETE")


# ---- 1. One gate ----

# Everything a script can name. A new name here is a new way out until somebody has shown that it is none.
NAMES = """_G _VERSION ask assert check choose compose confirm coroutine docker error escalate escalation exec files getmetatable
    http ipairs json load math next note pairs params pcall print probe prometheus rawequal rawget rawlen rawset re recovered
    redis remedy require resolved runbook secret select service setmetatable sql string sysinfo table text time together
    tonumber tostring type unresolved utf8 wait_until xpcall""".split()
LATER = {"handover", "prevention", "kubectl"}  # words of the design that may come

# From what a script can name: tables, what stands in them, their metatables, what visiting gives; all that is found is told.
REACH = """
local seen, found = {}, {}
local function look(value, path)
  if seen[value] or (type(value) ~= "table" and type(value) ~= "function") then return end
  seen[value] = true
  found[#found + 1] = path .. " " .. type(value)
  if type(value) ~= "table" then return end
  look(getmetatable(value), path .. "<meta>")
  for key, item in pairs(value) do look(item, path .. "." .. tostring(key)) end
  local f, state, first = pairs(value)
  look(f, path .. "<iterator>") look(state, path .. "<state>") look(first, path .. "<first>")
  for _, key in ipairs { 1, "get", "encode", "find", "raw", "entry", "fields", "hidden", "run", "__index" } do
    for _, get in ipairs { rawget, function(t, name) return t[name] end } do
      local ok, item = pcall(get, value, key)
      look(item, path .. (ok and "." or "<error>") .. tostring(key))
    end
  end
end
look(_G, "_G")
look(getmetatable(""), "<string>")
escalation("1h", function(run) look(run, "run") end)
probe("P", function() look({ coroutine.running() }, "running") end)()
look(http.get(base .. "/json"), "result")
look({ pcall(http.get) }, "error")
print(table.concat(found, "\\n"))
for _, path in ipairs(found) do check(path, true) end
return resolved "looked"
"""


def test_1_a_script_names_only_words_and_plain_lua(law):
    """Broken by: members.raw = require "raw.http" in sandbox.environment."""
    result = law("for name in pairs(_G) do check(name, true) end\nreturn resolved 'x'", "-n")
    names = [event["label"] for event in result.events("check")]
    assert set(names) - LATER == set(NAMES), result


def test_1_nothing_in_reach_is_a_way_out(law):
    """Broken by: values.inner given as the state of pairs; rawget(_G, ...) of a host's table."""
    result = law(REACH, "-n")
    paths = [event["label"] for event in result.events("check")]
    assert len(paths) > 60 and any(path.startswith("_G.string.format") for path in paths), result
    for word in ("raw", "io", "os", "debug", "package", "entry", "hidden", "gate", "catalogue", "<string>."):
        assert not [path for path in paths if f".{word} " in path or f".{word}." in path], (word, paths)


MODULES = ["raw.http", "raw.process", "raw.files", "raw.task", "raw.secret", "gate", "catalogue", "modes.live", "values", "boot",
           "stdlib.gate", "../law", "/etc/passwd", "io", "os", "debug", "package", "string", "_G"]


def test_1_no_module_of_the_program_is_required(law, sandbox):
    """Broken by: require_for falling back to the host's own require."""
    sandbox.write("../outside.lua", "return 'outside'")
    names = ", ".join(json.dumps(name) for name in [*MODULES, "..outside", "../outside"])
    result = law(f"for _, name in ipairs {{ {names} }} do check(name, (pcall(require, name))) end\nreturn resolved 'x'", "-n")
    checks = result.events("check")
    assert len(checks) == len(MODULES) + 2 and not [check["label"] for check in checks if check["passed"]], result


# ---- 2. Reads return, writes raise ----

def test_2_reads_end_in_one_of_three_ways(law, sandbox, http_faults, closed_port):
    """Broken by: `dns = true` among outcome.lua's findings; result.raise_failed without its error; `ok` of a failed look
    that is given; a nil that check_learned doesn't look at."""
    sandbox.env["SSL_CERT_FILE"] = http_faults.ca  # else it is our own side that may be wrong
    result = law(f"""
      local busy = http.get(base .. "/status/503")
      check("busy", not busy.ok and busy.status == 503 and busy.body:find "503" and busy.headers["content-length"] ~= nil)
      local refused = http.get("http://127.0.0.1:{closed_port}/")
      check("refused", not refused.ok and refused.why ~= nil and refused.error == nil
        and (select(2, pcall(function() return refused.status end))):find("refused: it has no status", 1, true) ~= nil)
      local expired = http.get("{http_faults.https('expired')}/")
      check("expired", not expired.ok and expired.tls.expires_in_days < 0)
      local late = http.get(base .. "/never", {{ timeout = "1s" }})
      check("late", not late.ok and late.error == nil and late.why:find "1 s" ~= nil)
      local unknown = http.get "http://no-such-name.invalid/"
      check("unknown", unknown.error.kind == "dns" and not pcall(function() return unknown.status end)
        and not pcall(function() return unknown.ok end) and not pcall(function() return unknown.why end)
        and not pcall(check, "it answers", unknown) and not pcall(function() return unknown.body end))
      local well = http.get(base .. "/json")
      check("well", well.ok and well.json.deep.a == true and not pcall(function() return well.jsno end))
      return resolved "x"
    """, "-n")
    passed = {event["label"]: event["passed"] for event in result.events("check")}
    assert passed == dict.fromkeys(["busy", "refused", "expired", "late", "unknown", "well"], True), result


def test_2_a_write_that_fails_ends_its_remedy_and_not_the_run(law, sandbox, http_faults):
    """Broken by: `if true then return done end` in gate.lua's apply."""
    sandbox.write("answers.lua", 'return { Works = "yes" }')
    result = law("""
      note(tostring(remedy("Fails", {}, function() http.post(base .. "/status/500") note "beyond" end)()))
      note(tostring(remedy("Works", {}, function() http.post(base .. "/echo") end)()))
      return unresolved "x"
    """, "--yes", "low", "--answers", "answers.lua")
    assert [event["text"] for event in result.events("note")] == ["false", "true"], result
    assert writes(http_faults) == ["POST /status/500", "POST /echo"]


@pytest.mark.parametrize("path, status", [
    ("reset", "unknown"), ("close", "unknown"), ("truncated", "unknown"), ("status/500", "failed")])
def test_2_a_write_without_an_answer_may_have_run(law, http_faults, path, status):
    """The connection is lost once the request was sent: whether it was carried out nobody knows, and everybody is told.
    Broken by: outcome.lua's `doubtful` without `reset`; act_on that takes an answer that is not well for a failure."""
    result = law(f"""
      remedy("Fix", {{}}, function() http.post(base .. "/{path}") end)()
      return unresolved "x"
    """, "--yes", "low")
    assert writes(http_faults) == [f"POST /{path}"]
    assert [event["status"] for event in result.events("effect.outcome")] == [status], result
    doubt = int(status == "unknown")
    assert f"may have run {doubt} · write failed {1 - doubt}" in result.stdout, result
    assert ("unknown: may have run" in result.stdout) == bool(doubt), result


# ---- 3. A probe changes nothing ----

WAYS = {
    "plainly": "http.post(base .. '/x')",
    "by pcall": "pcall(http.post, base .. '/x')",
    "by a coroutine": "coroutine.wrap(function() http.post(base .. '/x') end)()",
    "by a coroutine from outside": "outside()",
    "by a metamethod": "local _ = setmetatable({}, { __index = function() return http.post(base .. '/x') end }).field",
    "by a module": "require 'writes'",
    "by load": "load('http.post(...)', 'x', 't', { http = http })(base .. '/x')",
    "on the way out": "local _ <close> = setmetatable({}, { __close = function() http.post(base .. '/x') end })",
    "after an error": "local _ <close> = setmetatable({}, { __close = function() http.post(base .. '/x') end }) error 'x'",
    "side by side": "together(function() http.post(base .. '/x') end)",
    "in a comparison": "table.sort({ 1, 2 }, function() return http.post(base .. '/x').ok end)",
    "in an iterator": "for _ in function() return http.post(base .. '/x').ok end do break end",
    "in a handler": "xpcall(error, function() http.post(base .. '/x') end)",
    "in a wait": "wait_until('w', { within = '0s' }, function() return http.post(base .. '/x') end)",
    "by a remedy": "pcall(fix)",
    "by a remedy in a coroutine": "coroutine.wrap(function() pcall(fix) end)()",
    "by a verb that deletes": "http.delete(base .. '/x')",
    "by a page": "escalate.page { summary = 'x' }",
    "by a message": "escalate.notify { to = '#x', text = 'x' }",
}
PROBE = """
local fix = remedy("Fix", {{}}, function() http.post(base .. '/x') end)
local outside = coroutine.wrap(function() http.post(base .. '/x') end)
probe("P", function() {} end)()
return unresolved "x"
"""


@pytest.mark.parametrize("way", WAYS)
def test_3_no_write_leaves_a_probe(law, sandbox, http_faults, way):
    """Broken by: check_place without its `if here.probe`, for writes; without `a probe tells nobody`, for messages; the
    remedy's own check_place without its `here.probe`."""
    sandbox.write("writes.lua", "http.post(...)")
    sandbox.write("law.test.lua", 'scenario "s" { answers = { ["*"] = "yes" }, expect = { does = {}, pages = 1 } }')
    for mode in (["--yes", "high"], ["-n"], ["--scenario", "law.test.lua"]):
        result = law(PROBE.format(WAYS[way]), *mode)
        differs = [line for line in result.stderr.splitlines() if "differs" in line]
        assert not writes(http_faults) and all("a probe" in line for line in differs), (mode, result)   # a mistake it is
        assert "changed 0" in result.stdout and "would 0" in result.stdout, (mode, result)
        whys = [event["result"]["why"] for event in result.events("effect.outcome") if event["status"] == "refused"]
        assert all("a probe" in why for why in whys) and not result.events("remedy.started"), (mode, result)


def test_3_no_write_outside_a_remedy(law, http_faults):
    """Broken by: check_place without its `if not here.remedy`."""
    for mode in (["--yes", "high"], ["-n"]):
        result = law("http.post(base .. '/x')\nreturn resolved 'x'", *mode)
        assert result.code == 3 and "put it in a remedy" in result.stderr and not writes(http_faults), result


# ---- 4. Unknown is not a fault, and not health ----

UNKNOWN = """
local db = probe("Database", function() check("up", http.get("http://no-such-name.invalid/"), { fault = "down" }) end)()
if db.down == nil then note "not known" end
local fixed = remedy("Fix", { risk = "low" }, function() http.post(base .. "/fix") end)()
return resolved "so I hope"
"""


def test_4_what_was_decided_on_ignorance_is_never_automatic(law, sandbox, http_faults, runbook_tty):
    """Broken by: automatic() without its `#run.ignorance`; findings that don't call run.decided_without."""
    sandbox.write("runbook.config.lua", 'return { approvals = { low = "auto", medium = "auto", high = "auto" } }')
    result = law(UNKNOWN, "--yes", "high")
    assert result.code == 5 and not writes(http_faults), result
    terminal = runbook_tty("run", "law.lua", "-p", f"url={http_faults.url}", "--yes", "high", "--alongside")
    terminal.expect_exact("decided without knowing Database.down:")
    terminal.expect(r"yes or no\?")
    terminal.sendline("no")
    result = terminal.finish()
    assert not writes(http_faults), result
    assert "but Database is unknown" in result.stdout and result.code == 1, result


def test_4_known_is_automatic_when_the_config_says_so(law, sandbox, http_faults):
    """The other half of the test above: it is the ignorance that keeps the remedy waiting."""
    sandbox.write("runbook.config.lua", 'return { approvals = { low = "auto" } }')
    result = law(UNKNOWN.replace('"http://no-such-name.invalid/"', 'base .. "/status/503"'))
    assert writes(http_faults) == ["POST /fix"] and result.code == 0, result


def test_4_resolved_counts_only_when_the_goal_holds(law, http_faults):
    """Broken by: judge_resolved that believes the script."""
    script = 'recovered("it answers", { within = "0s" }, function() return http.get(base .. "/health") end)\n'
    http_faults.set("/health", status=503)
    result = law(script + 'return resolved "it is fine"')
    assert result.code == 1 and "this doesn't hold: it answers" in result.stdout, result
    http_faults.set("/health", status=200)
    assert law(script + 'return resolved "it is fine"').code == 0


# ---- 5. A dry run is safe and truthful ----

PEOPLE = """return { approvals = { low = "auto", medium = "auto", high = "auto" },
  pager = { "pagerduty", routing_key = secret "PAGERDUTY_KEY", url = "%s" },
  chat = { "slack", token = secret "SLACK_TOKEN", url = "%s/api" }, incident = { "webhook", url = "%s" } }"""
EVERYTHING = """
escalation("1s", function(run) escalate.page { summary = run.headline } escalate.notify { to = "#x", text = run.report } end)
recovered("it answers", { within = "1s" }, function() return http.get(base .. "/status/503") end)
escalate.notify { to = "#x", text = "told" }
local made
remedy("Create", {}, function()
  local done = http.post(base .. "/new", { body = "x" })
  made = { dry = done.dry, ok = done.ok, status = done.status }
  if confirm "Sure?" then http.delete(base .. "/old") end
  if choose("Which?", { "first", "second" }) == "first" then http.put(base .. "/first") end
  escalate.page { summary = "from a remedy" }
  check("plausible", done.ok and done.dry and done.status == 200)
end)()
check("reads are real", http.get(base .. "/json").json.name == "conduit")
escalate.page { summary = "at the end" }
return unresolved "nothing helped"
"""


def tree(folder):
    """path → (bytes, time of change) of every file below."""
    return {os.path.join(at, name): (os.path.getsize(os.path.join(at, name)), os.stat(os.path.join(at, name)).st_mtime_ns)
            for at, _, names in os.walk(folder) for name in names}


def test_5_a_dry_run_changes_tells_asks_and_arms_nothing(law, sandbox, http_faults, pagerduty, slack, webhook):
    """Broken by: modes/dry.lua with live's write; with live's notify; with live's ask; arm_levels in every mode."""
    sandbox.write("runbook.config.lua", PEOPLE % (pagerduty.url, slack.url, webhook.url))
    sandbox.env.update(PAGERDUTY_KEY=pagerduty.routing_key, SLACK_TOKEN=slack.token)
    law("wait_until('w', { within = '0s' }, function() return false end)\nreturn unresolved 'an earlier run'")
    wait_for(lambda: pagerduty.requests, "the earlier run's page")
    wait_for(lambda: not any(path.endswith("/watchdog.lock") for path in tree(sandbox.state)), "the end of its watchdog")
    told, before = len(pagerduty.requests) + len(slack.requests) + len(webhook.requests), tree(sandbox.state)
    result = law(EVERYTHING, "--dry-run")
    assert result.code == 0 and not writes(http_faults), result
    assert "GET /json" in sent(http_faults, "GET"), "reads are real"
    assert len(pagerduty.requests) + len(slack.requests) + len(webhook.requests) == told, result
    assert not result.events("question") and not result.events("escalation.armed"), result
    assert all(event["passed"] for event in result.events("check")), result
    after = {path: what for path, what in tree(sandbox.state).items() if not path.startswith(result.run_dir)}
    assert after == before and os.path.basename(result.run_dir).startswith("dry-")
    assert not os.path.exists(os.path.join(result.run_dir, "watchdog.jsonl"))
    assert not [pid for pid in sandbox.processes() if result.run_dir.encode() in open(f"/proc/{pid}/cmdline", "rb").read()]


def test_5_a_write_is_told_as_would_and_never_as_ok(law, http_faults):
    """Broken by: gate.lua's tell with status "ok"."""
    result = law(EVERYTHING, "--dry-run")
    outcomes = {event["line"].split()[0] + " " + event["line"].rsplit("/", 1)[-1]: event["status"]
                for event in result.events("effect.outcome") if event["class"] in ("write", "destructive", "notify")}
    assert outcomes["http.post new"] == outcomes["http.delete old"] == outcomes["http.put first"] == "would", outcomes
    assert set(outcomes.values()) == {"would"}, outcomes
    assert not result.events("effect.intent"), result
    recap = result.stdout.splitlines()[-1]
    assert "changed 0" in recap and "DRY RUN, nothing was changed" in recap, recap


def test_5_strict_runs_no_read_on_the_authors_word(law, http_faults):
    """Broken by: dry.read without its first `if`."""
    script = 'note(http.post(base .. "/search", { reads = true }).ok)\nreturn resolved "x"'
    assert law(script, "--dry-run").code == 0 and writes(http_faults) == ["POST /search"]
    http_faults.requests.clear()
    result = law(script, "--dry-run=strict")
    assert not writes(http_faults) and "--dry-run=strict" in result.stdout, result


# ---- 6. Plan, then apply; nothing beyond the plan ----

FLIPS = """
remedy("Fix", { risk = "low" }, function()
  if http.get(base .. "/flaky/%d/key").ok then http.delete(base .. "/wrong") else http.post(base .. "/right") end
end)()
return unresolved "x"
"""


def test_6_a_write_outside_the_plan_is_not_covered_by_its_approval(law, sandbox, http_faults, runbook_tty):
    """Broken by: gate.lua's apply that doesn't look for the planned entry; screen.ask that answers `beyond` from the file."""
    sandbox.write("answers.lua", 'return { ["*"] = "yes" }')
    result = law(FLIPS % 1, "--yes", "high", "--answers", "answers.lua")
    assert result.code == 5 and not writes(http_faults), result
    assert "http.delete " in result.stdout and "is not in the plan you approved" in result.stdout, result
    http_faults.failures.clear()
    terminal = runbook_tty("run", "law.lua", "-p", f"url={http_faults.url}", "--yes", "high", "--alongside")
    terminal.expect_exact("is not in the plan you approved")
    terminal.expect(r"yes or no\?")
    terminal.sendline("yes")
    terminal.finish()
    assert writes(http_faults) == ["DELETE /wrong"]


def test_6_what_was_approved_is_looked_at_again_when_it_is_old(sandbox):
    done = sandbox.run("luahost", os.path.join(ROOT, "tests", "stdlib", "plan_test.lua"))
    assert (done.code, done.stdout) == (0, "plan: well\n"), done


def test_6_what_differs_from_the_plan_in_any_way_is_not_in_it(sandbox):
    done = sandbox.run("luahost", os.path.join(ROOT, "tests", "stdlib", "plan_covers_test.lua"))
    assert (done.code, done.stdout) == (0, "plan covers: well\n"), done


def test_6_what_was_planned_is_applied_once(law, http_faults):
    """Broken by: plan:take without `entry.taken = true`."""
    script = """
      local n = 0
      remedy("Fix", { risk = "low" }, function()
        for _ = 1, tonumber(http.get(base .. "/times").body) do http.post(base .. "/again") end
      end)()
      return unresolved "x"
    """
    http_faults.set("/times", body="2")
    assert law(script, "--yes", "low").code == 1
    assert writes(http_faults) == ["POST /again"] * 2
    result = law(script.replace("base .. \"/times\"", 'base .. "/flaky/1/n"').replace(".body", '.body:match "%d"'), "--yes", "low")
    assert writes(http_faults) == ["POST /again"] * 3 and result.code == 5, result


def test_6_an_undo_is_owed_when_the_run_ends_inside_its_remedy(law, http_faults):
    """Broken by: apply that raises the interrupt before it calls owe."""
    result = law("""
      remedy("Drain", { undo = function() http.post(base .. "/right") end }, function()
        http.post(base .. "/fix")
        confirm "Go on?"
      end)()
      return unresolved "never"
    """, "--yes", "low")
    assert result.code == 5 and "owed 1" in result.stdout and writes(http_faults) == ["POST /fix"], result


# ---- 7. The journal is written before the world is changed ----

class Witness(Site):
    """Reads the journal at the moment a request comes in, and then answers nothing, or a word."""

    def __init__(self, sandbox):
        super().__init__()
        self.sandbox, self.saw, self.silent = sandbox, [], False

    def answer(self, handler, request):
        with open(os.path.join(self.sandbox.runs()[-1], "journal.jsonl")) as journal:
            self.saw.append([json.loads(line) for line in journal.read().split("\n")[:-1]])
        handler.silence() if self.silent else handler.reply(200, "ok")


@pytest.fixture
def witness(sandbox):
    site = Witness(sandbox)
    yield site
    site.stop()


def check_chain(lines):
    before = "0" * 64
    for number, line in enumerate(lines, 1):
        event = json.loads(line)
        assert event["seq"] == number and event["prev"] == before, line
        before = hashlib.sha256(line.encode()).hexdigest()


WRITE = 'remedy("Fix", {}, function() http.post("%s/act") end)()\nreturn unresolved "x"'


def test_7_the_intent_is_on_disk_before_the_act(law, witness):
    """Broken by: act_on that writes its intent after do_it."""
    law(WRITE % witness.url, "--yes", "low")
    assert [event["event"] for event in witness.saw[0]][-1] == "effect.intent", witness.saw
    assert witness.saw[0][-1]["line"] == f"http.post {witness.url}/act"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_7_what_was_begun_and_not_ended_is_told(sandbox, witness, number):
    """Broken by: act_on without journal.intent; for SIGTERM, act_on that lets an interrupt pass unwritten."""
    witness.silent = True
    sandbox.write("law.lua", HEAD + WRITE % witness.url)
    process = sandbox.start("runbook", "run", "law.lua", "--yes", "low")
    witness.wait_for_requests(1)
    process.send_signal(number)
    process.wait()
    with open(os.path.join(sandbox.runs()[-1], "journal.jsonl")) as journal:
        lines = journal.read().split("\n")[:-1]
    check_chain(lines)
    events = [json.loads(line) for line in lines]
    assert [event["line"] for event in events if event["event"] == "effect.intent"] == [f"http.post {witness.url}/act"]
    outcomes = [event["status"] for event in events if event["event"] == "effect.outcome"]
    assert outcomes == ([] if number == signal.SIGKILL else ["unknown"])
    if number == signal.SIGTERM:
        assert process.returncode == 143 and "may have run" in lines[-2] + lines[-3], lines
