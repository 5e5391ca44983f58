"""Effects on other machines, over ssh to a server of the tests' own: `on = "db"`."""

import json
import os
import signal
import subprocess
import time

import pytest

from lab import sshd as ssh, systemd
from lab.effects import LUA, PATH
from lab.program import ROOT

ODD = ["new\nline", "it's", 'say "x"', "$(touch pwned)", "-n", "`id`", "*", "back\\slash", " ", "", "höhe"]


@pytest.fixture
def machines(sshd):
    sshd.start()
    return {"db": {"ssh": sshd.name, "config": sshd.config}}


@pytest.fixture
def perform(luahost, machines):
    """perform((name, argument, …), …) as lab.effects.performer's, with the connections closed at the end."""
    def run(*steps, **settings):
        families = sorted({step[0].split(".")[0] for step in steps})
        settings = {"environment": {"PATH": PATH, "LANG": "C.UTF-8"}, "host_name": "here", "machines": machines, **settings}
        only_preview = settings.pop("only_preview", False)
        given = {"families": families, "steps": steps, "settings": settings, "only_preview": only_preview}
        done = luahost(LUA + "\nrequire('effects.ssh').close()", json.dumps(given))
        assert done.code == 0, done
        return [json.loads(line) for line in done.stdout.splitlines()]
    return run


@pytest.fixture
def one(perform):
    return lambda *step, **settings: perform(step, **settings)[0]


def on(**options):
    return {"on": "db", **options}


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
    look = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'hun[t]er22' || true"
    done = one("exec", ["sh", "-c", look], on(reads=True, stdin="hunter" + "22", env={"PASSWORD": "hunter" + "22"}))
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
    done = one("exec", words, on(reads=True, timeout="1s"))["fields"]
    assert done["ok"] is False and "took longer than 1 s" in done["why"], done
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
    local it, err = entry.run(catalogue.call(entry, { "sh", "-c", "echo $PPID; sleep 0.1; echo " .. i }, { on = "db", reads = true, timeout = "30s" }))
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

SUDO = """#!/bin/sh
shift
[ "$1" = -- ] && shift
exec env -i PATH="$PATH" TZ="$TZ" LC_ALL="$LC_ALL" SUDO_USER=lab "$@"
"""
REFUSING_SUDO = "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n"


class SudoSshd(ssh.Sshd):
    sudo, more = SUDO, ""

    def _write(self, name, template):
        if name == "sshd_config":
            path = os.path.join(self.folder, "sudo")
            with open(path, "w") as file:
                file.write(self.sudo)
            os.chmod(path, 0o755)
            template += f"SetEnv PATH={self.more}{self.folder}:{PATH}\n"
        super()._write(name, template)


class RefusingSshd(SudoSshd):
    sudo = REFUSING_SUDO


@pytest.fixture(scope="session")
def sudo_session(server_of):
    return server_of(SudoSshd)


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


def test_no_sudo(perform, machines):
    if os.path.exists("/usr/bin/sudo"):
        pytest.skip("there is a sudo here")
    machines["db"]["sudo"] = True
    write, read = perform(("exec", ["touch", "/nowhere/x"], on()), ("exec", ["true"], on(reads=True)))
    assert write["error"] == {"kind": "permission", "message": "machine db: there is no sudo, and its config says sudo = true"}
    assert read["fields"]["code"] == 0


def test_a_sudo_that_wants_a_password(perform, server_of):
    machines = with_sudo(server_of(RefusingSshd))
    write, = perform(("exec", ["touch", "/nowhere/x"], on()), machines=machines)
    assert write["error"]["kind"] == "permission" and "it wants a password" in write["error"]["message"]


@pytest.fixture(scope="session")
def service_machine(server_of):
    if not systemd.possible():
        pytest.skip("a systemd of the tests' own needs root and the control group hierarchy name=systemd")
    units = server_of(systemd.Systemd)
    return server_of(type("ServiceSshd", (SudoSshd,), {"more": units.bin + ":"}))


def test_a_service_there(perform, service_machine):
    steps = [("service.restart", "db", on()), ("service.status", "db", on()), ("service.logs", "db", on()),
             ("service.status", "nosuch", on()), ("service.restart", "nosuch", on()), ("service.stop", "db", on())]
    restarted, status, logs, absent, impossible, stopped = perform(*steps, machines=with_sudo(service_machine))
    assert restarted["line"] == "service.restart db @db" and restarted["preview"]["text"].startswith("restarts db.service, now ")
    assert restarted["fields"]["state"] == "active" and restarted["verified"], restarted
    assert restarted["command"][-1] == "sudo -n systemctl restart -- db"
    assert status["fields"]["pid"] > 1 and status["fields"]["since"] > 1e9 and "ready" in logs["fields"]["text"]
    assert absent["fields"]["state"] == "absent" and impossible["preview"]["impossible"] == "there is no such unit"
    assert stopped["fields"]["state"] == "inactive"


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


def masters():
    return set(alive(b"-N")) & set(alive(b"ControlMaster=yes")) | set(name for name in os.listdir("/tmp") if name.startswith("runbook-") and
                                                                     not name.startswith("runbook-lab-"))


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
    before = masters()
    write_config(sandbox, machines)
    done = runbook("run", sandbox.write("x.lua", SCRIPT % "0"), "--dry-run")
    assert done.code == 0 and "@db" in str(done.journal), done
    assert masters() <= before


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


# files

def test_files_with_odd_names(perform, tmp_path):
    names = [name for name in ODD if name not in ("", " ", "*")] + ["a.log", " blank "]
    folder = tmp_path / "with 'quotes' and\nnewline"
    (folder / "below").mkdir(parents=True)
    for i, name in enumerate(names):
        (folder / name).write_bytes(b"x" * i)
    (folder / "below" / "deep.log").write_text("deep")
    (folder / "link").symlink_to("a.log")
    found, flat, log = perform(("files.find", on(under=str(folder))), ("files.list", str(folder), on()),
                               ("files.find", on(under=str(folder), name="*.log", larger_than=1)))
    assert found["line"].endswith("@db")
    assert {os.path.basename(file["path"]) for file in found["fields"]["files"]} == {*names, "deep.log"}
    assert {os.path.basename(file["path"]) for file in flat["fields"]["files"]} == set(names)
    assert log["fields"]["count"] == 2 and not log["fields"]["cut"]
    perform(("files.delete", on(under=str(folder), name="*")))
    assert [name for _, _, files in os.walk(folder) for name in files] == ["link"]


def test_reading_and_looking(perform, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"first\0\xff\nlast")
    os.mkfifo(tmp_path / "pipe")
    steps = [("files.read", str(path), on(max=5)), ("files.read", str(path), on(max=4, keep="tail")),
             ("files.read", str(tmp_path / "none"), on()), ("files.read", str(tmp_path / "pipe"), on()),
             ("files.stat", str(path), on()), ("files.stat", str(path / "x"), on()), ("files.stat", str(tmp_path), on()),
             ("files.find", on(under=str(tmp_path / "none"))), ("files.find", on(under=str(path)))]
    head, tail, none, pipe, stat, below, folder, nowhere, no_folder = perform(*steps)
    assert head["fields"] == {"state": "file", "text": "first", "bytes": 12, "cut": True}
    assert tail["fields"]["text"] == "last"
    assert none["fields"]["state"] == "absent"
    assert pipe["error"]["kind"] == "usage"
    assert stat["fields"]["state"] == "file" and stat["fields"]["bytes"] == 12 and stat["fields"]["mode"] == "0644"
    assert abs(stat["fields"]["modified"] - os.stat(path).st_mtime) < 1e-3
    assert below["fields"]["state"] == "absent" and folder["fields"]["state"] == "directory"
    assert nowhere["fields"]["state"] == "absent"
    assert no_folder["error"]["kind"] == "usage"


def test_writing_there(perform, tmp_path):
    path = tmp_path / "it's new"
    made, same = perform(("files.write", str(path), "one\n", on(mode="0600")), ("files.write", str(path), "one\n", on()))
    assert path.read_text() == "one\n" and path.stat().st_mode & 0o777 == 0o600
    assert made["verified"] and made["preview"]["text"].startswith("makes ") and "holds this text" in same["preview"]["text"]
    replaced, = perform(("files.write", str(path), "two", on()))
    assert replaced["fields"]["bytes"] == 3 and path.read_text() == "two" and path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(path)
    assert "symlink" in perform(("files.write", str(tmp_path / "link"), "x", on()))[0]["preview"]["impossible"]
    assert sorted(os.listdir(tmp_path))[-2:] == ["it's new", "link"]


PINNED = """
local catalogue, json = require "catalogue", require "raw.json"
local settings, given = require "settings", json.decode((...))
settings.machines, settings.environment = given.machines, given.environment
catalogue.family "files"
local entry = catalogue.effects[given.effect]
local call = catalogue.call(entry, table.unpack(given.arguments))
local plan = entry.preview(call)
local changed = require("raw.process").run { argv = { "/bin/sh", "-c", given.meanwhile }, env = given.environment }
assert(changed.code == 0, changed.stderr)
local it, err = entry.run(call, plan)
require("effects.ssh").close()
print(json.encode { size = plan.size, fields = it, error = err })
"""


def test_only_what_was_listed_is_deleted(luahost, machines, tmp_path):
    folder, outside = tmp_path / "logs", tmp_path / "outside"
    for path in (folder / "sub", folder / "moved", outside):
        path.mkdir(parents=True)
    for path in (folder / "same", folder / "grown", folder / "sub" / "replaced", folder / "moved" / "victim", outside / "victim"):
        path.write_text("text")
    meanwhile = (f"cd {folder} && echo more >> grown && cp sub/replaced r && rm sub/replaced && mv r sub/replaced && touch new"
                 f" && mv moved ../elsewhere && ln -s {outside} moved && rm -f gone")
    (folder / "gone").write_text("x")
    given = {"machines": machines, "environment": {"PATH": PATH}, "effect": "files.delete", "meanwhile": meanwhile,
             "arguments": [{"under": str(folder), "name": "*", "on": "db"}]}
    done = json.loads(luahost(PINNED, json.dumps(given)).stdout)
    assert done["size"] == 5 and done["fields"]["deleted"] == 1 and done["fields"]["left"] == 4, done
    whys = {os.path.basename(file["path"]): file["why"] for file in done["fields"]["left_files"]}
    assert whys == {"gone": "is gone already", "grown": "changed since it was listed",
                    "replaced": "changed since it was listed", "victim": "a folder on its way was replaced"}
    assert (outside / "victim").exists() and not (folder / "same").exists() and (folder / "new").exists()


def test_a_file_changed_after_the_plan_is_not_overwritten(luahost, machines, tmp_path):
    path = tmp_path / "config"
    path.write_text("old")
    given = {"machines": machines, "environment": {"PATH": PATH}, "effect": "files.write", "meanwhile": f"echo other > {path}",
             "arguments": [str(path), "new", {"on": "db"}]}
    done = json.loads(luahost(PINNED, json.dumps(given)).stdout)
    assert "was changed since the plan" in done["error"]["message"] and path.read_text() == "other\n"
    assert os.listdir(tmp_path) and not [name for name in os.listdir(tmp_path) if name.startswith(".runbook")]


# sysinfo: the "other" machine is this one, so both must tell the same

def both(perform, name, *arguments, **options):
    here, there = perform((name, *arguments, {"on": "here", **options}), (name, *arguments, on(**options)))
    assert there["line"] == here["line"].replace("@here", "@db") and "fields" in there, there
    return here["fields"], there["fields"]


def near(a, b, share=0.1):
    return abs(a - b) <= share * max(abs(a), abs(b), 1)


def test_memory_load_uptime_cpu(perform):
    here, there = both(perform, "sysinfo.memory")
    assert here["total"] == there["total"] and near(here["available"], there["available"]) and here.keys() == there.keys()
    assert near(here["used_percent"], there["used_percent"], 0.5)
    here, there = both(perform, "sysinfo.load")
    assert here["cpus"] == there["cpus"] and abs(here["one"] - there["one"]) < 1
    here, there = both(perform, "sysinfo.uptime")
    assert here["boot_id"] == there["boot_id"] and abs(here["seconds"] - there["seconds"]) < 5
    here, there = both(perform, "sysinfo.cpu", interval="200ms")
    assert here.keys() == there.keys() and 0 <= there["used_percent"] <= 100


def test_disks_and_du(perform, tmp_path):
    here, there = both(perform, "sysinfo.disks")
    assert here["by_mount"].keys() == there["by_mount"].keys() and not there["silent"]
    assert here["fullest"]["mount"] == there["fullest"]["mount"]
    for mount, disk in here["by_mount"].items():
        other = there["by_mount"][mount]
        assert disk.keys() == other.keys() and disk["total"] == other["total"], (disk, other)
        assert abs(disk["used_percent"] - other["used_percent"]) <= 1 and disk["read_only"] == other["read_only"]
    (tmp_path / "a file").write_bytes(b"x" * 100_000)
    here, there = both(perform, "sysinfo.du", str(tmp_path))
    assert here == there
    assert both(perform, "sysinfo.du", str(tmp_path / "none"))[1]["state"] == "absent"


def test_processes(perform):
    mark = f"odd\n{os.getpid()} name"
    with subprocess.Popen(["python3", "-c", "while True: pass", mark]) as busy:
        time.sleep(0.3)
        try:
            fields, absent, most = [done["fields"] for done in perform(
                ("sysinfo.process", f"odd\\s{os.getpid()}", on()), ("sysinfo.process", f"{mark}-none", on()),
                ("sysinfo.processes", on(top=5)))]
        finally:
            busy.kill()
    assert (fields["state"], fields["count"], fields["pid"]) == ("running", 1, busy.pid)
    assert fields["cpu_percent"] > 20 and fields["memory_bytes"] > 1 << 20
    assert fields["processes"][0]["command"].endswith(mark) and abs(fields["started_at"] - time.time()) < 30
    assert absent["state"] == "absent"
    assert most["count"] > 5 and len(most["by_cpu"]) == 5 and most["by_memory"][0]["user"]
