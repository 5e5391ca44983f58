"""runbook verify: what a run wrote down is as it was written, or it is said from where on not, what was expected and found."""

import glob
import hashlib
import os
import re
import shutil

import pytest

SCRIPT = """
runbook { title = "Verified" }
for i = 1, 4 do note("number " .. i) end
files.read("%s")
return resolved "x"
"""


@pytest.fixture
def finished(runbook, sandbox):
    """A run that has ended, with one big value."""
    sandbox.write("v.lua", SCRIPT % sandbox.write("big", "".join(f"{n} lines of a text\n" for n in range(3000))))
    result = runbook("run", "v.lua")
    assert result.code == 0, result
    return result


@pytest.fixture
def verified(runbook, finished):
    """verified(change) -> what verify says once the journal's lines have been changed"""
    path = finished.run_dir + "/journal.jsonl"

    def verify(change=lambda lines: lines):
        with open(path, "rb") as file:
            lines = file.read().splitlines(keepends=True)
        with open(path, "wb") as file:
            file.write(b"".join(change(lines)))
        return runbook("verify", "last")
    return verify


def digest(line):
    return hashlib.sha256(line.rstrip(b"\n")).hexdigest()


def swapped(lines):
    lines[3], lines[4] = lines[4], lines[3]
    return lines


def edited(lines):
    return [line.replace(b"number 2", b"number 7") for line in lines]


def number_of(lines, text):
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_whole_run_is_whole(runbook, finished):
    said = runbook("verify", os.path.basename(finished.run_dir)[:-2])
    lines = finished.journal_lines
    end = f"{len(lines)} lines, the last with the SHA-256 {digest(lines[-1].encode())}"
    assert said.code == 0 and said.stdout.endswith("\nwhole\n"), said
    assert end + "; as the report says" in said.stdout
    assert "blobs/             1 values, each as its name says" in said.stdout and "escalation.jsonl" in said.stdout
    with open(finished.run_dir + "/report.md") as report:
        assert report.read().endswith(f"journal.jsonl has {end}.\n")


def test_an_edited_line_is_found(verified, finished):
    """Broken by: check of journal_reader.c without wrong_hash."""
    lines = [line.encode() for line in finished.journal_lines]
    number = number_of(lines, b'"number 2"')
    said = verified(edited)
    assert said.code == 1 and said.stdout.endswith("NOT as it was written\n"), said
    assert (f"damaged from line {number}: it was changed; expected {digest(lines[number - 1])}, "
            f"found {digest(edited(lines)[number - 1])}; the {number - 1} before it hold") in said.stdout


@pytest.mark.parametrize("change, line, found", [
    (lambda lines: lines[:5] + lines[6:], 6, "it has another number; expected number 6, found number 7"),
    (swapped, 4, "it has another number; expected number 4, found number 5"),
    (lambda lines: lines[1:], 1, "it has another number; expected number 1, found number 2"),
    (lambda lines: lines[:4] + lines[3:], 5, "it has another number; expected number 5, found number 4"),
    (lambda lines: [*lines[:4], b"\xff\x1b[2J" + lines[4][3:], *lines[5:]], 5, "it is no line of a journal; expected {"),
    (lambda lines: [*lines[:4], b"\n", *lines[4:]], 5, "it is no line of a journal"),
    (lambda lines: [lines[0].replace(b'"prev":"00', b'"prev":"01'), *lines[1:]], 1, "it was changed; expected 0000"),
], ids=["removed", "swapped", "beginning", "doubled", "bytes", "empty", "first"])
def test_each_other_damage_is_found(verified, change, line, found):
    """Broken by: check of journal_reader.c without wrong_number, or without wrong_form."""
    said = verified(change)
    assert said.code == 1 and f"damaged from line {line}: {found}" in said.stdout, said
    assert b"\x1b" not in said.out


def test_an_end_that_was_cut_off_is_known_from_the_report(verified, finished):
    """Broken by: verify.lua without compare."""
    count = len(finished.journal_lines)
    said = verified(lambda lines: lines[:-2])
    assert said.code == 1 and f"damaged from line {count - 1}: its end is missing; expected {count} lines" in said.stdout, said


def test_a_changed_last_line_is_known_from_the_report(verified, finished):
    """Nothing follows it in the chain."""
    said = verified(lambda lines: [*lines[:-1], lines[-1].replace(b"resolved", b"RESOLVED")])
    assert said.code == 1 and f"damaged from line {len(finished.journal_lines)}: it was changed" in said.stdout, said


def test_an_unfinished_last_line_is_no_damage(verified, finished):
    """A crash leaves it. Broken by: a torn line that counts as damage."""
    os.remove(finished.run_dir + "/report.md")  # a run that was killed has none
    said = verified(lambda lines: [*lines[:-1], lines[-1][:40]])
    assert said.code == 0 and said.stdout.endswith("\nwhole\n"), said
    assert "then 40 bytes of a line that was not finished" in said.stdout and "no run.ended" in said.stdout


def test_the_watchdogs_journal_counts(runbook, finished):
    """Broken by: verify.lua that looks at one chain."""
    path = finished.run_dir + "/escalation.jsonl"
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.replace('"level":1', '"level":2'))
    said = runbook("verify", "last")
    assert said.code == 1 and re.search(r"escalation\.jsonl +damaged from line 1: it was changed", said.stdout), said


def blob_of(result):
    return glob.glob(result.run_dir + "/blobs/*")[0]


@pytest.mark.parametrize("damage, said", [
    (lambda path: os.remove(path), "is missing"),
    (lambda path: open(path, "a").write(" "), "was changed: its hash is"),
    (lambda path: (os.remove(path), os.mkdir(path)), "director"),
    (lambda path: (os.rename(path, path + ".old"), os.symlink(path + ".old", path)), "link"),
], ids=["missing", "changed", "folder", "link"])
def test_a_big_value_that_is_not_what_it_was_is_said(runbook, finished, damage, said):
    """Broken by: blobs_read that doesn't compare the hash."""
    path = blob_of(finished)
    damage(path)
    result = runbook("verify", "last")
    number = next(event["seq"] for event in finished.journal if os.path.basename(path)[:64] in str(event))
    assert result.code == 1 and re.search(rf"blobs/ +line {number}: .*{said}", result.stdout), result


@pytest.mark.parametrize("make", [lambda path: None, os.mkdir, os.mkfifo], ids=["gone", "folder", "pipe"])
def test_a_journal_that_cannot_be_read_is_said(runbook, finished, make):
    path = finished.run_dir + "/journal.jsonl"
    os.remove(path)
    make(path)
    said = runbook("verify", "last")
    assert said.code == 1 and re.search(r"journal\.jsonl +it can't be read", said.stdout), said


@pytest.mark.parametrize("name", ["journal", "escalation"])
def test_an_empty_journal_is_no_whole_one(runbook, finished, name):
    """Broken by: verify.lua without emptiness."""
    os.remove(finished.run_dir + "/report.md")
    open(f"{finished.run_dir}/{name}.jsonl", "w").close()
    said = runbook("verify", "last")
    assert said.code == 1 and re.search(rf"{name}\.jsonl +it is empty", said.stdout), said


def test_no_such_run_is_wrong_usage(runbook, finished):
    assert runbook("verify", "2031").code == 2 and runbook("verify").code == 2
    shutil.rmtree(os.path.dirname(finished.run_dir))
    said = runbook("verify", os.path.basename(finished.run_dir))
    assert said.code == 2 and said.stderr and not said.stdout, said


def test_a_dry_run_can_be_verified(runbook, sandbox):
    sandbox.write("v.lua", 'runbook { title = "V" }\nnote "x"\nreturn resolved "x"')
    result = runbook("run", "v.lua", "--dry-run")
    said = runbook("verify", os.path.basename(result.run_dir))
    assert said.code == 0 and "escalation" not in said.stdout, said
