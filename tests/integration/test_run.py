"""How runs start, stand beside each other and end: locks, owed undo, the last line."""

import time

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
local louder = remedy("Louder", { undo = function(to) http.post(p.url .. "/undo/" .. to) end }, function(to)
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


def test_an_undo_is_offered_at_the_end(runbook, sandbox, http_faults):
    result = undo(runbook, sandbox, http_faults, "", '{ ["*"] = "yes" }')
    assert paths(http_faults)[-2:] == ["/do/debug", "/undo/debug"], result
    assert "owed 0" in result.stdout


def test_an_undo_not_made_is_owed_and_listed(runbook, sandbox, http_faults):
    result = undo(runbook, sandbox, http_faults, "", '{ Louder = "yes", ["*"] = "no" }')
    assert paths(http_faults)[-1] == "/do/debug"
    assert "owed 1" in result.stdout and "Louder" in result.stdout, result


def test_a_remedy_that_fails_half_way_offers_its_undo_at_once(runbook, sandbox, http_faults):
    result = undo(runbook, sandbox, http_faults, 'if not done.dry then error "half-way" end', '{ ["*"] = "yes" }')
    assert "half-way" in result.stdout and paths(http_faults)[-1] == "/undo/debug", result


def test_the_recap_is_the_last_line(runbook, sandbox):
    sandbox.write("x.lua", 'runbook { title = "X" }\nreturn unresolved "nothing to do"')
    result = runbook("run", "x.lua")
    assert result.stdout.splitlines()[-1] == (
        "looked 0 · on the author's word 0 · would 0 · changed 0 · may have run 0 · write failed 0 · refused 0 · "
        "could not look 0 · owed 0 · 00:00 · unresolved: nothing to do")
