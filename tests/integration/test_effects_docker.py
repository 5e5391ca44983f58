"""The docker family against a real engine: what it reads, and a run through the command line."""

import time

import pytest

from lab.docker import IMAGE
from lab.docker_effects import effect, effects, text_of
from lab.process import wait_for


# Reads

def test_inspect_tells_what_a_container_is(docker_engine, effect):
    docker_engine.run("box", "sleep", "1000", options=("-e", "DB_PASSWORD=hunter2", "-e", "URL=pg://u:hunter2@db/x", "-e", "A=1",
                                                       "-m", "128m", "--restart", "unless-stopped", "--label", "team=core",
                                                       "--cpus", "1.5", "--expose", "8080", "--expose", "80", "--expose", "53/udp"))
    fields = effect("docker.inspect", "box")["fields"]
    assert fields["state"] == "running" and fields["summary"].startswith("running for ")
    assert fields["env"] == {"DB_PASSWORD": "***", "URL": "pg://u:***@db/x", "A": "1", "PATH": "/bin"}
    assert fields["restart_policy"] == "unless-stopped" and fields["restarts"] == 0 and fields["image"] == IMAGE
    assert fields["memory_limit"] == 128 << 20 and fields["labels"] == {"team": "core"} and fields["pid"] > 0
    assert fields["cpu_limit"] == 1.5 and fields["ports"] == [80, 8080]
    assert abs(fields["started_at"] - time.time()) < 60 and abs(fields["created_at"] - time.time()) < 60
    assert fields["oom_killed"] is False and "exit_code" not in fields


def test_inspect_tells_how_a_container_ended(docker_engine, effects):
    docker_engine.run("ended", "sh", "-c", "exit 3")
    docker_engine.run("loops", "false", options=("--restart", "always"))
    docker_engine.cli("create", "--name", "fresh", IMAGE)
    wait_for(lambda: docker_engine.inspect("ended")["State"]["Status"] == "exited", "it ends")
    wait_for(lambda: docker_engine.inspect("loops")["RestartCount"] > 0, "it is started again")
    ended, loops, fresh, absent = (it["fields"] for it in effects(*(("docker.inspect", name)
                                                                    for name in ("ended", "loops", "fresh", "nobody"))))
    assert ended["state"] == "exited" and ended["exit_code"] == 3 and ended["summary"].startswith("exited (3) ")
    assert loops["state"] in ("restarting", "running", "exited") and loops["restarts"] > 0
    assert fresh["state"] == "created" and "started_at" not in fresh and fresh["summary"] == "created, never started"
    assert absent["ok"] and absent["state"] == "absent" and absent["env"] == {} and "cpu_limit" not in loops


def test_inspect_tells_that_memory_ran_out(docker_engine, effect):
    # The engine begins to watch a container's memory a moment after its start: at once is too early to be seen.
    docker_engine.run("greedy", "sh", "-c", "sleep 1; dd if=/dev/zero of=/dev/null bs=200M count=1; code=$?; sleep 1; exit $code",
                      options=("-m", "16m", "--memory-swap", "16m"))
    wait_for(lambda: docker_engine.inspect("greedy")["State"]["Status"] == "exited", "it ends")
    fields = effect("docker.inspect", "greedy")["fields"]
    assert fields["oom_killed"] is True and fields["summary"].endswith("out of memory"), fields


def test_ps_version_disk_usage_and_events(docker_engine, effects):
    docker_engine.run("one", "sleep", "1000")
    docker_engine.run("two", "true")
    wait_for(lambda: docker_engine.inspect("two")["State"]["Status"] == "exited", "it ends")
    everything, running, named, version, usage, events = (it["fields"] for it in effects(
        ("docker.ps",), ("docker.ps", {"all": False}), ("docker.ps", {"name": "tw"}), ("docker.version",), ("docker.disk_usage",),
        ("docker.events", {"since": "1m", "container": "two"})))
    assert {it["name"]: it["state"] for it in everything["containers"]} == {"one": "running", "two": "exited"}
    assert everything["count"] == 2 and everything["running"] == 1 and running["count"] == 1
    assert [it["name"] for it in named["containers"]] == ["two"]
    assert version["api"] == "1.41" and version["host"] == docker_engine.host
    assert usage["images"]["count"] >= 1 and usage["bytes"] > 1_000_000 and usage["containers"]["count"] == 2
    assert [it["action"] for it in events["events"]][-1] == "die" and events["events"][-1]["exit_code"] == 0


# Logs

def test_logs_take_both_streams_apart_from_the_framing(docker_engine, effects):
    docker_engine.run("talks", "sh", "-c", "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.05; done; sleep 1000")
    wait_for(lambda: docker_engine.cli("logs", "talks").count("out") == 3, "it has spoken")
    both, out, last, nobody = (it["fields"] for it in effects(
        ("docker.logs", "talks"), ("docker.logs", "talks", {"stream": "stdout"}), ("docker.logs", "talks", {"tail": 1}),
        ("docker.logs", "nobody")))
    assert sorted(both["text"].splitlines()) == ["err 1", "err 2", "err 3", "out 1", "out 2", "out 3"]
    assert out["text"] == "out 1\nout 2\nout 3\n" and len(last["text"].splitlines()) == 1
    assert nobody["ok"] and nobody["state"] == "absent" and nobody["text"] == ""


def test_logs_of_a_terminal_and_of_a_span_of_time(docker_engine, effects):
    docker_engine.run("tty", "sh", "-c", "echo hello; sleep 1000", options=("-t",))
    docker_engine.run("old", "sh", "-c", "echo before; sleep 1.5; echo after; sleep 1000")
    wait_for(lambda: "after" in docker_engine.cli("logs", "old"), "it has spoken")
    tty, recent, until = (it["fields"] for it in effects(("docker.logs", "tty"), ("docker.logs", "old", {"since": "1s"}),
                                                         ("docker.logs", "old", {"until": "1s"})))
    assert tty["text"] == "hello\r\n"
    assert recent["text"] == "after\n" and until["text"] == "before\n"


def test_lines_of_a_log_are_found_while_it_passes(docker_engine, effects):
    docker_engine.run("says", "sh", "-c", "i=0; while [ $i -lt 300 ]; do echo INFO $i; echo ERROR $i >&2; i=$((i+1)); done; "
                      "echo END; sleep 1000")
    docker_engine.run("tells", "sh", "-c", "printf 'one\\nERROR two\\n'; sleep 1000", options=("-t",))
    wait_for(lambda: "END" in docker_engine.cli("logs", "says"), "it has spoken")
    wait_for(lambda: "two" in docker_engine.cli("logs", "tells"), "it has spoken")
    found, counted, whole, tty, last, nobody = (it["fields"] for it in effects(
        ("docker.logs", "says", {"match": "^ERROR 2.5$"}), ("docker.logs", "says", {"match": "ERROR", "count": True}),
        ("docker.logs", "says", {"count": True, "stream": "stdout"}), ("docker.logs", "tells", {"match": "^ERROR"}),
        ("docker.logs", "says", {"match": "ERROR", "tail": 10}), ("docker.logs", "nobody", {"match": "x"})))
    assert found["text"].split() == [word for n in range(10) for word in ("ERROR", f"2{n}5")] and found["matched"] == 10, found
    assert found["lines"] == 601 and (counted["matched"], counted["lines"], counted.get("text")) == (300, 601, None), counted
    assert (whole["matched"], whole["lines"]) == (301, 301) and tty["text"] == "ERROR two\r\n" and last["lines"] == 10
    assert (nobody["state"], nobody["matched"], nobody["text"]) == ("absent", 0, "")


@pytest.mark.slow
def test_a_large_log_keeps_its_newest_megabyte(docker_engine, effect):
    docker_engine.run("floods", "sh", "-c", "yes '0123456789 0123456789 0123456789' | head -n 1000000; echo the end")
    wait_for(lambda: docker_engine.inspect("floods")["State"]["Status"] == "exited", "it ends", 60)
    done = effect("docker.logs", "floods", {"tail": "all", "timeout": "60s"})
    text = done["fields"]["text"]
    assert done["fields"]["cut"] is True and text.endswith("\nthe end\n")
    assert 500_000 < len(text) < 1 << 20 and set(text.splitlines()[1:-1]) == {"0123456789 0123456789 0123456789"}


# Files of containers

def test_a_file_of_a_container_without_a_program_in_it(docker_engine, effects):
    """Broken by: follow() that takes a link for the file, or one without an end; first_entry without linkpath."""
    long = "/a" + "/long-name-of-a-folder" * 6
    docker_engine.run("holds", "sh", "-c", "echo settings > /settings; ln -s /settings /link; mkdir -p /d/e; "
                      "ln -s ../../link /d/e/up; for i in 2 3 4 5 6 7 8 9 10 11; do ln -s l$((i+1)) /l$i; done; "
                      "ln -s settings /l12; "
                      f"ln -s loop /loop; mkdir -p {long}; echo far > {long}/far; ln -s {long}/far /to-far; mkfifo /pipe; "
                      "yes 0123456789abcde | head -c 3000000 > /big; printf 'a\\0\\377' > /bytes; exit 0")
    wait_for(lambda: docker_engine.inspect("holds")["State"]["Status"] == "exited", "it ends")
    asked = ["/settings", "/link", "/d/e/up", "/to-far", "/none", "/settings/x", "/d", "/loop", "/pipe", "/dev/../settings",
             "/l3", "/l2"]
    done = effects(*[("docker.read", "holds", path) for path in asked], ("docker.read", "holds", "/big"),
                   ("docker.read", "holds", "/settings", {"max": 4}), ("docker.read", "nobody", "/settings"))
    plain, link, up, far, none, below, folder, loop, pipe, dots, ten, more, big, cut, nobody = done
    for it in (plain, link, up, dots, ten):
        assert it["fields"] == {"state": "file", "text": "settings\n", "bytes": 9, "cut": False}, it
    assert far["fields"]["text"] == "far\n"
    for it in (none, below, nobody):
        assert it.get("fields") == {"state": "absent", "cut": False}, it
    assert "is a folder, not" in folder["error"]["message"] and "is a named pipe" in pipe["error"]["message"]
    assert "more than 10 links" in more["error"]["message"] and "links" in loop["error"]["message"], (more, loop)
    assert len(big["fields"]["text"]) == 1 << 20 and big["fields"]["bytes"] == 3_000_000 and big["fields"]["cut"]
    assert cut["fields"] == {"state": "file", "text": "sett", "bytes": 9, "cut": True}


# Programs in containers

def test_exec_tells_code_and_both_streams(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000")
    reads = {"reads": True}
    well, bad, expected, json_out, missing = effects(
        ("docker.exec", "box", ["sh", "-c", "echo $B; pwd; echo e >&2"], {**reads, "env": {"B": "b c"}, "cwd": "/tmp"}),
        ("docker.exec", "box", ["sh", "-c", "echo o; echo broken >&2; exit 3"], reads),
        ("docker.exec", "box", ["sh", "-c", "exit 3"], {**reads, "expect": [0, 3]}),
        ("docker.exec", "box", ["echo", '{"a": 1}'], reads),
        ("docker.exec", "box", ["nosuchprogram"], reads))
    assert well["class"] == "declared" and well["fields"] == {"code": 0, "stdout": "b c\n/tmp\n", "stderr": "e\n", "cut": False}
    assert bad["fields"]["ok"] is False and bad["fields"]["code"] == 3 and bad["fields"]["stdout"] == "o\n"
    assert bad["fields"]["why"] == "exit code 3: broken"
    assert expected["fields"].get("ok") is not False and json_out["fields"]["stdout"] == '{"a": 1}\n'
    assert missing["error"]["kind"] == "missing" and "nosuchprogram" in text_of(missing)


def test_exec_is_given_something_to_read(docker_engine, effects):
    """With all that a shell would stumble over, and no end of a line: the program gets these bytes, and no variable more."""
    docker_engine.run("box", "sleep", "1000")
    text = "it's $HOME `id` \\n %s\n\nno end"
    given, empty, missing, too_long = effects(
        ("docker.exec", "box", ["sh", "-c", "cat; env | grep -c RB_ >&2"], {"reads": True, "stdin": text, "expect": [0, 1]}),
        ("docker.exec", "box", ["cat"], {"reads": True, "stdin": ""}),
        ("docker.exec", "box", ["nosuchprogram"], {"reads": True, "stdin": "x"}),
        ("docker.exec", "box", ["cat"], {"reads": True, "stdin": "x" * 100_000}))
    assert given["fields"]["stdout"] == text and given["fields"]["stderr"] == "0\n"
    assert empty["fields"]["stdout"] == "" and missing["error"]["kind"] == "missing"
    assert too_long["error"]["kind"] == "usage" and "96 KB" in text_of(too_long)


def test_exec_shows_its_own_preview_and_reads_by_the_list(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000")
    write, read = effects(("docker.exec", "box", ["sh", "-c", "echo > /x"], {"preview": ["echo", "makes /x"]}),
                          ("docker.exec", "box", ["cat", "/x"]))
    assert write["class"] == "write" and write["preview"]["text"].endswith("; echo makes /x says: makes /x")
    assert read["class"] == "read" and read["fields"]["code"] == 0, (write, read)


def test_exec_has_a_deadline_and_keeps_the_newest_output(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000")
    late, long, write = effects(
        ("docker.exec", "box", ["sleep", "60"], {"reads": True, "timeout": "500ms"}),
        ("docker.exec", "box", ["sh", "-c", "yes 0123456789 | head -n 200000; echo the end; exit 4"],
         {"reads": True, "expect": [4]}),
        ("docker.exec", "box", ["sleep", "60"], {"timeout": "500ms"}))
    assert late["fields"]["ok"] is False and "may still run" in late["fields"]["why"] and late["seconds"] < 2
    assert long["fields"]["code"] == 4 and long["fields"]["cut"] is True and long["fields"]["stdout"].endswith("the end\n")
    assert write["class"] == "write" and write["error"]["kind"] == "timeout"


def test_exec_is_refused_where_it_could_be_the_end(docker_engine, effects):
    docker_engine.run("tight", "sleep", "1000", options=("-m", "32m"))
    docker_engine.run("ended", "true")
    wait_for(lambda: docker_engine.inspect("ended")["State"]["Status"] == "exited", "it ends")
    tight, ended, nobody, write = effects(
        *(("docker.exec", name, ["ls"], {"reads": True}) for name in ("tight", "ended", "nobody")),
        ("docker.exec", "tight", ["touch", "x"]))
    assert tight["error"]["kind"] == "memory" and "below its memory limit" in text_of(tight)
    assert ended["error"]["kind"] == "missing" and "does not run: exited (0)" in text_of(ended)
    assert nobody["error"]["kind"] == "missing"
    assert "memory limit" in write["preview"]["impossible"]


# Use

@pytest.mark.parametrize("no_cgroup", [False, True])
def test_stats(docker_engine, effects, no_cgroup):
    docker_engine.run("busy", "sh", "-c", "while true; do :; done", options=("-m", "64m"))
    docker_engine.run("ended", "true")
    time.sleep(0.5)
    busy, ended, nobody = effects(*(("docker.stats", name) for name in ("busy", "ended", "nobody")), no_cgroup=no_cgroup)
    fields = busy["fields"]
    assert 5 < fields["cpu_percent"] < 130, fields
    assert fields["memory_limit"] == 64 << 20 and 0 < fields["memory_bytes"] < 64 << 20 and fields["pids"] >= 1
    assert abs(fields["memory_percent"] - 100 * fields["memory_bytes"] / (64 << 20)) < 0.01
    assert ended["fields"]["cpu_percent"] == 0 and ended["fields"]["state"] == "exited"
    assert nobody["fields"]["state"] == "absent"
    if not no_cgroup:
        assert busy["seconds"] < 0.5


# Through the command line

RUNBOOK = """
runbook { title = "Box", alert = "Box", severity = "critical" }
local look = probe("Look", function()
  local box = docker.inspect("box")
  check("it runs", box.state == "running", { fault = "stopped", detail = box.summary })
  note(docker.logs("box"))
  check("it says hello", docker.exec("box", { "echo", "hello" }, { reads = true }))
  check("it has CPU to spare", docker.stats("box").cpu_percent < 80)
end)
local restart = remedy("Restart it", { risk = "low" }, function() docker.restart("box", { grace = "0s" }) end)
local gone = remedy("Restart another", { risk = "low" }, function() docker.restart("nobody") end)
look()
restart()
gone()
return unresolved "looked"
"""


@pytest.fixture
def box(docker_engine, sandbox):
    docker_engine.run("box", "sh", "-c", "echo started; exec sleep 1000")
    sandbox.write("box.lua", RUNBOOK)
    sandbox.write("runbook.config.lua", 'return { approvals = { low = "auto" }, docker = { host = "%s" } }' % docker_engine.host)
    return lambda: docker_engine.inspect("box")["State"]["StartedAt"]


def test_a_dry_run_tells_and_changes_nothing(box, runbook):
    before = box()
    done = runbook("run", "box.lua", "--dry-run")
    assert done.code == 0 and box() == before, done
    assert "would docker.restart box" in done.stdout and "restarts box (running for " in done.stdout
    assert "there is no container nobody" in done.stdout and "it says hello" in done.stdout


def test_a_live_run_restarts(box, runbook):
    before = box()
    done = runbook("run", "box.lua", "--no-input")
    assert box() > before, done
    outcomes = {event["line"]: event for event in done.journal if event["event"] == "effect.outcome"}
    assert outcomes["docker.restart box"]["status"] == "ok", done
    assert "docker.restart nobody" not in [it for it, event in outcomes.items() if event["status"] == "ok"]
