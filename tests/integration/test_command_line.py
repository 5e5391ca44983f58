"""The command line's own words: what was typed is inert, what is wrong begins nothing, what is over is said to be over, and words
that could not be written are not told as success."""

import glob
import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

from lab.program import ROOT, executable

ESCAPE = "x\x1b[2J\u202ey"
RESOLVED = 'runbook { title = "X" }\nlocal p = params { n = { 1, "n" } }\nsysinfo.uptime()\nreturn resolved "well"\n'
PAGER = 'return { pager = { "pagerduty", routing_key = secret "PAGERDUTY_KEY", url = "%s" } }'


@pytest.fixture
def people(sandbox, pagerduty):
    sandbox.write("runbook.config.lua", PAGER % pagerduty.url)
    sandbox.env["PAGERDUTY_KEY"] = pagerduty.routing_key
    return pagerduty


def wait_for(condition, seconds=20):
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize("words", [
    [ESCAPE], ["run", "x.lua", "--" + ESCAPE], ["run", "x.lua", "--yes", ESCAPE], ["run", "x.lua", "-n", "-p", ESCAPE + "=1"],
    ["run", "x.lua", "-n", "-p", "n=" + ESCAPE], ["run", ESCAPE], ["run", "x.lua", "-n", "--env", ESCAPE],
    ["run", "x.lua", "-n", "--alert-started", ESCAPE], ["run", "x.lua", "--scenario", ESCAPE],
    ["run", "x.lua", "-n", "--params", ESCAPE], ["ack", ESCAPE], ["doctor", ESCAPE], ["effects", ESCAPE], ["trust", ESCAPE],
], ids=lambda words: " ".join(words).replace(ESCAPE, "ESC"))
def test_what_was_typed_is_inert(sandbox, runbook, words):
    """Broken by: screen.say, or wrong() of cli.c, without text_inert."""
    sandbox.write("x.lua", RESOLVED)
    result = runbook(*words)
    assert result.code == 2 and result.stderr, result
    assert not any(character in result.stdout + result.stderr for character in "\x1b\u202e"), result


@pytest.mark.parametrize("words", [["x.lu"], ["."], ["x.lua", "--env", "nope"], ["x.lua", "--scenario", "nope.lua"],
                                   ["x.lua", "-p", "nope=1"], ["x.lua", "-p", "n=many"], ["x.lua", "--here=no"],
                                   ["x.lua", "--answers="], ["x.lua", "--params", ""], ["x.lua", "--env="]], ids=" ".join)
def test_wrong_usage_begins_nothing_and_tells_nobody(sandbox, runbook, people, words):
    """Broken by: a watchdog that is armed before the file is looked at; a run directory that stays."""
    sandbox.write("x.lua", RESOLVED)
    result = runbook("run", *words)
    assert result.code == 2 and not sandbox.runs(), result
    time.sleep(1)
    assert not people.alerts


def test_a_runbook_that_does_not_load_pages_where_nobody_is(sandbox, runbook, people):
    sandbox.write("x.lua", "local = 1")
    assert runbook("run", "x.lua").code == 3 and wait_for(lambda: people.alerts)


def test_a_runbook_that_does_not_load_is_seen_at_the_terminal(sandbox, runbook_tty, people):
    """Broken by: arming.settle without is_attended."""
    sandbox.write("x.lua", "local = 1")
    session = runbook_tty("run", "x.lua")
    session.expect("nobody was paged")
    assert session.finish().code == 3
    time.sleep(1)
    assert not people.alerts


def test_what_is_over_is_not_stopped(sandbox, runbook, people):
    """Broken by: inbox.lua without why_over."""
    sandbox.write("x.lua", RESOLVED)
    run = os.path.basename(runbook("run", "x.lua").run_dir)
    for command in ("abort", "ack"):
        result = runbook(command, "last")
        assert result.code == 1 and f"{run}: it ended at" in result.stderr and "nothing to stop" in result.stderr, result


def test_what_ended_unresolved_can_be_acknowledged_while_a_level_is_left(sandbox, runbook, people):
    sandbox.write("x.lua", """runbook { title = "X", severity = "critical" }
escalation "1h"
escalation "2h"
sysinfo.uptime()
return unresolved "x"
""")
    assert runbook("run", "x.lua").code == 1
    assert runbook("ack", "last").code == 0
    again = runbook("ack", "last")
    assert again.code == 1 and "unresolved, ack was said before; nothing to stop" in again.stderr, again


def test_last_is_the_last_live_run(sandbox, runbook):
    """Broken by: pick() of rundir.c that takes the newest of all."""
    sandbox.write("b.lua", 'runbook { title = "B" }\nif confirm "Go on?" then note "y" end\nreturn unresolved "x"\n')
    live = os.path.basename(runbook("run", "b.lua", "--no-input").run_dir)
    dry = os.path.basename(runbook("run", "b.lua", "-n").run_dir)
    assert live in runbook("ack", "last").stdout
    wrong = runbook("abort", dry)
    assert wrong.code == 2 and "is a dry run" in wrong.stderr, wrong
    runbook("abort", "last")


@pytest.mark.parametrize("words", [["run", "x.lua", "-n"], ["run", "x.lua", "-n", "--format", "jsonl"], ["--help"], ["--version"],
                                   ["effects"], ["run", "--help"]], ids=" ".join)
def test_words_that_could_not_be_written(sandbox, words):
    """Broken by: main.c without check_output."""
    sandbox.write("x.lua", RESOLVED)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([executable("runbook"), *words], cwd=sandbox.folder, env=sandbox.env, stdout=full,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False, timeout=30)
    assert done.returncode == 74 and b"could not be written to standard output" in done.stderr, done


def test_a_folder_that_is_gone(sandbox):
    """Broken by: open_config that joins a folder which nobody could tell."""
    path, gone = sandbox.write("x.lua", RESOLVED), os.path.join(sandbox.folder, "gone")

    def run(*words):
        script = 'cd gone && rmdir ../gone && exec "$0" run "$@"'
        os.makedirs(gone, exist_ok=True)
        return subprocess.run(["sh", "-c", script, executable("runbook"), *words], cwd=sandbox.folder, env=sandbox.env,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=30)
    relative = run("../x.lua", "-n")
    assert relative.returncode == 2 and "the current folder is gone" in relative.stderr, relative
    assert run(path, "-n").returncode == 0


def test_a_run_that_is_over_keeps_no_reserve(sandbox, runbook):
    """Broken by: tidy() without free_reserve."""
    sandbox.write("x.lua", RESOLVED)
    run = runbook("run", "x.lua").run_dir
    assert not os.path.exists(run + "/reserve")
    assert wait_for(lambda: sum(os.stat(os.path.join(folder, file)).st_blocks * 512
                                for folder, _, files in os.walk(run) for file in files) < 512 << 10)


def test_the_lock_knows_a_list(sandbox, runbook):
    """Broken by: lock.lua that prints a table's address."""
    sandbox.write("x.lua", '''runbook { title = "X" }
local p = params { hosts = { nil, "hosts", type = "list", required = true } }
if p.hosts[2] == "b" then wait_until("never", { within = "1m", every = "1s" }, function() return false end) end
return unresolved "x"
''')
    first = sandbox.start("runbook", "run", "x.lua", "-p", "hosts=a,b", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in first.stdout:
        if b"escalation:" in line:
            break
    assert runbook("run", "x.lua", "-p", "hosts=a,b").code == 6
    assert runbook("run", "x.lua", "-p", "hosts=a,c", "--no-input", "-n").code == 0
    first.terminate()
    first.communicate(timeout=30)


@pytest.fixture
def defective(sandbox):
    """A stdlib in which a word, a lock or a command has a defect."""
    def broken(file, before, after):
        folder = os.path.join(sandbox.folder, "stdlib")
        shutil.copytree(os.path.join(ROOT, "stdlib"), folder)
        with open(os.path.join(folder, file), encoding="utf-8") as source:
            text = source.read()
        assert before in text
        sandbox.write("stdlib/" + file, text.replace(before, after))
        return folder
    return broken


def test_a_defect_is_told_as_one_without_its_place(sandbox, runbook, defective):
    """Broken by: blame.text without defect_text."""
    stdlib = defective("lock.lua", "function lock.take()", "function lock.take() local x = nil; x.y = 1")
    sandbox.write("x.lua", RESOLVED)
    result = runbook("--stdlib", stdlib, "run", "x.lua")
    assert result.code == 70 and "a defect of this program, not of the runbook" in result.stderr, result
    assert "go on by hand" in result.stdout and "stdlib/" not in result.stderr + result.stdout.replace(stdlib, ""), result
    assert "stdlib/lock.lua" in [event for event in result.journal if event["event"] == "defect"][0]["text"]


def test_a_defect_in_a_command(sandbox, runbook, defective):
    stdlib = defective("commands/inbox.lua", "return function(arguments, options, host, command)",
                       "return function(arguments, options, host, command) local x = nil; x.y = 1")
    result = runbook("--stdlib", stdlib, "ack", "last")
    assert result.code == 70 and "go on by hand" in result.stderr and "stdlib/" not in result.stderr, result
    traced = runbook("--stdlib", stdlib, "ack", "last", env={"RUNBOOK_TRACE": "1"})
    assert "stdlib/commands/inbox.lua" in traced.stderr, traced


def test_the_alert_began_before_the_run(sandbox, runbook):
    """A level's own process counts from the alert too. Broken by: learn() of escalate.lua that takes the first event's time."""
    sandbox.write("x.lua", """runbook { title = "X", severity = "critical" }
escalation("50m", function(run) escalate.notify { to = "#ops", text = "since " .. run.elapsed } end)
sysinfo.uptime()
return unresolved "x"
""")
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1800))
    result = runbook("run", "x.lua", "--alert-started", began)
    assert result.journal[0]["alert_began"][:19] == began[:19], result
    assert "level 1 in 20m" in result.stdout.replace("19m59s", "20m"), result

    def said():
        kept = glob.glob(result.run_dir + "/outbox/*.json")
        return kept and json.loads(pathlib.Path(kept[0]).read_text(encoding="utf-8"))["args"]["text"]
    assert wait_for(said) and said().startswith("since 30:0"), said()
