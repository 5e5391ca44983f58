"""raw.process: children that behave and children that don't."""

import os
import signal
import time

import pytest

from lab.luavalues import ask, lua
from lab.process import wait_for

PATH = {"PATH": "/usr/bin:/bin"}
MIB = 1 << 20


@pytest.fixture
def run(luahost):
    """run(argv, **options) -> (result, None) or (None, error), as dicts; env is PATH alone unless given."""
    def call(argv, **options):
        text = f'show(require("raw.process").run({lua({"argv": argv, "env": PATH, **options})}))'
        answer = ask(luahost, text)[0]
        return answer[0], answer[1] if len(answer) > 1 else None
    return call


NAP = f"9{os.getpid()}"  # seconds that no other suite's programs sleep


def sh(script):
    return ["sh", "-c", script]


def with_argument(marker):
    """The processes with `marker` among their arguments."""
    pids = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if marker.encode() in file.read().split(b"\0"):
                    pids.append(int(pid))
        except OSError:
            pass
    return pids


def alive(marker):
    return bool(with_argument(marker))


def test_code_and_both_streams(run):
    result, _ = run(sh("echo out; echo err >&2; exit 3"))
    assert (result["code"], result["stdout"], result["stderr"], result["cut"]) == (3, "out\n", "err\n", False)
    assert "signal" not in result and result["ms"] > 0


def test_bytes_stay_bytes(run):
    result, _ = run(["printf", r"a\000b\377\033[31m"])
    assert result["stdout"] == "a\0b\xff\x1b[31m"


def test_signal_by_name(run):
    result, _ = run(sh("kill -SEGV $$"))
    assert (result["signal"], result["code"]) == ("SIGSEGV", 139)


def test_environment_is_exactly_what_is_given(run):
    result, _ = run(["/usr/bin/env"], env={"A": "1", "B": "two words"})
    assert sorted(result["stdout"].splitlines()) == ["A=1", "B=two words"]
    assert run(["/usr/bin/env"], env={})[0]["stdout"] == ""


def test_standard_input(run):
    assert run(["cat"])[0]["stdout"] == ""                          # /dev/null
    assert run(["cat"], stdin="")[0]["stdout"] == ""
    assert run(["cat", "/dev/stdin"], stdin="x\0y")[0]["stdout"] == "x\0y"   # a pipe, not a socket
    result, _ = run(["wc", "-c"], stdin="x" * 3_000_000)
    assert result["stdout"].strip() == "3000000"


def test_a_child_need_not_read_its_input(run):
    result, _ = run(["true"], stdin="x" * 3_000_000)
    assert result["code"] == 0


def test_folder(run):
    assert run(["pwd"], cwd="/usr")[0]["stdout"] == "/usr\n"


def test_own_session_and_no_descriptor_of_ours(run):
    result, _ = run(sh("ls /proc/self/fd; ps -o pid=,sid=,tty= -p $$"))
    *descriptors, process = result["stdout"].split("\n")[:-1]
    assert descriptors == ["0", "1", "2", "3"]                      # 3 is ls's own
    pid, session, tty = process.split()
    assert pid == session and tty == "?"


@pytest.mark.parametrize("argv, options, kind, words", [
    (["no-such-program"], {}, "missing", "no such program"),
    (["/no/such/program"], {}, "missing", "no such program"),
    (["true"], {"env": {"PATH": "/nowhere"}}, "missing", "no such program"),
    (["pwd"], {"cwd": "/no/such/folder"}, "missing", "/no/such/folder"),
    (["/etc/passwd"], {}, "permission", "/etc/passwd"),
    (["/usr"], {}, "permission", "/usr"),
])
def test_what_cannot_start(run, argv, options, kind, words):
    result, error = run(argv, **options)
    assert result is None and error["kind"] == kind and words in error["message"]


def test_missing_interpreter(run, sandbox):
    script = sandbox.write("script", "#!/no/such/interpreter\n")
    os.chmod(script, 0o755)
    _, error = run([script])
    assert error["kind"] == "missing" and "interpreter" in error["message"]


@pytest.mark.parametrize("options", [
    "{}", "{argv = {}}", "{argv = {''}}", "{argv = {'a\\0b'}}", "{argv = {1}}", "{argv = {'x'}, wat = 1}",
    "{argv = {'x'}, timeout = 0}", "{argv = {'x'}, timeout = 0/0}", "{argv = {'x'}, env = {['A=B'] = 'c'}}",
    "{argv = {'x'}, env = {A = 'b\\0c'}}", "{argv = {'x'}, keep = 'middle'}", "{argv = {'x'}, max_output = -1}",
])
def test_misuse_raises(luahost, options):
    assert ask(luahost, f'show(pcall(require("raw.process").run, {options}))')[0][0] is False


def test_fifty_megabytes_are_drained_and_cut(run):
    result, _ = run(sh("head -c 50000000 /dev/zero; echo done >&2"))
    assert result["code"] == 0 and result["cut"] and result["stderr"] == "done\n"
    assert len(result["stdout"]) == MIB


def test_keep_tail(run):
    result, _ = run(["seq", "1", "1000000"], max_output=16, keep="tail")
    assert result["stdout"] == "\n999999\n1000000\n" and result["cut"]
    result, _ = run(["seq", "1", "3"], max_output=6, keep="tail")
    assert result["stdout"] == "1\n2\n3\n" and not result["cut"]


def test_exactly_at_the_cap_is_not_cut(run):
    assert run(sh("printf 12345678"), max_output=8)[0] | {"ms": 0} == {
        "code": 0, "stdout": "12345678", "stderr": "", "cut": False, "left": False, "ms": 0}
    assert run(sh("printf 123456789"), max_output=8)[0]["cut"]


def test_timeout_keeps_what_came(run):
    started = time.monotonic()
    result, error = run(sh(f"echo part; echo why >&2; exec sleep {NAP}.1"), timeout=0.3)
    assert result is None and error["kind"] == "timeout" and "0.3 s" in error["message"]
    assert (error["stdout"], error["stderr"]) == ("part\n", "why\n")
    assert time.monotonic() - started < 2 and not alive(f"{NAP}.1")


def test_what_ignores_term_is_killed_with_its_children(run):
    script = f"trap '' TERM; sleep {NAP}.2 & sleep {NAP}.2 & while :; do sleep {NAP}.3; done"
    _, error = run(sh(script), timeout=0.3)
    assert error["kind"] == "timeout"
    assert not alive(f"{NAP}.2") and not alive(f"{NAP}.3")


def test_a_stopped_child_ends_at_term(run):
    started = time.monotonic()
    _, error = run(sh(f"kill -STOP $$; sleep {NAP}.4"), timeout=0.3)
    assert error["kind"] == "timeout" and time.monotonic() - started < 2


def test_many_grandchildren_that_fork_on_die(run):
    script = f"f() {{ sleep {NAP}.5 & [ $1 -gt 0 ] && {{ f $(($1-1)) & f $(($1-1)) & }}; wait; }}; f 5"
    _, error = run(sh(script), timeout=0.5)
    assert error["kind"] == "timeout"
    wait_for(lambda: not alive(f"{NAP}.5"), "all grandchildren are gone", 5)


def end(marker):
    for pid in with_argument(marker):
        os.kill(pid, signal.SIGTERM)


def test_a_grandchild_that_keeps_the_output_open_stays_and_can_write(run, tmp_path):
    """Broken by: SIGTERM to the group of a child that ended with 0; closed pipes, whose SIGPIPE ends it at its next line."""
    daemon = f"echo one; cat go; echo two; echo three >&2; echo well > written; exec sleep {NAP}.6"
    os.mkfifo(tmp_path / "go")
    result, _ = run(sh(f"({daemon}) & echo hi"), cwd=str(tmp_path))
    try:
        assert result["code"] == 0 and result["left"] and result["cut"] and "hi\n" in result["stdout"] and result["ms"] < 1500
        with open(tmp_path / "go", "w") as file:
            file.write("later\n")
        wait_for(lambda: alive(f"{NAP}.6"), "it went on after its next lines", 5)
        assert (tmp_path / "written").read_text() == "well\n"
    finally:
        end(f"{NAP}.6")


@pytest.mark.parametrize("how", ["exit 3", "kill -9 $$"])
def test_a_grandchild_of_a_child_that_failed_is_ended(run, how):
    result, _ = run(sh(f"sleep {NAP}.61 & echo hi; {how}"))
    assert result["code"] != 0 and result["stdout"] == "hi\n" and result["cut"] and not result["left"]
    wait_for(lambda: not alive(f"{NAP}.61"), "the grandchild got SIGTERM", 5)


def test_a_grandchild_with_output_of_its_own_is_left_alone(run):
    result, _ = run(sh(f"sleep {NAP}.62 >/dev/null 2>&1 & echo hi"))
    try:
        assert not result["cut"] and not result["left"] and alive(f"{NAP}.62")
    finally:
        end(f"{NAP}.62")


def test_one_that_goes_on_after_its_last_word_is_ended(run):
    """Broken by: a wait for its end, though nothing more will come."""
    result, _ = run(sh(f"echo out; echo 'bye 0' >&2; exec sleep {NAP}.63"), last="bye ", timeout=60)
    assert result["left"] and (result["stdout"], result["stderr"]) == ("out\n", "bye 0\n") and result["ms"] < 30_000
    assert not alive(f"{NAP}.63")
    result, _ = run(sh("echo 'bye 0' >&2; echo out; exit 3"), last="bye ", timeout=60)
    assert result["code"] == 3 and result["stdout"] == "out\n" and not result["left"]


def test_cancelling_ends_the_child(luahost):
    started = time.monotonic()
    shown = ask(luahost, f"""
      local task, process = require "raw.task", require "raw.process"
      local child = task.spawn(function()
        process.run {{ argv = {{ "sleep", "{NAP}.7" }}, env = {{ PATH = "/usr/bin:/bin" }}, timeout = 100 }}
      end)
      task.sleep(0.2)
      task.cancel(child)
      local ok, err = task.join(child)
      show(ok, task.is_interrupt(err))
    """)
    assert shown[0][:2] == [False, "cancel"] and time.monotonic() - started < 10 and not alive(f"{NAP}.7")


def test_the_end_of_the_host_ends_the_child(luahost):
    result = luahost(f"""
      local task, process = require "raw.task", require "raw.process"
      task.spawn(function() process.run {{ argv = {{ "sleep", "{NAP}.8" }}, env = {{ PATH = "/usr/bin:/bin" }} }} end)
      task.sleep(0.1)
    """)
    assert result.code == 0 and not alive(f"{NAP}.8")


def test_fifty_at_once(luahost):
    assert ask(luahost, """
      local task, process = require "raw.task", require "raw.process"
      local children, right = {}, 0
      for i = 1, 50 do
        children[i] = task.spawn(function()
          local argv = { "sh", "-c", "sleep 0.1; echo " .. i }
          return process.run { argv = argv, env = { PATH = "/usr/bin:/bin" } }.stdout
        end)
      end
      for i, child in ipairs(children) do
        local _, text = task.join(child)
        if text == i .. "\\n" then right = right + 1 end
      end
      show(right)
    """) == [[50]]
