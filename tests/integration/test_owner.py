"""Whose file decides what is done with our rights: a config, a runbook, a module, an answers file, the folder of the runs
count only when nobody else could have written them. Break it: leave `owned = true` out of the read."""

import os

import pytest

STRANGER = 65534
QUIET = 'runbook { title = "X" }\nsysinfo.uptime()\nreturn unresolved "it went through"\n'

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")


def give_away(sandbox, name):
    os.chown(os.path.join(sandbox.folder, name), STRANGER, STRANGER)


def assert_refused(result, whose):
    assert result.code == 6 and f"{whose} belongs to" in result.stderr and "it went through" not in result.stdout, result


@pytest.mark.parametrize("command", ["run", "doctor", "audit"])
@pytest.mark.parametrize("name", ["x.lua", "lib/module.lua", "runbook.config.lua"])
def test_a_strangers_file_decides_nothing(runbook, sandbox, name, command):
    sandbox.write("x.lua", 'runbook { title = "X" }\nrequire "lib.module"\n' + QUIET.split("\n", 1)[1])
    sandbox.write("lib/module.lua", "return true")
    sandbox.write("runbook.config.lua", "return {}")
    give_away(sandbox, name)
    assert_refused(runbook(command, "x.lua"), name)


@pytest.mark.parametrize("option", ["--answers", "--params"])
def test_a_strangers_word_is_not_the_operators(runbook, sandbox, option):
    sandbox.write("x.lua", QUIET)
    sandbox.write("words.lua", "return {}")
    give_away(sandbox, "words.lua")
    assert_refused(runbook("run", "x.lua", option, "words.lua"), "words.lua")


def test_a_strangers_folder_keeps_no_run(runbook, sandbox):
    sandbox.write("x.lua", QUIET)
    folder = os.path.join(sandbox.state, "runbook", "runs")
    os.makedirs(folder)
    os.chown(folder, STRANGER, STRANGER)
    assert_refused(runbook("run", "x.lua"), "runs")
    assert os.listdir(folder) == []


def test_a_scenario_touches_nothing_and_asks_nobody(runbook, sandbox):
    sandbox.write("x.lua", QUIET)
    sandbox.write("x.test.lua", 'scenario "one" {}')
    give_away(sandbox, "x.lua")
    assert runbook("run", "x.lua", "--scenario", "x.test.lua").code == 1


def test_a_folder_of_a_colleague_counts_when_it_is_trusted(runbook, sandbox):
    sandbox.write("theirs/x.lua", QUIET)
    for name in "theirs", "theirs/x.lua":
        give_away(sandbox, name)
    assert_refused(runbook("run", "theirs/x.lua", "--dry-run"), "theirs")
    assert "no folder of others is trusted" in runbook("trust").stdout
    assert runbook("trust", "theirs").code == 0
    assert f"theirs  (of uid {STRANGER})" in runbook("trust").stdout
    assert runbook("run", "theirs/x.lua", "--dry-run").code == 0
    assert runbook("trust", "nowhere").code == 2


def test_the_config_is_looked_for_above_the_runbook_not_above_its_path(runbook, sandbox):
    sandbox.write("a/b/runbook.config.lua", "return nonsense")
    sandbox.write("c/x.lua", QUIET)
    assert runbook("run", "a/b/../../c/x.lua", "--dry-run").code == 0


def test_a_link_that_is_no_config_shows_none_of_its_words(runbook, sandbox):
    sandbox.write("other/shadow", "root topsecretword\n")
    os.symlink("../other/shadow", os.path.join(os.path.dirname(sandbox.write("books/x.lua", QUIET)), "runbook.config.lua"))
    result = runbook("run", "books/x.lua", "--dry-run")
    assert result.code == 2 and "a link to a file that is no config" in result.stderr and "topsecret" not in str(result), result
