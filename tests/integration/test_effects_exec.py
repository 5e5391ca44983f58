"""exec: programs with argument vectors, as reads, declared reads and writes."""

import os
import signal
import time

import pytest

from lab.effects import PATH, performer
from lab.program import ROOT


@pytest.fixture
def run(luahost):
    perform = performer(luahost, "exec")
    return lambda *arguments, **settings: perform(("exec", *arguments), **settings)[0]


@pytest.fixture
def program(tmp_path):
    """program(name, text) -> the folder of an executable script."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def make(name, text):
        (folder / name).write_text("#!/bin/sh\n" + text)
        (folder / name).chmod(0o755)
        return str(folder)
    return make


def test_in_lua(sandbox):
    done = sandbox.run("luahost", os.path.join(ROOT, "tests", "stdlib", "exec_test.lua"))
    assert (done.code, done.stdout) == (0, "exec: well\n"), done


def test_readers(sandbox):
    done = sandbox.run("luahost", os.path.join(ROOT, "tests", "stdlib", "readers_test.lua"))
    assert done.code == 0, done


def test_a_read(run):
    done = run(["df", "-P", "/"])
    assert done["class"] == "read" and done["fields"]["code"] == 0 and done["line"] == "exec df -P / @here"
    assert done["fields"]["stdout"].startswith("Filesystem")
    assert done["fields"]["cut"] is False and done["fields"]["ms"] > 0


def test_what_is_not_expected_is_not_well(run):
    done = run(["sh", "-c", "echo half; echo 'no route' >&2; echo more >&2; exit 3"], {"reads": True})["fields"]
    assert (done["ok"], done["why"]) == (False, "exit code 3: no route")
    assert (done["code"], done["stdout"], done["stderr"]) == (3, "half\n", "no route\nmore\n")
    assert run(["sh", "-c", "exit 3"], {"reads": True, "expect": [0, 3]})["fields"].get("ok") is None
    assert run(["true"], {"reads": True, "expect": 1})["fields"]["why"] == "exit code 0"
    killed = run(["sh", "-c", "kill -9 $$"], {"reads": True})["fields"]
    assert (killed["why"], killed["code"], killed["signal"]) == ("ended by SIGKILL", 137, "SIGKILL")


DAEMON = """
runbook { title = "Daemon" }
local start = remedy("Start it", function() exec { "sh", "-c", "sleep 1000 & echo $! > %s" } end)
note("applied " .. tostring(start()))
return unresolved "looked"
"""


def test_a_process_that_is_left_running_is_told(runbook, sandbox, tmp_path):
    """Broken by: the end of the daemon with its starter; a result's notice that the screen leaves out."""
    done = runbook("run", sandbox.write("daemon.lua", DAEMON % (tmp_path / "pid")), "--here", "--yes", "high")
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, signal.SIGTERM)      # raises when it is gone
    assert ": ok, it left a process running that holds its output" in done.stdout, done
    assert "applied true" in done.stdout


def test_a_program_that_is_not_there(run):
    missing = {"kind": "missing", "message": "no-such-program: no such program"}
    assert run(["no-such-program"], {"reads": True})["error"] == missing
    assert run(["no-such-program"])["preview"]["impossible"] == "no-such-program: no such program"
    assert run(["/no/such/program"])["preview"]["impossible"] == "/no/such/program: no such program"


def test_too_late(run):
    done = run(["sh", "-c", "echo begun; exec sleep 60"], {"reads": True, "timeout": "300ms"})["fields"]
    assert done["ok"] is False and "longer than 0.3 s" in done["why"] and done["stdout"] == "begun\n"
    assert run(["sleep", "60"], {"timeout": "300ms"})["error"]["kind"] == "timeout"    # a write: it may have run


def test_a_write_that_fails(run):
    done = run(["sh", "-c", "echo 'read only' >&2; exit 1"])
    assert done["class"] == "write" and done["fields"]["ok"] is False
    assert done["fields"]["why"] == "exit code 1: read only"
    assert done["preview"] == {"text": "what it changes can't be told beforehand", "size": 1}


def test_words_arrive_as_they_are(run):
    words = ["a b", "", "$HOME", "*", "x;id", "-n", "ü\n'\"", "\\"]
    done = run(["printf", "%s|", *words])["fields"]
    assert done["stdout"] == "|".join(words) + "|"


def test_what_a_child_is_given(run, tmp_path):
    done = run(["env"], {"env": {"A": "1"}, "cwd": str(tmp_path)})["fields"]["stdout"]
    variables = {line.split("=")[0] for line in done.splitlines()}
    assert variables <= {"PATH", "LANG", "A", "PWD"} and "A=1" in done
    assert run(["pwd"], {"cwd": str(tmp_path)})["fields"]["stdout"].strip() == str(tmp_path)
    assert run(["cat"], {"stdin": "said\n", "reads": True})["fields"]["stdout"] == "said\n"
    assert run(["cat"])["fields"]["stdout"] == ""


def test_much_output(run):
    done = run(["sh", "-c", "yes | head -c 3000000"], {"reads": True})["fields"]
    assert done["cut"] is True and len(done["stdout"]) == 1 << 20


def test_its_own_preview(run, program):
    folder = program("renew", """
if [ "$1" = --dry-run ]; then echo "would renew 2"; echo; echo "of 3"; else echo renewed; fi
""")
    path = f"{folder}:{PATH}"
    done = run(["renew"], {"preview": ["renew", "--dry-run"]}, path=path)
    assert done["preview"] == {"text": "renew --dry-run says: would renew 2\nof 3", "size": 1}
    assert done["fields"]["stdout"] == "renewed\n"
    failed = run(["renew"], {"preview": ["false"]}, path=path, only_preview=True)["preview"]
    assert failed == {"text": "radius unknown: false: exit code 1", "size": "unknown", "unknown": True}


def script(body):
    return f"""
runbook {{ title = "X", severity = "warning" }}
{body}
return unresolved "x"
"""


def outcomes(result):
    return [(event["line"].split(" @")[0], event["status"]) for event in result.events("effect.outcome")]


def test_through_the_command_line(runbook, sandbox):
    made = os.path.join(sandbox.folder, "made")
    path = sandbox.write("x.lua", script(f"""
probe("Look", function()
  check("JSON", exec({{ "echo", '{{"a": [1, 2]}}' }}, {{ reads = true }}).json.a[2] == 2)
  check("no JSON", exec({{ "echo", "no" }}, {{ reads = true }}).json == nil)
  check("uname", exec {{ "uname" }})
  check("false", exec({{ "false" }}, {{ reads = true }}))
end)()
remedy("Make", {{ risk = "low" }}, function() exec {{ "touch", "{made}" }} end)()
remedy("Fail", {{ risk = "low" }}, function() exec {{ "ls-not-there" }} end)()
"""))
    dry = runbook("run", path, "-n", "--here")
    assert dry.code == 0 and not os.path.exists(made), dry
    done = runbook("run", path, "--here", "--yes", "high")
    assert os.path.exists(made), done
    assert ("exec uname", "ok") in outcomes(done) and ("exec false", "not_well") in outcomes(done), done
    assert (f"exec touch {made}", "ok") in outcomes(done), done
    assert "no such program" in done.stdout and "looked 1 · on the author's word 3" in done.stdout, done


def test_a_write_by_any_name_is_refused_in_a_probe(runbook, sandbox):
    made = os.path.join(sandbox.folder, "made")
    for words in (["touch", made], ["sh", "-c", f"touch {made}"],
                  ["find", sandbox.folder, "-maxdepth", "0", "-exec", "touch", made, ";"]):
        listed = ", ".join(f'"{word}"' for word in words)
        path = sandbox.write("x.lua", script(f'probe("Look", function() exec {{ {listed} }} end)()'))
        done = runbook("run", path, "--here", "--yes", "high")
        assert "a probe changes nothing" in done.stdout and not os.path.exists(made), done


def test_strict_dry_run(runbook, sandbox):
    made = os.path.join(sandbox.folder, "made")
    path = sandbox.write("x.lua", script(f"""
probe("Look", function() exec({{ "touch", "{made}" }}, {{ reads = true }}) end)()
remedy("Make", {{ risk = "low" }}, function() exec({{ "true" }}, {{ preview = {{ "touch", "{made}" }} }}) end)()
"""))
    done = runbook("run", path, "--dry-run=strict", "--here")
    assert done.code == 0 and not os.path.exists(made), done
    assert "not run under --dry-run=strict" in done.stdout, done


def test_secrets_stay_out_of_argv(runbook, sandbox):
    path = sandbox.write("x.lua", script("""
probe("Look", function()
  note(exec({ "sh", "-c", "echo $TOKEN" }, { env = { TOKEN = secret "TOKEN" }, reads = true }))
  exec({ "echo", secret "TOKEN" }, { reads = true })
end)()
"""))
    done = runbook("run", path, env={"TOKEN": "geheimnis-4711"})
    assert "word 2 is a secret" in done.stdout, done
    with open(os.path.join(done.run_dir, "journal.jsonl")) as journal:
        assert "geheimnis-4711" not in done.stdout + done.stderr + journal.read(), done


def test_a_probe_ends_in_time(runbook, sandbox):
    path = sandbox.write("x.lua", script("""
probe("Look", function() exec({ "sleep", "60" }, { reads = true, timeout = "500ms" }) end)()
"""))
    begun = time.monotonic()
    runbook("run", path)
    assert time.monotonic() - begun < 15
