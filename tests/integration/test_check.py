"""runbook check: each rule has a text that it finds something in, and one that is near to it and well."""

import json
import os
import re
import shutil
import subprocess
import time

import pytest

from lab.program import BUILD, ROOT

HEAD = 'runbook { title = "X", severity = "warning" }\n'
PROBE = """local p = probe("P", function()
  check("it runs", docker.inspect("x").state == "running", { fault = "stopped" })
  return { more = true }
end)
"""
TOKEN = "ghp_" + "a1B2" * 9

# rule: (what it finds something in, at which line and column after HEAD, what it says; what it finds nothing in)
RULES = {
    "undeclared-name": ("note(docekr)", "2:6", "did you mean 'docker'?", "local docekr = 1\nnote(docekr)"),
    "global-variable": ("count = 1", "2:1", "write `local count = …`", "local count = 0\ncount = 1\nnote(count)"),
    "unused-local": ("local x = 1", "2:7", "never read", "local _x = 1\nlocal function f(unused) return 1 end\nnote(f())"),
    "shadowed-local": ("local x = 1\ndo local x = 2 note(x) end\nnote(x)", "3:10", "hides the local of line 2",
                       "do local x = 2 note(x) end\nlocal x = 1\nnote(x)"),
    "unknown-effect": ('docker.restrat("x")', "2:1", "did you mean 'restart'?",
                       'local docker = { restrat = note }\ndocker.restrat("x")'),
    "unknown-option": ('note(docker.logs("x", { tial = 5 }))', "2:25", "unknown option 'tial' (did you mean 'tail'?)",
                       'local o = { tail = 5 }\nnote(docker.logs("x", o))\nnote(kubectl.get("pods", { selector = "a=b" }))'),
    "missing-argument": ("note(docker.logs())", "2:6", "argument 1 (container) is missing",
                         'local function f() return "x" end\nnote(docker.logs(f()))\nnote(kubectl.get("pods"))'),
    "wrong-option": ('note(docker.logs("x", { timeout = "5 minutes" }))', "2:35", "a unit is missing",
                     'note(docker.logs("x", { timeout = "5m", tail = 5 }))'),
    "unknown-field": ('note(docker.inspect("x").sate)', "2:26", "has no field 'sate' (did you mean 'state'?)",
                      'local c = docker.inspect("x")\nnote(c.state, c.ok, c.why)\nnote(json.decode("{}").sate)'),
    "write-in-probe": ('probe("P", function() docker.restart("x") end)()', "2:23", "put it in a remedy",
                       'local r = remedy("R", {}, function() docker.restart("x") end)\nr()'),
    "write-outside-remedy": ('docker.restart("x")', "2:1", "so that somebody is asked",
                             'local function f() docker.restart("x") end\nremedy("R", {}, f)()'),
    "program-has-effect": ('note(exec { "/usr/bin/kubectl", "get", "pods" })', "2:13", "kubectl: kubectl.…",
                           'note(exec { "uptime", "kubectl" })'),
    "clock-in-write": ('remedy("R", {}, function() docker.set_env("x", { A = tostring(time.now()) }) end)()', "2:63",
                       "another than what is done", 'local t = time.now()\nremedy("R", {}, function() note(t) end)()'),
    "unknown-finding": (PROBE + "if p().stoped then note(1) end", "6:8", "no check of this probe has the fault 'stoped'",
                        PROBE + "local f = p()\nif f.stopped or f.more or p().stopped then note(1) end"),
    "unknown-as-no": (PROBE + "if not p().stopped then note(1) end", "6:4", "write `p().stopped == false`",
                      PROBE + "if p().stopped == false or not docker.inspect('x').ok then note(1) end"),
    "result-as-condition": ('if docker.inspect("x") then note(1) end', "2:4", "ask for its .ok",
                            'local c = docker.inspect("x")\nif c.ok and c.state then note(1) end'),
    "same-condition": ("local x = note\nif x == 1 then note(1) elseif x == 1 then note(2) end", "3:31", "as in line 3",
                       "local x = note\nif x == 1 then note(1) elseif x == 2 then note(2) end"),
    "nan-comparison": ("local x = tonumber('1')\nif x == 0/0 then note(1) end", "3:4", "not even itself",
                       "local x = tonumber('1')\nif x == 0/1 then note(1) end"),
    "late-escalation": ('note(sysinfo.uptime())\nescalation("5m")', "3:1", "acts in line 2 already",
                        'local function f() note(sysinfo.uptime()) end\nescalation("5m")\nf()'),
    "unproved-resolved": ('return resolved "done"', "2:8", "nobody looked",
                          'recovered("it runs", {}, function() return true end)\nreturn resolved "done"'),
    "dropped-remedy": ('local a = remedy("A", { risk = "low" }, function() note(1) end)\n'
                       'local b = remedy("B", { risk = "high" }, function() note(2) end)\na()\nb()', "5:1",
                       "in line 4 is not asked",
                       'local a = remedy("A", { risk = "low" }, function() note(1) end)\n'
                       'local b = remedy("B", { risk = "high" }, function() note(2) end)\nif not a() then b() end\na()\na()'),
    "wrong-duration": ('recovered("x", { within = "2 min" }, function() return true end)', "2:27", "a unit is missing",
                       'recovered("x", { within = "2m" }, function() return true end)'),
    "wrong-pattern": ('note(re.find("x", "(a"))', "2:19", "", 'note(re.find("x", "(a)"))'),
    "secret-literal": (f'note("{TOKEN}")', "2:6", "let the config fetch it", 'note("ghp_short")'),
    "no-warning": ('remedy("R", {}, function() docker.kill("x") end)()', "2:1", "docker.kill (line 2) can't be undone",
                   'remedy("R", { warning = "it is gone" }, function() docker.kill("x") end)()\n'
                   'remedy("S", {}, function() docker.restart("x") end)()'),
    "too-many-arguments": ('note(docker.inspect("x", {}, 1))', "2:30", "docker.inspect takes at most 2 arguments",
                           'note(docker.inspect("x", {}))\nnote(redis.command("redis://x", "GET", "a", { timeout = "1s" }))'),
    "wrong-argument": ('note(docker.logs(5))', "2:18", "argument 1 (container): a string expected, got a number",
                       'note(kubectl.get("pods", { selector = "a=b" }))\nnote(exec { "df" })'),
    "unknown-member": ('note(text.tial("x", 1))', "2:11", "there is no text.tial (did you mean 'tail'?)",
                       'local text = { tial = note }\ntext.tial(string.format("%d", math.pi), json.null)'),
    "unknown-param": ('local p = params { name = { "x" } }\nnote(p.nmae)', "3:8", "no parameter 'nmae' (did you mean 'name'?)",
                      'local p = params { name = { "x" } }\nnote(p.name)'),
    "unused-in-table": ('local fix = { a = remedy("A", {}, function() note(1) end), b = remedy("B", {}, function() note(1) end) }\n'
                        'fix.a()', "2:60", "'fix.b': the remedy is never called",
                        'local fix = { a = remedy("A", {}, function() note(1) end) }\nfor _, f in pairs(fix) do f() end'),
    "wrong-json": ("note(json.decode('{\"a\": 1,}'))", "2:18", "it is no JSON", "note(json.decode('{\"a\": 1}'))"),
    "wrong-sql": ('note(sql.value("postgresql://x", "SELECT (1"))', "2:34", "a ( is not closed",
                  'note(sql.value("postgresql://x", "SELECT \')\' -- ("))'),
    "raising-look": ('if docker.inspect("x").ok then note(1) end', "2:4", "look in a probe",
                     'local c = docker.inspect("x")\nif not c.error and c.ok then note(1) end\n'
                     'probe("P", function() return { up = docker.inspect("x").ok and true } end)()'),
    "syntax": ("if x then", "2:10", "'end' expected", "if note then end"),
}

REMEDIES = """local low = remedy("A", {}, function() note(1) end)
local high = remedy("B", { risk = "medium" }, function() note(2) end)
"""
PROGRAM = 'note(exec({}, {{ reads = true }}))'

# A rule, what else it finds something in, and what else it leaves alone: (rule, text after HEAD, place or None).
CASES = [
    ("dropped-remedy", REMEDIES + "low()\nhigh()", "5:1"),
    ("dropped-remedy", REMEDIES + "low()\nnote(1)\nlocal x = 1\nhigh()\nnote(x)", "7:1"),
    ("dropped-remedy", REMEDIES + "low()\nif note then return end\nhigh()", None),
    ("dropped-remedy", REMEDIES + "high()\nlow()\nlow()", None),
    ("same-condition", 'local x = note\nif x == "a  b" then note(1) elseif x == "a b" then note(2) end', None),
    ("same-condition", "local x = note\nif x == 1 then note(1) elseif x -- why\n== 1 then note(2) end", "3:31"),
    ("same-condition", 'if ask("q") == "a" then note(1) elseif ask("q") == "a" then note(2) end', None),
    ("same-condition", PROBE + "if p().stopped then note(1) elseif p().stopped then note(2) end", None),
    ("same-condition", 'local x = "a"\nif x:len() == 1 or math.random() > 1 then note(1) elseif #x == 1 then note(2) end', None),
    ("same-condition", 'local x = "a"\nif string.len(x) == 1 then note(1) elseif string.len(x) == 1 then note(2) end', "3:43"),
    ("no-warning", 'remedy("R", function() redis.command(p, "FLUSHDB") end)()', "2:1"),
    ("no-warning", 'remedy("R", {}, function() redis.command(p, "GET", "FLUSHDB") end)()', None),
    ("no-warning", 'local function f() http.delete("http://x") end\nremedy("R", { risk = "high" }, function() f() end)()', "3:1"),
    ("no-warning", 'remedy("R", {}, function() sql.execute(p, "DROP TABLE x") end)()', "2:1"),
    ("no-warning", 'remedy("R", {}, function() exec({ "rm", "x" }, { destructive = true }) end)()', "2:1"),
    ("write-in-probe", 'probe("P", function() redis.command("redis://x", "SET", "a", "b") end)()', "2:23"),
    ("write-in-probe", 'probe("P", function() note(redis.command("redis://x", "GET", "a"), sql.execute(p, q)) end)()', None),
    ("write-in-probe", 'probe("P", function() exec { "vendor-tool", "x" } end)()', None),
    ("unknown-option", 'remedy("R", { risky = "low" }, function() note(1) end)()', "2:15"),
    ("unknown-option", 'recovered("R", { whithin = "2m" }, function() return true end)', "2:18"),
    ("unknown-option", 'note(params { a = { 1, "help", typ = "size" } })', "2:32"),
    ("unknown-option", PROBE.replace("fault", "falut"), "3:62"),
    ("unknown-option", 'note(choose("q", { yse = 1, "a" }, { within = "5m" }))', None),
    ("wrong-option", 'remedy("R", { risk = "hihg" }, function() note(1) end)()', "2:22"),
    ("wrong-option", 'remedy("R", { temporary = "1h" }, function() note(1) end)()', "2:27"),
    ("wrong-option", 'note(params { a = { "", type = "sise" } })', "2:32"),
    ("wrong-option", 'remedy("R", {}, function() sql.execute(p, "X", { max_rows = 1.5 }) end)()', "2:61"),
    ("wrong-argument", 'probe(function() end)()', "2:7"), ("wrong-argument", 'note(exec "df")', "2:11"),
    ("wrong-argument", 'remedy("R", function() note(1) end)()', None),
    ("too-many-arguments", 'probe("P", { risk = "low" }, function() end)()', "2:30"),
    ("too-many-arguments", 'escalation("5m", nil, note())', None), ("too-many-arguments", 'escalation("5m", note, 3)', "2:24"),
    ("missing-argument", "note(probe())", "2:6"),
    ("unknown-param", 'local given = { name = { "x" } }\nlocal p = params(given)\nnote(p.nmae)', "4:8"),
    ("unknown-param", 'local p = params { [note] = { "x" } }\nnote(p.nmae)', None),
    ("unknown-member", 'note(re.finds("a", table.insert, utf8.len("x")))', "2:9"),
    ("wrong-sql", 'local q = [[SELECT 1; SELECT 2]]\nnote(sql.row("postgresql://x", q))', "3:32"),
    ("wrong-sql", """note(sql.row("postgresql://x", "SELECT 'a"))""", "2:32"),
    ("dropped-remedy", 'local fix = { a = remedy("A", {}, function() note(1) end),\n'
                       '  b = remedy("B", { risk = "high" }, function() note(2) end) }\nfix.a()\nfix.b()', "5:1"),
    ("write-in-probe", 'local t = {}\nfunction t.b() docker.restart("x") end\nprobe("P", function() t.b() end)()', "4:23"),
    ("write-in-probe", 'local t = {}\nt.b = function() docker.restart("x") end\nt.b = note\n'
                       'probe("P", function() t.b() end)()', None),
    ("unused-in-table", 'local t = {}\nt.b = remedy("B", {}, function() note(1) end)\nt.c = 1\nnote(t.c)', "3:3"),
    ("unused-in-table", 'local t = {}\nt.b = remedy("B", {}, function() note(1) end)\nt.b()', None),
    ("unused-in-table", 'local t = {}\nt.b = remedy("B", {}, function() note(1) end)\nreturn t', None),
    ("wrong-argument", "note(params { a = 1 })", "2:19"),
    ("result-as-condition", 'local t = { c = docker.inspect("x") }\nif t.c then note(1) end', "3:4"),
    ("result-as-condition", 'local t = { c = docker.inspect("x") }\nt.c = nil\nif t.c then note(1) end', None),
    ("same-condition", 'local x = ""\nif #x == 1 then note(1) elseif #x == 2 then note(2) elseif #x == 1 then note() end', "3:60"),
    ("unknown-as-no", PROBE + "if not p( --[[again]] ).stopped then note(1) end", "6:4"),
    ("write-in-probe", 'local function f() docker.restart("x") end\nprobe("P", function() f() end)()', "3:23"),
    ("write-in-probe", 'local function f() docker.restart("x") end\nlocal function g() f() end\nprobe("P", g)()', "3:20"),
    ("write-in-probe", 'local function f() docker.restart("x") end\nprobe("P", function() return f end)()\n'
                       'remedy("R", {}, function() f() end)()', None),
    ("write-in-probe", 'local function f() f() note(docker.inspect("x")) end\nrecovered("P", {}, function() f() end)', None),
    *(("program-has-effect", PROGRAM.format(words), place) for words, place in [
        ('{ "sudo", "-n", "-u", "me", "docker", "ps" }', "2:39"), ('{ "env", "A=1", "docker", "ps" }', "2:27"),
        ('{ "nice", "-n", "5", "/usr/bin/ssh", "x" }', "2:32"), ('{ "timeout", "-k", "1", "5", "sudo", "psql" }', "2:48"),
        ('{ "timeout", "5", "df", "docker" }', None), ('{ "sudo", "-u", "docker", "df" }', None), ('{ "sudo" }', None)]),
    ("program-has-effect", 'local words = { "docker", "ps" }\nnote(exec(words, { reads = true }))', "2:17"),
    ("syntax", "local x = (1", "2:13"), ("syntax", "x = = 2", "2:5"), ("syntax", 'note "a" "b', "2:12"),
    ("syntax", "note(1)\rlocal = 2", "3:7"), ("syntax", "note(1)\r\n\n\rlocal = 2", "4:7"),
    ("syntax", "local x <const> = 1\nx = 2", "3:1"), ("syntax", "note(1)\n  goto nowhere", "3:3"),
    ("undeclared-name", "-- why\rnote(docekr)", "3:6"), ("undeclared-name", "note(1)\r\nnote(docekr)", "3:6"),
]


@pytest.fixture
def checked(runbook, sandbox):
    """checked(text, *options) -> what runbook check says of a file with that text"""
    def check(text, *options):
        sandbox.write("x.lua", text)
        return runbook("check", "x.lua", *options)
    return check


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_finds_what_it_is_for(checked, rule):
    text, place, says, _ = RULES[rule]
    result = checked(HEAD + text)
    found = [line for line in result.stdout.splitlines() if line.endswith(f"[{rule}]")]
    assert result.code == 1 and len(found) == 1 and found[0].startswith(f"x.lua:{place}: ") and says in found[0], result


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_leaves_what_is_near_to_it_alone(checked, rule):
    result = checked(HEAD + RULES[rule][3])
    assert f"[{rule}]" not in result.stdout and result.code in (0, 1) and result.stderr == "", result


@pytest.mark.parametrize("rule, text, place", CASES)
def test_a_rule_finds_no_more_and_no_less(checked, rule, text, place):
    """Broken by: taking any of the spellings above for another."""
    result = checked(HEAD + text)
    found = [line for line in result.stdout.splitlines() if line.endswith(f"[{rule}]")]
    assert len(found) == (place is not None) and all(line.startswith(f"x.lua:{place}: ") for line in found), result


def test_every_rule_is_in_the_spec():
    with open(os.path.join(ROOT, "spec", "check.md"), encoding="utf-8") as file:
        told = set(re.findall(r"^\| `([a-z][a-z-]+)` \|", file.read(), re.M))
    sources = [os.path.join(ROOT, "stdlib", "check", name) for name in os.listdir(os.path.join(ROOT, "stdlib", "check"))]
    names = {name for path in sources for name in re.findall(r'^rules\["([a-z-]+)"\]', open(path, encoding="utf-8").read(), re.M)}
    assert told == names | {"syntax", "unreadable", "scenario", "allowance"} and names | {"syntax"} == set(RULES)


def test_our_own_runbooks_are_clean(runbook):
    folder = os.path.join(ROOT, "runbooks")
    result = runbook("check", *(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".lua")))
    assert (result.code, result.stdout) == (0, ""), result


def test_modules_are_looked_at_once_and_from_the_runbooks_folder(runbook, sandbox):
    sandbox.write("deep/lib/a.lua", 'require "lib.b"\nlocal x = 1\nreturn {}')
    sandbox.write("deep/lib/b.lua", "y = 1")
    for name in ("one", "two"):
        sandbox.write(f"deep/{name}.lua", HEAD + 'require "lib.a"\nrequire "lib.gone"')
    result = runbook("check", "deep/one.lua", "deep/two.lua")
    assert [line.split(" ")[0] for line in result.stdout.splitlines()] == [
        "deep/lib/a.lua:2:7:", "deep/lib/b.lua:1:1:", "deep/lib/gone.lua:1:1:"], result


LIB = """local lib = {}
local function deep() docker.kill("x") end
function lib.look(c) check("it runs", c.state == "running", { fault = "stopped" }) end
function lib.act() deep() end
lib.one = function() return 1 end
return lib
"""


@pytest.mark.parametrize("text, says", [
    ('probe("P", function() lib.act() end)()', "3:23: docker.kill changes something (line 2 of its module), and a probe"),
    ('probe("P", lib.act)()', "3:1: docker.kill changes something (line 2 of its module), and a probe"),
    ('remedy("R", {}, lib.act)()', "3:1: docker.kill (line 2 of its module) can't be undone"),
    ('local p = probe("P", function() lib.look(docker.inspect("x")) end)\nif p().stoped then note(1) end',
     "4:8: no check of this probe has the fault 'stoped'"),
    ('probe("P", function() lib.one() lib.look(docker.inspect("x")) end)()', None),
    ('note(lib.loop)', "3:10: there is no lib.loop (did you mean 'look'?)"),
    ('lib.more = 1\nnote(lib.more, lib.one)', "4:16: note takes at most 1 argument"),
])
def test_functions_of_modules_are_looked_into(checked, sandbox, text, says):
    """Broken by: a module's field that is not followed to its function."""
    sandbox.write("lib.lua", LIB)
    result = checked(HEAD + 'local lib = require "lib"\n' + text)
    assert result.stdout.count("\n") == (says is not None) and (not says or result.stdout.startswith(f"x.lua:{says}")), result


@pytest.mark.parametrize("module", ["local lib = setmetatable({}, { __index = math })\nreturn lib",
                                    "local lib = {}\nsetmetatable(lib, { __index = math })\nreturn lib",
                                    "local lib = {}\nlib[note] = 1\nreturn lib", "return note", "return"])
def test_of_a_module_whose_fields_can_not_be_told_nothing_is_said(checked, sandbox, module):
    sandbox.write("lib.lua", module)
    assert "x.lua" not in checked(HEAD + 'local lib = require "lib"\nnote(lib.floor)').stdout


def test_a_test_file_is_looked_at_too(runbook, sandbox):
    sandbox.write("x.test.lua", '\nscenario "s" { gievn = {} }')
    result = runbook("check", "x.test.lua")
    assert result.code == 1 and result.stdout.startswith("x.test.lua:2:1: ") and "[scenario]" in result.stdout, result


def test_a_test_file_that_computes_without_end_is_left_after_two_seconds(runbook, sandbox):
    """Broken by: leaving it to the ten seconds that a script has."""
    sandbox.write("x.test.lua", "while true do end")
    began = time.monotonic()
    result = runbook("check", "x.test.lua")
    assert "x.test.lua:1:1: " in result.stdout and "more than 2 s" in result.stdout and "[scenario]" in result.stdout, result
    assert time.monotonic() - began < 8, "two seconds, and what a loaded machine adds"


@pytest.mark.parametrize("comment, code, says", [
    ("-- runbook: allow unused-local it is for tomorrow", 0, ""),
    ("-- runbook: allow unused-local", 1, "a reason is expected behind it"),
    ("-- runbook: allow unused-lokal why", 1, "did you mean 'unused-local'?"),
    ("-- runbook: allow same-condition why", 1, "nothing is found there any more"),
])
def test_an_allowance_has_a_rule_and_a_reason(checked, comment, code, says):
    for text in (f"local x = 1 {comment}\n", f"{comment}\nlocal x = 1\n"):
        result = checked(HEAD + text)
        assert result.code == code and says in result.stdout, result
    assert checked(HEAD + f"{comment}\n\nlocal x = 1\n").code == 1, "it holds in its line and the next"


def test_a_baseline_leaves_out_what_is_known_as_often_as_it_is(checked, runbook):
    assert checked(HEAD + "local x = 1\n", "--write-baseline", "known.json").code == 0
    assert checked(HEAD + "\n\nlocal x = 1\n", "--baseline", "known.json").code == 0, "lines may move"
    result = checked(HEAD + "local x = 1\nlocal x = 1\n", "--baseline", "known.json")
    assert result.code == 1 and result.stdout.count("[unused-local]") == 1, result
    result = checked(HEAD, "--baseline", "gone.json")
    assert result.code == 2 and "gone.json" in result.stderr, result


def test_the_formats_say_the_same(checked):
    text = HEAD + "local x, y = 1, 2\n"
    found = json.loads(checked(text, "--format", "json").stdout)
    assert [(it["rule"], it["file"], it["line"], it["column"]) for it in found] == [
        ("unused-local", "x.lua", 2, 7), ("unused-local", "x.lua", 2, 10)]
    lines = checked(text, "--format", "github").stdout.splitlines()
    assert lines[0].startswith("::error file=x.lua,line=2,col=7,title=unused-local::'x'") and len(lines) == 2
    gitlab = json.loads(checked(text, "--format", "gitlab").stdout)
    assert [(it["check_name"], it["location"]) for it in gitlab] == [
        ("unused-local", {"path": "x.lua", "lines": {"begin": 2}})] * 2
    assert len({it["fingerprint"] for it in gitlab}) == 2, "one each"
    run, = json.loads(checked(text, "--format", "sarif").stdout)["runs"]
    assert run["tool"]["driver"]["rules"] == [{"id": "unused-local"}]
    assert [it["locations"][0]["physicalLocation"]["region"]["startColumn"] for it in run["results"]] == [7, 10]


@pytest.mark.parametrize("form, nothing", [("json", []), ("gitlab", [])])
def test_a_clean_file_is_an_empty_list(checked, form, nothing):
    result = checked(HEAD + "note(1)\n", "--format", form)
    assert result.code == 0 and json.loads(result.stdout) == nothing, result


def test_it_runs_nothing_and_asks_nobody_whose_file_it_is(sandbox, checked):
    result = checked(HEAD + 'note(files.write("made", "x"))\nwhile true do end\n')
    os.chmod(os.path.join(sandbox.folder, "x.lua"), 0o666)
    assert checked(HEAD).code == 0 and not os.path.exists(os.path.join(sandbox.folder, "made")) and sandbox.runs() == []
    assert "[write-outside-remedy]" in result.stdout, result


def test_what_leads_in_a_circle_is_looked_at(checked):
    """Broken by: following a field to itself for ever."""
    text = ("local t, u = {}, {}\nt.a = t.b\nt.b = t.a\nlocal v = { x = u.v }\nu.v = v\nt.a()\n"
            'remedy("R", {}, function() sql.execute("postgresql://x", "DELETE FROM x", v) exec(v, v) end)()\n'
            "local function f() f() end\nlocal w = w\nif t.a then note(f, w) end\n")
    result = checked(HEAD + text)
    assert result.code == 1 and result.stderr == "" and "[no-warning]" in result.stdout, result


@pytest.mark.parametrize("text", [
    "note(" + "+".join(["1"] * 50000) + ")", "local f = note\nf" + "(1)" * 20000,
    "local a = note\nif a then " + "".join(f"elseif a == {n} then note({n}) " for n in range(2000)) + "end",
], ids=["sum", "calls", "branches"])
def test_a_long_text_is_looked_at(checked, text):
    assert (checked(HEAD + text).stdout, checked(HEAD + text).code) == ("", 0)


def test_at_its_edge_a_file_is_looked_at_and_beyond_it_is_not(checked):
    filler = "-" * ((1 << 20) - len(HEAD) - len("--\n"))
    assert checked(HEAD + "--" + filler + "\n").code == 0
    result = checked(HEAD + "--" + filler + "-\n")
    assert result.code == 1 and "x.lua:1:1: it is longer than 1048576 bytes [unreadable]" in result.stdout, result


def test_reads_on_the_authors_word_are_listed_by_program(runbook, sandbox):
    """Broken by: a wrapper that is taken for the program; a module that is not looked into."""
    sandbox.write("lib/a.lua", 'local words = { "sudo", "-n", "wal-g", "list" }\nreturn docker.exec("x", words, { reads = true })')
    sandbox.write("x.lua", HEAD + 'require "lib.a"\nnote(exec({ "vendor", "x" }, { reads = true }))\n'
                  'note(http.post("http://x", { reads = true }))\nnote(exec { "df" })\nnote(exec({ "rm" }, { reads = false }))\n')
    result = runbook("check", "--declared", "x.lua")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["http.post", "http.post", "x.lua:4:6"], ["vendor", "exec", "x.lua:3:6"], ["wal-g", "docker.exec", "lib/a.lua:2:8"]], result
    assert result.code == 0 and json.loads(runbook("check", "--declared", "--format", "json", "x.lua").stdout)[1]["line"] == 3
    assert runbook("check", "--declared", "--format", "sarif", "x.lua").code == 2


def test_a_file_that_is_not_there_is_said(runbook):
    result = runbook("check", "gone.lua")
    assert result.code == 1 and result.stdout.startswith("gone.lua:1:1: ") and "[unreadable]" in result.stdout, result


def test_the_trees_of_all_lua_in_reach_say_what_the_texts_say():
    """Written out again from its tree alone a file compiles to the same code; what `load` refuses has no tree."""
    folders = [ROOT] + [folder for folder in ("/usr/share", "/usr/lib") if os.path.isdir(folder)]
    command = [os.path.join(BUILD, "luahost"), os.path.join(ROOT, "tests", "stdlib", "syntax_test.lua"), *folders]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    if shutil.which("luac5.4"):
        assert subprocess.run(["luac5.4", "-p", command[1]], timeout=10).returncode == 0
