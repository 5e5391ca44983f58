"""What changed of late: dpkg's log of this machine and of scratch copies, in zones of their own; services of a systemd of the
tests' own."""

import os
import re
import subprocess
import time

import pytest

from lab.effects import PATH, performer
from lab.machines import machines, on, one, perform  # noqa: F401 (fixtures)
from lab.program import BUILD

LOG = "/var/log/dpkg.log"
OLD = "2026-01-02 03:04:05 startup archives unpack\n"


@pytest.fixture
def packages(luahost):
    look = performer(luahost, "sysinfo")
    return lambda **options: look(("sysinfo.packages", options))[0]


def local(text):
    """A local time of this machine, as date(1) without TZ reads it -> seconds since 1970."""
    env = {name: value for name, value in os.environ.items() if name != "TZ"}
    return int(subprocess.run(["date", "-d", text, "+%s"], capture_output=True, check=True, env=env).stdout)


def logged(path=LOG):
    """What is in a dpkg log: (time, action, package)."""
    with open(path) as file:
        return re.findall(r"^(\S+ \S+) (install|upgrade|remove|purge) ([^:\s]+)", file.read(), re.M)


@pytest.mark.skipif(not os.path.exists(LOG), reason="this machine has no dpkg log")
def test_this_machines_own_log(packages, one):
    real = logged() if not os.path.exists(LOG + ".1") else logged(LOG + ".1") + logged()
    for look in (lambda **options: packages(**options), lambda **options: one("sysinfo.packages", on(**options))):
        fields = look(since="3000d")["fields"]
        assert fields["state"] == "present" and fields["count"] == len(real) > 0
        newest = [(it["at"], it["action"], it["name"]) for it in fields["packages"][:20]]
        assert newest == [(local(at), action, name) for at, action, name in real[::-1][:20]]
        times = [local(at) for at, _, _ in real[-200:]]
        gap, after = max((later - at, index + 1) for index, (at, later) in enumerate(zip(times, times[1:])))
        middle = f"{time.time() - times[after] + gap / 2:.0f}s"
        assert look(since=middle)["fields"]["count"] == len(times) - after


def test_a_log_that_is_not_there(packages, tmp_path):
    assert packages(log=str(tmp_path / "none"))["fields"]["state"] == "absent"
    assert packages(log=str(tmp_path))["error"]["kind"] == "io"


def line(ago, rest):
    return time.strftime("%Y-%m-%d %H:%M:%S ", time.localtime(time.time() - ago)) + rest + "\n"


def test_the_log_that_was_rotated_last_is_read_too(packages, tmp_path):
    log = tmp_path / "dpkg.log"
    log.write_text(line(60, "upgrade db:amd64 1.0 1.1") + line(60, "status installed db:amd64 1.1"))
    (tmp_path / "dpkg.log.1").write_text(line(7200, "install old:amd64 <none> 1"))
    fields = packages(log=str(log), since="1d")["fields"]
    assert [it["name"] for it in fields["packages"]] == ["db", "old"] and fields["cut"] is False
    assert (fields["packages"][0]["from"], fields["packages"][0]["to"]) == ("1.0", "1.1")
    (tmp_path / "dpkg.log.2.gz").write_bytes(b"")
    assert packages(log=str(log), since="1d")["fields"]["cut"] is True            # it may hold some of that day
    assert packages(log=str(log), since="10m")["fields"]["cut"] is False
    log.write_text(line(60, "upgrade db:amd64 1.0"))
    assert "not understood" in packages(log=str(log))["error"]["message"]


ZONES = """
runbook { title = "Zones" }
local it = sysinfo.packages { log = "%s", since = "3000d" }
for _, package in ipairs(it.packages) do note(("%%s at %%d"):format(package.name, package.at)) end
return unresolved "looked"
"""


def test_times_are_in_the_zone_of_the_machine(sandbox, tmp_path):
    """Not in that of TZ, in summer and in winter, and in the hour that the clock repeats."""
    if os.geteuid() != 0:
        pytest.skip("a zone of its own needs root")
    log = tmp_path / "dpkg.log"
    log.write_text("2025-07-01 12:00:00 install summer:all <none> 1\n2025-10-26 02:30:00 install twice:all <none> 1\n"
                   "2025-11-23 12:00:00 install winter:all <none> 1\n")
    script = sandbox.write("zones.lua", ZONES % log)
    runbook = os.path.join(BUILD, "runbook")
    shell = 'mount --bind /usr/share/zoneinfo/Europe/Berlin /etc/localtime && exec "$@"'
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", shell, "sh", runbook, "run", script,
                           "--dry-run"], capture_output=True, text=True, timeout=60,
                          env={**sandbox.env, "TZ": "America/New_York"})
    times = {name: int(at) for name, at in re.findall(r"(\w+) at (\d+)", done.stdout)}
    assert times["summer"] == 1751364000 and times["winter"] == 1763895600, done   # 10:00 and 11:00 UTC
    assert times["twice"] in (1761438600, 1761442200)


# Services

@pytest.fixture
def changes(luahost, systemd_session):
    look = performer(luahost, "service")
    path = f"{systemd_session.bin}:{PATH}"
    return lambda **options: look(("service.changes", options), path=path)[0]["fields"]


def of(fields, name):
    return [it for it in fields["changes"] if it["name"] == name]


def test_a_service_that_was_started_and_one_that_failed(changes, systemd_session):
    systemd_session.systemctl("start", "db")
    systemd_session.systemctl("start", "bad")
    fields = changes(since="1h")
    started, = of(fields, "db.service")[:1]
    assert (started["what"], started["state"], started["sub"], started["type"]) == ("state", "active", "running", "simple")
    assert abs(started["at"] - time.time()) < 60 and fields["count"] == len(fields["changes"])
    failed = of(fields, "bad.service")[0]
    assert (failed["state"], failed["result"], failed["type"]) == ("failed", "exit-code", "oneshot")
    time.sleep(2.1)
    assert not [it for it in of(changes(since="1s"), "db.service") if it["what"] == "state"]
    systemd_session.systemctl("reset-failed")


def test_a_drop_in_that_was_written(changes, systemd_session):
    folder = os.path.join(systemd_session.root, "etc/systemd/system/db.service.d")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "limit.conf")
    with open(path, "w") as file:
        file.write("[Service]\nLimitNOFILE=100\n")
    systemd_session.systemctl("daemon-reload")
    systemd_session.systemctl("start", "db")
    loaded, = [it for it in of(changes(since="1h"), "db.service") if it.get("file", "").endswith("limit.conf")]
    assert loaded["file"] == "/etc/systemd/system/db.service.d/limit.conf" and loaded["needs_reload"] is False
    os.utime(path, (time.time() - 7200, time.time() - 7200))
    assert not [it for it in of(changes(since="1h"), "db.service") if it.get("file", "").endswith("limit.conf")]
    with open(path, "w") as file:
        file.write("[Service]\nLimitNOFILE=200\n")
    os.utime(path, (time.time() + 1, time.time() + 1))
    written, = [it for it in of(changes(since="1h"), "db.service") if it.get("file", "").endswith("limit.conf")]
    assert written["needs_reload"] is True
    os.remove(path)
    assert of(changes(since="1h"), "db.service")                 # a file that is gone hides nothing
    systemd_session.systemctl("daemon-reload")


def test_a_machine_without_systemd(luahost):
    if os.path.exists("/run/systemd/system"):
        pytest.skip("this machine runs systemd")
    fields = performer(luahost, "service")(("service.changes",))[0]["fields"]
    assert fields["state"] == "absent" and not fields["changes"] and "does not run systemd" in fields["summary"]
