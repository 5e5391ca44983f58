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
    """sys_("du", option=…) -> (result, None) or (None, error)."""
    def call(name, **options):
        answer = ask(luahost, f'show(require("raw.sys").{name}({lua(options)}))')[0]
        return answer[0], answer[1] if len(answer) > 1 else None
    return call


def output(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}).stdout


def test_hostname(sys_):
    assert sys_("hostname")[0] == socket.gethostname()


# Disks

def test_the_root_disk_as_df_says(sys_):
    [space], _ = sys_("spaces", points=["/"])
    size, available, inodes = map(int, output("df", "--output=size,avail,itotal", "-B1", "/").splitlines()[1].split())
    assert space["blocks"] * space["size"] == size and abs(space["available"] * space["size"] - available) < GIB
    assert space["inodes"] == inodes and space["inodes_free"] <= inodes and space["free"] <= space["blocks"]


def test_no_such_mount(sys_):
    assert "no such file" in sys_("spaces", points=["/no/such", "/"])[0][0]["why"]


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
    started = time.monotonic()
    text = f"""
      local task, sys = require "raw.task", require "raw.sys"
      for _ = 1, 2 do
        local start = task.now()
        local disks = sys.spaces {{ timeout = 0.3, points = {{ "/", "/hung" }} }}
        show(disks, task.now() - start)
      end"""
    env = {"LD_PRELOAD": library, "ASAN_OPTIONS": sandbox.env["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
    (first, waited), (second, at_once) = ask(luahost, text, env=env)
    assert first[0]["blocks"] > 0
    assert first[1]["why"] == "did not answer within 0.3 s" and 0.3 <= waited < 2
    assert "earlier" in second[1]["why"] and second[0]["blocks"] > 0 and at_once < 0.2
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


@pytest.fixture
def processes(luahost):
    """All processes, as their bytes are understood; `session`: without those of our own."""
    def look(session="false"):
        return ask(luahost, f"""
          local text = require("raw.sys").processes {{ all = true }}
          show((require("effects.sysinfo_proc").processes(text, {session})))""")[0][0]
    return look


def test_processes(processes, child):
    table = processes()
    own = find(table, child.pid)
    assert own["name"] == "a) R (b" and own["ppid"] == os.getpid() and own["state"] == "running"
    assert own["command"].endswith("-c while :; do :; done name\n\xc3\xbf two words") and own["uid"] == os.getuid()
    assert own["memory_bytes"] > 100_000 and own["cpu_seconds"] > 0 and own["cpu_percent"] > 20
    assert abs(own["started_at"] - time.time()) < 30
    assert [process["pid"] for process in table] == sorted(process["pid"] for process in table)
    assert len(table) > 3 and find(table, os.getpid())["name"]


def test_this_program_is_left_out(luahost, sandbox):
    shown = ask(luahost, f"""
      local text = require("raw.sys").processes {{ all = true }}
      show(text:find({lua(sandbox.folder + "/host.lua")}, 1, true) == nil)""")
    assert shown == [[True]]


def test_a_zombie_and_a_kernel_thread(processes):
    dead = subprocess.Popen(["true"])
    time.sleep(0.2)
    own = find(processes(), dead.pid)
    assert own["state"] == "zombie" and own["command"] == "[true]"
    dead.wait()


def test_more_processes_than_are_read(sys_):
    assert sys_("processes", all=True, max=1000)[1]["kind"] == "limit"


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
    "cgroup { id = '../x' }", "cgroup { id = '' }", "cgroup {}", "du {}", "du { path = 'a\\0b' }", "spaces { wat = 1 }",
    "spaces {}", "spaces { points = { {} } }", "processes { max = 0 }",
])
def test_misuse_raises(luahost, call):
    assert ask(luahost, f'show(pcall(function() require("raw.sys").{call} end))')[0][0] is False
