"""The end of a run: no signal, hang-up or closed terminal loses the recap, run.ended, the report or the page; a terminal that
goes away at a question decides nothing."""

import json
import os
import signal

import pytest

from lab.people import HEAD, armed, people, wait_for

UNRESOLVED = HEAD.replace('"2s"', '"15m"') + 'return unresolved "nothing helped"'


def journal(run_dir):
    with open(run_dir + "/journal.jsonl") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_the_end_only_shortens_the_waiting(sandbox, people, number):
    """Broken by: commands/run.lua without tasks.shield."""
    people.timeout_next(100)
    sandbox.write("down.lua", UNRESOLVED)
    process = sandbox.start("runbook", "run", "down.lua")
    people.wait_for_requests(1)
    for _ in range(2):
        process.send_signal(number)
    out, err = process.communicate(timeout=9)
    assert process.returncode == 1, (out, err)
    assert b"unresolved: nothing helped" in out and b"+49 30 1234567" in out and not err
    assert journal(sandbox.runs()[-1])[-1]["event"] == "run.ended" and os.path.getsize(sandbox.runs()[-1] + "/report.md")


@pytest.mark.parametrize("name", ["TERM", "QUIT", "USR1", "USR2", "XCPU", "VTALRM", "PROF"])
def test_a_signal_that_ends_the_run_is_its_last_word(sandbox, people, name):
    """Broken by: a signal missing from runtime_signals."""
    number = getattr(signal, "SIG" + name)
    waits = 'wait_until("never", { within = "60s" }, function() return false end)'
    sandbox.write("down.lua", HEAD.replace('"2s"', '"15m"') + waits)
    process = sandbox.start("runbook", "run", "down.lua")
    assert wait_for(lambda: armed(sandbox))
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    last = journal(sandbox.runs()[-1])[-1]
    assert process.returncode == 128 + number and last["event"] == "run.ended", (out, err)
    assert (last["outcome"], last["exit"]) == ("aborted", 128 + number) and b"interrupted by the operator" in out
    assert not people.requests, "its escalation stays armed, and nobody is woken yet"


@pytest.mark.parametrize("question", [
    'if remedy("Touch", {}, function() exec { "touch", "touched" } end)() then return resolved "y" end',
    'confirm("go on?", { within = "60s" })',
    'wait_until("never", { within = "60s" }, function() return false end)',
], ids=["a remedy", "confirm", "no question"])
def test_a_terminal_that_goes_away_decides_nothing(runbook_tty, sandbox, people, question):
    """Broken by: ending.cancelled that takes SIGHUP for a Ctrl-C; a prompt that takes a hang-up for silence."""
    script = HEAD.replace('"2s"', '"15m"') + question + '\nreturn unresolved "x"'
    sandbox.write("down.lua", script)
    terminal = runbook_tty("run", "down.lua", "--here")
    if "wait_until" in question:
        assert wait_for(lambda: armed(sandbox))
        terminal.expect("waiting until never")
    else:
        terminal.expect("yes or no")
    folder = sandbox.runs()[-1]
    terminal.child.ptyproc.fileobj.close()
    assert wait_for(lambda: journal(folder)[-1]["event"] == "run.ended"), str(journal(folder)[-1])
    last = journal(folder)[-1]
    assert (last["outcome"], last["exit"]) == ("suspended", 129)
    assert not people.requests and not os.path.exists(sandbox.folder + "/touched")
    escalation = [json.loads(line)["event"] for line in open(folder + "/escalation.jsonl")]
    assert set(escalation) == {"escalation.armed"}


def test_a_terminal_says_more_than_once_that_it_goes_away(sandbox, people):
    """The kernel's SIGHUP and the shell's: the second is no haste. Broken by: signal_handler that takes it for one."""
    wait = 'wait_until("never", { within = "60s" }, function() return false end)'
    sandbox.write("down.lua", HEAD.replace('"2s"', '"15m"') + wait)
    process = sandbox.start("runbook", "run", "down.lua")
    assert wait_for(lambda: armed(sandbox))
    folder = sandbox.runs()[-1]
    while process.poll() is None and journal(folder)[-1]["event"] != "run.ended":
        process.send_signal(signal.SIGHUP)
    assert process.wait() == 129
    assert journal(folder)[-1]["outcome"] == "suspended" and os.path.getsize(folder + "/report.md")
