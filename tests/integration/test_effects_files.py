"""The files family on real files, and through the command line."""

import os
import subprocess
import time

import pytest

from lab.effects import performer
from lab.program import ROOT

DAY = 86400


@pytest.fixture
def files(luahost):
    perform = performer(luahost, "files")
    return lambda name, *arguments, **settings: perform((f"files.{name}", *arguments), **settings)[0]


@pytest.fixture
def logs(tmp_path):
    """A folder with twelve old logs, a young one and another file."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for i in range(12):
        path = folder / f"app-{i:02}.log"
        path.write_bytes(b"x" * 1000)
        os.utime(path, (time.time() - (8 + i) * DAY - 60,) * 2)
    (folder / "app.log").write_text("young")
    (folder / "notes.txt").write_text("mine")
    os.utime(folder / "notes.txt", (0, 0))
    return folder


def test_in_lua(sandbox, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    done = sandbox.run("luahost", os.path.join(ROOT, "tests", "stdlib", "files_test.lua"), folder)
    assert (done.code, done.stdout) == (0, "files: well\n"), done


def test_what_is_held_open_frees_nothing(files, logs):
    old = {"under": str(logs), "name": "*.log", "older_than": "7d"}
    with open(logs / "app-03.log", "rb"), open(logs / "app-04.log", "rb"):
        done = files("delete", old, only_preview=True)
    text = f"deletes 12 files, 11.7 KB under {logs}, 8 to 19 days old; 2 are held open (by pid {os.getpid()}) and free " \
           "nothing until their process ends"
    assert done["preview"]["text"] == text and done["preview"]["size"] == 12 and done["class"] == "destructive"
    assert len(list(logs.iterdir())) == 14


def test_delete(files, logs):
    done = files("delete", {"under": str(logs), "name": "*.log", "older_than": "7d"})
    assert {name: done["fields"][name] for name in ("deleted", "bytes", "left", "new")} == \
        {"deleted": 12, "bytes": 12000, "left": 0, "new": 0}
    assert done["verified"] and sorted(os.listdir(logs)) == ["app.log", "notes.txt"]
    assert done["line"] == f"files.delete name=*.log older_than=7d under={logs} @here"


AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
DELETE = """
local c = require "catalogue"
require("settings").here = true
c.family "files"
local e = c.effects["files.delete"]
local call = c.call(e, { under = (...), name = "*.log" })
local preview = e.preview(call)
print(preview.text)
local fields, err = e.run(call, preview)
print(fields, err.message)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming somebody else needs root")
def test_what_is_not_ours(sandbox, lab_folder):
    """Somebody who may look but not delete gets a failure with the reason, not a success of nothing."""
    folder = os.path.join(lab_folder, "roots-logs")
    os.mkdir(folder)
    for path, text in ((folder + "/a.log", "x"), (lab_folder + "/delete.lua", DELETE)):
        with open(path, "w") as file:
            file.write(text)
    host = os.path.join(ROOT, os.environ.get("RUNBOOK_BUILD", "build/dev"), "luahost")
    if subprocess.run([*AS_NOBODY, "test", "-x", host]).returncode != 0:
        pytest.skip("the build isn't open to others")
    done = subprocess.run([*AS_NOBODY, host, lab_folder + "/delete.lua", folder], capture_output=True, text=True,
                          env={"PATH": sandbox.env["PATH"], "ASAN_OPTIONS": "detect_leaks=0"}, timeout=60)
    assert "deletes 1 file, 1 B" in done.stdout and "could not be looked into" in done.stdout, done
    assert "none of 1 files was deleted" in done.stdout and "ermission denied" in done.stdout, done
    assert os.listdir(folder) == ["a.log"]


@pytest.fixture
def tiny_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_keeps_the_old_file(files, tiny_disk):
    (tiny_disk / "conf").write_text("old")
    done = files("write", str(tiny_disk / "conf"), "x" * 100_000)
    assert done["error"]["kind"] == "limit" and (tiny_disk / "conf").read_text() == "old"
    assert os.listdir(tiny_disk) == ["conf"]


def test_no_other_file_system(files, tiny_disk, tmp_path):
    (tiny_disk / "a.log").write_text("x")
    (tmp_path / "b.log").write_text("x")
    done = files("delete", {"under": str(tmp_path), "name": "*.log"})
    assert done["fields"]["deleted"] == 1 and (tiny_disk / "a.log").exists()


RUNBOOK = """
runbook {{ title = "Disk full", severity = "warning" }}
local clear = remedy("Clear old logs", {{ risk = "medium" }}, function()
  local done = files.delete {{ under = "{under}", name = "*.log", older_than = "7d" }}
  note(("deleted %s of %s"):format(tostring(done.deleted), "{under}"))
end)
local look = probe("Look", function()
  local old = files.find {{ under = "{under}", name = "*.log", older_than = "7d" }}
  check("old logs are gone", old.count == 0, {{ fault = "full" }})
end)
look()
clear()
if look().full == false then return resolved "cleared" end
return unresolved "still full"
"""


def test_through_the_command_line(runbook, sandbox, logs):
    path = sandbox.write("disk.lua", RUNBOOK.format(under=logs))
    dry = runbook("run", path, "--dry-run", "--here")
    assert dry.code == 0 and "deletes 12 files" in dry.stdout, dry
    assert len(list(logs.iterdir())) == 14
    waits = runbook("run", path, "--yes", "high")
    assert waits.code == 5 and "--here" in waits.stdout and len(list(logs.iterdir())) == 14, waits
    done = runbook("run", path, "--here", "--yes", "high")
    assert done.code == 0 and len(list(logs.iterdir())) == 2, done
    outcome = [event for event in done.events("effect.outcome") if "files.delete" in event.get("line", "")]
    assert outcome and outcome[-1]["status"] == "ok" and outcome[-1]["result"]["deleted"] == 12, outcome


def test_a_write_in_a_probe(runbook, sandbox, logs):
    path = sandbox.write("x.lua", f"""
runbook {{ title = "X", severity = "warning" }}
probe("Look", function() files.delete {{ under = "{logs}", name = "*" }} end)()
return unresolved "x"
""")
    done = runbook("run", path, "--here", "--yes", "high")
    assert "a probe changes nothing" in done.stdout and len(list(logs.iterdir())) == 14, done
