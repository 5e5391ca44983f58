"""The runner of tests/cases/ must fail when it should: a runner that is pleased with everything tests nothing."""

import pytest

import test_cases as runner

CASE = """\
A comment.
=== first
--- script
return resolved "done"
--- stdout
one

=== second
--- exit
0
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.case"
    path.write_text(CASE)
    return path


def section(name, body, argument=None):
    made = runner.Section(name, argument, 1)
    made.lines = body.split("\n")
    return made


def test_parse(file):
    first, second = runner.parse(file)
    assert (first.name, second.name) == ("first", "second")
    assert first.get("stdout").text == "one\n" and first.words() == ["run", "case.lua"]
    assert second.get("exit").lines == ["0"]


@pytest.mark.parametrize("text", ["=== a\n--- stodut\nx\n", "=== a\n--- exit\n0\n=== a\n--- exit\n1\n"])
def test_mistakes_in_a_case_file(file, text):
    file.write_text(text)
    with pytest.raises(ValueError):
        runner.parse(file)


@pytest.mark.parametrize("expected, seen, right", [
    (section("stdout", "one"), "one\n", True),
    (section("stdout", "one"), "one\ntwo\n", False),
    (section("exit", "0"), "1\n", False),
    (section("stdout", "a\nc", "contains"), "1 a\n2 b\n3 c\n", True),
    (section("stdout", "c\na", "contains"), "1 a\n2 b\n3 c\n", False),
    (section("stdout", "b", "lacks"), "1 a\n2 b\n", False),
    (section("journal", "run.started\nrun.ended .*\"exit\":0"), 'run.started {}\nrun.ended {"exit":0}\n', True),
    (section("journal", "run.ended\nrun.started"), "run.started {}\nrun.ended {}\n", False),
    (section("stdout", "run <ID> at <TIME>, <MS> ms in <DIR>"),
     "run 20261123-174005-api-down-7f3k at 17:40:05, 12.5 ms in /tmp/x\n", True),
])
def test_compare(expected, seen, right):
    assert (runner.compare(expected, seen, "/tmp/x") is None) == right


def test_update_touches_only_its_section(file):
    first, second = runner.parse(file)
    runner.update(first, "stdout", "two\nthree\n")
    runner.update(second, "exit", "1\n")
    assert file.read_text() == CASE.replace("\none\n", "\ntwo\nthree\n").replace("\n0\n", "\n1\n")
