"""The run's folder goes away under a run: nothing is changed any more, and people are told. What would be written down somewhere
else, where nobody looks, is no journal."""

import os
import shutil
import subprocess

import pytest

from lab.people import people, wait_for  # noqa: F401 (a fixture)
from lab.program import executable

SCRIPT = """
runbook { title = "Lost", severity = "critical" }
escalation("1h", function(run) escalate.page { summary = run.headline } end)
wait_until("go on", { within = "30s", every = "50ms" }, function() return files.stat("%s/go").state == "file" end)
local fix = remedy("Fix", { risk = "low" }, function() http.post("%s/fix") end)
if fix() then return resolved "x" end
return unresolved "x"
"""


def mounted(*arguments):
    if subprocess.run(["mount", *arguments], capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")


def removed(folder):
    shutil.rmtree(folder)


def renamed(folder):
    os.rename(folder, folder + "-old")


def replaced(folder):
    os.rename(folder, folder + "-old")
    shutil.copytree(folder + "-old", folder)


def emptied(folder):
    os.remove(folder + "/journal.jsonl")


def covered(folder):
    mounted("-t", "tmpfs", "none", folder)


def read_only(folder):
    mounted("--bind", folder, folder)
    mounted("-o", "remount,bind,ro", folder)


LOSSES = [removed, renamed, replaced, emptied, covered, read_only]


@pytest.fixture
def run(sandbox, http_faults):
    """run(loss) -> how a run ended under which its folder was lost, between its first look and its first write"""
    http_faults.set("/fix")
    sandbox.write("lost.lua", SCRIPT % (sandbox.folder, http_faults.url))
    folders = []

    def carry_out(loss, *arguments):
        process = sandbox.start("runbook", "run", "lost.lua", "--yes", "low", *arguments)
        armed = lambda: sandbox.runs() and "escalation.armed" in open(sandbox.runs()[-1] + "/journal.jsonl").read()  # noqa: E731
        assert wait_for(armed)
        folders.append(sandbox.runs()[-1])
        loss(folders[-1])
        sandbox.write("go", "")
        out, err = process.communicate(timeout=60)
        return process.returncode, out.decode(), err.decode()
    yield carry_out
    sandbox.end_processes()
    for folder in folders:
        while os.path.exists(folder) and subprocess.run(["umount", "-l", folder], capture_output=True).returncode == 0:
            pass


@pytest.mark.parametrize("loss", LOSSES, ids=[loss.__name__ for loss in LOSSES])
def test_nothing_is_changed_and_the_page_goes_out(run, people, http_faults, loss):  # noqa: F811
    """Broken by: journal_append without check_place."""
    code, out, err = run(loss)
    assert not [request for request in http_faults.requests if request.path == "/fix"], (out, err)
    assert "nothing will be changed" in err and "http.post" in out and code == 1, (code, out, err)
    assert wait_for(lambda: people.alerts), (out, err)
    assert [alert["opened"] for alert in people.alerts.values()] == [1]


def test_a_journal_that_is_still_there_takes_writes(run, people, http_faults):  # noqa: F811
    code, out, err = run(lambda folder: None)
    assert code == 0 and len([request for request in http_faults.requests if request.path == "/fix"]) == 1, (out, err)


def in_a_world(sandbox, mounts):
    """The run, in a mount namespace of its own in which these are read-only: its exit code, words, and where it was kept."""
    script = "".join(f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && " for folder in mounts)
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script + 'exec "$0" run lost.lua --no-input', executable("runbook")],
                          cwd=sandbox.folder, env=sandbox.env, capture_output=True, text=True, timeout=60)
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip("nothing may be mounted here")
    return done


def test_a_folder_that_cannot_be_written_from_the_start_is_said(sandbox, http_faults):
    """In memory if that can be, or not at all. Broken by: rundir_create that goes on without a folder."""
    sandbox.write("lost.lua", SCRIPT.replace("wait_until", "http.get '%s/look' wait_until" % http_faults.url)
                  % (sandbox.folder, http_faults.url))
    sandbox.write("go", "")
    kept = in_a_world(sandbox, [sandbox.state])
    first = kept.stderr.split("\n")[0]
    assert kept.returncode == 5 and "kept in memory only" in first and "read-only" in first, kept
    sandbox.end_processes()
    shutil.rmtree(first.split(" under ")[1].split(": ")[0])  # every later run of this user would find it
    looks = len(http_faults.requests)
    refused = in_a_world(sandbox, [sandbox.state, "/dev/shm"])
    assert refused.returncode == 6 and "no run directory" in refused.stderr and "read-only" in refused.stderr, refused
    assert "nor in memory" in refused.stderr and len(http_faults.requests) == looks
