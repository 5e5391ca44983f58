"""raw.sys beside what the machine's own tools say."""

import os
import shutil
import socket
import subprocess
import time

import pytest

from lab.luavalues import ask, lua

GIB = 1 << 30


@pytest.fixture
def sys_(luahost):
    """sys_("memory", option=…) -> (result, None) or (None, error)."""
    def call(name, **options):
        answer = ask(luahost, f'show(require("raw.sys").{name}({lua(options)}))')[0]
        return answer[0], answer[1] if len(answer) > 1 else None
    return call


def output(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}).stdout


def test_memory(sys_):
    memory, _ = sys_("memory")
    total, *_, available = map(int, output("free", "-b").splitlines()[1].split()[1:])
    assert memory["total"] == total and abs(memory["available"] - available) < GIB
    assert memory["used"] == memory["total"] - memory["available"]
    assert memory["used_percent"] == pytest.approx(100 * memory["used"] / memory["total"])
    assert memory["swap_used"] <= memory["swap_total"]


def test_load_uptime_hostname(sys_):
    load, _ = sys_("load")
    assert load["cpus"] == os.sysconf("SC_NPROCESSORS_ONLN") and abs(load["fifteen"] - os.getloadavg()[2]) < 0.5
    uptime, _ = sys_("uptime")
    assert abs(uptime["seconds"] - time.clock_gettime(time.CLOCK_BOOTTIME)) < 5
    assert uptime["boot_id"] == open("/proc/sys/kernel/random/boot_id").read().strip()
    assert sys_("hostname")[0] == socket.gethostname()


def test_cpu(sys_):
    busy = subprocess.Popen(["sh", "-c", "while :; do :; done"])
    try:
        cpu, _ = sys_("cpu", interval=0.5)
    finally:
        busy.kill()
        busy.wait()
    assert 100 / (os.cpu_count() * 2) < cpu["used_percent"] <= 100
    assert 0 <= cpu["iowait_percent"] <= 100 and 0 <= cpu["steal_percent"] <= 100


# Disks

def disks_of(sys_, **options):
    return {disk["mount"]: disk for disk in sys_("disks", **options)[0]}


def test_the_root_disk_as_df_says(sys_):
    root = disks_of(sys_)["/"]
    fields = output("df", "--output=size,avail,pcent,ipcent,fstype", "-B1", "/").splitlines()[1].split()
    assert root["total"] == int(fields[0]) and abs(root["free"] - int(fields[1])) < GIB
    assert abs(root["used_percent"] - int(fields[2][:-1])) <= 1 and root["type"] == fields[4]
    assert abs(root["inodes_used_percent"] - int(fields[3][:-1])) <= 1


MOUNTINFO = r"""
21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 21 0:5 / /proc rw - proc proc rw
23 21 0:6 / /run rw - tmpfs tmpfs rw
24 21 8:1 /srv /srv/bind rw - ext4 /dev/sda1 rw
25 21 8:2 / /with\040blank\134slash rw shared:5 master:2 - xfs /dev/mapper/a\040b rw
26 21 7:1 / /snap/core rw - squashfs /dev/loop1 ro
27 21 0:40 / /home rw - nfs4 server:/home rw
28 21 0:41 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
29 21 8:3 / /hidden rw - ext4 /dev/sdc1 rw
30 21 0:42 / /hidden rw - tmpfs tmpfs rw
31 21 8:4 / /over rw - ext4 /dev/sdd1 rw
32 21 8:5 / /over rw - ext4 /dev/sde1 rw
33 21 0:43 / /pool rw - zfs pool rw
34 21 0:44 / /auto rw - autofs systemd-1 rw
35 21 0:45 / /run/user/0/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw
36 21 0:46 / /mnt/ssh rw - fuse.sshfs user@host:/ rw
garbage
""".lstrip()


def test_which_mounts_are_disks(sys_, sandbox):
    disks = disks_of(sys_, mountinfo=sandbox.write("mountinfo", MOUNTINFO))
    assert {mount: disk["device"] for mount, disk in disks.items()} == {
        "/": "/dev/sda1", "/with blank\\slash": "/dev/mapper/a b", "/home": "server:/home", "/over": "/dev/sde1",
        "/pool": "0:43", "/mnt/ssh": "user@host:/"}
    assert "no such file" in disks["/over"]["why"] and "used_percent" not in disks["/over"]


def test_a_container_s_root(sys_, sandbox):
    info = "21 1 0:41 / / rw - overlay overlay rw\n22 21 8:1 /x /etc/hosts rw - ext4 /dev/sda1 rw\n"
    assert set(disks_of(sys_, mountinfo=sandbox.write("mountinfo", info))) == {"/", "/etc/hosts"}


HUNG_STATVFS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
static int hang(const char *path, void *space, const char *name) {
  int (*real)(const char *, void *);
  if (strcmp(path, "/hung") == 0) sleep(600);
  *(void **)&real = dlsym(RTLD_NEXT, name);
  return real(path, space);
}
int statvfs(const char *path, struct statvfs *space) { return hang(path, space, "statvfs"); }
int statvfs64(const char *path, struct statvfs64 *space) { return hang(path, space, "statvfs64"); }
"""


def test_a_dead_nfs_server(luahost, sandbox):
    """It neither hangs us, nor hides the other disks, nor holds up the program's end."""
    source, library = sandbox.write("hung.c", HUNG_STATVFS), os.path.join(sandbox.folder, "hung.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    info = sandbox.write("mountinfo", "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 0:40 / /hung rw - nfs4 s:/ rw\n")
    started = time.monotonic()
    text = f"""
      local task, sys = require "raw.task", require "raw.sys"
      for _ = 1, 2 do
        local start = task.now()
        local disks = sys.disks {{ timeout = 0.3, mountinfo = {lua(info)} }}
        show(disks, task.now() - start)
      end"""
    env = {"LD_PRELOAD": library, "ASAN_OPTIONS": sandbox.env["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
    (first, waited), (second, at_once) = ask(luahost, text, env=env)
    assert first[0]["used_percent"] > 0 and first[1]["mount"] == "/hung"
    assert first[1]["why"] == "did not answer within 0.3 s" and 0.3 <= waited < 2
    assert "earlier" in second[1]["why"] and second[0]["used_percent"] > 0 and at_once < 0.2
    assert time.monotonic() - started < 10


# Processes

@pytest.fixture
def child():
    """A process with an odd name and odd arguments, busy."""
    folder = subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip()
    program = os.path.join(folder, "a) R (b")
    shutil.copy("/bin/bash", program)
    process = subprocess.Popen([program, "-c", "while :; do :; done", "name\n\xff", "two words"])
    time.sleep(0.3)
    yield process
    process.kill()
    process.wait()
    shutil.rmtree(folder)


def find(processes, pid):
    return next((process for process in processes if process["pid"] == pid), None)


def test_process_table(sys_, child):
    table, _ = sys_("process_table")
    own = find(table, child.pid)
    assert own["name"] == "a) R (b" and own["ppid"] == os.getpid() and own["state"] == "running"
    assert own["command"].endswith("-c while :; do :; done name\n\xc3\xbf two words")
    assert own["memory_bytes"] > 100_000 and own["cpu_seconds"] > 0
    assert abs(own["started_at"] - time.time()) < 30
    assert [process["pid"] for process in table] == sorted(process["pid"] for process in table)
    assert len(table) > 3 and find(table, os.getpid())["name"]


def test_the_table_leaves_this_program_out(luahost, sandbox):
    shown = ask(luahost, f"""
      for _, process in ipairs(require("raw.sys").process_table {{}}) do
        if process.command:find({lua(sandbox.folder + "/host.lua")}, 1, true) then show(process.command) end
      end""")
    assert shown == []


def test_a_zombie_and_a_kernel_thread(sys_):
    dead = subprocess.Popen(["true"])
    time.sleep(0.2)
    table, _ = sys_("process_table")
    assert find(table, dead.pid)["state"] == "zombie" and find(table, dead.pid)["command"] == "[true]"
    dead.wait()


def test_top_processes(sys_, child):
    top, _ = sys_("processes", top=5)
    assert len(top["by_cpu"]) == 5 == len(top["by_memory"]) and top["count"] > 5
    own = find(top["by_cpu"], child.pid)
    assert own["cpu_percent"] > 20 and own["user"] == output("id", "-un").strip() and "while" in own["command"]
    memories = [process["memory_bytes"] for process in top["by_memory"]]
    assert memories == sorted(memories, reverse=True) and all("command" in process for process in top["by_memory"])


def test_process_cpu(luahost, child):
    shown = ask(luahost, f"""
      local percents = require("raw.sys").process_cpu {{ pids = {{ {child.pid}, 1, 999999999 }}, interval = 0.3 }}
      show(percents[{child.pid}], percents[1], percents[999999999])""")
    assert shown[0][0] > 20 and shown[0][1] < 100 and shown[0][2] is None


# Folders

def test_du_counts_as_du(sys_, tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "big").write_bytes(b"x" * 300_000)
    (tmp_path / "deep" / "er" / "new\nline").write_bytes(b"y" * 5000)
    os.link(tmp_path / "big", tmp_path / "deep" / "link")
    os.symlink("/usr", tmp_path / "elsewhere")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 30)
    du, _ = sys_("du", path=str(tmp_path) + "//")
    assert du["bytes"] == int(output("du", "-sk", "--block-size=1", str(tmp_path)).split()[0])
    assert du["entries"] == int(output("du", "--inodes", "-s", str(tmp_path)).split()[0]) and not du["cut"]


def test_du_of_a_large_tree(sys_):
    du, _ = sys_("du", path="/usr/share")
    assert du["bytes"] == int(output("du", "-s", "--block-size=1", "/usr/share").split()[0])


def test_du_stays_on_its_file_system(sys_):
    """/proc, /sys and /dev lie below / and hold terabytes that aren't there."""
    du, _ = sys_("du", path="/dev")
    assert du["bytes"] == int(output("du", "-sx", "--block-size=1", "/dev").split()[0])


@pytest.mark.parametrize("path, kind", [("/no/such", "missing"), ("/etc/passwd/x", "missing")])
def test_du_of_nothing(sys_, path, kind):
    assert sys_("du", path=path)[1]["kind"] == kind


def test_du_of_a_file_and_of_a_link(sys_, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    os.symlink(tmp_path, tmp_path / "link")
    assert sys_("du", path=str(tmp_path / "file"))[0]["entries"] == 1
    assert sys_("du", path=str(tmp_path / "link"))[1]["kind"] == "usage"


def test_du_ends_at_its_deadline_and_when_cancelled(luahost):
    shown = ask(luahost, """
      local task, sys = require "raw.task", require "raw.sys"
      local start = task.now()
      local _, err = sys.du { path = "/", timeout = 0.005 }
      show(err and err.kind)
      local other = task.spawn(function() return sys.du { path = "/" } end)
      task.sleep(0.005)
      task.cancel(other)
      task.join(other)
      show(task.now() - start)""")
    assert shown[0] == ["timeout"] and shown[1][0] < 1


# Containers

ID = "0123456789abcdef" * 4


def group(root, files):
    for path, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        with open(os.path.join(root, path), "w") as file:
            file.write(text)


V1 = {"memory/{}/memory.usage_in_bytes": "5000\n", "memory/{}/memory.limit_in_bytes": "{limit}\n",
      "memory/{}/memory.stat": "cache 1\ninactive_file 7\ntotal_inactive_file 1200\n",
      "cpuacct/{}/cpuacct.usage": "2500000000\n", "pids/{}/pids.current": "12\n"}
V2 = {"{}/memory.current": "5000\n", "{}/memory.max": "{limit}\n", "{}/memory.stat": "anon 1\ninactive_file 1200\n",
      "{}/cpu.stat": "usage_usec 2500000\nuser_usec 1\n", "{}/pids.current": "12\n"}


@pytest.mark.parametrize("files, none", [(V1, "9223372036854771712"), (V2, "max")])
@pytest.mark.parametrize("place", [f"docker/{ID}", f"system.slice/docker-{ID}.scope"])
def test_control_groups(sys_, tmp_path, files, none, place):
    expected = {"memory_bytes": 5000, "memory_inactive_file": 1200, "cpu_seconds": 2.5, "pids": 12}
    for limit in ("8000", none):
        group(tmp_path, {path.replace("{}", place): text.replace("{limit}", limit) for path, text in files.items()})
        found, _ = sys_("cgroup", id=ID, root=str(tmp_path))
        assert found == (expected | {"memory_limit": 8000} if limit == "8000" else expected)


def test_no_such_container(sys_):
    assert sys_("cgroup", id=ID)[1]["kind"] == "missing"


@pytest.mark.slow
def test_a_real_container(sys_, docker_engine):
    busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 1000"
    container = docker_engine.run("sleeper", "sh", "-c", busy, options=("--memory", "64m", "--memory-swap", "64m"))
    time.sleep(1)
    group_, _ = sys_("cgroup", id=container)
    assert group_["memory_limit"] == 64 << 20 and 0 < group_["memory_bytes"] < 64 << 20
    assert group_["cpu_seconds"] > 0 and group_["pids"] >= 1 and group_["memory_inactive_file"] >= 0


@pytest.mark.parametrize("call", [
    "cgroup { id = '../x' }", "cgroup { id = '' }", "cgroup {}", "du {}", "du { path = 'a\\0b' }", "disks { wat = 1 }",
    "cpu { interval = 0 }", "cpu { interval = 1e9 }", "processes { top = 0 }", "process_cpu {}",
    "process_cpu { pids = { 'x' } }",
])
def test_misuse_raises(luahost, call):
    assert ask(luahost, f'show(pcall(function() require("raw.sys").{call} end))')[0][0] is False
