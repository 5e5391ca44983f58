"""runbook mutate: what is broken, who notices it, what is told of what nobody noticed."""

import json

import pytest

BOOK = """
runbook { title = "Cache full" }
recovered("the cache has room", function() return redis.info("redis://c", "memory").used_percent < 80 end)
escalation("10m", function(run) escalate.page { summary = "cache" } end)
local cache = probe("Cache", function()
  check("memory", redis.info("redis://c", "memory").used_percent, "<", 90, { fault = "full" })
end)
local clear = remedy("Clear", { risk = "high", warning = "all of it is lost" }, function()
  redis.command("redis://c", "FLUSHDB")
end)
local again = remedy("Restart", { risk = "medium" }, function() service.restart("redis", { on = "c1" }) end)
if cache().full then clear() else again() end
return unresolved "the cache was not it"
"""
FULL = """
scenario "full" {
  given = { ["redis.info * memory"] = { used_percent = 97 } }, answers = { ["*"] = "yes" },
  after = { ["redis.command * FLUSHDB"] = { ["redis.info * memory"] = { used_percent = 5 } } },
  expect = { outcome = "resolved", by = "Clear", does = { "redis.command * FLUSHDB" }, pages = 0 },
}
"""
ROOM = """
scenario "neither" {
  given = { ["redis.info * memory"] = { used_percent = 85 } }, answers = { ["*"] = "yes" },
  expect = { outcome = "unresolved", does = { "service.restart redis*c1*" } },
}
"""


@pytest.fixture
def mutate(runbook, sandbox):
    """mutate(text, tests, *options) -> what was found, from JSON; the exit code as `code`"""
    def start(text, tests, *options):
        sandbox.write("x.lua", text)
        if tests:
            sandbox.write("x.test.lua", tests)
        result = runbook("mutate", "x.lua", "--format", "json", *options)
        assert not result.stderr, result
        found = json.loads(result.stdout)
        found["code"] = result.code
        return found
    return start


def survivors(found):
    return {it["what"] for it in found["survivors"]}


def test_a_scenario_notices_what_survives_without_it(mutate):
    without, having = mutate(BOOK, None), mutate(BOOK, FULL)
    assert having["mutants"] == having["possible"] == without["mutants"] > 15
    assert "redis.command is not done" in survivors(without) - survivors(having)
    turned = "remedy “Restart” is asked for in place of “Clear”"
    assert turned not in survivors(having) and having["noticed"]["test"] > 0 and without["noticed"]["test"] == 0
    assert having["score"] > without["score"]


def test_a_second_scenario_notices_more(mutate):
    one, both = mutate(BOOK, FULL), mutate(BOOK, FULL + ROOM)
    assert survivors(both) < survivors(one) and both["score"] > one["score"]


def test_check_notices_what_needs_no_scenario(mutate):
    found = mutate(BOOK, None)
    assert found["noticed"]["check"] >= 2
    assert not {it for it in survivors(found) if it.startswith(("warning of remedy", "the check “memory” names no fault"))}


def test_explore_notices_a_level_that_tells_nobody_any_more(mutate):
    found = mutate(BOOK, None)
    assert found["noticed"]["explore"] >= 1 and "escalate.page is not done" not in survivors(found)


def test_what_survives_is_told_with_its_lines_and_the_scenario_that_would_notice(mutate, runbook):
    found = mutate(BOOK, FULL)
    level = next(it for it in found["survivors"] if it["what"] == "the level after “10m” is gone")
    assert level["line"] == 4 and level["was"].startswith("escalation(") and level["is"] == ""
    assert level["scenario"] == "a scenario that takes longer than “10m” and expects its page"
    text = runbook("mutate", "x.lua").stdout
    assert "x.lua:4: the level after “10m” is gone\n  - escalation(" in text and text.endswith(f"score {found['score']:.1f} %\n")


def test_the_seed_and_the_number_choose_the_mutants(mutate):
    first, again, other = (mutate(BOOK, None, "--max", "6", "--seed", seed) for seed in ("3", "3", "4"))
    assert first == again and first["mutants"] == 6 < first["possible"]
    assert first["survivors"] != other["survivors"]


def test_a_score_below_the_least_fails(mutate):
    assert mutate(BOOK, FULL, "--min-score", "99")["code"] == 1
    assert mutate(BOOK, FULL, "--min-score", "10")["code"] == 0


def test_what_the_author_excuses_is_not_counted(mutate, runbook):
    level = 'escalation("10m"'
    found = mutate(BOOK.replace(level, "-- runbook: allow mutate the pager is tried by hand\n" + level), FULL)
    assert found["excused"] >= 1 and "the level after “10m” is gone" not in survivors(found)
    assert runbook("check", "x.lua").code == 0
    unsaid = mutate(BOOK.replace(level, "-- runbook: allow mutate\n" + level), FULL)
    assert unsaid["excused"] == 0 and "the level after “10m” is gone" in survivors(unsaid)


def test_preventions_are_left_alone(mutate):
    more = 'prevention("Later", function() check("a", http.get("http://x/a")) end)\nif cache()'
    assert mutate(BOOK.replace("if cache()", more), None)["possible"] == mutate(BOOK, None)["possible"]


def test_the_file_stays_as_it_is(mutate, sandbox):
    mutate(BOOK, FULL)
    with open(sandbox.write("y.lua", BOOK), "rb") as same, open(f"{sandbox.folder}/x.lua", "rb") as broken:
        assert broken.read() == same.read()
    assert not sandbox.runs()


def test_scenarios_that_fail_beforehand_are_told(runbook, sandbox):
    sandbox.write("x.lua", BOOK)
    sandbox.write("x.test.lua", FULL.replace('"resolved"', '"unresolved"'))
    result = runbook("mutate", "x.lua")
    assert result.code == 2 and 'scenario "full" fails before anything is broken' in result.stderr, result


@pytest.mark.parametrize("options, says", [
    (("--max", "0"), "--max 0: a whole number from 1 to 100000 expected"),
    (("--seed", "x"), "--seed x: a whole number"),
    (("--min-score", "101"), "--min-score 101: a percentage from 0 to 100 expected"),
])
def test_wrong_options_are_refused(runbook, sandbox, options, says):
    sandbox.write("x.lua", BOOK)
    result = runbook("mutate", "x.lua", *options)
    assert result.code == 2 and says in result.stderr, result


def test_what_is_no_lua_is_told_with_its_line(runbook, sandbox):
    sandbox.write("x.lua", "runbook {\n")
    result = runbook("mutate", "x.lua")
    assert result.code == 2 and "x.lua:2: " in result.stderr, result
