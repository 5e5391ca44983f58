"""How runs start, stand beside each other and end: locks, owed undo, the last line."""

import os
import pathlib
import socket
import time

import pytest

SLOW = """
runbook { title = "Slow" }
local look = probe("P", function() check("x", http.get("http://127.0.0.1:1/")) end)
look()
wait_until("never", { within = "4s", every = "1s" }, function() return false end)
return unresolved "end"
"""
UNDO = """
runbook { title = "Undo" }
local p = params { url = { "", "Where" } }
local louder = remedy("Louder", { temporary = true, undo = function(to) http.post(p.url .. "/undo/" .. to) end }, function(to)
  local done = http.post(p.url .. "/do/" .. to)
  %s
end)
louder "debug"
return unresolved "end"
"""


def wait_for_run(sandbox, count=1):
    limit = time.monotonic() + 10
    while len(sandbox.runs()) < count and time.monotonic() < limit:
        time.sleep(0.05)
    time.sleep(0.5)


def test_a_second_run_of_a_runbook_is_refused_and_names_the_first(runbook, sandbox):
    sandbox.write("slow.lua", SLOW)
    first = sandbox.start("runbook", "run", "slow.lua")
    wait_for_run(sandbox)
    name = sandbox.runs()[0].split("/")[-1]
    second = runbook("run", "slow.lua")
    assert second.code == 6 and name in second.stderr and "--alongside" in second.stderr, second
    beside = runbook("run", "slow.lua", "--alongside")
    assert beside.code == 1 and "careless: --alongside" in beside.stdout, beside
    assert runbook("run", "slow.lua", "--dry-run").code == 0
    first.wait()
    assert runbook("run", "slow.lua").code == 1


def undo(runbook, sandbox, http_faults, body, answers):
    for path in ("/do/debug", "/undo/debug"):
        http_faults.set(path, 200)
    sandbox.write("undo.lua", UNDO % body)
    sandbox.write("answers.lua", "return " + answers)
    return runbook("run", "undo.lua", "-p", f"url={http_faults.url}", "--answers", "answers.lua")


def paths(http_faults):
    return [request.path for request in http_faults.requests if request.method == "POST"]


def test_what_is_temporary_is_asked_about_at_the_end(runbook, sandbox, http_faults):
    result = undo(runbook, sandbox, http_faults, "", '{ ["Undo: Louder"] = "yes", ["*"] = "yes" }')
    assert paths(http_faults)[-2:] == ["/do/debug", "/undo/debug"], result
    assert "owed 0" in result.stdout and "owed" not in result.events("run.ended")[0]


def test_nobody_there_is_nobody_asked_and_it_is_listed(runbook, sandbox, http_faults):
    """A pattern was not written with this question in mind, and a run that has ended is not suspended."""
    result = undo(runbook, sandbox, http_faults, "", '{ ["*"] = "yes" }')
    assert paths(http_faults) == ["/do/debug"] and result.code == 1 and "Undo: Louder" not in result.stdout, result
    assert "owed: “Louder” was not taken back" in result.stdout and "owed 1" in result.stdout
    assert result.events("run.ended")[0]["owed"] == [
        {"number": 1, "remedy": "Louder", "level": "low", "temporary": True, "args": ["debug"]}]


def test_what_is_owed_is_on_disk_before_the_first_write(runbook, sandbox, http_faults):
    result = undo(runbook, sandbox, http_faults, "", '{ ["*"] = "yes" }')
    names = [event["event"] for event in result.journal]
    assert names.index("owed") == names.index("effect.intent") - 1, names


def test_an_undo_not_made_is_owed_and_listed(runbook, sandbox, http_faults):
    result = undo(runbook, sandbox, http_faults, "", '{ Louder = "yes", ["Undo: Louder"] = "no" }')
    assert paths(http_faults)[-1] == "/do/debug"
    assert "owed 1" in result.stdout and "Louder" in result.stdout, result


def test_a_remedy_that_fails_half_way_offers_its_undo_at_once(runbook, sandbox, http_faults):
    result = undo(runbook, sandbox, http_faults, 'if not done.dry then error "half-way" end',
                  '{ ["Louder"] = "yes", ["Undo: Louder"] = "yes" }')
    assert "half-way" in result.stdout and paths(http_faults)[-1] == "/undo/debug", result


def test_the_recap_is_the_last_line(runbook, sandbox):
    sandbox.write("x.lua", 'runbook { title = "X" }\nreturn unresolved "nothing to do"')
    result = runbook("run", "x.lua")
    assert result.stdout.splitlines()[-1] == (
        "looked 0 · on the author's word 0 · would 0 · changed 0 · may have run 0 · write failed 0 · refused 0 · "
        "could not look 0 · owed 0 · 00:00 · unresolved: nothing to do")


OVER = """
runbook { title = "Over" }
local p = params { url = { "", "Where" } }
recovered("it answers", { within = "5s", every = "100ms" }, function() return http.get(p.url .. "/do/it").ok end)
escalation("%s", function(run) escalate.page { summary = run.headline } end)
remedy("Mend it", { temporary = true, undo = function() http.post(p.url .. "/undo/it") end }, function()
  http.post(p.url .. "/mend")
end)()
return unresolved "end"
"""


def test_nobody_is_paged_while_a_run_that_is_over_asks_what_to_take_back(runbook_tty, sandbox, http_faults):
    """Broken by: close() in commands/run.lua without owed.put_off."""
    for path in ("/mend", "/undo/it"):
        http_faults.set(path, 200)
    sandbox.write("over.lua", OVER % "4s")
    began = time.monotonic()
    terminal = runbook_tty("run", "over.lua", "-p", f"url={http_faults.url}")
    terminal.expect_exact("Mend it")
    terminal.expect(r"yes or no\?")
    http_faults.set("/do/it", 200)
    terminal.sendline("yes")
    terminal.expect_exact("silence keeps “Mend it”, which is what helped")
    terminal.expect(r"yes or no\?")
    terminal.pause(max(0, began + 5 - time.monotonic()))    # the level's time comes and goes
    terminal.sendline("no")
    result = terminal.finish()
    story = pathlib.Path(terminal.run_dir, "escalation.jsonl").read_text()
    assert result.code == 0 and "escalation.fired" not in story and "owed 1" in result.stdout, result


HERE = """
runbook { title = "Here" }
local p = params { url = { "", "Where" } }
local put = remedy("Put", {}, function()
  http.post(p.url .. "/before")
  exec { "touch", "flag" }
  http.post(p.url .. "/after")
end)
note("put: " .. tostring(put()))
return unresolved "end"
"""


FIRST, AGAIN, PLAN = "to approve, no declines", "type it once more, or no", "Apply it"


@pytest.mark.parametrize("answers, done", [([(FIRST, "yes"), (AGAIN, "NAME"), (PLAN, "yes")], True),
                                           ([(FIRST, "yes"), (AGAIN, "no")], False), ([(FIRST, "no")], False)],
                         ids=["mistyped once", "mistyped and no", "no"])
def test_a_change_of_this_machine_is_asked_for_by_its_name(runbook_tty, sandbox, http_faults, answers, done):
    """Before the plan is shown, and once; the remedy's other writes wait for it. Broken by: approve() without approval.allow."""
    for path in ("/before", "/after"):
        http_faults.set(path, 200)
    sandbox.write("here.lua", HERE)
    terminal = runbook_tty("run", "here.lua", "-p", f"url={http_faults.url}")
    for question, answer in answers:
        terminal.expect_exact(question)
        terminal.expect_exact("(d: details)")
        terminal.sendline(socket.gethostname() if answer == "NAME" else answer)
    result = terminal.finish()
    assert os.path.exists(os.path.join(sandbox.folder, "flag")) == done, result
    assert paths(http_faults) == (["/before", "/after"] if done else []), result
    assert result.stdout.index("may not be changed") < result.stdout.index("which nobody allowed"), result
    granted = [(event["granted"], event.get("machine")) for event in result.events("approval")]
    assert granted == ([(True, socket.gethostname()), (True, None)] if done else [(False, socket.gethostname())])
    assert f"put: {str(done).lower()}" in [event["text"] for event in result.events("note")]


def test_a_change_of_this_machine_that_no_plan_showed_is_refused(runbook, sandbox, http_faults):
    """Broken by: check_place in gate.lua without `act.needs`."""
    http_faults.set("/before", 200)
    sandbox.write("here.lua", HERE.replace('http.post(p.url .. "/before")', 'if http.post(p.url .. "/before").dry then return end'))
    result = runbook("run", "here.lua", "-p", f"url={http_faults.url}", "--yes", "high")
    refused = [event["line"] for event in result.events("effect.outcome") if event["status"] == "refused"]
    assert len(refused) == 1 and refused[0].startswith("exec touch flag") and paths(http_faults) == ["/before"], result
    assert not os.path.exists(os.path.join(sandbox.folder, "flag")) and "--here" in result.stdout
