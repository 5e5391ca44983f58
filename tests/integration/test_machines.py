"""Effects on other machines, over ssh to a server of the tests' own: `on = "db"`."""

import json
import os
import signal
import subprocess
import time

import pytest

from lab import sshd as ssh, systemd
from lab.effects import PATH
from lab.machines import ODD, machines, on, one, perform  # noqa: F401 (fixtures)
from lab.process import wait_for
from lab.program import ROOT


# exec

def test_a_program_there(one):
    done = one("exec", ["cat", "/proc/self/status"], on())
    assert done["line"] == "exec cat /proc/self/status @db" and done["class"] == "read"
    assert done["fields"]["code"] == 0 and "Name:\tcat" in done["fields"]["stdout"], done
    assert done["command"][0] == "ssh" and done["command"][-2:] == ["lab-machine", "cat /proc/self/status"]


def test_odd_words_go_through_whole(one):
    done = one("exec", ["printf", "%s\\0", *ODD], on(reads=True))
    assert done["fields"]["stdout"].split("\0")[:-1] == ODD, done


def test_input_environment_and_folder(one, tmp_path):
    folder = tmp_path / "a folder's"
    folder.mkdir()
    script = 'pwd; cat; printf "%s|%s|" "$A" "$B"'
    done = one("exec", ["sh", "-c", script], on(reads=True, stdin="in\0put\n", cwd=str(folder), env={"A": "x\n'y\"$(id)", "B": ""}))
    assert done["fields"]["stdout"] == f"{folder}\nin\0put\nx\n'y\"$(id)||"
    missing = one("exec", ["true"], on(reads=True, cwd="/no/such"))
    assert missing["error"] == {"kind": "missing", "message": "machine db: the folder /no/such is not there"}


def test_values_stand_in_no_argv(one):
    secret = f"hunter{os.getpid()}"
    look = f"cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'hun[t]er{os.getpid()}' || true"
    done = one("exec", ["sh", "-c", look], on(reads=True, stdin=secret, env={"PASSWORD": secret}))
    # the luahost of the test itself has it among its arguments
    assert int(done["fields"]["stdout"]) <= 1, done


@pytest.mark.parametrize("code", [0, 3, 126, 127, 255])
def test_exit_codes_are_the_programs(one, code):
    done = one("exec", ["sh", "-c", f"echo out; echo err >&2; exit {code}"], on(reads=True))["fields"]
    assert (done["code"], done["stdout"], done["stderr"]) == (code, "out\n", "err\n")
    assert done.get("ok", True) == (code == 0)


def test_no_such_program(perform):
    read, write = perform(("exec", ["df-none"], on(reads=True)), ("exec", ["df-none"], on()))
    assert read["error"] == {"kind": "missing", "message": "machine db: df-none: no such program"}
    assert write["preview"]["impossible"] == "df-none: no such program"


def test_much_output(one):
    done = one("exec", ["sh", "-c", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit 7"], on(reads=True))["fields"]
    assert (done["code"], done["cut"], len(done["stdout"])) == (7, True, 1 << 20)


def test_much_input(one):
    text = "0123456789\n" * 10_000
    assert one("exec", ["wc", "-c"], on(reads=True, stdin=text))["fields"]["stdout"].strip() == str(len(text))
    unread = one("exec", ["true"], on(reads=True, stdin=text))["fields"]
    assert unread["code"] == 0


def test_a_write_there_needs_no_here(one, tmp_path):
    done = one("exec", ["touch", str(tmp_path / "made")], on())
    assert done["class"] == "write" and done["fields"]["code"] == 0 and (tmp_path / "made").exists()


# What can go wrong

def fails(one, kind, words, **settings):
    begun = time.monotonic()
    error = one("exec", ["true"], on(reads=True), **settings).get("error")
    assert error and error["kind"] == kind and words in error["message"], error
    assert "machine db" in error["message"] and time.monotonic() - begun < 12
    return error


def variant(sshd, tmp_path, *changes):
    """The client's configuration with some of its lines changed: (old, new)."""
    with open(sshd.config) as file:
        text = file.read()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "config"
    path.write_text(text)
    return {"db": {"ssh": sshd.name, "config": str(path)}}


def test_a_closed_port(one, sshd, machines, tmp_path, closed_port):
    changed = variant(sshd, tmp_path, (f"Port {sshd.port}", f"Port {closed_port}"))
    fails(one, "unreachable", "the connection was refused", machines=changed)


def test_a_name_that_does_not_resolve(one, sshd, machines, tmp_path):
    changed = variant(sshd, tmp_path, ("HostName 127.0.0.1", "HostName no-such.invalid"))
    fails(one, "dns", "does not resolve", machines=changed)


def test_a_wrong_key(one, sshd, machines, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    changed = variant(sshd, tmp_path, (f"{sshd.folder}/client_key", str(tmp_path / "other")))
    fails(one, "login", "refused the login", machines=changed)


def test_a_changed_host_key(one, sshd, machines, tmp_path):
    with open(f"{sshd.folder}/client_key.pub") as key:
        (tmp_path / "known").write_text(f"[127.0.0.1]:{sshd.port} {key.read()}")
    changed = variant(sshd, tmp_path, (f"{sshd.folder}/known_hosts", str(tmp_path / "known")),
                      ("StrictHostKeyChecking accept-new", "StrictHostKeyChecking yes"))
    fails(one, "login", "its host key is not the one that is known", machines=changed)


def test_an_unknown_host_key(one, sshd, machines, tmp_path):
    changed = variant(sshd, tmp_path, (f"{sshd.folder}/known_hosts", str(tmp_path / "none")),
                      ("StrictHostKeyChecking accept-new", "StrictHostKeyChecking yes"))
    fails(one, "login", "its host key is not known here", machines=changed)


class PasswordSshd(ssh.Sshd):
    def _write(self, name, template):
        if name == "sshd_config":
            template = template.replace("PasswordAuthentication no", "PasswordAuthentication yes\nPubkeyAuthentication no")
        super()._write(name, template)


def test_one_that_wants_a_password(one, server_of):
    server = server_of(PasswordSshd)
    error = fails(one, "login", "no password is asked for", machines={"db": {"ssh": server.name, "config": server.config}})
    assert "password" in error["message"]


def test_a_server_that_hangs(one, sshd, machines):
    os.kill(sshd.pid, signal.SIGSTOP)
    try:
        fails(one, "unreachable", "it did not answer")
    finally:
        os.kill(sshd.pid, signal.SIGCONT)


def test_a_server_that_hangs_longer_than_the_deadline(one, sshd, machines):
    os.kill(sshd.pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        error = one("exec", ["true"], on(timeout="500ms"))["error"]
        assert error["kind"] == "unreachable" and time.monotonic() - begun < 15, error
    finally:
        os.kill(sshd.pid, signal.SIGCONT)


def test_no_ssh_here(one):
    error = one("exec", ["true"], on(reads=True), environment={"PATH": "/nonexistent"})["error"]
    assert error["kind"] in ("missing", "io")


# The end of what was begun

def alive(mark):
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and mark in command_line(pid)]


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def gone(mark):
    for _ in range(60):
        if not alive(mark):
            return True
        time.sleep(0.1)


@pytest.mark.parametrize("program", [["sleep", "7{}1"], ["sh", "-c", "trap '' TERM; sleep 7{}2; sleep 7{}2"]])
def test_the_deadline_ends_it_there(one, program):
    number = str(os.getpid())
    words = [word.replace("{}", number) for word in program]
    done = one("exec", words, on(reads=True, timeout="3s"))["fields"]
    assert done["ok"] is False and "took longer than 3 s" in done["why"], done
    assert gone(words[1].encode() if len(words) == 2 else f"7{number}2".encode())


def test_an_end_leaves_what_the_program_left_running(one, tmp_path):
    mark = f"6{os.getpid()}9"
    done = one("exec", ["sh", "-c", f"sleep {mark} >/dev/null 2>&1 & echo begun"], on(reads=True))["fields"]
    time.sleep(0.5)
    try:
        assert done["stdout"] == "begun\n" and alive(mark.encode())
    finally:
        for pid in alive(mark.encode()):
            os.kill(int(pid), signal.SIGTERM)


PARALLEL = """
local catalogue, json, tasks = require "catalogue", require "raw.json", require "tasks"
local settings, given = require "settings", json.decode((...))
settings.machines, settings.environment = given.machines, given.environment
catalogue.family "exec"
local entry, jobs = catalogue.effects.exec, {}
for i = 1, given.count do
  jobs[i] = function()
    local words = { "sh", "-c", "echo $PPID; sleep 0.1; echo " .. i }
    local it, err = entry.run(catalogue.call(entry, words, { on = "db", reads = true, timeout = "30s" }))
    assert(it, err and err.message)
    assert(it.stdout:match "\\n(%d+)\\n" == tostring(i), it.stdout)
  end
end
tasks.all(jobs)
require("effects.ssh").close()
print "well"
"""


def test_fifty_at_once_over_one_connection(luahost, machines, sshd):
    log = os.path.join(sshd.folder, "log")
    logged = os.path.getsize(log)
    given = {"machines": machines, "environment": {"PATH": PATH}, "count": 50}
    done = luahost(PARALLEL, json.dumps(given))
    assert done.stdout == "well\n", done
    with open(log) as file:
        file.seek(logged)
        assert file.read().count("Accepted publickey") == 1


LOST = """
local catalogue, json, tasks = require "catalogue", require "raw.json", require "tasks"
local settings, given = require "settings", json.decode((...))
settings.machines, settings.environment = given.machines, given.environment
catalogue.family "exec"
local entry = catalogue.effects.exec
local function run(argv, options) return entry.run(catalogue.call(entry, argv, options)) end
local sshd = run({ "sh", "-c", "ps -o ppid= -p $(ps -o ppid= -p $PPID)" }, { on = "db", reads = true }).stdout:match "%d+"
local later = tasks.spawn(function()
  tasks.sleep(0.5)
  require("raw.process").run { argv = { "kill", given.signal, sshd }, env = given.environment }
end)
local it, err = run({ "sleep", "20" }, { on = "db", reads = given.reads, timeout = given.timeout })
tasks.join(later)
local again = run({ "echo", "again" }, { on = "db", reads = true, timeout = "15s" })
require("raw.process").run { argv = { "kill", "-CONT", sshd }, env = given.environment }
require("effects.ssh").close()
print(json.encode { it = it, error = err, again = again })
"""


@pytest.mark.parametrize("reads, kind", [(True, "unreachable"), (False, "reset")])
def test_a_connection_that_is_lost(luahost, machines, reads, kind):
    given = {"machines": machines, "environment": {"PATH": PATH}, "signal": "-KILL", "reads": reads, "timeout": "15s"}
    done = json.loads(luahost(LOST, json.dumps(given)).stdout)
    assert done["error"]["kind"] == kind and "the connection was lost while sleep ran" in done["error"]["message"], done
    assert done["again"]["stdout"] == "again\n"


# sudo and service: servers whose commands find an imitation of sudo, and the systemctl of a systemd of the tests' own

@pytest.fixture(scope="session")
def sudo_session(server_of):
    return server_of(ssh.SudoSshd)


def with_sudo(server):
    return {"db": {"ssh": server.name, "config": server.config, "sudo": True}}


def test_writes_go_through_sudo_and_reads_do_not(perform, sudo_session, tmp_path):
    script = 'printf "%s|%s|" "$SUDO_USER" "$A"; cat'
    steps = [("exec", ["sh", "-c", script], on(stdin="in", env={"A": "x\ny"})), ("exec", ["sh", "-c", script], on(reads=True)),
             ("files.write", str(tmp_path / "made"), "text", on()), ("exec", ["sh", "-c", "exit 255"], on(expect=255))]
    write, read, made, odd = perform(*steps, machines=with_sudo(sudo_session))
    assert write["fields"]["stdout"] == "lab|x\ny|in" and write["command"][-1].startswith("sudo -n env ")
    assert read["fields"]["stdout"] == "||"
    assert made["fields"]["bytes"] == 4 and odd["fields"]["code"] == 255


def test_a_read_that_asks_for_sudo(perform, sudo_session):
    plain, asked = perform(("exec", ["sh", "-c", 'echo "$SUDO_USER"'], on(reads=True)),
                           ("exec", ["id", "-u"], on(sudo=True)), machines=with_sudo(sudo_session))
    assert plain["fields"]["stdout"] == "\n" and asked["class"] == "read"
    assert asked["fields"]["stdout"] == "0\n" and asked["command"][-1] == "sudo -n id -u"


def test_no_sudo(perform, machines):
    if os.path.exists("/usr/bin/sudo"):
        pytest.skip("there is a sudo here")
    machines["db"]["sudo"] = True
    write, read = perform(("exec", ["touch", "/nowhere/x"], on()), ("exec", ["true"], on(reads=True)))
    assert write["error"] == {"kind": "permission", "message": "machine db: there is no sudo, and its config says sudo = true"}
    assert read["fields"]["code"] == 0


def test_a_sudo_that_wants_a_password(perform, server_of):
    machines = with_sudo(server_of(ssh.RefusingSshd))
    write, = perform(("exec", ["touch", "/nowhere/x"], on()), machines=machines)
    assert write["error"]["kind"] == "permission" and "it wants a password" in write["error"]["message"]


@pytest.fixture(scope="session")
def service_machine(server_of):
    if not systemd.possible():
        pytest.skip("a systemd of the tests' own needs root and the control group hierarchy name=systemd")
    units = server_of(systemd.Systemd)
    return server_of(type("ServiceSshd", (ssh.SudoSshd,), {"more": units.bin + ":"}))


def test_a_service_there(perform, service_machine):
    steps = [("service.restart", "db", on()), ("service.status", "db", on()), ("service.logs", "db", on()),
             ("service.status", "nosuch", on()), ("service.restart", "nosuch", on()),
             ("service.changes", on(since="1h")), ("service.stop", "db", on())]
    restarted, status, logs, absent, impossible, changes, stopped = perform(*steps, machines=with_sudo(service_machine))
    assert restarted["line"] == "service.restart db @db" and restarted["preview"]["text"].startswith("restarts db.service, now ")
    assert restarted["fields"]["state"] == "active" and restarted["verified"], restarted
    assert restarted["command"][-1] == "sudo -n systemctl restart -- db"
    assert status["fields"]["pid"] > 1 and status["fields"]["since"] > 1e9 and "ready" in logs["fields"]["text"]
    assert absent["fields"]["state"] == "absent" and impossible["preview"]["impossible"] == "there is no such unit"
    assert stopped["fields"]["state"] == "inactive"
    assert changes["line"] == "service.changes since=1h @db"
    state, file = [next(it for it in changes["fields"]["changes"] if it["name"] == "db.service" and it["what"] == what)
                   for what in ("state", "file")]
    assert state["state"] == "active" and file["file"] == "/etc/systemd/system/db.service", changes


# Whole runs

SCRIPT = """
runbook { title = "Other machines" }
local look = probe("Look", function()
  check("there", exec({ "sleep", "%s" }, { on = "db", reads = true, timeout = "60s" }), { fault = "slow" })
end)
look()
return unresolved "done"
"""


def write_config(sandbox, machines):
    entries = ", ".join(f"{key} = {json.dumps(value)}" for key, value in machines["db"].items())
    sandbox.write("runbook.config.lua", "return { machines = { db = { %s } } }" % entries)


def masters(machines):
    """The shared connections to these machines."""
    return set(alive(b"-N")) & set(alive(b"ControlMaster=yes")) & set(alive(machines["db"]["config"].encode()))


def folders_of_sockets():
    return {name for name in os.listdir("/tmp") if name.startswith("runbook-") and not name.startswith("runbook-lab-")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_runs_there_ends_with_the_run(sandbox, machines, number):
    mark = f"5{os.getpid()}{int(number)}"
    write_config(sandbox, machines)
    file = sandbox.write("x.lua", SCRIPT % mark)
    program = os.path.join(os.environ.get("RUNBOOK_BUILD", os.path.join(ROOT, "build/dev")), "runbook")
    run = subprocess.Popen([program, "run", file, "--dry-run"], env=sandbox.env, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    for _ in range(100):
        if any(command_line(pid)[:1] == [b"sleep"] for pid in alive(mark.encode())):
            break
        time.sleep(0.1)
    assert any(command_line(pid)[:1] == [b"sleep"] for pid in alive(mark.encode()))
    run.send_signal(number)
    out, _ = run.communicate(timeout=20)
    assert run.returncode in (4, -9), out
    assert gone(mark.encode())


def test_a_runs_connection_is_closed_at_its_end(sandbox, machines, runbook):
    before = folders_of_sockets()
    write_config(sandbox, machines)
    done = runbook("run", sandbox.write("x.lua", SCRIPT % "0"), "--dry-run")
    assert done.code == 0 and "@db" in str(done.journal), done
    assert not masters(machines)
    new = folders_of_sockets() - before     # another suite's among them: they end too
    wait_for(lambda: not new & folders_of_sockets(), "the folders of sockets are gone")


@pytest.mark.parametrize("entry, why", [("{ ssh = '-oProxyCommand=id' }", "where ssh goes to"), ("{ host = 'x' }", "unknown key"),
                                        ("'x'", "{ ssh = ")])
def test_a_wrong_machine_in_the_config(sandbox, runbook, entry, why):
    sandbox.write("runbook.config.lua", "return { machines = { db = %s } }" % entry)
    done = runbook("run", sandbox.write("x.lua", SCRIPT % "0"), "--dry-run")
    assert done.code == 2 and why in done.stderr + done.stdout, done


def test_any_machine_in_a_scenario(sandbox, runbook):
    file = sandbox.write("x.lua", SCRIPT % "0")
    scenario = sandbox.write("x.test.lua", """scenario "slow" {
  given = { ["exec sleep 0 @db"] = { ok = false, why = "exit code 1" } }, expect = { outcome = "unresolved", does = {} } }""")
    done = runbook("run", file, "--scenario", scenario)
    assert done.code == 1 and "differs" not in done.stdout + done.stderr and "slow" in done.stdout, done
