"""string.find, match, gmatch and gsub as scripts have them: Lua's own answers, and heard by whoever ends the run."""

import os
import signal
import subprocess
import time

import pytest

from lab.luavalues import ask
from lab.program import BUILD

RUNBOOK = os.path.join(BUILD, "runbook")

# Patterns and texts put together from pieces that mean something, compared with what Lua itself makes of them.
COMPARE = r"""
local pattern = require "raw.pattern"
local pieces = { "a", "b", ".", "%a", "%D", "%s", "[ab]", "[^a]", "[%w_]", "[a-c]", "[]]", "[^]%]]", "%%", "*", "+", "-",
                 "?", "(", ")", "()", "^", "$", "%1", "%2", "%b()", "%f[%w]", "%f[^a]", "%", "[", "%b", "%f",
                 "[a-", "(a*)", "(.-)", "\0", "%z", "é" }
local letters = { "a", "b", "c", "ab", " ", "(", ")", "]", "%", "1", "_", "\0", "é", "\n" }
local seed = 7
local function draw(n) seed = (seed * 1103515245 + 12345) % 2147483648 return seed // 65536 % n + 1 end
local function made(from, most)
  local parts = {}
  for i = 1, draw(most + 1) - 1 do parts[i] = from[draw(#from)] end
  return table.concat(parts)
end
local function all(lib, name, ...)
  if name ~= "gmatch" then return pcall(lib[name], ...) end
  return pcall(function(...)
    local found = {}
    for a, b in lib.gmatch(...) do found[#found + 1] = tostring(a) .. "," .. tostring(b) end
    return table.concat(found, ";")
  end, ...)
end
local function text_of(...)
  local it = table.pack(...)
  for i = 1, it.n do it[i] = (tostring(it[i]):gsub("^[^:]*:%d+: ", ""):gsub("to '[%w.?]+'", "")) end
  return table.concat(it, "|")
end
local replacements = { "<%0>", "%1", "%2x", "%%", "%", "%q", { a = "X", ab = false },
                       function(a) return a == "a" and "Y" end, 7, true, function() return {} end }
local tried, wrong = 0, {}
for _ = 1, 40000 do
  local p, s = made(pieces, 6), made(letters, 9)
  local name = ({ "find", "match", "gmatch", "gsub" })[draw(4)]
  local third = name == "gsub" and replacements[draw(#replacements)] or draw(3) == 1 and draw(14) - 7 or nil
  local fourth = name == "gsub" and draw(3) == 1 and draw(4) - 1 or name == "find" and draw(4) == 1 or nil
  local ours, own = text_of(all(pattern, name, s, p, third, fourth)), text_of(all(string, name, s, p, third, fourth))
  tried = tried + 1
  if ours ~= own and #wrong < 5 then
    wrong[#wrong + 1] = ("%s(%q, %q, %s, %s): %s, Lua: %s"):format(name, s, p, tostring(third), tostring(fourth), ours, own)
  end
end
show(tried, table.concat(wrong, "\n"))
"""


def test_as_lua_itself_matches(luahost):
    """Broken by: any item of a pattern that is passed differently."""
    (tried, wrong), = ask(luahost, COMPARE)
    assert tried == 40000 and wrong == ""


def test_misuse_is_told_as_lua_tells_it(luahost):
    for call in ("find(nil, 'x')", "find('x')", "gsub('x', 'y')", "gsub('x', 'y', true)", "match('x', {})", "gmatch('x')",
                 "find('x', 'x', 'y')", "find('x', ('('):rep(33))", "find(('x'):rep(300), ('x?'):rep(300))"):
        (own, ours), = ask(luahost, f"""
          local function said(string) local ok, why = pcall(function() return string.{call} end) return tostring(why) end
          show(said(string), said(require("raw.pattern")))""")
        assert own == ours, call


ENDLESS = {
    "find": 'local text = ("a"):rep(60) text:find(("a-"):rep(30) .. "b")',
    "gsub": 'local text = ("a"):rep(60) text:gsub(("a*"):rep(30) .. "b", "")',
    "many": 'local text = ("a"):rep(400000) text:find(".-.-b")',
    "balanced": 'local text = ("("):rep(2000000) text:find("%b()")',
    "rep": 'for i = 1, 9 do string.rep("", 1 << 60) end while true do end',
    "move": "table.move({}, 1, 1 << 60, 2, {})",
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_interrupt_is_heard_within_it(sandbox, name):
    """Broken by: scripts with Lua's own string library."""
    script = sandbox.write("a.lua", f'runbook {{ title = "Endless" }}\nnote "begins"\n{ENDLESS[name]}\nreturn unresolved "x"\n')
    with subprocess.Popen([RUNBOOK, "run", script, "--dry-run"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=sandbox.env, text=True) as run:
        while "begins" not in run.stdout.readline():
            assert run.poll() is None
        run.send_signal(signal.SIGINT)
        began = time.monotonic()
        said = run.stdout.read()
        run.wait()
    assert time.monotonic() - began < 5 and "interrupt" in said.lower(), said


def test_the_budget_reaches_it(runbook, sandbox):
    """Broken by: tick that never looks."""
    sandbox.write("a.lua", f'runbook {{ title = "Endless" }}\n{ENDLESS["find"]}\nreturn unresolved "went on"\n')
    done = runbook("run", "a.lua", "--dry-run")
    assert "computed" in done.stdout and "went on" not in done.stdout, done
