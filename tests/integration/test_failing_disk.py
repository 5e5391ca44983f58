"""Each write and each sync of the run's folder fails in turn: nothing is changed in the world without an intent on disk. A library
that is loaded before libc counts the calls of the interpreter that touch the folder, and lets the one with the number in FAIL_AT
fail, and with FAIL_ON all that follow."""

import json
import os
import re
import shutil
import subprocess

import pytest

from lab.web import Site

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
static int count;
/* Whether this call on `fd` is to fail. Other processes of the run are left alone: one of them is what tells people. */
static int fails(int fd) {
  char link[64], path[4096], line[4200];
  const char *folder = getenv("FAIL_UNDER"), *at = getenv("FAIL_AT"), *told = getenv("FAIL_COUNT");
  ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, path, sizeof path - 1);
  if (len <= 0 || !folder || !at || strstr(program_invocation_name, "watchdog")) return 0;
  path[len] = 0;
  if (strncmp(path, folder, strlen(folder)) != 0 || strstr(path, "/locks/")) return 0;
  count++;
  FILE *file = fopen(told, "a");
  if (file) {
    len = snprintf(line, sizeof line, "%d %s\n", count, strrchr(path, '/') + 1);
    real(fileno(file), line, (size_t)len);
    fclose(file);
  }
  return count == atoi(at) || (getenv("FAIL_ON") && count > atoi(at));
}
#define FAIL(call) if (fails(fd)) { errno = atoi(getenv("FAIL_CODE")); return -1; } return call
ssize_t write(int fd, const void *bytes, size_t len) {
  ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
  FAIL(real(fd, bytes, len));
}
int fsync(int fd) {
  int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
  FAIL(real(fd));
}
int fdatasync(int fd) {
  int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
  FAIL(real(fd));
}
int ftruncate(int fd, off_t size) {
  int (*real)(int, off_t) = dlsym(RTLD_NEXT, "ftruncate");
  FAIL(real(fd, size));
}
"""
SCRIPT = """
runbook {{ title = "Failing" }}
files.read("{folder}/big")
local fix = remedy("Fix", {{ risk = "low" }}, function() http.post("{url}/one") http.post("{url}/two") end)
fix()
return unresolved "x"
"""
CODES = {"EIO": 5, "ENOSPC": 28, "EROFS": 30}


class World(Site):
    """Each change, with the lines that the journal held when it came."""

    def __init__(self, sandbox):
        self.sandbox, self.changes = sandbox, []
        super().__init__()

    def answer(self, handler, request):
        if request.method == "POST":
            with open(self.sandbox.runs()[-1] + "/journal.jsonl") as journal:
                self.changes.append((request.path, [line for line in journal.read().split("\n")[:-1]]))
        handler.reply(200, "ok")


@pytest.fixture
def world(sandbox):
    site = World(sandbox)
    yield site
    site.stop()


@pytest.fixture
def failing(sandbox, world, tmp_path):
    """failing(number, code, on) -> the run, whose call with that number failed, and the names of the files of all its calls"""
    (tmp_path / "shim.c").write_text(SHIM)
    library = str(tmp_path / "shim.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, str(tmp_path / "shim.c"), "-ldl"], check=True)
    sandbox.write("big", "".join(f"{n} of many lines\n" for n in range(3000)))
    sandbox.write("failing.lua", SCRIPT.format(folder=sandbox.folder, url=world.url))
    count = tmp_path / "count"

    def run(number, code="EIO", on=False):
        sandbox.end_processes()
        shutil.rmtree(sandbox.state, ignore_errors=True)
        world.changes.clear()
        env = {"LD_PRELOAD": library, "FAIL_UNDER": sandbox.state, "FAIL_AT": str(number), "FAIL_CODE": str(CODES[code]),
               "FAIL_COUNT": str(count), **({"FAIL_ON": "1"} if on else {}),
               "ASAN_OPTIONS": sandbox.env["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
        result = sandbox.run("runbook", "run", "failing.lua", "--yes", "low", env=env)
        calls = [line.split()[1] for line in count.read_text().splitlines()]
        count.unlink()
        return result, calls
    return run


def intents(lines):
    return [re.search(r"/(\w+)$", event["line"])[0] for event in map(json.loads, lines) if event["event"] == "effect.intent"]


def check(result, world):
    """Each change had its intent on disk, and the journal is what it says; without a change this is said."""
    assert result.code in (1, 6), result
    assert result.code != 6 or "can't be written" in result.stderr or "no journal" in result.stderr, result
    for path, lines in world.changes:
        assert path in intents(lines), (path, lines, result)
    assert len(world.changes) == len({path for path, _ in world.changes}), "none is made twice"
    if len(world.changes) < 2:
        assert "nothing will be changed" in result.stderr or result.code == 6, result


@pytest.mark.slow
@pytest.mark.limit(600)
@pytest.mark.parametrize("code, on", [("EIO", False), ("EIO", True), ("ENOSPC", True), ("EROFS", False)])
def test_no_change_without_an_intent_on_disk(runbook, sandbox, failing, world, code, on):
    """Broken by: act_on that goes on when journal.intent fails; sync_line that takes any answer for done."""
    result, calls = failing(0)
    assert len(world.changes) == 2 and calls.count("journal.jsonl") > 15, (calls, result)
    seen = set()
    for number in range(1, len(calls) + 1):
        result, names = failing(number, code, on)
        check(result, world)
        if names[number - 1] == "journal.jsonl":  # a sync too: what the disk has is not known from then on
            assert "nothing will be changed" in result.stderr, (number, result)
        seen.add(len(world.changes))
        if result.run_dir and os.path.exists(result.run_dir + "/journal.jsonl") and result.journal_lines:
            verified = runbook("verify", os.path.basename(result.run_dir))
            assert "damaged" not in verified.stdout, (number, verified)
    assert {0, 2} <= seen or on and 0 in seen, seen
