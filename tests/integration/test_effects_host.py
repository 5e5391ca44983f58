"""sysinfo beside what the machine's own tools say, and service against a systemd of the tests' own."""

import contextlib
import os
import subprocess
import sys
import time

import pytest

from lab.effects import PATH, performer
from lab.program import ROOT


@pytest.fixture
def sysinfo(luahost):
    perform = performer(luahost, "sysinfo")
    return lambda name, *arguments, **settings: perform((f"sysinfo.{name}", *arguments), **settings)[0]


@pytest.mark.parametrize("name", ["sysinfo", "service"])
def test_in_lua(sandbox, name):
    done = sandbox.run("luahost", os.path.join(ROOT, "tests", "stdlib", f"{name}_test.lua"))
    assert (done.code, done.stdout) == (0, f"{name}: well\n"), done


# sysinfo

def test_memory_load_uptime_cpu(sysinfo):
    total = int(subprocess.run(["free", "-b"], capture_output=True, text=True).stdout.split()[7])
    memory = sysinfo("memory")
    assert memory["fields"]["total"] == total and memory["line"] == "sysinfo.memory @here"
    assert 0 < memory["fields"]["used_percent"] < 100
    assert sysinfo("load")["fields"]["cpus"] == os.cpu_count()
    assert sysinfo("uptime")["fields"]["seconds"] > 0
    assert 0 <= sysinfo("cpu", {"interval": "100ms"})["fields"]["used_percent"] <= 100


@pytest.fixture
def full_disk(tmp_path):
    """A small file system, filled."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder, image = tmp_path / "full disk", tmp_path / "image"
    folder.mkdir()
    image.write_bytes(b"\0" * (8 << 20))
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, folder]).returncode != 0:
        pytest.skip("no loop devices here")
    try:
        with open(folder / "filler", "wb") as filler:
            while True:
                filler.write(b"\0" * 65536)
                filler.flush()
    except OSError:
        pass
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(sysinfo, full_disk):
    fields = sysinfo("disks")["fields"]
    mine = fields["by_mount"][str(full_disk)]
    assert fields["fullest"]["used_percent"] == 100 == mine["used_percent"] and mine["free"] < 65536
    assert "/" in fields["by_mount"] and not fields["silent"]


def test_a_full_file_system_in_memory(sysinfo, tmp_path):
    """Broken by: is_real without its tmpfs."""
    folder = tmp_path / "memory"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]).returncode:
        pytest.skip("mounting needs root")
    try:
        with contextlib.suppress(OSError):
            (folder / "filler").write_bytes(b"\0" * (2 << 20))
        fields = sysinfo("disks")["fields"]
    finally:
        subprocess.run(["umount", folder], check=True)
    assert fields["by_mount"][str(folder)]["type"] == "tmpfs" and fields["fullest"]["used_percent"] == 100


def test_du(sysinfo, tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    fields = sysinfo("du", str(tmp_path))["fields"]
    said = subprocess.run(["du", "-sxB1", tmp_path], capture_output=True, text=True).stdout
    assert fields["state"] == "present" and abs(fields["bytes"] - int(said.split()[0])) < 100_000
    assert sysinfo("du", str(tmp_path / "none"))["fields"]["state"] == "absent"


@pytest.fixture
def worker(tmp_path):
    """worker(name, *code) -> a process whose command line holds the name."""
    running = []

    def start(name, code="import time; time.sleep(60)"):
        script = tmp_path / name
        script.write_text(code)
        running.append(subprocess.Popen([sys.executable, str(script)]))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_processes_by_pattern(sysinfo, worker):
    first = worker("conduit-worker.py")
    time.sleep(0.05)
    worker("conduit-worker.py")
    busy = worker("conduit-busy.py", "while True: pass")
    time.sleep(0.3)
    found = sysinfo("process", r"conduit-worker\.py$")["fields"]
    assert (found["state"], found["count"], found["pid"]) == ("running", 2, first.pid)
    assert found["memory_bytes"] > 1 << 20 and found["cpu_percent"] <= 20
    loaded = sysinfo("process", "conduit-busy")["fields"]
    assert loaded["pid"] == busy.pid and loaded["cpu_percent"] > 20
    assert sysinfo("process", "conduit-nothing")["fields"]["state"] == "absent"  # its own arguments hold the pattern
    assert sysinfo("processes", {"top": 3})["fields"]["count"] > 3


def test_what_started_the_run_is_left_out(sandbox):
    script = sandbox.write("look.lua", """
local c = require "catalogue"
c.family "sysinfo"
local e = c.effects["sysinfo.process"]
print(e.run(c.call(e, "conduit-wrapped")).state)
""")
    host = os.path.join(ROOT, os.environ.get("RUNBOOK_BUILD", "build/dev"), "luahost")
    done = subprocess.run(["sh", "-c", '"$0" "$1"; true', host, script, "conduit-wrapped"], capture_output=True,
                          text=True, env=sandbox.env, timeout=60)
    assert done.stdout == "absent\n", done


# service

@pytest.fixture
def service(luahost, systemd_session):
    perform = performer(luahost, "service")
    path = f"{systemd_session.bin}:{PATH}"
    return lambda verb, *arguments, **options: perform((f"service.{verb}", *arguments), path=path, **options)[0]


def state(service, unit):
    fields = service("status", unit)["fields"]
    return fields["state"], fields["summary"]


def test_a_services_life(service, systemd_session):
    assert state(service, "db") == ("inactive", "inactive (dead)")
    started = service("start", "db")
    assert started["preview"]["text"] == "starts db.service, now inactive (dead), disabled"
    assert started["fields"]["state"] == "active" and started["verified"] and started["fields"]["pid"] > 1
    systemd_session.systemctl("start", "app")
    restarted = service("restart", "db")
    assert restarted["preview"]["text"].startswith("restarts db.service, now active (running), since ")
    assert restarted["preview"]["text"].endswith("; 1 unit depends on it: app.service") and restarted["preview"]["size"] == 2
    assert restarted["fields"]["pid"] != started["fields"]["pid"]
    assert service("reload", "db")["verified"]
    assert "ready" in service("logs", "db.service", {"tail": 10})["fields"]["text"]
    stopped = service("stop", "db")
    assert stopped["fields"]["state"] == "inactive" and stopped["verified"]
    assert state(service, "app")[0] == "inactive"
    assert service("reload", "db")["preview"]["impossible"] == "it is not active"


def test_a_unit_that_starts_others_speaks_for_them(service, systemd_session):
    """As Debian's postgresql.service, active (exited) whatever its clusters do. Broken by: its own state taken for theirs."""
    systemd_session.systemctl("start", "frame@well")
    systemd_session.systemctl("start", "frame")
    well = service("status", "frame")
    assert [part["name"] + " " + part["state"] for part in well["fields"]["parts"]] == ["frame@well.service active"], well
    systemd_session.systemctl("start", "frame@ill")
    status, restarted = service("status", "frame"), service("restart", "frame")
    assert status["fields"]["summary"].endswith("it starts others: frame@ill.service, failed; frame@well.service, active"), status
    assert "frame@ill.service, failed" in restarted["preview"]["text"]
    assert restarted["error"]["message"].startswith("frame@ill.service is failed after frame.service"), restarted


def test_a_restart_saves_status_and_log_first(runbook, sandbox, systemd_session):
    systemd_session.systemctl("start", "db")
    sandbox.env["PATH"] = f"{systemd_session.bin}:{PATH}"
    sandbox.write("answers.lua", 'return { ["*"] = "yes" }')
    sandbox.write("x.lua", 'runbook { title = "x" }\nremedy("R", function() service.restart("db") end)()\nreturn unresolved "x"')
    result = runbook("run", "x.lua", "--here", "--answers", "answers.lua")
    event, = result.events("evidence")
    status, log = [open(os.path.join(result.run_dir, piece["file"])).read() for piece in event["saved"]]
    assert "state: active" in status and "ready" in log and not event["unread"], result


def test_enabling(service):
    assert service("enable", "db")["fields"]["enabled"] == "enabled"
    assert service("disable", "db")["fields"]["enabled"] == "disabled"


def test_a_service_that_fails(service):
    failed = service("restart", "bad")
    assert "fields" not in failed and "Job for bad.service failed" in failed["error"]["message"]
    fields = service("status", "bad")["fields"]
    assert (fields["state"], fields["result"], fields["exit_code"], fields["active"]) == ("failed", "exit-code", 3, False)
    assert "broken" in service("logs", "bad")["fields"]["text"]


def test_a_unit_that_is_not_there(service):
    assert state(service, "nosuch") == ("absent", "there is no such unit")
    assert service("logs", "nosuch")["fields"] == {"state": "absent", "cut": False}
    assert service("restart", "nosuch")["preview"]["impossible"] == "there is no such unit"


def test_a_masked_unit(service):
    assert service("start", "masked")["preview"]["impossible"] == "it is masked"


def test_a_change_that_takes_too_long_may_have_happened(service, systemd_session):
    systemd_session.systemctl("start", "stubborn")
    stopped = service("stop", "stubborn", {"timeout": "1s"})
    assert stopped["error"]["kind"] == "timeout"
    assert state(service, "stubborn")[0] == "deactivating"
    systemd_session.systemctl("kill", "--signal=KILL", "stubborn")


def test_systemd_that_does_not_answer(service, systemd_session):
    os.kill(systemd_session.init(), 19)
    try:
        begun = time.monotonic()
        assert service("status", "db", {"timeout": "1s"})["error"]["kind"] == "timeout"
        assert time.monotonic() - begun < 10
    finally:
        os.kill(systemd_session.init(), 18)


def test_no_systemd(luahost):
    if os.path.exists("/run/systemd/system"):
        pytest.skip("this machine runs systemd")
    perform = performer(luahost, "service")
    looked, restarted, without = perform(("service.status", "db"), ("service.restart", "db"))[:2] + \
        perform(("service.status", "db"), path="/nonexistent")
    assert looked["error"]["kind"] == "missing" and "does not run systemd" in looked["error"]["message"]
    assert "does not run systemd" in restarted["preview"]["impossible"]
    assert without["error"] == {"kind": "missing", "message": "systemctl: no such program"}
