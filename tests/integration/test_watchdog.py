"""The watchdog, driven as the interpreter drives it: over a socket, with a fake runbook binary."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

import pytest

from lab.process import HOST, wait_for
from lab.program import executable
from lab.watchdog import (FAR, FINDINGS, SECRETS, SOON, pagerduty_request, run, sanitized, slack_request, status_of,
                          webhook_request)

SECRET = "s3cret\nwith a line=and more"


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
    run.expect(["armed", "fired 1", "delivered 1 script"])
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
    run.expect(["armed", "fired 1", "fired 2", "delivered 2 script"])


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
    run.expect(["armed", "fired 1", "delivered 1 script", "armed", "fired 3", "delivered 3 script"])
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
    wait_for(lambda: run.events[-1]["event"] == "escalation.stopped", "it stands in its journal")
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
    run.expect(["armed", "stopped"])
    assert run.events[-1]["why"] == why and run.calls == []


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


def test_a_level_whose_goal_holds_is_put_off(run):
    run.plan([76])
    run.arm({1: SOON, 2: FAR})
    assert [run.hear(), run.hear()] == ["fired 1", "held 1"]
    run.expect(["armed", "fired 1", "held 1"])
    run.say("fire 1")
    wait_for(lambda: len(run.calls) == 2, "the level again")
    assert [call["argv"] for call in run.calls] == [["_escalate", run.path, "1"], ["_escalate", run.path, "1", "now"]]


def test_a_rehearsal_is_carried_out_by_the_levels_program(run):
    run.arm({1: FAR}, SECRETS)
    plan = {"_escalate": [0], "_deliver": [0], "_rehearse": [6, 0]}
    run.write("plan.json", plan)
    run.say("rehearse")
    assert run.hear() == "rehearsed 6"
    run.say("rehearse")
    assert run.hear() == "rehearsed 0"
    assert "HOOK 11\nhook-secret" in run.calls[0]["secrets"] and run.calls[0]["argv"] == ["_rehearse", run.path]


# The built-in page

@pytest.mark.parametrize("step", [1, 3, "crash"])
def test_a_broken_script_brings_the_built_in_page_once(run, pagerduty, slack, step):
    run.plan([step])
    run.write("journal.jsonl", FINDINGS)
    run.requests(pagerduty_request(pagerduty, custom_details={"findings": ["⟦findings⟧"]}), slack_request(slack))
    run.arm({1: SOON}, SECRETS)
    run.let_go()
    run.wait_end()
    run.expect(["armed", "fired 1", "failed 1 script", "delivered 1 built-in"])
    event, = pagerduty.events
    first = "Database: not so: PostgreSQL accepts connections: connection refused"
    findings = first + "\nSystem resources: not known: no permission"
    assert event["payload"]["summary"] == "API Down: " + first
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
    run.expect(["armed", "fired 1", "failed outbox", "failed 1 built-in", "delivered 1 script"])
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
    program = shutil.copy(executable("runbook-watchdog"), folder)    # where it was built, nobody may have no way to
    with control, subprocess.Popen([program, folder], env={}, close_fds=False, user=user,
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
    run.expect(["armed", "armed", "fired 1", "delivered 1 script"])
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
    run.expect(["armed", "armed", "fired 1", "delivered 1 script"])


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
    run.expect(["armed"])
