"""The watchdog and the built-in page, driven as the interpreter drives them: over a socket, with a fake runbook binary."""

import fcntl
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

import pytest

from lab.luavalues import ask, lua
from lab.process import HOST, wait_for
from lab.program import SANITIZER_MARKS, executable

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
SECRET = "s3cret\nwith a line=and more"
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

    def wait_for(self, text, seconds=20):
        wait_for(lambda: text in self.story(), f"{text} in {self.story()}", seconds)

    def requests(self, *requests, level=1):
        self.write(f"escalation/page-{level}.json", {"requests": requests})

    def start(self):
        """A watchdog, not yet told anything."""
        self.control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(5)
        process = subprocess.Popen([executable("runbook-watchdog"), self.path], env={}, close_fds=False,
                                   preexec_fn=lambda: os.dup2(other.fileno(), 3))
        other.close()
        self.started.append(process)
        self.process = process
        return self

    def say(self, text):
        self.control.send(text if isinstance(text, bytes) else text.encode())

    def hear(self):
        return self.control.recv(1024).decode()

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
                     "payload": {"summary": "API Down: ⟦findings⟧", "source": "r", "severity": "critical", **payload}}}


def slack_request(slack, text="⟦findings⟧", channel="#team-lead"):
    return {"backend": "slack", "url": slack.url + "/api/chat.postMessage", "body": {"channel": channel, "text": text},
            "headers": {"Authorization": "Bearer ⟦SLACK_TOKEN:plain⟧"}}


def webhook_request(site, path="/hook"):
    return {"backend": "webhook", "url": site.url + path, "headers": {"X-Key": "⟦HOOK:plain⟧"}, "body": {"text": "⟦findings⟧"}}


SECRETS = {"PD_KEY": ROUTING_KEY, "SLACK_TOKEN": "xoxb-lab-0123456789-abcdefghijklmnop", "HOOK": "hook-secret"}


def journal(*events):
    return "".join(json.dumps({"seq": n, **event}) + "\n" for n, event in enumerate(events, 1))


FINDINGS = journal(
    {"event": "probe.started", "title": "Database"},
    {"event": "check", "probe": "Database", "label": "PostgreSQL accepts connections", "passed": False, "fault": "down",
     "detail": "connection refused"},
    {"event": "check", "probe": "Cache", "label": "Redis answers PING", "passed": True},
    {"event": "check", "probe": "Database", "label": "PostgreSQL accepts connections", "passed": False,
     "detail": "connection refused"},
    {"event": "probe.ended", "title": "System resources", "state": "unknown", "why": "no permission"}) + '{"seq":6,"event":"che'


# Firing

def test_a_level_fires_in_time_and_is_delivered(run):
    began = time.time()
    run.arm({1: 1.0, 2: FAR}, {"KEY": SECRET, "EMPTY": ""}, {"PATH": "/usr/bin", "LANG": "C"})
    assert run.hear() == "fired 1" and run.hear() == "delivered 1 script"
    call, = run.calls
    assert call["argv"] == ["_escalate", run.path, "1"] and 1.0 <= call["at"] - began < 2.0
    assert call["env"] == {"PATH": "/usr/bin", "LANG": "C", **{k: v for k, v in call["env"].items() if k == "LC_CTYPE"}}
    assert call["secrets"] == f"KEY {len(SECRET)}\n{SECRET}EMPTY 0\n"
    assert call["cwd"] == "/" and set(call["fds"]) <= {0, 1, 2, 3, 4, 5} and int(call["ignored"], 16) & 1 == 0
    assert run.story() == ["armed", "fired 1", "delivered 1 script"]
    armed = run.events[0]["levels"]
    assert [level["level"] for level in armed] == [1, 2] and armed[0]["at"] < armed[1]["at"]
    assert 0 <= run.events[1]["late"] < 0.5


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_level_fires_when_the_interpreter_is_killed_or_stopped(run, number):
    run.arm({1: 1.0})
    holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=[run.control.fileno()])
    run.let_go()
    try:
        os.kill(holder.pid, number)
        run.wait_for("delivered 1 script")
    finally:
        holder.kill()
        holder.wait()
    run.wait_end()


def test_levels_fire_side_by_side(run):
    run.plan(["hang", 0])
    run.arm({1: SOON, 2: SOON + 0.5})
    run.wait_for("delivered 2 script")
    assert run.story() == ["armed", "fired 1", "fired 2", "delivered 2 script"]


def test_fire_is_at_once(run):
    run.arm({1: FAR, 2: FAR})
    run.say("fire 1")
    assert [run.hear(), run.hear()] == ["fired 1", "delivered 1 script"]
    run.say("fire 1")
    run.say("fire 9")
    assert run.hear() == "error missing there is no level 9"
    assert len(run.calls) == 1


def test_arming_again_replaces_what_has_not_fired(run):
    run.arm({1: SOON, 2: FAR})
    run.wait_for("delivered 1 script")
    assert [run.hear(), run.hear()] == ["fired 1", "delivered 1 script"]
    run.rearm({1: 0.0, 3: SOON})
    run.wait_for("delivered 3 script")
    assert run.story() == ["armed", "fired 1", "delivered 1 script", "armed", "fired 3", "delivered 3 script"]
    assert [level["level"] for level in run.events[3]["levels"]] == [3]
    run.let_go()
    run.wait_end()


def test_a_fresher_secret_replaces_an_older_one(run):
    run.arm({1: SOON}, {"A": "1", "KEY": "old value", "B": "2 3\n4"})
    run.say("secret KEY=new")
    run.say("secret C=")
    run.wait_for("delivered 1 script")
    assert run.calls[0]["secrets"] == "A 1\n1B 5\n2 3\n4KEY 3\nnewC 0\n"


def test_a_secret_left_out_is_not_armed_over(run):
    run.arm({1: SOON}, {"A": "x" * 40000})
    run.say("secret B=" + "x" * 40000)
    assert run.hear() == "error limit the secrets are longer than 65536 bytes"
    run.say(f"arm 1 {SOON}")
    assert run.hear() == "error limit the secrets are longer than 65536 bytes"
    run.wait_for("delivered 1 script")
    assert run.calls[0]["secrets"] == "A 40000\n" + "x" * 40000


def test_a_watchdog_never_armed_ends_with_its_interpreter(run):
    run.start().let_go()
    run.wait_end()
    assert run.events == []


# Stopping

@pytest.mark.parametrize("why", ["resolved", "ack", "abort"])
def test_a_message_stops_it(run, why):
    run.arm({1: FAR, 2: FAR})
    run.say(f"stop {why}")
    assert run.hear() == f"stopped {why}"
    event = run.events[-1]
    assert (event["event"], event["why"], event["levels"]) == ("escalation.stopped", why, [1, 2])
    run.say("fire 1")
    run.let_go()
    run.wait_end()
    assert run.calls == []


@pytest.mark.parametrize("name, why", [("inbox/20261123-ack.json", "ack"), ("inbox/20261123-abort.json", "abort"),
                                       ("inbox/1-resolved.json", "resolved"), ("resolved", "resolved")])
def test_a_file_stops_it_at_its_time(run, name, why):
    run.arm({1: SOON, 2: FAR})
    run.write(name, "")
    run.let_go()
    run.wait_end()
    assert run.story() == ["armed", "stopped"] and run.events[-1]["why"] == why and run.calls == []


def test_other_files_do_not_stop_it(run):
    run.arm({1: SOON})
    for name in ("1-note.json", "1-approve.json", "1-ack.json.tmp", "-ack.json~"):
        run.write("inbox/" + name, "")
    run.wait_for("delivered 1 script")


def test_a_stop_said_before_dying_is_heard(run):
    """Even when the interpreter closes with our words unread, which makes the kernel report a reset first."""
    run.arm({1: SOON, 2: FAR})
    run.wait_for("delivered 1 script")
    run.say("stop resolved")
    run.let_go()
    run.wait_end()
    assert run.story()[-1] == "stopped"


@pytest.mark.parametrize("by", ["message", "file"])
def test_a_stop_ends_the_retries_of_a_page(run, closed_port, by):
    run.plan([1])
    run.requests({"backend": "webhook", "url": f"http://{HOST}:{closed_port}/", "body": {}})
    run.arm({1: SOON})
    run.wait_for("failed 1 built-in")
    if by == "message":
        run.say("stop ack")
    else:
        run.write("inbox/1-ack.json", "")
    run.let_go()
    run.wait_end()
    assert (run.events[-1]["why"], run.events[-1]["levels"]) == ("ack", [1])


def test_a_level_that_recovered_tells_nobody(run):
    run.plan([76])
    run.arm({1: SOON, 2: FAR})
    assert [run.hear(), run.hear()] == ["fired 1", "stopped recovered"]
    run.let_go()
    run.wait_end()


# The built-in page

@pytest.mark.parametrize("step", [1, 3, "crash"])
def test_a_broken_script_brings_the_built_in_page_once(run, pagerduty, slack, step):
    run.plan([step])
    run.write("journal.jsonl", FINDINGS)
    run.requests(pagerduty_request(pagerduty, custom_details={"findings": ["⟦findings⟧"]}), slack_request(slack))
    run.arm({1: SOON}, SECRETS)
    run.let_go()
    run.wait_end()
    assert run.story() == ["armed", "fired 1", "failed 1 script", "delivered 1 built-in"]
    event, = pagerduty.events
    findings = "Database: PostgreSQL accepts connections (connection refused)\nSystem resources: unknown: no permission"
    assert event["payload"]["summary"] == "API Down: " + findings
    assert event["payload"]["custom_details"] == {"findings": [findings]}
    assert slack.texts("team-lead") == [findings]
    assert run.lines("escalation/page-1.done") == ["0", "1"]


def test_a_missing_program_brings_the_built_in_page(run, webhook):
    os.unlink(run.self)
    run.requests(webhook_request(webhook))
    run.arm({1: SOON}, SECRETS)
    run.wait_for("delivered 1 built-in")
    assert run.events[2]["why"] == "the program could not be started"
    assert webhook.requests[0].headers["X-Key"] == "hook-secret"
    assert webhook.requests[0].json == {"text": "no check had failed yet"}


@pytest.mark.slow
@pytest.mark.limit(150)
def test_a_script_that_hangs_is_killed_and_paged_for(run, webhook):
    run.plan(["hang"])
    run.requests(webhook_request(webhook))
    run.arm({1: SOON}, SECRETS)
    wait_for(lambda: run.calls, "the child")
    os.kill(run.calls[0]["pid"], signal.SIGSTOP)
    run.wait_for("delivered 1 built-in", 75)
    assert run.events[2]["why"] == "took longer than 60 s"
    assert not os.path.exists(f"/proc/{run.calls[0]['pid']}")


def test_a_page_is_retried_until_the_network_is_back(run, webhook):
    run.plan([1])
    run.requests(webhook_request(webhook))
    webhook.stop()
    run.arm({1: SOON}, SECRETS)
    run.wait_for("failed 1 built-in")
    time.sleep(0.5)
    webhook.start()
    run.wait_for("delivered 1 built-in", 30)
    assert len(webhook.requests) == 1


def test_nothing_configured_is_said_and_not_retried(run):
    run.plan([1])
    run.requests()
    run.arm({1: SOON})
    run.let_go()
    run.wait_end()
    assert run.story()[-1] == "failed 1 built-in" and "no pager" in run.events[-1]["why"]


# The outbox

def test_what_the_script_queued_is_delivered(run):
    run.plan(["queue"], [1, "done"])
    run.requests()
    run.arm({1: SOON})
    run.wait_for("delivered 1 script")
    assert run.story() == ["armed", "fired 1", "failed outbox", "failed 1 built-in", "delivered 1 script"]
    assert [call["argv"] for call in run.calls] == [["_escalate", run.path, "1"]] + 2 * [["_deliver", run.path]]


def test_a_queue_that_does_not_empty_brings_the_built_in_page(run, webhook):
    run.plan(["queue"], [1])
    run.requests(webhook_request(webhook))
    run.arm({1: SOON}, SECRETS)
    run.wait_for("delivered 1 built-in")
    assert run.story()[:4] == ["armed", "fired 1", "failed outbox", "delivered 1 built-in"]
    wait_for(lambda: len(run.calls) >= 3, "another delivery")


def test_the_outbox_of_a_dead_interpreter_is_delivered(run):
    run.plan(deliver=[1, "done"])
    run.arm({1: FAR}, SECRETS)
    run.write("outbox/0001.json", {})
    time.sleep(0.3)
    assert run.calls == []
    run.let_go()
    wait_for(lambda: len(run.calls) == 2, "a second delivery")
    assert "HOOK 11\nhook-secret" in run.calls[0]["secrets"]


def test_a_stopped_run_still_empties_its_outbox(run):
    run.plan(deliver=[1, "done"])
    run.arm({1: FAR})
    run.write("outbox/0001.json", {})
    run.say("stop resolved")
    run.say("deliver")
    wait_for(lambda: run.calls, "a delivery")
    run.let_go()
    run.wait_end()
    assert len(run.calls) == 2


def test_a_delivery_that_lies_is_not_believed(run):
    run.plan(deliver=[0, "done"])
    run.write("outbox/0001.json", {})
    run.arm({1: FAR})
    run.say("stop ack")
    run.let_go()
    run.wait_end()
    assert [event.get("why") for event in run.events][1:] == ["ack", "the outbox is not empty"]


# The process

def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file)


def sanitized():
    with open(executable("runbook-watchdog"), "rb") as file:
        return b"__asan_init" in file.read()


def test_memory_stays_under_two_megabytes(run, webhook):
    if sanitized():
        pytest.skip("a build with sanitizers has a memory of its own")
    run.plan([1])
    run.requests(webhook_request(webhook))
    run.arm({1: SOON, 2: FAR}, {**SECRETS, "BIG": "x" * 60000})
    run.wait_for("delivered 1 built-in")
    memory = status_of(run.process.pid)
    kilobytes = {name: int(memory[name].split()[0]) for name in ("VmRSS", "VmHWM")}
    print(kilobytes)
    assert max(kilobytes.values()) < 2048


def test_its_session_signals_and_descriptors(run):
    leak = open(os.path.join(run.path, "leak"), "w")
    os.set_inheritable(leak.fileno(), True)
    run.arm({1: 1.5})
    pid = run.process.pid
    assert os.getsid(pid) == pid and os.getpgid(pid) == pid
    links = {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert [links[fd] for fd in (0, 1, 2)] == 3 * ["/dev/null"]
    assert run.path + "/leak" not in links.values() and "socket:" in links[3]
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGPIPE, signal.SIGQUIT):
        os.kill(pid, number)
    run.wait_for("delivered 1 script")


def test_nothing_is_left_of_a_child(run):
    run.plan(["leave"])
    run.arm({1: SOON})
    run.wait_for("delivered 1 script")
    left = "/proc/" + open(os.path.join(run.path, "left")).read()
    wait_for(lambda: not os.path.exists(left) or status_of(left[6:])["State"].startswith("Z"), "what it left is killed")


def test_a_kill_by_name_is_obeyed_and_written_down(run):
    run.plan(["hang"])
    run.arm({1: SOON, 2: FAR})
    wait_for(lambda: run.calls, "the child")
    os.kill(run.process.pid, signal.SIGTERM)
    run.wait_end()
    assert run.events[-1]["why"] == f"ended by signal 15 from process {os.getpid()}" and run.events[-1]["levels"] == [1, 2]
    wait_for(lambda: not os.path.exists(f"/proc/{run.calls[0]['pid']}"), "the child is killed")


def test_it_is_not_dumpable(lab_folder):
    """Its memory holds the secrets: not even its own user's debugger may look. Such a process belongs to root in /proc."""
    folder = os.path.join(lab_folder, "dumpable")
    os.mkdir(folder)
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with control, subprocess.Popen([executable("runbook-watchdog"), folder], env={}, close_fds=False, user=user,
                                   preexec_fn=lambda: os.dup2(other.fileno(), 3)) as process:
        other.close()
        wait_for(lambda: os.path.exists(folder + "/escalation.jsonl"), "its journal")
        owner = os.stat(f"/proc/{process.pid}/mem").st_uid
        control.close()
    assert owner == 0 and os.stat(folder + "/escalation.jsonl").st_uid != 0


def test_one_watchdog_a_run(run):
    run.arm({1: FAR})
    first, control = run.process, run.control
    run.start()
    assert run.hear() == f"error locked process {first.pid} watches this run already"
    assert run.process.wait(5) == 1 and run.story() == ["armed"]
    assert open(os.path.join(run.path, "watchdog.lock")).read().startswith(f"{first.pid} ")
    control.close()


def test_a_holder_whose_lease_is_over_is_replaced(run):
    run.arm({1: FAR})
    first, control = run.process, run.control
    os.kill(first.pid, signal.SIGSTOP)
    run.write("watchdog.lock", f"{first.pid} 1.000\n")
    run.arm({1: SOON})
    assert first.wait(5) == -signal.SIGKILL
    run.wait_for("delivered 1 script")
    assert run.story() == ["armed", "armed", "fired 1", "delivered 1 script"]
    control.close()


def test_secrets_are_in_no_file_and_no_process_listing(run, webhook):
    run.plan(["crash"])
    run.requests(webhook_request(webhook, "/status"), {"backend": "slack", "url": webhook.url, "body": {},
                                                       "headers": {"Authorization": "Bearer ⟦SLACK_TOKEN:plain⟧"}})
    webhook.timeout_next(2)
    secrets = {name: f"{name}-{uuid.uuid4()}" for name in SECRETS}  # nobody else's tests have these
    run.arm({1: SOON}, secrets)
    seen = b""
    end = time.monotonic() + 4
    while time.monotonic() < end:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for name in ("cmdline", "environ"):
                try:
                    with open(f"/proc/{pid}/{name}", "rb") as file:
                        seen += file.read() if int(pid) != os.getpid() else b""
                except OSError:
                    pass
        time.sleep(0.05)
    assert b"runbook-page" in seen
    for folder, _, names in os.walk(run.path):
        for name in names:
            if name != "calls.jsonl":  # the fake binary's own
                with open(os.path.join(folder, name), "rb") as file:
                    seen += file.read()
    assert webhook.requests[0].headers["X-Key"] == secrets["HOOK"]
    for value in secrets.values():
        assert value.encode() not in seen


# What it is told

@pytest.mark.parametrize("messages, answer", [
    (["self /x", "arm 0 1"], "error usage levels are 1 to 16, within a year"),
    (["self /x", "arm 1 -1"], "error usage levels are 1 to 16, within a year"),
    (["self /x", "arm 1 nan"], "error usage levels are 1 to 16, within a year"),
    (["self /x", "arm 1"], "error usage levels are 1 to 16, within a year"),
    (["arm 1 1"], "error usage no program to run"),
    (["secret X=" + "x" * 65536], "error limit the secrets are longer than 65536 bytes"),
    (["secret A B=1"], "error usage a secret is NAME=VALUE"),
    (["secret X"], "error usage a secret is NAME=VALUE"),
    (["env X"], "error usage a variable is NAME=VALUE"),
    ([b"\x00\xff"], "error usage unknown message ''"),
    (["x" * 70000], "error limit a message is longer than 65792 bytes"),
])
def test_nonsense_is_refused(run, messages, answer):
    run.start()
    for message in messages:
        run.say(message)
    assert run.hear() == answer
    run.let_go()
    run.wait_end()
    assert run.events == []


# The journal

def test_its_journal_goes_on_after_a_torn_line(run):
    run.arm({1: FAR})
    run.let_go()
    run.process.kill()
    run.process.wait()
    with open(os.path.join(run.path, "escalation.jsonl"), "a") as file:
        file.write('{"seq":2,"at":"2026')
    run.arm({1: SOON})
    run.wait_for("delivered 1 script")
    assert run.story() == ["armed", "armed", "fired 1", "delivered 1 script"]


def test_a_damaged_journal_is_refused(run):
    run.write("escalation.jsonl", "not ours\n")
    run.start()
    assert run.hear() == "error io escalation.jsonl: its last line is damaged"
    run.write("escalation.jsonl", "")


def test_a_run_without_a_folder_is_refused(run):
    run.path += "/nowhere"
    run.start()
    assert run.hear().startswith("error missing ")


@pytest.mark.parametrize("room", [0, 40])
def test_a_full_disk_does_not_silence_it(run, webhook, room):
    run.plan([1])
    run.requests(webhook_request(webhook))
    run.arm({1: 1.0}, SECRETS)
    size = os.path.getsize(os.path.join(run.path, "escalation.jsonl"))
    resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (size + room, size + room))
    webhook.wait_for_requests(1)
    assert run.story() == ["armed"]


# runbook-page by itself

@pytest.fixture
def page(run):
    """page(request…) -> (exit code, stderr), with SECRETS at hand."""
    def send(*requests, secrets=SECRETS, level=1):
        if requests:
            run.requests(*requests, level=level)
        read, write = os.pipe()
        for name, value in secrets.items():
            os.write(write, f"{name} {len(value.encode())}\n{value}".encode())
        os.close(write)
        done = subprocess.run([executable("runbook-page"), run.path, str(level)], env={}, close_fds=False, capture_output=True,
                              preexec_fn=lambda: os.dup2(read, 3), timeout=60)
        os.close(read)
        text = done.stderr.decode()
        assert not any(mark in done.stderr for mark in SANITIZER_MARKS), text
        assert not any(value and value in text for value in secrets.values())
        return done.returncode, text
    return send


def test_page_waits_as_told_after_429(page, pagerduty):
    pagerduty.fail_next(1, 429, retry_after=2)
    began = time.monotonic()
    assert page(pagerduty_request(pagerduty))[0] == 0
    assert time.monotonic() - began >= 2 and len(pagerduty.events) == 1


def test_page_does_not_wait_longer_than_it_has(page, pagerduty):
    pagerduty.fail_next(1, 429, retry_after=3000)
    began = time.monotonic()
    assert page(pagerduty_request(pagerduty)) == (1, "request 0: HTTP status 429\n")
    assert time.monotonic() - began < 5


def test_page_retries_server_errors_and_resets(page, webhook):
    webhook.fail_next(1, 503)
    webhook.reset_next(1)
    assert page(webhook_request(webhook))[0] == 0
    assert len(webhook.requests) == 3


def test_page_does_not_repeat_what_was_refused(page, webhook):
    webhook.fail_next(1, 400)
    assert page(webhook_request(webhook)) == (1, "request 0: HTTP status 400\n")
    assert len(webhook.requests) == 1


def test_page_repeats_only_what_was_not_delivered(page, webhook, slack):
    slack.error_next("channel_not_found", 3)
    assert page(webhook_request(webhook), slack_request(slack))[0] == 1
    assert page()[0] == 0
    assert len(webhook.requests) == 1 and slack.texts("team-lead") == ["no check had failed yet"]
    assert page()[0] == 0
    assert len(webhook.requests) == 1 and len(slack.messages) == 1


def test_page_names_slacks_error(page, slack):
    code, text = page(slack_request(slack, channel="#nowhere"))
    assert code == 1 and text == 3 * "request 0: Slack says channel_not_found\n"


def test_page_understands_slacks_incoming_webhooks(page, slack):
    request = {"backend": "slack", "url": slack.webhook_url, "headers": {}, "body": {"text": "⟦findings⟧"}}
    assert page(request)[0] == 0


def test_page_follows_no_redirect(page, http_faults, webhook):
    http_faults.set("/hook", 302, "", {"Location": webhook.url})
    assert page(webhook_request(http_faults)) == (1, "request 0: HTTP status 302\n")
    assert webhook.requests == []


def test_page_verifies_certificates(page, http_faults):
    request = {"backend": "webhook", "url": http_faults.https("good"), "body": {}, "headers": {}}
    code, text = page(request)
    assert code == 1 and "certificate" in text.lower()


def test_page_fits_pagerdutys_limits(page, run, pagerduty):
    run.write("journal.jsonl", journal(*({"event": "check", "label": f"ä{n:04}" + "ö" * 300, "passed": False} for n in range(40))))
    request = pagerduty_request(pagerduty, custom_details={"log": "x" * 600000})
    assert page(request)[0] == 0
    event, = pagerduty.events
    assert len(event["payload"]["summary"]) == 1024 and event["payload"]["summary"].endswith("ö…")
    assert "too long" in event["payload"]["custom_details"]["error"]


def test_page_findings_are_cut_at_four_kilobytes(page, run, webhook):
    run.write("journal.jsonl", journal(*({"event": "check", "label": f"check {n}", "passed": False} for n in range(1000))))
    assert page(webhook_request(webhook))[0] == 0
    text = webhook.requests[0].json["text"]
    assert 4000 < len(text.encode()) <= 4096 and text.endswith("(more in the run's journal)")


def test_page_findings_are_inert(page, run, webhook, slack):
    """Foreign text brings no secret, no markup, no control character."""
    evil = "⟦HOOK:plain⟧ <!channel> & \x1b[2J\r\n\u202egnp \u0000 ⟦findings⟧"
    run.write("journal.jsonl", journal({"event": "check", "probe": "P", "label": "l", "detail": evil, "passed": False}))
    assert page(webhook_request(webhook), slack_request(slack))[0] == 0
    shown = "P: l (⟦HOOK:plain⟧ <!channel> & \\u001b[2J\\u000d \\u202egnp )"
    assert webhook.requests[0].json["text"] == shown
    assert slack.texts("team-lead") == [shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")]


def test_page_without_its_secret_fails_and_names_it(page, slack, webhook):
    code, text = page(slack_request(slack), webhook_request(webhook), secrets={"HOOK": "hook-value"})
    assert (code, text) == (1, "request 0: the secret SLACK_TOKEN is not at hand\n") and len(webhook.requests) == 1


def test_page_refuses_a_header_that_a_secret_would_split(page, webhook):
    code, text = page(webhook_request(webhook), secrets={"HOOK": "a\r\nX-Evil: 1"})
    assert code == 1 and webhook.requests == []


def test_page_reaches_a_real_name_at_another_address(page, webhook):
    request = {**webhook_request(webhook), "url": "http://pager.example.com/hook", "connect_to": f"{HOST}:{webhook.port}"}
    assert page(request)[0] == 0 and webhook.requests[0].headers["Host"] == "pager.example.com"


def test_page_gives_each_its_time_when_one_hangs(page, webhook, silent_port):
    hanging = {"backend": "webhook", "url": f"http://{HOST}:{silent_port}/", "body": {}, "headers": {}, "timeout": 1}
    assert page(hanging, webhook_request(webhook))[0] == 1
    assert len(webhook.requests) == 1


@pytest.mark.parametrize("text, code", [('{"requests":[]}', 3), ("{", 1), ('{"requests":7}', 1), ('{"requests":[7]}', 1),
                                        ('{"requests":[{"backend":"webhook","url":"file:///etc/passwd","body":{}}]}', 1)])
def test_page_with_a_strange_file(page, run, text, code):
    run.write("escalation/page-1.json", text)
    assert page()[0] == code


def test_page_without_a_file_has_nothing_to_send(page):
    assert page(level=2)[0] == 3


def test_page_usage():
    done = subprocess.run([executable("runbook-page"), "relative", "1"], capture_output=True)
    assert done.returncode == 2 and b"usage" in done.stderr


# raw.watchdog

@pytest.fixture
def host(run, luahost, sandbox):
    """host(lua, …) -> what it showed; `start(options)` is at hand there. The sandbox ends the watchdogs it leaves."""
    prelude = f"""
local watchdog, task = require "raw.watchdog", require "raw.task"
local function start(options)
  options.run_path, options.self = options.run_path or {lua(run.path)}, {lua(run.self)}
  options.levels = options.levels or {{{{ after = 600, index = 1 }}}}
  return watchdog.start(options)
end
local function wait(handle, name)
  for _ = 1, 200 do
    if #handle:status()[name] > 0 then return handle:status() end
    task.sleep(0.05)
  end
end
"""
    return lambda text, **options: ask(luahost, prelude + text, **options)


def test_raw_start_returns_armed_and_outlives_its_host(run, host):
    began = time.monotonic()
    shown, = host("""
local handle = assert(start { levels = { { after = 1, index = 1 }, { after = 600, index = 2 } },
                              secrets = { KEY = "a\\0b\\n" }, env = { PATH = "/usr/bin:/bin", LANG = "C" } })
show(handle:status())""")
    assert time.monotonic() - began < 2.5
    status, = shown
    assert status["alive"] is True and {key: status[key] for key in ("fired", "delivered", "failed")} == dict.fromkeys(
        ("fired", "delivered", "failed"), {})
    assert os.getsid(status["pid"]) == status["pid"]
    run.wait_for("delivered 1 script")
    assert run.calls[0]["secrets"] == "KEY 4\na\0b\n" and run.calls[0]["env"]["LANG"] == "C"
    assert status_of(status["pid"])["PPid"] != "0" and os.path.exists(f"/proc/{status['pid']}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_raw_watchdog_needs_no_living_host(run, sandbox, number):
    process = sandbox.start("luahost", sandbox.write("host.lua", f"""
local handle = assert(require("raw.watchdog").start {{ run_path = {lua(run.path)}, self = {lua(run.self)},
  levels = {{ {{ after = 1, index = 1 }} }}, env = {{ PATH = "/usr/bin:/bin" }} }})
while true do end"""))
    wait_for(lambda: run.events, "armed")
    process.send_signal(number)
    run.wait_for("delivered 1 script")
    process.kill()
    process.communicate()


def test_raw_fire_stop_and_status(run, host):
    shown = host("""
local handle = start { levels = { { after = 600, index = 1 }, { after = 700, index = 2 } }, env = { PATH = "/usr/bin:/bin" } }
show(handle:fire(1))
show(wait(handle, "delivered"))
show(handle:secret("K", "v") and handle:arm { { after = 500, index = 2 }, { after = 800, index = 3 } })
show(handle:stop("resolved"))
task.sleep(0.3)
show(handle:status())
show(handle:arm { { after = 500, index = 2 } })
handle:detach()
show(handle:status().alive, pcall(handle.stop, handle, "ack"))""")
    assert [shown[0], shown[2], shown[3]] == [[True]] * 3
    assert shown[1][0]["fired"] == shown[1][0]["delivered"] == [1]
    assert shown[4][0]["stopped"] == "resolved" and shown[4][0]["alive"] is True
    assert shown[5][1]["kind"] == "cancelled"
    assert shown[6][:2] == [False, False] and "let go" in shown[6][2]
    wait_for(lambda: not os.path.exists(os.path.join(run.path, "watchdog.lock")), "its end")
    assert run.events[-1]["levels"] == [2, 3]


def test_raw_tells_when_the_watchdog_died(run, sandbox):
    """And another one can be started then."""
    process = sandbox.start("luahost", sandbox.write("host.lua", f"""
local watchdog, task = require "raw.watchdog", require "raw.task"
local options = {{ run_path = {lua(run.path)}, self = {lua(run.self)}, levels = {{ {{ after = 600, index = 1 }} }} }}
local handle = assert(watchdog.start(options))
while handle:status().alive do task.sleep(0.05) end
local ok, err = handle:fire(1)
print(ok, err.kind, watchdog.start(options) ~= nil)"""))
    wait_for(lambda: run.events, "armed")
    os.kill(int(open(os.path.join(run.path, "watchdog.lock")).read().split()[0]), signal.SIGKILL)
    assert process.communicate(timeout=20)[0] == b"nil\treset\ttrue\n"
    assert run.story() == ["armed", "armed"]


def test_raw_failures_are_values(run, host):
    shown = host(f"""
show(start {{ run_path = {lua(run.path + "/nowhere")} }})
local first = start {{}}
show(start {{}})
first:stop("abort")
show(start {{ secrets = {{ X = ("x"):rep(65530) }}, run_path = {lua(os.path.dirname(run.path))} }})
show(start {{ secrets = {{ X = ("x"):rep(70000) }}, run_path = {lua(os.path.dirname(run.path))} }})""")
    assert [row[0] for row in shown] == [None] * 4
    assert [row[1]["kind"] for row in shown] == ["missing", "locked", "limit", "limit"]


@pytest.mark.parametrize("call", [
    "start { run_path = 'relative' }", "start { levels = { { after = -1 } } }", "start { levels = { { after = 0 / 0 } } }",
    "start { levels = { { after = 1, index = 17 } } }", "start { secrets = { ['A B'] = 'x' } }", "start { secrets = { A = 1 } }",
    "start { env = { ['A=B'] = 'x' } }", "start { env = 7 }", "watchdog.start { run_path = '/x', self = '/x' }", "watchdog.start()"])
def test_raw_misuse_raises(host, call):
    assert host(f"show((pcall(function() return {call} end)))") == [[False]]
