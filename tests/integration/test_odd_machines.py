"""Machines whose /proc says odd things: looked at in namespaces of their own, here and over ssh."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

from lab import sshd as ssh
from lab.effects import PATH
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
if it.error then return unresolved(it.error.message) end
note(("used %g %d %d swap %d"):format(it.used_percent, it.used, it.available, it.swap_used))
return unresolved "looked"
"""


OLD = ("MemTotal:        1048576 kB\nMemFree:          500000 kB\nActive(file):     100000 kB\n"
       "Inactive(file):   100000 kB\nSReclaimable:      50000 kB\nSwapTotal:            10 kB\nSwapFree:             10 kB\n")


def look(sandbox, tmp_path, meminfo):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    (tmp_path / "meminfo").write_text(meminfo)
    shell = 'mount --make-rprivate / && mount --bind "$0" /proc/meminfo && exec "$@"'
    done = subprocess.run(["unshare", "-m", "sh", "-c", shell, tmp_path / "meminfo", RUNBOOK, "run",
                           sandbox.write("memory.lua", MEMORY), "--dry-run"], capture_output=True, text=True, env=sandbox.env)
    return done.stdout


def test_more_available_than_there_is(sandbox, tmp_path):
    """Broken by: proc.memory without its math.min."""
    assert f"used 0 0 {1048576 << 10} swap 0" in look(sandbox, tmp_path, MEMINFO)


def test_an_old_kernel_does_not_say_what_is_available(sandbox, tmp_path):
    """Computed as newer ones do. Broken by: proc.memory that takes MemFree."""
    with open("/proc/sys/vm/min_free_kbytes") as file:
        low = int(file.read()) * 5 // 4
    available = max(0, 500000 - low + 200000 - min(100000, low) + 50000 - min(25000, low))
    assert f"{available << 10} swap 0" in look(sandbox, tmp_path, OLD)
    assert "nor what it could be computed from" in look(sandbox, tmp_path, "MemTotal: 1048576 kB\nMemFree: 500000 kB\n")


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
    env = {name: value.replace(sandbox.folder, home) for name, value in sandbox.env.items()}  # the sanitizers' reports too
    env.update(dict.fromkeys(("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"), home))

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


# Odd logins

@pytest.fixture
def login(server_of):
    """login(shell, bashrc="") -> the setting `machines` of one with such a login."""
    if os.geteuid() != 0:
        pytest.skip("a login of its own needs root")

    def make(shell, bashrc=""):
        server = server_of(type("LoginSshd", (ssh.LoginSshd,), {"shell": shell, "bashrc": bashrc}))
        return {"db": {"ssh": server.name, "config": server.config}}
    return make


@pytest.mark.parametrize("shell, words", [
    ("/usr/bin/csh", "the login shell is csh; a POSIX shell is needed"), ("/usr/bin/fish", "the login shell is fish; a POSIX"),
    ("/usr/sbin/nologin", "the login there may run no commands"), ("/bin/false", "a POSIX shell is needed"),
    ("/bin/cat", "a POSIX shell is needed"), ("/bin/rbash", "its login shell is a restricted one")])
def test_a_login_shell_that_is_not_posix(perform, login, tmp_path, shell, words):
    """Broken by: a command sent before the shell is known: csh runs what stands behind a line end in a quoted word."""
    if not os.path.exists(shell):
        pytest.skip(f"{shell} is not installed")
    told = f"x\ntouch {tmp_path}/ran\ny"
    read, write = perform(("exec", ["printf", "%s", told], on(reads=True)), ("exec", ["touch", f"{tmp_path}/ran", told], on()),
                          machines=login(shell))
    for done in (read, write):
        assert done["error"]["kind"] == "login" and words in done["error"]["message"], done
    assert not (tmp_path / "ran").exists()


CHATTY = "echo 'Welcome to db1'; printf '{\"b\":2}'; echo 'beware' >&2\n"


def test_what_the_login_prints_is_no_answer(perform, login):
    """Broken by: stdout taken from its beginning."""
    told, process, failed, much = perform(
        ("exec", ["echo", '{"a":1}'], on(reads=True)), ("sysinfo.process", "sshd", on()),
        ("exec", ["sh", "-c", "echo out; echo err >&2; exit 3"], on(reads=True)),
        ("exec", ["sh", "-c", "head -c 2000000 /dev/zero"], on(reads=True)), machines=login("/bin/bash", CHATTY))
    assert told["fields"]["stdout"] == '{"a":1}\n' and told["fields"]["stderr"] == "", told
    assert process["fields"]["state"] == "running"
    assert (failed["fields"]["stdout"], failed["fields"]["stderr"]) == ("out\n", "err\n")
    assert much["fields"]["cut"] and set(much["fields"]["stdout"]) == {"\0"}


def test_a_login_that_prints_more_than_is_read(perform, login):
    machines = login("/bin/bash", "echo Welcome; head -c 1200000 /dev/zero | tr '\\0' x; echo\n")
    done, = perform(("exec", ["echo", "answer"], on(reads=True)), machines=machines)
    assert done["error"] == {"kind": "login", "message": "machine db: the login prints text in place of the answer: Welcome"}


def test_a_tail_is_told_from_what_the_login_prints(luahost, login):
    given = {"machines": login("/bin/bash", CHATTY), "environment": {"PATH": PATH}}
    shown = luahost(TAILS, json.dumps(given)).stdout
    assert shown == f"[one] false\n[{'0' * 100}] true\n", shown


TAILS = """
local json, settings, ssh = require "raw.json", require "settings", require "effects.ssh"
local given = json.decode((...))
settings.machines, settings.environment = given.machines, given.environment
for _, script in ipairs { "printf one", "head -c 2000 /dev/zero | tr '\\\\0' 0" } do
  local ended = assert(ssh.run("db", { argv = { "sh", "-c", script }, timeout = 10, keep = "tail", max_output = 100 }))
  print(("[%s] %s"):format(ended.stdout, ended.cut))
end
ssh.close()
"""


def test_what_a_program_left_running_there_stays(perform, machines, tmp_path):  # noqa: F811
    """As here. Broken by: a wait for the end of ssh, whose sshd waits for all who hold the output."""
    script = f"sleep 1000 & echo $! > {tmp_path}/pid; echo begun"
    done, = perform(("exec", ["sh", "-c", script], on(timeout="1m")))
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)     # raises when it is gone
    assert done["fields"]["code"] == 0 and done["fields"]["stdout"] == "begun\n" and done["fields"]["left"], done
    assert done["fields"]["ms"] < 30_000
    assert done["fields"]["notice"] == "it left a process running that holds its output"
