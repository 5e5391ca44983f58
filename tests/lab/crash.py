"""A run that is killed before its n-th call of libc and gone on with, until its end: what was done twice, what was lost.

The shim is loaded before libc. It counts the interpreter's calls that touch files, sockets and children, and kills it before the
one with the number in CRASH_AT; the watchdog and its children have an environment of their own and are left alone."""

import json
import os
import re
import subprocess
import time

from .web import Site

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>
static int count;
static void point(void) {
  const char *at = getenv("CRASH_AT");
  if (at && ++count == atoi(at)) kill(getpid(), SIGKILL);
}
static void tell(void) __attribute__((destructor));
static void tell(void) {
  const char *path = getenv("CRASH_COUNT");
  FILE *file = path ? fopen(path, "w") : NULL;
  if (file) fprintf(file, "%d", count), fclose(file);
}
#define REAL(type, name) static type real; if (!real) real = dlsym(RTLD_NEXT, name); point()
typedef ssize_t (*write_t)(int, const void *, size_t);
ssize_t write(int fd, const void *bytes, size_t len) { REAL(write_t, "write"); return real(fd, bytes, len); }
typedef ssize_t (*read_t)(int, void *, size_t);
ssize_t read(int fd, void *bytes, size_t len) { REAL(read_t, "read"); return real(fd, bytes, len); }
typedef int (*fd_t)(int);
int fsync(int fd) { REAL(fd_t, "fsync"); return real(fd); }
int fdatasync(int fd) { REAL(fd_t, "fdatasync"); return real(fd); }
int close(int fd) { REAL(fd_t, "close"); return real(fd); }
typedef int (*truncate_t)(int, off_t);
int ftruncate(int fd, off_t size) { REAL(truncate_t, "ftruncate"); return real(fd, size); }
typedef int (*rename_t)(const char *, const char *);
int rename(const char *from, const char *to) { REAL(rename_t, "rename"); return real(from, to); }
typedef int (*unlink_t)(const char *);
int unlink(const char *path) { REAL(unlink_t, "unlink"); return real(path); }
typedef ssize_t (*send_t)(int, const void *, size_t, int);
ssize_t send(int fd, const void *bytes, size_t len, int flags) { REAL(send_t, "send"); return real(fd, bytes, len, flags); }
typedef ssize_t (*recv_t)(int, void *, size_t, int);
ssize_t recv(int fd, void *bytes, size_t len, int flags) { REAL(recv_t, "recv"); return real(fd, bytes, len, flags); }
typedef int (*connect_t)(int, const struct sockaddr *, socklen_t);
int connect(int fd, const struct sockaddr *to, socklen_t len) { REAL(connect_t, "connect"); return real(fd, to, len); }
typedef int (*epoll_t)(int, struct epoll_event *, int, int);
int epoll_wait(int fd, struct epoll_event *events, int most, int timeout) {
  REAL(epoll_t, "epoll_wait");
  return real(fd, events, most, timeout);
}
"""

# Two remedies with ten writes of two kinds, and beside them what a replay could take another way with: probes side by side, an
# order by keys, a table that is sorted, time, randomness, a question, a wait, a look that fails, a look that is too late.
SCRIPT = """
runbook {{ title = "Ten writes" }}
local order, list = {{}}, {{}}
local one = probe("One", function() for i = 1, 3 do http.get("{url}/look/" .. i) order[#order + 1] = "a" .. i end end)
local two = probe("Two", function()
  for i = 1, 3 do http.get("{url}/slow/" .. i) order[#order + 1] = "b" .. i end
  check("it answers", http.get("http://127.0.0.1:1/"), {{ fault = "down" }})
end)
local late = probe("Late", function() check("a look", http.get("{url}/silent", {{ timeout = "200ms" }}), {{ fault = "late" }}) end)
local function post(name) http.post("{url}/write/" .. name) end
local first = remedy("First", {{ risk = "low" }}, function()
  for _, name in ipairs(list) do post(name) end
  exec {{ "sh", "-c", "echo five >> {folder}/out" }}
end)
local second = remedy("Second", {{ risk = "low" }}, function()
  together(function() post "six" end, function() post "seven" end)
  exec {{ "sh", "-c", "echo eight >> {folder}/out" }}
  post "nine"
  post "ten"
end)
local _, found = together(one, two, late)
note(table.concat(order, " "))
local keys = {{ one = true, two = true, three = true, four = true }}
for name in pairs(keys) do list[#list + 1] = name end
table.sort(list, function(a, b) return #a < #b end)
note(("%d %d"):format(time.now(), math.random(1000000)))
if found.down and first() then
  local count = 0
  wait_until("three looks", {{ within = "5s", every = "20ms" }}, function()
    count = count + 1
    return http.get("{url}/count").ok and count == 3
  end)
  if confirm "the second too?" then second() end
end
return unresolved "it ends here"
"""
WRITES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
CONFIG = 'return { pager = { "pagerduty", routing_key = secret "KEY", url = "%s" } }\n'
RESUMES_MAX = 6
AFTER_KILL = 0.06  # seconds in which what was on its way when the run was killed arrives


def build_shim(folder):
    """The library; its path."""
    source, library = os.path.join(folder, "crash.c"), os.path.join(folder, "crash.so")
    with open(source, "w") as file:
        file.write(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


class World(Site):
    """What was done, each as often as it was."""

    def answer(self, handler, request):
        if request.path.endswith("/silent"):
            return handler.silence()
        if "/slow/" in request.path:
            time.sleep(0.003)
        handler.reply(200, "ok")

    def writes(self, folder):
        """Name -> how often."""
        counts = dict.fromkeys(WRITES, 0)
        for request in self.requests:
            if request.method == "POST":
                counts[request.path.rsplit("/", 1)[1]] += 1
        out = os.path.join(folder, "out")
        for line in open(out).read().split() if os.path.exists(out) else []:
            counts[line] += 1
        return counts


class Story:
    """One run in `folder`, an environment of `env`, killed where it is told to be."""

    def __init__(self, folder, program, env, library, world):
        self.folder, self.program, self.library, self.world = folder, program, library, world
        self.env = {**env, "XDG_STATE_HOME": os.path.join(folder, ".state")}
        world.requests.clear()
        with open(os.path.join(folder, "ten.lua"), "w") as file:
            file.write(SCRIPT.format(url=world.url, folder=folder))
        self.answer()

    def write_config(self, url):
        with open(os.path.join(self.folder, "runbook.config.lua"), "w") as file:
            file.write(CONFIG % url)
        os.chmod(os.path.join(self.folder, "runbook.config.lua"), 0o600)

    def answer(self):
        """A person who looks at the world before saying what is so."""
        counts = self.world.writes(self.folder)
        lines = ['return { First = "yes", Second = "yes", ["the second too?"] = "yes",']
        for line in self.doubts():
            name = re.search(r"(\w+)(?: >>.*)?$", line)[1]
            lines.append("  [%s] = %s," % (quoted("May have run: " + line), quoted("done" if counts[name] else "again")))
        with open(os.path.join(self.folder, "answers.lua"), "w") as file:
            file.write("\n".join(lines) + " }\n")

    def run_folder(self):
        runs = os.path.join(self.folder, ".state", "runbook", "runs")
        names = os.listdir(runs) if os.path.isdir(runs) else []
        return os.path.join(runs, names[0]) if names else None

    def journal(self):
        path = os.path.join(self.run_folder() or "", "journal.jsonl")
        if not os.path.exists(path):
            return []
        with open(path, errors="replace") as file:
            return [json.loads(line) for line in file.read().split("\n")[:-1]]

    def has_ended(self):
        """Whether it was killed behind its last line."""
        last = (self.journal() or [{"event": ""}])[-1]
        return last["event"] == "run.ended" and last["outcome"] == "unresolved"

    def doubts(self):
        """Lines of the writes that were begun and have no outcome."""
        begun = {}
        for event in self.journal():
            if event["event"] == "effect.intent" and event["class"] != "notify":
                begun[event["key"]] = event["line"]
            elif event["event"] == "effect.outcome" and event["status"] != "unknown":
                begun.pop(event["key"], None)
        return list(begun.values())

    def go(self, *words, at=0):
        """The program, killed before its call number `at`; its exit code and what it said. How many calls it made: `self.calls`."""
        count = os.path.join(self.folder, "count")
        env = {**self.env, "LD_PRELOAD": self.library, "CRASH_AT": str(at), "CRASH_COUNT": count}
        command = [self.program, *words, "--here", "--no-input", "--answers", "answers.lua"]
        done = subprocess.run(command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120)
        self.calls = int(open(count).read()) if os.path.exists(count) else 0
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def to_its_end(self, kills):
        """Runs, and resumes as often as it takes, killed before the calls in `kills`, one a process: code and words."""
        code, said = self.go("run", "ten.lua", at=kills[0] if kills else 0)
        for i in range(1, RESUMES_MAX):
            if code != -9:
                break
            if self.has_ended():
                return 1, said
            time.sleep(AFTER_KILL)
            self.answer()
            if not self.run_folder() or not os.path.exists(self.run_folder() + "/source/manifest.json"):
                assert not any(self.world.writes(self.folder).values()), "it changed something before it could be gone on with"
                return None, said
            code, said = self.go("resume", os.path.basename(self.run_folder()), "--force", at=kills[i] if len(kills) > i else 0)
        return code, said

    def end_processes(self):
        """The watchdog of this run alone."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                line = open(f"/proc/{pid}/cmdline", "rb").read().decode("utf-8", "replace")
                if self.folder in line and "watchdog" in line:
                    os.kill(int(pid), 9)
            except OSError:
                pass


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
