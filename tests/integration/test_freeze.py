"""runbook freeze: one switch for every write of every run; looking and telling go on."""

import json
import os
import time

import pytest

from lab.people import people, wait_for
from lab.web import Site

SCRIPT = """
runbook { title = "Frozen" }
local look = probe("Look", function() check("it is well", http.get("%(url)s/look"), { fault = "down" }) end)
local fix = remedy("Fix", { risk = "low" }, function()
  http.post("%(url)s/one")
  http.get("%(url)s/slow")
  http.post("%(url)s/two")
end)
look()
fix()
return unresolved "the end"
"""


class World(Site):
    meanwhile = None  # what happens while /slow is asked

    def answer(self, handler, request):
        if request.path == "/slow" and self.meanwhile and self.count("/one"):
            self.meanwhile()
        handler.reply(200, "ok")

    def count(self, path):
        return sum(1 for request in self.requests if (request.method, request.path) == ("POST", path))


@pytest.fixture
def world(sandbox):
    site = World()
    sandbox.write("x.lua", SCRIPT % {"url": site.url})
    sandbox.write("answers.lua", 'return { Fix = "yes", ["*"] = "yes" }')
    yield site
    site.stop()


@pytest.mark.parametrize("options", [("--yes", "high"), ("--answers", "answers.lua"), ()])
def test_no_run_changes_anything_while_writes_are_frozen(runbook, sandbox, world, options):
    """Broken by: approval.ask without frozen_text, or without in_person."""
    assert runbook("freeze", "the", "migration").code == 0
    result = runbook("run", "x.lua", "--no-input", *options)
    assert result.code == 5 and "Writes are frozen" in result.stdout and "the migration" in result.stdout, result
    assert not world.count("/one") and [event["why"] for event in result.events("freeze")] == ["the migration"] * 2
    assert runbook("thaw").code == 0
    result = runbook("run", "x.lua", "--no-input", "--yes", "high", "--alongside")
    assert result.code == 1 and world.count("/one") == 1 and not result.events("freeze"), result


def test_looking_goes_on(runbook, sandbox, world):
    runbook("freeze", "x")
    result = runbook("run", "x.lua", "--dry-run")
    assert result.code == 0 and "would http.post" in result.stdout and not result.events("freeze"), result


def test_the_page_goes_out_all_the_same(runbook, sandbox, world, people):
    runbook("freeze", "x")
    sandbox.write("x.lua", (SCRIPT % {"url": world.url}).replace("fix()\n", "", 1))
    assert runbook("run", "x.lua", "--no-input").code == 1
    assert wait_for(lambda: people.alerts)


def test_a_person_who_is_told_lets_a_remedy_through(runbook_tty, runbook, sandbox, world):
    runbook("freeze", "the", "migration")
    terminal = runbook_tty("run", "x.lua")
    terminal.expect("Writes are frozen")
    terminal.expect("yes or no")
    terminal.sendline("yes")
    assert terminal.finish().code == 1
    assert world.count("/one") == 1 and world.count("/two") == 1


def test_what_is_frozen_in_the_middle_of_a_remedy_stops_its_next_write(runbook, sandbox, world):
    """Whoever approved it did not know. Broken by: plan.frozen left out."""
    world.meanwhile = lambda: runbook("freeze", "stop")
    result = runbook("run", "x.lua", "--no-input", "--yes", "high")
    assert result.code == 5 and world.count("/one") == 1 and world.count("/two") == 0, result


def test_a_freeze_ends_by_itself(runbook, sandbox, world):
    assert runbook("freeze", "--until", "1s", "for", "a", "moment").code == 0
    assert "writes are frozen" in runbook("freeze").stdout
    assert wait_for(lambda: "writes are free" in runbook("freeze").stdout, 10)
    assert runbook("run", "x.lua", "--no-input", "--yes", "high").code == 1 and world.count("/two") == 1
    assert "freeze" in runbook("freeze").stdout, "its word stays in the history"


def test_a_shared_folder_counts_for_all(runbook, sandbox, world):
    """Another user's freeze holds this one's runs. Broken by: folders() without shared_dir."""
    shared = sandbox.folder + "/shared"
    os.mkdir(shared)
    sandbox.write("runbook.config.lua", f'return {{ shared_dir = "{shared}" }}')
    with open(f"{shared}/{int(time.time() * 1000):013d}-freeze.json", "w") as word:
        json.dump({"by": "ada", "why": "audit", "at": time.time()}, word)
    result = runbook("run", "x.lua", "--no-input", "--yes", "high")
    assert result.code == 5 and "ada" in result.stdout and not world.count("/one"), result
    assert runbook("thaw", "--shared").code == 0
    assert runbook("run", "x.lua", "--no-input", "--yes", "high", "--alongside").code == 1


def test_a_word_that_cannot_be_read_freezes(runbook, sandbox, world):
    """What is damaged must not let a write through."""
    runbook("freeze", "x")
    folder = sandbox.state + "/runbook"
    name, = (name for name in os.listdir(folder) if name.endswith("-freeze.json"))
    with open(f"{folder}/{name}", "w") as word:
        word.write("{")
    assert runbook("run", "x.lua", "--no-input", "--yes", "high").code == 5


@pytest.mark.parametrize("until, says", [("yesterday", "--until yesterday"), ("2020-01-01T00:00:00Z", "is over already")])
def test_what_is_wrong_about_a_time(runbook, until, says):
    result = runbook("freeze", "--until", until, "x")
    assert result.code == 2 and says in result.stderr, result
