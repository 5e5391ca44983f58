"""Machines whose /proc says odd things: looked at in namespaces of their own, here and over ssh."""

import os
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

from lab import sshd as ssh
from lab.machines import machines, on, perform  # noqa: F401 (fixtures)
from lab.program import BUILD

RUNBOOK = os.path.join(BUILD, "runbook")
NOBODY = 65534
HIDDEN = "processes of others can't be seen here (/proc is mounted with hidepid)"


# Parts above their whole

MEMINFO = ("MemTotal:        1048576 kB\nMemFree:         1000000 kB\nMemAvailable:    1050000 kB\n"
           "SwapTotal:            10 kB\nSwapFree:             11 kB\n")
MEMORY = """
runbook { title = "Memory" }
local it = sysinfo.memory()
note(("used %g %d %d swap %d"):format(it.used_percent, it.used, it.available, it.swap_used))
return unresolved "looked"
"""


def test_more_available_than_there_is(sandbox, tmp_path):
    """Broken by: an unsigned difference in place of sys_part."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    (tmp_path / "meminfo").write_text(MEMINFO)
    shell = 'mount --make-rprivate / && mount --bind "$0" /proc/meminfo && exec "$@"'
    done = subprocess.run(["unshare", "-m", "sh", "-c", shell, tmp_path / "meminfo", RUNBOOK, "run",
                           sandbox.write("memory.lua", MEMORY), "--dry-run"], capture_output=True, text=True, env=sandbox.env)
    assert f"used 0 0 {1048576 << 10} swap 0" in done.stdout, done


# hidepid

PROCESS = """
runbook { title = "Process" }
for _, pattern in ipairs { "sleep 7654$", "none[-]of[-]that[-]name" } do
  local it = sysinfo.process(pattern)
  note(pattern:match "%a+" .. ": " .. (it.error and it.error.message or it.state))
end
local all = sysinfo.processes()
note("all: " .. (all.error and all.error.message or "seen"))
return unresolved "looked"
"""


@pytest.fixture
def as_nobody(sandbox):
    """as_nobody(options of the mount, group words, own=False) -> what the runbook noted, by its first word; a sleep of root's
    runs beside it, or with `own` one of nobody's."""
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    home = tempfile.mkdtemp()
    os.chown(home, NOBODY, NOBODY)
    with open(os.path.join(home, "process.lua"), "w") as file:
        file.write(PROCESS)
    env = {**sandbox.env, **dict.fromkeys(("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"), home)}

    def run(options, groups="--clear-groups", own=False):
        lower = f"setpriv --reuid={NOBODY} --regid={NOBODY} {groups}"
        shell = (f"mount --make-rprivate / && mount -t proc -o {options} proc /proc || exit 77; "
                 f"{lower if own else ''} sleep 7654 & while [ \"$(cat /proc/$!/comm)\" != sleep ]; do :; done; {lower} \"$@\"")
        done = subprocess.run(["unshare", "-fpm", "--kill-child", "sh", "-c", shell, "sh", RUNBOOK, "run", "process.lua",
                               "--dry-run"], capture_output=True, text=True, cwd=home, timeout=60, env=env)
        if done.returncode == 77:
            pytest.skip("hidepid can't be mounted here")
        return dict(re.findall(r"(sleep|none|all): (.*)", done.stdout)) or done
    yield run
    shutil.rmtree(home)


@pytest.mark.parametrize("options", ["hidepid=1", "hidepid=2", "hidepid=2,gid=4711", "hidepid=ptraceable,gid=4711"])
def test_hidden_is_not_absent(as_nobody, options):
    """Broken by: "absent" for what matches nothing, without a look at how /proc is mounted."""
    groups = "--groups=4711" if "ptraceable" in options else "--clear-groups"
    assert as_nobody(options, groups) == {"sleep": HIDDEN, "none": HIDDEN, "all": HIDDEN}


def test_our_own_are_seen_where_others_are_hidden(as_nobody):
    assert as_nobody("hidepid=2", own=True) == {"sleep": "running", "none": HIDDEN, "all": HIDDEN}


@pytest.mark.parametrize("options, groups", [("hidepid=0", "--clear-groups"), ("hidepid=2,gid=4711", "--groups=4711"),
                                             ("hidepid=2", "--groups=0")])
def test_who_may_see_all_is_told_absent(as_nobody, options, groups):
    assert as_nobody(options, groups) == {"sleep": "running", "none": "absent", "all": "seen"}


class HidingSshd(ssh.Sshd):
    """In namespaces of its own, where root may trace nobody else and is not in the group that sees all."""

    stop_signal = orphan_signal = signal.SIGKILL     # of unshare, which takes all of the namespace with it

    def command(self):
        shell = ("mount --make-rprivate / && mount -t proc -o hidepid=2,gid=4711 proc /proc && "
                 'exec setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace "$@"')
        return ["unshare", "-fpm", "--kill-child", "sh", "-c", shell, "sh", *super().command()]


def test_hidden_there(perform, server_of):
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    server = server_of(HidingSshd)
    machines = {"db": {"ssh": server.name, "config": server.config}}
    own, none, every = perform(("sysinfo.process", "sshd", on()), ("sysinfo.process", "none[-]of[-]that", on()),
                               ("sysinfo.processes", on()), machines=machines)
    assert own["fields"]["state"] == "running", own
    assert none["error"] == every["error"] == {"kind": "permission", "message": HIDDEN}
