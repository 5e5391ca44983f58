"""raw.watchdog: the interpreter's side of the watchdog."""

import os
import signal
import time

import pytest

from lab.luavalues import ask, lua
from lab.process import wait_for
from lab.watchdog import run, status_of


@pytest.fixture
def host(run, luahost, sandbox):
    """host(lua, …) -> what it showed; `start(options)` is at hand there. The sandbox ends the watchdogs it leaves."""
    prelude = f"""
local watchdog, task = require "raw.watchdog", require "raw.task"
local function start(options)
  options.run_path, options.self = options.run_path or {lua(run.path)}, {lua(run.self)}
  options.levels = options.levels or {{{{ after = 600, index = 1 }}}}
  return watchdog.start(options)
end
local function wait(handle, name)
  for _ = 1, 200 do
    if #handle:status()[name] > 0 then return handle:status() end
    task.sleep(0.05)
  end
end
"""
    return lambda text, **options: ask(luahost, prelude + text, **options)


def test_raw_start_returns_armed_and_outlives_its_host(run, host):
    began = time.monotonic()
    shown, = host("""
local handle = assert(start { levels = { { after = 1, index = 1 }, { after = 600, index = 2 } },
                              secrets = { KEY = "a\\0b\\n" }, env = { PATH = "/usr/bin:/bin", LANG = "C" } })
show(handle:status())""")
    assert time.monotonic() - began < 2.5
    status, = shown
    assert status["alive"] is True and {key: status[key] for key in ("fired", "delivered", "failed")} == dict.fromkeys(
        ("fired", "delivered", "failed"), {})
    assert os.getsid(status["pid"]) == status["pid"]
    run.wait_for("delivered 1 script")
    assert run.calls[0]["secrets"] == "KEY 4\na\0b\n" and run.calls[0]["env"]["LANG"] == "C"
    assert status_of(status["pid"])["PPid"] != "0" and os.path.exists(f"/proc/{status['pid']}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_raw_watchdog_needs_no_living_host(run, sandbox, number):
    process = sandbox.start("luahost", sandbox.write("host.lua", f"""
local handle = assert(require("raw.watchdog").start {{ run_path = {lua(run.path)}, self = {lua(run.self)},
  levels = {{ {{ after = 1, index = 1 }} }}, env = {{ PATH = "/usr/bin:/bin" }} }})
while true do end"""))
    wait_for(lambda: run.events, "armed")
    process.send_signal(number)
    run.wait_for("delivered 1 script")
    process.kill()
    process.communicate()


def test_raw_fire_stop_and_status(run, host):
    shown = host("""
local handle = start { levels = { { after = 600, index = 1 }, { after = 700, index = 2 } }, env = { PATH = "/usr/bin:/bin" } }
show(handle:fire(1))
show(wait(handle, "delivered"))
show(handle:secret("K", "v") and handle:arm { { after = 500, index = 2 }, { after = 800, index = 3 } })
show(handle:stop("resolved"))
task.sleep(0.3)
show(handle:status())
show(handle:arm { { after = 500, index = 2 } })
handle:detach()
show(handle:status().alive, pcall(handle.stop, handle, "ack"))""")
    assert [shown[0], shown[2], shown[3]] == [[True]] * 3
    assert shown[1][0]["fired"] == shown[1][0]["delivered"] == [1]
    assert shown[4][0]["stopped"] == "resolved" and shown[4][0]["alive"] is True
    assert shown[5][1]["kind"] == "cancelled"
    assert shown[6][:2] == [False, False] and "let go" in shown[6][2]
    wait_for(lambda: not os.path.exists(os.path.join(run.path, "watchdog.lock")), "its end")
    assert run.events[-1]["levels"] == [2, 3]


def test_raw_tells_when_the_watchdog_died(run, sandbox):
    """And another one can be started then."""
    process = sandbox.start("luahost", sandbox.write("host.lua", f"""
local watchdog, task = require "raw.watchdog", require "raw.task"
local options = {{ run_path = {lua(run.path)}, self = {lua(run.self)}, levels = {{ {{ after = 600, index = 1 }} }} }}
local handle = assert(watchdog.start(options))
while handle:status().alive do task.sleep(0.05) end
local ok, err = handle:fire(1)
print(ok, err.kind, watchdog.start(options) ~= nil)"""))
    wait_for(lambda: run.events, "armed")
    os.kill(int(open(os.path.join(run.path, "watchdog.lock")).read().split()[0]), signal.SIGKILL)
    assert process.communicate(timeout=20)[0] == b"nil\treset\ttrue\n"
    assert run.story() == ["armed", "armed"]


def test_raw_failures_are_values(run, host):
    shown = host(f"""
show(start {{ run_path = {lua(run.path + "/nowhere")} }})
local first = start {{}}
show(start {{}})
first:stop("abort")
show(start {{ secrets = {{ X = ("x"):rep(65530) }}, run_path = {lua(os.path.dirname(run.path))} }})
show(start {{ secrets = {{ X = ("x"):rep(70000) }}, run_path = {lua(os.path.dirname(run.path))} }})""")
    assert [row[0] for row in shown] == [None] * 4
    assert [row[1]["kind"] for row in shown] == ["missing", "locked", "limit", "limit"]


@pytest.mark.parametrize("call", [
    "start { run_path = 'relative' }", "start { levels = { { after = -1 } } }", "start { levels = { { after = 0 / 0 } } }",
    "start { levels = { { after = 1, index = 17 } } }", "start { secrets = { ['A B'] = 'x' } }", "start { secrets = { A = 1 } }",
    "start { env = { ['A=B'] = 'x' } }", "start { env = 7 }", "watchdog.start { run_path = '/x', self = '/x' }",
    "watchdog.start()"])
def test_raw_misuse_raises(host, call):
    assert host(f"show((pcall(function() return {call} end)))") == [[False]]
