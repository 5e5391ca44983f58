"""raw.files on real folders: odd names, swapped links, full disks."""

import json
import os
import shutil
import socket
import subprocess
import time

import pytest

from lab.luavalues import PRELUDE, ask, lua
from lab.program import executable

ODD_NAMES = [b"new\nline.log", b"\xff\xfe\xc3(.log", b"x" * 251 + b".log", b" .log", b"-rf.log", b"*.log",
             b"\x1b[31m.log", b".log", "größe \u202e.log".encode()]


@pytest.fixture
def files(luahost):
    """files("read", path=…) -> (result, None) or (None, error)."""
    def call(function, **options):
        answer = ask(luahost, f'show(require("raw.files").{function}({lua(options)}))')[0]
        return answer[0], answer[1] if len(answer) > 1 else None
    return call


@pytest.fixture
def folder(tmp_path):
    """A folder with names as bytes: write(name, text) -> path."""
    class Folder:
        path = str(tmp_path / "work").encode()

        def write(self, name, text=b"text", modified=None):
            path = os.path.join(self.path, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(text)
            if modified is not None:
                os.utime(path, (modified, modified))
            return path
    os.mkdir(Folder.path)
    return Folder()


def paths(listing):
    return [file["path"].encode("latin-1") for file in listing["files"]]


# walk

def test_walk_names_bytes_and_order(files, folder):
    for name in ODD_NAMES:
        folder.write(name)
    folder.write(b"deep/er/" + ODD_NAMES[0])
    folder.write(b"other.txt")
    listing, _ = files("walk", under=folder.path + b"///", name="*.log")
    expected = [os.path.join(folder.path, name) for name in [*ODD_NAMES, b"deep/er/" + ODD_NAMES[0]]]
    assert paths(listing) == sorted(expected)
    assert not listing["cut"] and listing["errors"] == {"count": 0}


def test_walk_tells_what_a_file_is(files, folder):
    path = folder.write(b"a.log", b"12345", modified=1234567890.5)
    listing, _ = files("walk", under=folder.path)
    info = os.stat(path)
    assert listing["files"] == [{"path": path.decode(), "bytes": 5, "modified": 1234567890.5,
                                 "dev": info.st_dev, "ino": info.st_ino}]


def test_walk_filters(files, folder):
    now = time.time()
    folder.write(b"old.log", b"x" * 10, modified=now - 1000)
    folder.write(b"new.log", b"x" * 20, modified=now)
    folder.write(b"old.txt", b"x" * 30, modified=now - 1000)

    def names(**options):
        return [os.path.basename(path) for path in paths(files("walk", under=folder.path, **options)[0])]
    assert names(older_than=now - 500) == [b"old.log", b"old.txt"]
    assert names(newer_than=now - 500) == [b"new.log"]
    assert names(min_bytes=20) == [b"new.log", b"old.txt"]
    assert names(name="old*", older_than=now - 500, min_bytes=11) == [b"old.txt"]
    assert names(name="[no]*.log") == [b"new.log", b"old.log"]


def test_walk_cuts(files, folder):
    for i in range(20):
        folder.write(b"%d.log" % i)
    listing, _ = files("walk", under=folder.path, max=7)
    assert len(listing["files"]) == 7 and listing["cut"]
    assert not files("walk", under=folder.path, max=20)[0]["cut"]


def test_walk_only_regular_files_no_links_no_other_file_system(files, folder):
    folder.write(b"real")
    os.symlink("/etc/passwd", folder.path + b"/link")
    os.symlink("/etc", folder.path + b"/linked-folder")
    os.mkfifo(folder.path + b"/fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(folder.path + b"/socket")
        assert paths(files("walk", under=folder.path)[0]) == [folder.path + b"/real"]


def test_walk_does_not_cross_mounts(files, folder, tmpfs):
    with open(tmpfs + "/inside", "w"):
        pass
    listing, _ = files("walk", under=os.path.dirname(tmpfs))
    assert tmpfs.encode() + b"/inside" not in paths(listing)
    assert paths(files("walk", under=tmpfs)[0]) == [tmpfs.encode() + b"/inside"]


@pytest.fixture
def tmpfs(tmp_path):
    """A disk of 64 KiB."""
    path = str(tmp_path / "small")
    os.mkdir(path)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path]).returncode:
        pytest.skip("may not mount")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become nobody")
def test_walk_counts_what_it_may_not_read(sandbox, folder):
    folder.write(b"a/open.log")
    folder.write(b"b/closed.log")
    os.chmod(folder.path + b"/b", 0o700)
    shown = ask_as_nobody(sandbox, f'show(require("raw.files").walk {{ under = {lua(folder.path)} }})')
    if shown is None:
        pytest.skip("nobody can't reach the test's folder")
    listing = shown[0][0]
    assert [file["path"] for file in listing["files"]] == [folder.path.decode() + "/a/open.log"]
    assert listing["errors"]["count"] == 1 and "permission denied" in listing["errors"]["first"].lower()


def test_walk_very_deep(files, folder):
    deep = folder.path
    for _ in range(150):
        deep += b"/d"
        os.mkdir(deep)
    listing, _ = files("walk", under=folder.path)
    assert listing["errors"]["count"] == 1 and "deep" in listing["errors"]["first"]


@pytest.mark.parametrize("name, kind", [("no-such", "missing"), ("file", "usage"), ("link", "usage")])
def test_walk_under_what_is_no_folder(files, folder, name, kind):
    folder.write(b"file")
    os.symlink("/etc", folder.path + b"/link")
    _, error = files("walk", under=folder.path + b"/" + name.encode() + b"/")
    assert error["kind"] == kind


# read, stat

def test_read_head_and_tail(files, folder):
    path = folder.write(b"odd\nname", b"0123456789\0\xff")
    assert files("read", path=path)[0] == {"text": "0123456789\0\xff", "bytes": 12, "cut": False}
    assert files("read", path=path, max=4)[0] == {"text": "0123", "bytes": 12, "cut": True}
    assert files("read", path=path, max=4, keep="tail")[0] == {"text": "89\0\xff", "bytes": 12, "cut": True}
    for keep in ("head", "tail"):
        assert not files("read", path=path, max=12, keep=keep)[0]["cut"]


def test_read_follows_links_to_files_only(files, folder):
    path = folder.write(b"file")
    os.symlink(path, folder.path + b"/link")
    os.symlink("/dev/zero", folder.path + b"/zero")
    assert files("read", path=folder.path + b"/link")[0]["text"] == "text"
    assert files("read", path=folder.path + b"/zero")[1]["kind"] == "usage"


def test_read_of_proc(files):
    assert files("read", path="/proc/self/status")[0]["text"].startswith("Name:\tluahost")


def test_read_of_a_fifo_does_not_hang(files, folder):
    os.mkfifo(folder.path + b"/fifo")
    started = time.monotonic()
    _, error = files("read", path=folder.path + b"/fifo")
    assert error["kind"] == "usage" and "named pipe" in error["message"] and time.monotonic() - started < 5


@pytest.mark.parametrize("path, kind", [("/no/such", "missing"), ("/etc/passwd/x", "missing"), ("/etc", "usage"),
                                        ("/dev/null", "usage"), ("x" * 300, "limit")])
def test_read_of_what_is_no_file(files, path, kind):
    assert files("read", path=path)[1]["kind"] == kind


def test_stat(luahost, folder):
    path = folder.write(b"f\n", b"123", modified=1234567890.25)
    os.chmod(path, 0o640)
    os.symlink(path, folder.path + b"/link")
    os.mkfifo(folder.path + b"/fifo")
    names = [path, folder.path, folder.path + b"/link", folder.path + b"/fifo", folder.path + b"/none", path + b"/x"]
    shown = ask(luahost, f'for _, path in ipairs {lua(names)} do show(require("raw.files").stat(path)) end')
    assert shown[0][0] == {"state": "file", "bytes": 3, "modified": 1234567890.25, "mode": 0o640,
                           "uid": os.getuid(), "gid": os.getgid()}
    assert [row[0]["state"] for row in shown] == ["file", "directory", "symlink", "other", "absent", "absent"]


# delete

def walk_then_delete(luahost, under, between="", **options):
    """The files found under it, deleted after the Lua in `between`, which may say sh [[…]]: $1 is `under`."""
    return ask(luahost, f"""
      local files, process = require "raw.files", require "raw.process"
      local under = {lua(under)}
      local list = files.walk {{ under = under }}.files
      local function sh(script)
        local argv = {{ "sh", "-ec", script, "sh", under }}
        assert(process.run {{ argv = argv, env = {{ PATH = "/usr/bin:/bin" }} }}.code == 0)
      end
      {between}
      show(files.delete {{ under = under, files = list }})""", **options)[0][0]


def test_delete_odd_names(luahost, folder):
    for name in ODD_NAMES:
        folder.write(name)
        folder.write(b"deep/er/" + name)
    result = walk_then_delete(luahost, folder.path)
    assert result == {"deleted": 2 * len(ODD_NAMES), "bytes": 8 * len(ODD_NAMES), "left": {}}
    assert sorted(os.listdir(folder.path)) == [b"deep"] and os.listdir(folder.path + b"/deep/er") == []


@pytest.mark.parametrize("between, why", [
    ("rm $1/a/f", "gone"),
    ("rm -r $1/a", "gone"),
    ("echo more >> $1/a/f", "modified"),
    ("touch -d @1 $1/a/f", "modified"),
    ("cp -p $1/a/f $1/a/g; mv $1/a/g $1/a/f", "replaced"),
    ("ln -sf /etc/passwd $1/a/f", "regular"),
    ("rm $1/a/f; mkfifo $1/a/f", "regular"),
    ("rm $1/a/f; mkdir $1/a/f", "regular"),
    ("mv $1/a $1/b; ln -s $1/b $1/a", "folder on its way was replaced"),
    ("mv $1/a $1/../moved; ln -s $1/../moved $1/a", "folder on its way was replaced"),
    ("mv $1/a $1/b; touch $1/a", "folder on its way was replaced"),
])
def test_delete_only_what_was_seen(luahost, folder, between, why):
    folder.write(b"a/f", b"text", modified=1234567890)
    folder.write(b"other", modified=1234567890)
    result = walk_then_delete(luahost, folder.path, f"sh [[{between}]]")
    assert result["deleted"] == 1 and not os.path.exists(folder.path + b"/other")
    assert [left["path"] for left in result["left"]] == [folder.path.decode() + "/a/f"]
    assert why in result["left"][0]["why"]


def test_delete_with_a_mount_in_the_way(luahost, folder, tmpfs):
    """The same path leads to another file system now."""
    parent = os.path.dirname(tmpfs).encode() + b"/work"
    os.makedirs(parent + b"/a", exist_ok=True)
    with open(parent + b"/a/f", "w"):
        pass
    try:
        result = walk_then_delete(luahost, parent, "sh [[mount -t tmpfs tmpfs $1/a; touch $1/a/f]]")
        assert result["deleted"] == 0 and "another file system" in result["left"][0]["why"]
    finally:
        subprocess.run(["umount", "-l", parent + b"/a"], check=True)


def test_delete_when_the_folder_itself_became_a_link(luahost, folder):
    folder.write(b"f")
    shown = ask(luahost, f"""
      local files, process = require "raw.files", require "raw.process"
      local under = {lua(folder.path)}
      local list = files.walk {{ under = under }}.files
      local argv = {{ "sh", "-c", "mv $1 $1.moved; ln -s $1.moved $1", "sh", under }}
      process.run {{ argv = argv, env = {{ PATH = "/bin" }} }}
      show(files.delete {{ under = under, files = list }})""")
    assert shown[0][1]["kind"] == "usage" and os.path.exists(folder.path + b".moved/f")


@pytest.mark.parametrize("path", ["/etc/passwd", "$/../passwd", "$/a/../f", "$/./f", "$//f", "$", "$/", "$x/f", "f",
                                  "$/a\0b"])
def test_delete_refuses_paths_from_elsewhere(luahost, folder, path):
    target = path.replace("$", folder.path.decode())
    shown = ask(luahost, f"""
      show(pcall(require("raw.files").delete, {{ under = {lua(folder.path)}, files = {{
        {{ path = {lua(target)}, dev = 1, ino = 1, modified = 1, bytes = 1 }} }} }}))""")
    assert shown[0][0] is False


@pytest.mark.parametrize("options", [
    "{}", "{ under = '/tmp' }", "{ under = '/tmp/..', files = {} }", "{ under = '', files = {} }",
    "{ under = '/tmp', files = { { path = '/tmp/x' } } }", "{ under = '/tmp', files = { 'x' } }",
    "{ under = '/tmp', files = { { path = '/tmp/x', dev = 1.5, ino = 1 } } }",
    "{ under = '/tmp', files = {}, wat = 1 }",
])
def test_delete_misuse_raises(luahost, options):
    assert ask(luahost, f'show(pcall(require("raw.files").delete, {options}))')[0][0] is False


def test_delete_many(luahost, folder):
    for i in range(3000):
        folder.write(b"%d/%d.log" % (i % 7, i))
    assert walk_then_delete(luahost, folder.path)["deleted"] == 3000


def test_delete_that_runs_out_of_time_says_what_it_did(luahost, folder):
    for i in range(20000):
        folder.write(b"%d.log" % i, b"x")
    result = ask(luahost, f"""
      local files = require "raw.files"
      local under = {lua(folder.path)}
      local list = files.walk {{ under = under }}.files
      local result, failure = files.delete {{ under = under, files = list, timeout = 0.01 }}
      local answer = failure or result
      show(answer.kind, answer.deleted, #answer.left, answer.left[1] and answer.left[1].why)""")[0]
    left = len(os.listdir(folder.path))
    assert result[1] + result[2] == 20000 and result[2] == left
    if left:
        assert result[0] == "timeout" and "not reached" in result[3]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become nobody")
def test_delete_without_permission(sandbox, folder):
    folder.write(b"f")
    shown = ask_as_nobody(sandbox, f"""
      local files = require "raw.files"
      local under = {lua(folder.path)}
      show(files.delete {{ under = under, files = files.walk {{ under = under }}.files }})""")
    if shown is None:
        pytest.skip("nobody can't reach the test's folder")
    assert shown[0][0]["deleted"] == 0 and "denied" in shown[0][0]["left"][0]["why"].lower()


def ask_as_nobody(sandbox, text):
    """What `text` shows when the host runs as nobody, or None where nobody can't run it."""
    path = sandbox.write("nobody.lua", PRELUDE + text)
    for parent in _parents(path):
        os.chmod(parent, os.stat(parent).st_mode | 0o055)
    program = shutil.copy(executable("luahost"), sandbox.folder)     # where it was built, nobody may have no way to
    done = subprocess.run([program, path], user="nobody", group="nogroup", extra_groups=[],
                          capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, cwd="/")
    if done.returncode:
        return None
    return [json.loads(line) for line in done.stdout.splitlines()]


def _parents(path):
    while len(path := os.path.dirname(path)) > len("/tmp"):
        yield path


# write

def test_write_new_and_over_old(files, folder):
    path = folder.path + b"/new\nfile"
    assert files("write", path=path, text="a\0b")[0] == {"bytes": 3}
    assert open(path, "rb").read() == b"a\0b" and os.stat(path).st_mode & 0o7777 == 0o644
    os.chmod(path, 0o604)
    inode = os.stat(path).st_ino
    files("write", path=path, text="second")
    assert open(path).read() == "second" and os.stat(path).st_mode & 0o7777 == 0o604 and os.stat(path).st_ino != inode
    files("write", path=path, text="", mode=0o600)
    assert os.stat(path).st_size == 0 and os.stat(path).st_mode & 0o7777 == 0o600
    assert os.listdir(folder.path) == [b"new\nfile"]


def test_write_a_name_of_255_bytes(files, folder):
    assert files("write", path=folder.path + b"/" + b"n" * 255, text="x")[0]
    assert files("write", path=folder.path + b"/" + b"n" * 256, text="x")[1]["kind"] == "limit"
    assert os.listdir(folder.path) == [b"n" * 255]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_write_keeps_the_owner(files, folder):
    path = folder.write(b"f")
    os.chown(path, 1234, 4321)
    files("write", path=path, text="new")
    assert (os.stat(path).st_uid, os.stat(path).st_gid, open(path).read()) == (1234, 4321, "new")


def test_write_leaves_links_and_folders_alone(files, folder):
    target = folder.write(b"target")
    os.symlink(target, folder.path + b"/link")
    assert files("write", path=folder.path + b"/link", text="x")[1]["kind"] == "usage"
    assert files("write", path=folder.path, text="x")[1]["kind"] == "usage"
    assert files("write", path=folder.path + b"/", text="x")[1]["kind"] == "usage"
    assert files("write", path=folder.path + b"/none/x", text="x")[1]["kind"] == "missing"
    assert open(target).read() == "text"


def test_write_on_a_full_disk_keeps_the_old_text(files, tmpfs):
    path = tmpfs + "/file"
    assert files("write", path=path, text="old")[0]
    _, error = files("write", path=path, text="x" * 200_000)
    assert error["kind"] == "limit" and "no space left" in error["message"]
    assert open(path).read() == "old" and os.listdir(tmpfs) == ["file"]


@pytest.mark.parametrize("options", ["{ path = '/tmp/x' }", "{ text = '' }", "{ path = '/tmp/../x', text = '' }",
                                     "{ path = '/tmp/x', text = '', mode = 99999 }", "{ path = 'a\\0b', text = '' }"])
def test_write_misuse_raises(luahost, options):
    assert ask(luahost, f'show(pcall(require("raw.files").write, {options}))')[0][0] is False


# held_open

def test_held_open(luahost, folder):
    folder.write(b"free.log")
    with open(folder.write(b"held.log")):
        shown = ask(luahost, f"""
          local files = require "raw.files"
          show(files.held_open {{ files = files.walk {{ under = {lua(folder.path)} }}.files }})
          show(files.held_open {{ files = {{}} }})""")
    assert shown[0][0] == {"count": 1, "processes": 1, "hidden": 0, "pids": [os.getpid()]}
    assert shown[1][0] == {"count": 0, "processes": 0, "hidden": 0, "pids": {}}


def test_held_open_after_deletion(luahost, folder):
    """Deleted but open still: known by its inode."""
    path = folder.write(b"log")
    info = os.stat(path)
    with open(path):
        os.unlink(path)
        files = lua([{"dev": info.st_dev, "ino": info.st_ino}])
        shown = ask(luahost, f'show(require("raw.files").held_open {{ files = {files} }})')
    assert shown[0][0]["count"] == 1


def test_many_at_once(luahost, folder):
    path = folder.write(b"f", b"x" * 1000)
    assert ask(luahost, f"""
      local task, files = require "raw.task", require "raw.files"
      local tasks, right = {{}}, 0
      for i = 1, 200 do tasks[i] = task.spawn(function() return #files.read {{ path = {lua(path)} }}.text end) end
      for _, one in ipairs(tasks) do if select(2, task.join(one)) == 1000 then right = right + 1 end end
      show(right)""") == [[200]]


def test_threads_that_end_while_they_are_given_up(luahost):
    """Deadlines and cancellations at the very moment the work is done."""
    assert ask(luahost, """
      local task, files, sys, redis = require "raw.task", require "raw.files", require "raw.sys", require "raw.redis"
      local kinds = {
        function(i) files.walk { under = "/usr/share/doc", timeout = 0.0001 + 0.002 * (i % 7) } end,
        function() files.read { path = "/etc/passwd" } end,
        function() sys.du { path = "/usr/share/doc", timeout = 0.003 } end,
        function() sys.disks { timeout = 0.00005 } end,
        function() redis.connect { host = "localhost", port = 1, timeout = 0.001 } end,
      }
      for round = 1, 20 do
        local tasks = {}
        for i = 1, 40 do tasks[i] = task.spawn(function() kinds[i % #kinds + 1](i) end) end
        task.sleep(0.001)
        for i = 1, 40, 3 do task.cancel(tasks[i]) end
        for i = 1, 40 do task.join(tasks[i]) end
      end
      task.spawn(function() sys.du { path = "/usr" } end)
      task.sleep(0.01)
      show("done")""") == [["done"]]
