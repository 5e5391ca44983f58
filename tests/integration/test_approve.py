"""runbook approve, deny, answer, note: a question of a run is answered from another terminal, by whom it is for, once."""

import glob
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from lab.people import people, wait_for  # noqa: a fixture
from lab.program import executable
from lab.web import Site

SCRIPT = """
runbook {{ title = "Try" }}
escalation("1h")
local fix = remedy("Fix", {{ risk = "{risk}" }}, function() http.post("{url}/one/" .. http.get("{url}/which").body) end)
local look = probe("Look", function() check("it is well", http.get("{look}/look"), {{ fault = "down" }}) end)
local found = look()
if found.down ~= false then fix() end
return unresolved "the end"
"""
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")


class World(Site):
    which = "a"

    def answer(self, handler, request):
        handler.reply(500 if request.path == "/look" else 200, self.which)

    def count(self):
        return sum(1 for request in self.requests if request.method == "POST")


@pytest.fixture
def world(sandbox):
    site = World()
    write_script(sandbox, site)
    yield site
    site.stop()


def write_script(sandbox, site, risk="low", known=True):
    """`known`: whether the look has an answer; without one the remedy is asked for on ignorance."""
    sandbox.write("x.lua", SCRIPT.format(url=site.url, risk=risk, look=site.url if known else "http://127.0.0.1:1")
                  .replace("http://127.0.0.1:1/look", "http://nowhere.invalid/look"))


def config(sandbox, text):
    sandbox.write("runbook.config.lua", "return { %s }" % text)
    os.chmod(sandbox.folder + "/runbook.config.lua", 0o600)


def question(sandbox):
    with open(sandbox.runs()[-1] + "/question.json") as file:
        return json.load(file)


def approve(runbook, sandbox, *options):
    return runbook("approve", "last", "--plan", question(sandbox)["hash"][:12], *options)


def events(sandbox, name):
    with open(sandbox.runs()[-1] + "/journal.jsonl") as file:
        return [event for event in map(json.loads, file) if event["event"] == name]


# ---- Entrances and rules ---------------------------------------------------------------------------------------------------

ALL = {"terminal", "word", "title", "pattern", "catch_all", "yes", "config"}
PEOPLE = {"terminal", "word"}
COUNTS = {
    "plain": ALL,
    "high": ALL - {"catch_all"},
    "doubt": PEOPLE | {"title"},
    "frozen": PEOPLE,
    "needs one": PEOPLE,
    "typed": {"terminal", "word", "title", "pattern", "yes"},
    "another": set(),
}
RULES = {"needs one": "require_approval = 1, ", "typed": 'approvals = { low = "type", high = "type" }, ',
         "another": 'starter_may_approve = false, shared_dir = "%s/shared", '}
FILES = {"title": 'Fix = "%s"', "pattern": '["F*"] = "%s"', "catch_all": '["*"] = "%s"'}


def set_rule(runbook, sandbox, world, rule, entrance):
    level = "high" if rule in ("high", "typed") else "low"
    write_script(sandbox, world, level, rule != "doubt")
    extra = 'approvals = { low = "auto", high = "auto" }, ' if entrance == "config" else RULES.get(rule, "")
    if entrance == "config" and rule in ("needs one", "another"):
        extra += RULES[rule]
    config(sandbox, extra.replace("%s", sandbox.folder))
    os.mkdir(sandbox.folder + "/shared", 0o700)
    if rule == "frozen":
        assert runbook("freeze", "why").code == 0
    return "127.0.0.1" if rule == "typed" else "yes"


def by_terminal(runbook_tty, word):
    terminal = runbook_tty("run", "x.lua")
    terminal.expect(r"yes or no\?|to approve")
    terminal.sendline(word)
    if terminal.expect(["RESOLVED", "may not approve"]) == 0:
        terminal.finish()
    else:
        os.kill(terminal.pid, signal.SIGTERM)


def by_word(runbook, sandbox, word):
    assert runbook("run", "x.lua", "--no-input").code == 5
    typed = ["--typed", word] if word != "yes" else []
    approve(runbook, sandbox, *typed)
    runbook("resume", "last", "--no-input")


@pytest.mark.parametrize("rule", sorted(COUNTS))
@pytest.mark.parametrize("entrance", sorted(ALL))
def test_whose_yes_counts(runbook, sandbox, runbook_tty, world, rule, entrance):
    """One function decides for every entrance. Broken by: any line of consent.refusal, or of what it calls."""
    if (rule, entrance) == ("typed", "config"):
        pytest.skip("the config says type, not auto")
    word = set_rule(runbook, sandbox, world, rule, entrance)
    if entrance == "terminal":
        by_terminal(runbook_tty, word)
    elif entrance == "word":
        by_word(runbook, sandbox, word)
    else:
        sandbox.write("answers.lua", "return { %s }" % (FILES.get(entrance, "") .replace("%s", word)))
        runbook("run", "x.lua", "--no-input", *(["--yes", "high"] if entrance == "yes" else ["--answers", "answers.lua"]))
    assert world.count() == (1 if entrance in COUNTS[rule] else 0)


# ---- One plan, once, in time ------------------------------------------------------------------------------------------------

def test_an_approval_is_of_one_plan(runbook, sandbox, world):
    """Broken by: open_question.essence without the effects; replies.counts without the hash."""
    assert runbook("run", "x.lua", "--no-input").code == 5
    assert approve(runbook, sandbox).code == 0
    world.which = "b"
    result = runbook("resume", "last", "--no-input")
    assert result.code == 5 and not world.count(), result
    assert approve(runbook, sandbox).code == 0
    result = runbook("resume", "last", "--no-input")
    assert result.code == 1 and world.count() == 1 and "Apply “Fix”? yes (" in result.stdout, result
    assert len(events(sandbox, "answer")[-1]["words"]) == 1


def test_an_approval_counts_once(runbook, sandbox, world):
    """Broken by: replies that forget what was used, also across a resume."""
    text = open(sandbox.folder + "/x.lua").read()
    sandbox.write("x.lua", text.replace("if found.down ~= false then fix() end", "fix() fix()"))
    assert runbook("run", "x.lua", "--no-input").code == 5
    assert approve(runbook, sandbox).code == 0
    assert runbook("resume", "last", "--no-input").code == 5 and world.count() == 1
    assert runbook("resume", "last", "--no-input").code == 5 and world.count() == 1
    assert approve(runbook, sandbox).code == 0
    assert runbook("resume", "last", "--no-input").code == 1 and world.count() == 2


def test_an_approval_ends(runbook, sandbox, world):
    """Broken by: replies.counts without `ends`."""
    assert runbook("run", "x.lua", "--no-input").code == 5
    assert approve(runbook, sandbox, "--for", "20s").code == 0
    path = glob.glob(sandbox.runs()[-1] + "/inbox/*-answer.json")[0]
    with open(path) as file:
        word = json.load(file)
    assert 19 < word["ends"] - word["at"] < 21
    with open(path, "w") as file:
        json.dump({**word, "ends": word["at"]}, file)
    assert runbook("resume", "last", "--no-input").code == 5 and not world.count()
    for wrong in ("0s", "25h", "soon"):
        refused = approve(runbook, sandbox, "--for", wrong)
        assert refused.code == 2 and "--for " + wrong in refused.stderr, refused


def test_a_plan_that_grew_is_asked_about_again(runbook, sandbox, world):
    """Broken by: replies.counts without covers."""
    os.mkdir(sandbox.folder + "/old")
    sandbox.write("old/1", "x")
    script = open(sandbox.folder + "/x.lua").read()
    line = [part for part in script.split("\n") if part.startswith("local fix")][0]
    fix = 'local fix = remedy("Fix", {}, function() files.delete { under = "%s/old", name = "*" } end)'
    sandbox.write("x.lua", script.replace(line, fix % sandbox.folder))
    first = runbook("run", "x.lua", "--no-input", "--here")
    assert first.code == 5, first.stdout
    assert approve(runbook, sandbox).code == 0
    sandbox.write("old/2", "x")
    assert runbook("resume", "last", "--no-input", "--here").code == 5
    assert sorted(os.listdir(sandbox.folder + "/old")) == ["1", "2"]


def test_who_has_not_seen_the_plan_approves_nothing(runbook, sandbox, world):
    """Broken by: reply.lua without check_seen."""
    assert runbook("run", "x.lua", "--no-input").code == 5
    shown = runbook("approve", "last")
    assert shown.code == 2 and "http.post" in shown.stdout and "--plan " + question(sandbox)["hash"][:12] in shown.stderr
    for wrong in ("0" * 12, question(sandbox)["hash"][:7]):
        assert runbook("approve", "last", "--plan", wrong).code == 1
    assert not os.listdir(sandbox.runs()[-1] + "/inbox")


def test_at_a_terminal_the_plan_is_shown_and_asked_about(runbook, sandbox, runbook_tty, world):
    assert runbook("run", "x.lua", "--no-input").code == 5
    for typed, end, count in (("no", "nothing is approved", 0), ("yes", "is answered: yes", 1)):
        terminal = runbook_tty("approve", "last")
        terminal.expect("approve it")
        assert "http.post" in terminal.screen and "because: not so: it is well" in terminal.screen
        terminal.sendline(typed)
        terminal.expect(end)
        assert len(os.listdir(sandbox.runs()[-1] + "/inbox")) == count


# ---- While it waits ---------------------------------------------------------------------------------------------------------

def test_a_run_that_waits_at_a_terminal_hears_it(runbook, sandbox, runbook_tty, world):
    """Broken by: typed_or_said that looks for no words."""
    terminal = runbook_tty("run", "x.lua")
    terminal.expect(r"yes or no\?")
    assert approve(runbook, sandbox).code == 0
    terminal.expect("UNRESOLVED")
    terminal.finish()
    assert world.count() == 1 and "Apply “Fix”? yes (" in terminal.words()
    assert "hash" not in question(sandbox)
    late = runbook("deny", "last")
    assert late.code == 1 and "asks nothing now" in late.stderr, late


def test_a_no_from_elsewhere_declines(runbook, sandbox, runbook_tty, world):
    terminal = runbook_tty("run", "x.lua")
    terminal.expect(r"yes or no\?")
    assert runbook("deny", "last", "it", "is", "the", "standby").code == 0
    terminal.expect("UNRESOLVED")
    terminal.finish()
    assert not world.count() and events(sandbox, "approval")[-1]["by"].endswith(": it is the standby")


def test_a_run_that_was_killed_while_it_asked(runbook, sandbox, runbook_tty, world):
    terminal = runbook_tty("run", "x.lua")
    terminal.expect(r"yes or no\?")
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.finish()
    told = approve(runbook, sandbox)
    assert told.code == 0 and "runbook resume" in told.stdout, told
    assert runbook("resume", "last", "--no-input").code == 1 and world.count() == 1


ASKS = """
runbook { title = "Asks" }
note("one " .. tostring(confirm "really?"))
note("two " .. tostring(choose("which?", { "red", "blue" })))
note("three " .. tostring(ask "who?"))
return unresolved "x"
"""


def test_a_scripts_own_questions_are_answered(runbook, sandbox):
    sandbox.write("y.lua", ASKS)
    assert runbook("run", "y.lua", "--no-input").code == 5
    for wrong in ("perhaps", "1"):
        assert runbook("answer", "last", wrong).code == 2
    for answer in ("yes", "2", "Ada of the night shift"):
        assert runbook("answer", "last", *answer.split()).code == 0
        result = runbook("resume", "last", "--no-input")
        assert result.code in (1, 5), result
    assert [event["text"] for event in events(sandbox, "note")] == ["one true", "two blue", "three Ada of the night shift"]
    refused = runbook("answer", "last", "x")
    assert refused.code == 1 and "asks nothing now" in refused.stderr


def test_an_approval_is_no_answer(runbook, sandbox, world):
    assert runbook("run", "x.lua", "--no-input").code == 5
    assert runbook("answer", "last", "yes").code == 1
    sandbox.write("y.lua", ASKS.replace('confirm "really?"', 'choose("which?", { "red" })'))
    assert runbook("run", "y.lua", "--no-input").code == 5
    refused = approve(runbook, sandbox)
    assert refused.code == 1 and "no question of yes or no" in refused.stderr, refused


def test_notes_of_others_are_in_the_journal(runbook, sandbox, runbook_tty, world):
    """Broken by: remarks.listen that is not started; remarks.take that forgets."""
    terminal = runbook_tty("run", "x.lua")
    terminal.expect(r"yes or no\?")
    assert runbook("note", "last", "the", "deploy", "of", "ten").code == 0
    assert wait_for(lambda: any("the deploy of ten" in event["text"] for event in events(sandbox, "note")))
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.finish()
    assert runbook("deny", "last").code == 0
    assert runbook("resume", "last", "--no-input").code == 1
    assert len(events(sandbox, "note")) == 1, "once, also where the run was gone on with"
    assert runbook("note", "last", "and another").code == 0
    with open(sandbox.runs()[-1] + "/report.md") as file:
        assert "noted: and another" in file.read()
    assert runbook("note", "last", "x" * 1001).code == 2 and runbook("note", "last", "x" * 1000).code == 0


# ---- Several people ---------------------------------------------------------------------------------------------------------

class Other:
    """Another login of this machine, with a folder and a config of its own."""

    def __init__(self, folder, shared, uid=NOBODY):
        self.folder, self.uid = folder, uid
        os.makedirs(folder)
        with open(folder + "/runbook.config.lua", "w") as file:
            file.write('return { shared_dir = "%s" }' % shared)
        for path in (folder, folder + "/runbook.config.lua"):
            os.chown(path, uid, NOBODY)

    def run(self, *words):
        command = ["setpriv", f"--reuid={self.uid}", f"--regid={NOBODY}", "--clear-groups", executable("runbook"), *words]
        env = {"PATH": os.environ["PATH"], "HOME": self.folder, "XDG_STATE_HOME": self.folder + "/state"}
        return subprocess.run(command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60)


@pytest.fixture
def shared(tmp_path_factory, sandbox):
    """A folder of a group's, and two others of it."""
    base = str(tmp_path_factory.mktemp("people"))
    while base != "/tmp" and base != "/":
        os.chmod(base, os.stat(base).st_mode | 0o011)
        base = os.path.dirname(base)
    base = str(tmp_path_factory.mktemp("people"))
    os.chmod(base, 0o711)
    folder = base + "/shared"
    os.mkdir(folder)
    os.chown(folder, 0, NOBODY)
    os.chmod(folder, 0o3770)
    folder_of = {"first": Other(base + "/first", folder), "second": Other(base + "/second", folder, 1)}
    return folder, folder_of["first"], folder_of["second"]


def hash_in(folder):
    with open(glob.glob(folder + "/*.question.json")[0]) as file:
        return json.load(file)["hash"][:12]


@as_root
def test_two_people_must_say_yes(runbook, sandbox, runbook_tty, world, shared):
    """Who started it and another. Broken by: ballot.take that counts one person twice, or without `missing`."""
    folder, first, _ = shared
    config(sandbox, 'require_approval = { low = 2 }, shared_dir = "%s", ' % folder)
    terminal = runbook_tty("run", "x.lua")
    terminal.expect(r"yes or no\?")
    for text in ("1 more must say yes", "said yes before"):
        terminal.sendline("yes")
        terminal.expect(text)
    assert not world.count()
    done = first.run("approve", "last", "--plan", hash_in(folder))
    assert done.returncode == 0 and "http.post" in done.stdout, done
    terminal.expect("UNRESOLVED")
    terminal.finish()
    assert world.count() == 1
    assert [event["count"] for event in events(sandbox, "approval.given")] == [1, 2]
    assert "nobody" in events(sandbox, "approval")[-1]["by"]


def forge(sandbox, **fields):
    """A word of the run's owner, whatever the command would say to it."""
    now = time.time()
    with open(sandbox.runs()[-1] + f"/inbox/{int(now * 1000)}-answer.json", "w") as file:
        json.dump({"question": question(sandbox)["hash"], "at": now, "ends": now + 60, **fields}, file)


@as_root
def test_who_started_it_does_not_approve_it(runbook, sandbox, world, shared):
    """Broken by: consent.is_starter; resumption that forgets who started it."""
    folder, first, second = shared
    config(sandbox, 'require_approval = 2, starter_may_approve = false, shared_dir = "%s", ' % folder)
    assert runbook("run", "x.lua", "--no-input", "--yes", "high").code == 5
    refused = approve(runbook, sandbox)
    assert refused.code == 1 and "another must approve it" in refused.stderr, refused
    forge(sandbox, answer="yes")
    assert first.run("approve", "last", "--plan", hash_in(folder)).returncode == 0
    assert runbook("resume", "last", "--no-input").code == 5 and not world.count()
    assert first.run("approve", "last", "--plan", hash_in(folder)).returncode == 0, "the same person again"
    assert runbook("resume", "last", "--no-input").code == 5 and not world.count()
    assert second.run("approve", "last", "--plan", hash_in(folder)).returncode == 0
    assert runbook("resume", "last", "--no-input").code == 1 and world.count() == 1


@as_root
def test_words_of_strangers_do_not_count(runbook, sandbox, world, shared):
    """In the run's own inbox nobody but its owner and root speaks, and nobody in a folder that everybody can write.
    Broken by: replies.read without the owner; replies.unsafe."""
    folder, first, _ = shared
    config(sandbox, 'shared_dir = "%s", ' % folder)
    assert runbook("run", "x.lua", "--no-input").code == 5
    assert approve(runbook, sandbox).code == 0
    os.chown(glob.glob(sandbox.runs()[-1] + "/inbox/*-answer.json")[0], NOBODY, NOBODY)
    assert runbook("resume", "last", "--no-input").code == 5 and not world.count()
    assert first.run("approve", "last", "--plan", hash_in(folder)).returncode == 0
    for mode in (0o3777, 0o2770):
        os.chmod(folder, mode)
        assert runbook("resume", "last", "--no-input").code == 5 and not world.count()
        refused = first.run("approve", "last", "--plan", hash_in(folder))
        assert refused.returncode == 1 and "no word counts there" in refused.stderr, refused
    os.chmod(folder, 0o3770)
    assert runbook("resume", "last", "--no-input").code == 1 and world.count() == 1


@as_root
def test_the_shared_question_holds_no_secret(runbook, sandbox, world, shared):
    folder, _, _ = shared
    config(sandbox, 'shared_dir = "%s", ' % folder)
    script = open(sandbox.folder + "/x.lua").read()
    sandbox.env["TOKEN"] = "a-token-that-is-secret-77"
    sandbox.write("x.lua", script.replace('http.get("%s/which").body)' % world.url, '"x", { headers = { Key = secret "TOKEN" } })'))
    assert runbook("run", "x.lua", "--no-input").code == 5
    path = glob.glob(folder + "/*.question.json")[0]
    text = open(path).read()
    assert "/one/x" in text and "secret-77" not in text and os.stat(path).st_mode & 0o777 == 0o640


def test_a_run_that_nobody_could_approve_does_not_begin(runbook, sandbox, world):
    """Broken by: arm_levels without check_possible."""
    for text in ("require_approval = 2, ", "starter_may_approve = false, "):
        config(sandbox, text)
        result = runbook("run", "x.lua", "--no-input")
        assert result.code == 6 and "nobody else could: the config names no shared_dir" in result.stderr, result
    config(sandbox, "")
    assert runbook("run", "x.lua", "--no-input", "--require-approval", "2").code == 6
    assert runbook("run", "x.lua", "--no-input", "--require-approval", "1", "--yes", "high").code == 5
    assert runbook("resume", "last", "--no-input", "--yes", "high").code == 5, "what was asked for at the start holds"
    for wrong in ("11", "-1", "1.5", "two"):
        assert runbook("run", "x.lua", "--require-approval", wrong).code == 2
    for wrong in ("11", "-1", '"2"', "{ urgent = 1 }", "{ high = 1.5 }"):
        config(sandbox, "require_approval = %s, " % wrong)
        refused = runbook("run", "x.lua")
        assert refused.code == 2 and "require_approval" in refused.stderr, refused


@as_root
def test_the_doctor_says_whether_others_could(runbook, sandbox, world, shared):
    """Broken by: doctor/approval.lua."""
    folder, _, _ = shared
    config(sandbox, 'require_approval = 2, shared_dir = "%s", ' % folder)
    result = runbook("doctor", "x.lua")
    assert result.code == 6 and "another must approve; of the group nogroup 0 can" in result.stdout, result
    config(sandbox, "require_approval = 2, ")
    result = runbook("doctor", "x.lua")
    assert result.code == 6 and "the config names no shared_dir" in result.stdout, result
