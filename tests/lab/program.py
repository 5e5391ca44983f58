"""Runs the programs under test: each call in a folder, a home and a state directory of the test's own."""

import json
import os
import re
import signal
import subprocess
import time

import pexpect

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("RUNBOOK_BUILD", "build/dev"))
TIMEOUT = 60                  # seconds that a call may take unless the test says otherwise
TTY_SIZE = (40, 120)          # rows, columns
SANITIZER_EXIT = 99           # unlike every exit code of the program
# A thread that ended while the search for leaks looked at it: a remark, after which the search goes on.
LEAK_SEARCH_LOST_A_THREAD = re.compile(r"^==\d+==Unable to get registers from thread \d+\.$")
SANITIZER_MARKS = (b"AddressSanitizer", b"LeakSanitizer", b"runtime error:", b"UndefinedBehaviorSanitizer")


class Result:
    """How a call ended: `code` (as a shell shows it), `stdout`, `stderr` (text), `out`, `err` (bytes), `run_dir` (of
    the run it started, or None), `journal` (that run's events, in order)."""

    def __init__(self, code, out, err, run_dir):
        self.code, self.out, self.err, self.run_dir = code, out, err, run_dir
        self.stdout, self.stderr = (data.decode("utf-8", "backslashreplace") for data in (out, err))

    @property
    def journal_lines(self):
        """The journal's complete lines as text: a torn last one is left out, as the program does."""
        path = os.path.join(self.run_dir, "journal.jsonl") if self.run_dir else ""
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return file.read().split("\n")[:-1]

    @property
    def journal(self):
        return [json.loads(line) for line in self.journal_lines]

    def events(self, name):
        return [event for event in self.journal if event["event"] == name]

    def __repr__(self):
        return f"<exit {self.code}\n--- stdout\n{self.stdout}--- stderr\n{self.stderr}>"


class Sandbox:
    """A folder with home, state and config directories, where programs run. `env` is all their environment."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.state = os.path.join(self.folder, ".state")
        report = f"exitcode={SANITIZER_EXIT}:log_path={self.folder}/.sanitizer"
        self.env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC",
            "TERM": "xterm-256color", "HOME": os.path.join(self.folder, ".home"), "XDG_STATE_HOME": self.state,
            "XDG_CONFIG_HOME": os.path.join(self.folder, ".config"),
            "ASAN_OPTIONS": f"detect_leaks=1:{report}", "UBSAN_OPTIONS": f"print_stacktrace=1:halt_on_error=1:{report}",
        }
        for name in (".home", ".state", ".config"):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)

    def write(self, name, text):
        """A file in the folder, where programs run; returns its path."""
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return path

    def runs(self):
        """The run directories, oldest first."""
        folder = os.path.join(self.state, "runbook", "runs")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        return sorted((os.path.join(folder, name) for name in names), key=os.path.getctime)

    def start(self, program, *arguments, env=None, **options):
        """A program of the build in the background, as a Popen with pipes. The test ends it, or the sandbox does."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([executable(program), *map(str, arguments)], cwd=self.folder, start_new_session=True,
                                env={**self.env, **(env or {})}, **{**pipes, **options})

    def run(self, program, *arguments, stdin=b"", env=None, timeout=TIMEOUT):
        """A program of the build to its end."""
        before = self.runs()
        process = self.start(program, *arguments, env=env)
        try:
            out, err = process.communicate(stdin if isinstance(stdin, bytes) else stdin.encode(), timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"still running after {timeout} s: {Result(None, out, err, None)}")
        self.check_sanitizers(err)
        code = process.returncode
        return Result(128 - code if code < 0 else code, out, err, _newest(before, self.runs()))

    def tty(self, program, *arguments, env=None, timeout=TIMEOUT):
        return Terminal(self, program, arguments, {**self.env, **(env or {})}, timeout)

    def check_sanitizers(self, err=b""):
        """Fails on a sanitizer's report from any process of the sandbox, the watchdog included."""
        assert not any(mark in err for mark in SANITIZER_MARKS), err.decode("utf-8", "replace")
        for name in os.listdir(self.folder):
            if name.startswith(".sanitizer"):
                with open(os.path.join(self.folder, name), errors="replace") as report:
                    told = [line for line in report if not LEAK_SEARCH_LOST_A_THREAD.search(line)]
                assert not told, "".join(told)

    def close(self):
        """Ends what still runs in the sandbox, then looks for reports."""
        self.end_processes()
        self.check_sanitizers()

    def end_processes(self):
        """Watchdogs outlive their run on purpose."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def processes(self):
        """The processes that were started in this sandbox, told by their environment, arguments or open files."""
        others = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != os.getpid()]
        return [int(pid) for pid in others if self._owns(pid)]

    def _owns(self, pid):
        marker = self.folder.encode() + b"/"
        try:
            for file in ("environ", "cmdline"):
                with open(f"/proc/{pid}/{file}", "rb") as proc:
                    if marker in proc.read():
                        return True
            links = (os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
            return any(link.startswith(self.folder + "/") for link in links)
        except OSError:  # it ended meanwhile, or is somebody else's
            return False


class Terminal:
    """A program of the build on a terminal of its own: `expect`, `send`, `sendline` as in pexpect, and `finish`."""

    def __init__(self, sandbox, program, arguments, env, timeout):
        self.sandbox, self.before = sandbox, sandbox.runs()
        self.child = pexpect.spawn(executable(program), list(map(str, arguments)), cwd=sandbox.folder, env=env,
                                   timeout=timeout, dimensions=TTY_SIZE, encoding="utf-8",
                                   codec_errors="backslashreplace")
        self.child.delaybeforesend = None
        self.child.logfile_read = self
        self.screen = ""         # everything it wrote so far

    def write(self, text):
        self.screen += text

    def flush(self):
        pass

    def words(self):
        """What it wrote as words, whatever it drew in between."""
        return " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.screen).split())

    @property
    def pid(self):
        return self.child.pid

    def expect(self, pattern, timeout=-1):
        """Waits until the pattern (a regular expression or a list of them) appears; returns its index."""
        return self.child.expect(pattern, timeout=timeout)

    def expect_exact(self, text, timeout=-1):
        return self.child.expect_exact(text, timeout=timeout)

    def send(self, text):
        self.child.send(text)

    def sendline(self, text=""):
        self.child.sendline(text)

    def interrupt(self):
        self.child.sendintr()

    def pause(self, seconds):
        """Time for the reader: a program that drops type-ahead wants its answers after its question."""
        time.sleep(seconds)

    @property
    def run_dir(self):
        return _newest(self.before, self.sandbox.runs())

    def finish(self, timeout=-1):
        """Waits for its end; a Result whose stdout is the whole screen."""
        self.child.expect(pexpect.EOF, timeout=timeout)
        self.child.close()
        data = self.screen.encode()
        self.sandbox.check_sanitizers(data)
        code = self.child.exitstatus if self.child.signalstatus is None else 128 + self.child.signalstatus
        return Result(code, data, b"", self.run_dir)


def executable(program):
    path = os.path.join(BUILD, program)
    assert os.path.exists(path), f"no program {path}: build it first (script/test does)"
    return path


def _newest(before, after):
    new = [run for run in after if run not in before]
    return new[-1] if new else None
