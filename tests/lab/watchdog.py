"""A watchdog at the folder of a run, driven as the interpreter drives it: over a socket, with a fake runbook binary.

The fixture `run` is for test files to import. Below it stand the requests that a run's built-in page makes."""

import hashlib
import json
import os
import re
import socket
import subprocess
import sys

import pytest

from lab.process import wait_for
from lab.program import executable

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
SOON = 0.3  # seconds until a level that a test waits for
FAR = 600   # and of one that must not fire

# Stands for SELF. What it does at its n-th call for a command is the n-th word of that command's plan; the last one stays.
FAKE = r"""#!%s
import json, os, sys, time
command, rundir = sys.argv[1], sys.argv[2]
with open(os.path.join(rundir, "plan.json")) as file:
    plan = json.load(file)[command]
with open(os.path.join(rundir, "calls.jsonl"), "a+") as calls:
    calls.seek(0)
    count = sum(json.loads(line)["argv"][0] == command for line in calls)
    calls.write(json.dumps({"argv": sys.argv[1:], "pid": os.getpid(), "at": time.time(), "env": dict(os.environ),
        "secrets": open(3, "rb").read().decode("latin-1"), "fds": sorted(map(int, os.listdir("/proc/self/fd"))),
        "cwd": os.getcwd(), "ignored": [l.split()[1] for l in open("/proc/self/status") if l.startswith("SigIgn")][0]}) + "\n")
step = plan[min(count, len(plan) - 1)]
if step == "hang": time.sleep(600)
if step == "crash": os.abort()
if step == "leave":
    pid = os.fork()
    if pid == 0: time.sleep(600)
    with open(os.path.join(rundir, "left"), "w") as file: file.write(str(pid))
    sys.exit(0)
if step == "queue":
    with open(os.path.join(rundir, "outbox", "0001.json"), "w") as file: file.write("{}")
    sys.exit(75)
if step == "done":
    with open(os.path.join(rundir, "outbox", "0001.done"), "w"): pass
    sys.exit(0)
sys.exit(step)
""" % sys.executable


class Run:
    """A run's folder with a watchdog at it. `control` is the interpreter's end of the socket."""

    def __init__(self, folder):
        self.path = str(folder / "run")
        self.self = str(folder / "runbook")
        for name in ("inbox", "outbox", "escalation"):
            os.makedirs(os.path.join(self.path, name))
        with open(self.self, "w") as file:
            file.write(FAKE)
        os.chmod(self.self, 0o755)
        self.plan()
        self.write("journal.jsonl", "")
        self.started = []
        self.environment = {}

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w") as file:
            file.write(text if isinstance(text, str) else json.dumps(text))

    def lines(self, name):
        path = os.path.join(self.path, name)
        return open(path).read().split("\n")[:-1] if os.path.exists(path) else []

    def plan(self, escalate=(0,), deliver=("done",)):
        self.write("plan.json", {"_escalate": escalate, "_deliver": deliver})

    @property
    def calls(self):
        return [json.loads(line) for line in self.lines("calls.jsonl")]

    @property
    def events(self):
        return [json.loads(line) for line in self.lines("escalation.jsonl")]

    def story(self):
        """The events in short: "fired 1", "failed 1 script", …"""
        return [" ".join([e["event"].split(".")[1]] + [str(e[key]) for key in ("level", "by") if key in e]) for e in self.events]

    def expect(self, story, seconds=20):
        """It writes after it has told: its journal is a moment later."""
        wait_for(lambda: self.story() == story, f"{story}, not {self.story()}", seconds)

    def wait_for(self, text, seconds=20):
        wait_for(lambda: text in self.story(), f"{text} in {self.story()}", seconds)

    def requests(self, *requests, level=1):
        self.write(f"escalation/page-{level}.json", {"requests": requests})

    def start(self):
        """A watchdog, not yet told anything."""
        self.control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(5)
        process = subprocess.Popen([executable("runbook-watchdog"), self.path], env=self.environment, close_fds=False,
                                   preexec_fn=lambda: os.dup2(other.fileno(), 3))
        other.close()
        self.started.append(process)
        self.process = process
        return self

    def say(self, text):
        self.control.send(text if isinstance(text, bytes) else text.encode())

    def hear(self):
        """What the watchdog says next, other than that it is at work."""
        while (text := self.control.recv(1024).decode()) == "working":
            pass
        return text

    def arm(self, levels, secrets=None, env=None):
        """Starts a watchdog, armed with {level: seconds}."""
        self.start()
        self.say(f"self {self.self}")
        for name, value in (env or {"PATH": "/usr/bin:/bin", "HOME": self.path}).items():
            self.say(f"env {name}={value}")
        for name, value in (secrets or {}).items():
            self.say(f"secret {name}={value}")
        self.rearm(levels)
        return self

    def rearm(self, levels):
        self.say("arm " + " ".join(f"{level} {after:.3f}" for level, after in levels.items()))
        assert self.hear() == f"armed {self.process.pid}"

    def let_go(self):
        self.control.close()

    def wait_end(self, seconds=20):
        assert self.process.wait(seconds) == 0
        assert not os.path.exists(os.path.join(self.path, "watchdog.lock"))

    def check_chain(self):
        prev = "0" * 64
        for number, line in enumerate(self.lines("escalation.jsonl"), 1):
            event = json.loads(line)
            assert (event["seq"], event["prev"]) == (number, prev)
            assert list(event)[:3] == ["seq", "at", "event"] and list(event)[-1] == "prev"
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["at"])
            prev = hashlib.sha256(line.encode()).hexdigest()


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path)
    yield run
    for process in run.started:
        process.kill()
        process.wait()
    if os.path.exists(os.path.join(run.path, "escalation.jsonl")):
        run.check_chain()


def pagerduty_request(pagerduty, **payload):
    return {"backend": "pagerduty", "url": pagerduty.url + "/v2/enqueue", "headers": {},
            "body": {"routing_key": "⟦PD_KEY:plain⟧", "event_action": "trigger", "dedup_key": "runbook/r/1",
                     "payload": {"summary": "API Down: ⟦headline⟧", "source": "r", "severity": "critical", **payload}}}


def slack_request(slack, text="⟦findings⟧", channel="#team-lead"):
    return {"backend": "slack", "url": slack.url + "/api/chat.postMessage", "body": {"channel": channel, "text": text},
            "headers": {"Authorization": "Bearer ⟦SLACK_TOKEN:plain⟧"}}


def webhook_request(site, path="/hook"):
    return {"backend": "webhook", "url": site.url + path, "headers": {"X-Key": "⟦HOOK:plain⟧"}, "body": {"text": "⟦findings⟧"}}


SECRETS = {"PD_KEY": ROUTING_KEY, "SLACK_TOKEN": "xoxb-lab-0123456789-abcdefghijklmnop", "HOOK": "hook-secret"}


def journal(*events):
    """The text of a journal, its chain whole."""
    prev, lines = "0" * 64, ""
    for seq, event in enumerate(events, 1):
        event = {"seq": seq, "at": "2026-11-23T17:40:05.000000Z", **event, "prev": prev}
        line = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        prev = hashlib.sha256(line.encode()).hexdigest()
        lines += line + "\n"
    return lines


def looked(probe, *checks, state="known", **fields):
    """The events of one look: checks are (label, passed, detail) or whole events."""
    events = [{"event": "probe.started", "probe": probe, **fields}]
    for check in checks:
        if isinstance(check, tuple):
            says = f"{check[0]}: {check[2]}" if len(check) > 2 else check[0]
            check = {"label": check[0], "passed": check[1], "says": says}
        events.append({"event": "check", "probe": probe, **fields, **check})
    why = {"why": "no permission"} if state == "unknown" else {}
    return events + [{"event": "probe.ended", "probe": probe, "state": state, **fields, **why}]


FINDINGS = journal(
    *looked("Database", ("PostgreSQL accepts connections", False, "connection refused")),
    *looked("Cache", ("Redis answers PING", True)),
    *looked("Database", ("PostgreSQL accepts connections", False, "connection refused")),
    *looked("System resources", state="unknown")) + '{"seq":12,"event":"che'


def status_of(pid):
    """What /proc says of a process: {"PPid": "1", …}."""
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file)


def sanitized():
    with open(executable("runbook-watchdog"), "rb") as file:
        return b"__asan_init" in file.read()
