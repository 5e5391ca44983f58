"""The docker family against a real engine. Each effect is carried out as the gate does it: arguments are checked, a write is
previewed, and its preview goes to its run."""

import json
import os
import shutil
import socket
import threading
import time

import pytest

from lab.docker import CLIENT, IMAGE
from lab.process import HOST, wait_for
from lab.tls import Authority
from lab.web import Site

HOST_LUA = """
local catalogue, json, tasks, values = require "catalogue", require "raw.json", require "tasks", require "values"
local settings = require "settings"
local given = json.decode((...))
for name, value in pairs(given.docker) do settings.docker[name] = value end
settings.environment.HOME = given.home
if given.no_cgroup then require("raw.sys").cgroup = function() return nil, { kind = "missing", message = "none" } end end
settings.environment.PATH = given.path or "/usr/bin:/bin"
catalogue.family "docker"
catalogue.family "compose"

local function without_infinity(preview)
  if preview and preview.size == math.huge then preview.size = "unknown" end
  return preview
end

local function perform(step)
  local entry = catalogue.effects[step[1]]
  local ok, call = pcall(catalogue.call, entry, table.unpack(step, 2))
  if not ok then return { raised = call } end
  call = values.reveal_all(call)
  local preview = entry.preview and entry.preview(call)
  if given.meanwhile then
    local gone = require "raw.files"
    while gone.stat(given.meanwhile).state == "absent" do tasks.sleep(0.01) end
  end
  local came, fields, err
  local class = type(entry.class) == "function" and entry.class(call) or entry.class
  if preview and (preview.impossible or given.only_preview) and class ~= "declared" then
    came = true
  elseif given.cancel_after then
    local task = tasks.spawn(function() return entry.run(call, preview) end)
    tasks.sleep(given.cancel_after)
    tasks.cancel(task)
    came = true
    tasks.join(task)
  else
    local began = tasks.now()
    came, fields, err = pcall(entry.run, call, preview)
    if not came then fields, err = nil, { raised = tostring(fields) } end
    step.seconds = tasks.now() - began
  end
  local verified
  if fields and entry.verify then verified = entry.verify(call, preview) end
  return { fields = fields, error = err, preview = without_infinity(preview), seconds = step.seconds, class = class,
           verified = verified, would = entry.would and entry.would(call, preview) or nil, line = catalogue.line(entry, call),
           command = entry.command and entry.command(call), target = entry.target and entry.target(call) }
end

for _, step in ipairs(given.steps) do print(json.encode(perform(step))) end
"""


@pytest.fixture
def effects(docker_engine, luahost, sandbox):
    """effects(step, …) -> what came of each; a step is (name, argument, …)."""
    def run(*steps, docker=None, **given):
        given = {"docker": docker if docker is not None else {"host": docker_engine.host}, "steps": steps, "home": sandbox.folder,
                 **given}
        done = luahost(HOST_LUA, json.dumps(given))
        assert done.code == 0, done
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return run


@pytest.fixture
def effect(effects):
    return lambda *step, **given: effects(step, **given)[0]


def text_of(outcome):
    return outcome["error"]["message"]


# Reads

def test_inspect_tells_what_a_container_is(docker_engine, effect):
    docker_engine.run("box", "sleep", "1000", options=("-e", "DB_PASSWORD=hunter2", "-e", "URL=pg://u:hunter2@db/x", "-e", "A=1",
                                                       "-m", "128m", "--restart", "unless-stopped", "--label", "team=core"))
    fields = effect("docker.inspect", "box")["fields"]
    assert fields["state"] == "running" and fields["summary"].startswith("running for ")
    assert fields["env"] == {"DB_PASSWORD": "***", "URL": "pg://***@db/x", "A": "1", "PATH": "/bin"}
    assert fields["restart_policy"] == "unless-stopped" and fields["restarts"] == 0 and fields["image"] == IMAGE
    assert fields["memory_limit"] == 128 << 20 and fields["labels"] == {"team": "core"} and fields["pid"] > 0
    assert abs(fields["started_at"] - time.time()) < 60 and abs(fields["created_at"] - time.time()) < 60
    assert fields["oom_killed"] is False and "exit_code" not in fields


def test_inspect_tells_how_a_container_ended(docker_engine, effects):
    docker_engine.run("ended", "sh", "-c", "exit 3")
    docker_engine.run("loops", "false", options=("--restart", "always"))
    docker_engine.cli("create", "--name", "fresh", IMAGE)
    wait_for(lambda: docker_engine.inspect("ended")["State"]["Status"] == "exited", "it ends")
    wait_for(lambda: docker_engine.inspect("loops")["RestartCount"] > 0, "it is started again")
    ended, loops, fresh, absent = (it["fields"] for it in effects(*(("docker.inspect", name)
                                                                    for name in ("ended", "loops", "fresh", "nobody"))))
    assert ended["state"] == "exited" and ended["exit_code"] == 3 and ended["summary"].startswith("exited (3) ")
    assert loops["state"] in ("restarting", "running", "exited") and loops["restarts"] > 0
    assert fresh["state"] == "created" and "started_at" not in fresh and fresh["summary"] == "created, never started"
    assert absent["ok"] and absent["state"] == "absent" and absent["env"] == {}


def test_inspect_tells_that_memory_ran_out(docker_engine, effect):
    docker_engine.run("greedy", "sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1", options=("-m", "16m", "--memory-swap", "16m"))
    wait_for(lambda: docker_engine.inspect("greedy")["State"]["Status"] == "exited", "it ends")
    fields = effect("docker.inspect", "greedy")["fields"]
    assert fields["oom_killed"] is True and fields["summary"].endswith("out of memory"), fields


def test_ps_version_disk_usage_and_events(docker_engine, effects):
    docker_engine.run("one", "sleep", "1000")
    docker_engine.run("two", "true")
    wait_for(lambda: docker_engine.inspect("two")["State"]["Status"] == "exited", "it ends")
    everything, running, named, version, usage, events = (it["fields"] for it in effects(
        ("docker.ps",), ("docker.ps", {"all": False}), ("docker.ps", {"name": "tw"}), ("docker.version",), ("docker.disk_usage",),
        ("docker.events", {"since": "1m", "container": "two"})))
    assert {it["name"]: it["state"] for it in everything["containers"]} == {"one": "running", "two": "exited"}
    assert everything["count"] == 2 and everything["running"] == 1 and running["count"] == 1
    assert [it["name"] for it in named["containers"]] == ["two"]
    assert version["api"] == "1.41" and version["host"] == docker_engine.host
    assert usage["images"]["count"] >= 1 and usage["bytes"] > 1_000_000 and usage["containers"]["count"] == 2
    assert [it["action"] for it in events["events"]][-1] == "die" and events["events"][-1]["exit_code"] == 0


# Logs

def test_logs_take_both_streams_apart_from_the_framing(docker_engine, effects):
    docker_engine.run("talks", "sh", "-c", "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.05; done; sleep 1000")
    wait_for(lambda: docker_engine.cli("logs", "talks").count("out") == 3, "it has spoken")
    both, out, last, nobody = (it["fields"] for it in effects(
        ("docker.logs", "talks"), ("docker.logs", "talks", {"stream": "stdout"}), ("docker.logs", "talks", {"tail": 1}),
        ("docker.logs", "nobody")))
    assert sorted(both["text"].splitlines()) == ["err 1", "err 2", "err 3", "out 1", "out 2", "out 3"]
    assert out["text"] == "out 1\nout 2\nout 3\n" and len(last["text"].splitlines()) == 1
    assert nobody["ok"] and nobody["state"] == "absent" and nobody["text"] == ""


def test_logs_of_a_terminal_and_of_a_span_of_time(docker_engine, effects):
    docker_engine.run("tty", "sh", "-c", "echo hello; sleep 1000", options=("-t",))
    docker_engine.run("old", "sh", "-c", "echo before; sleep 1.5; echo after; sleep 1000")
    wait_for(lambda: "after" in docker_engine.cli("logs", "old"), "it has spoken")
    tty, recent, until = (it["fields"] for it in effects(("docker.logs", "tty"), ("docker.logs", "old", {"since": "1s"}),
                                                         ("docker.logs", "old", {"until": "1s"})))
    assert tty["text"] == "hello\r\n"
    assert recent["text"] == "after\n" and until["text"] == "before\n"


@pytest.mark.slow
def test_a_large_log_keeps_its_newest_megabyte(docker_engine, effect):
    docker_engine.run("floods", "sh", "-c", "yes '0123456789 0123456789 0123456789' | head -n 1000000; echo the end")
    wait_for(lambda: docker_engine.inspect("floods")["State"]["Status"] == "exited", "it ends", 60)
    done = effect("docker.logs", "floods", {"tail": "all", "timeout": "60s"})
    text = done["fields"]["text"]
    assert done["fields"]["cut"] is True and text.endswith("\nthe end\n")
    assert 500_000 < len(text) < 1 << 20 and set(text.splitlines()[1:-1]) == {"0123456789 0123456789 0123456789"}


# Programs in containers

def test_exec_tells_code_and_both_streams(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000")
    reads = {"reads": True}
    well, bad, expected, json_out, missing = effects(
        ("docker.exec", "box", ["sh", "-c", "echo $B; pwd; echo e >&2"], {**reads, "env": {"B": "b c"}, "cwd": "/tmp"}),
        ("docker.exec", "box", ["sh", "-c", "echo o; echo broken >&2; exit 3"], reads),
        ("docker.exec", "box", ["sh", "-c", "exit 3"], {**reads, "expect": [0, 3]}),
        ("docker.exec", "box", ["echo", '{"a": 1}'], reads),
        ("docker.exec", "box", ["nosuchprogram"], reads))
    assert well["class"] == "declared" and well["fields"] == {"code": 0, "stdout": "b c\n/tmp\n", "stderr": "e\n", "cut": False}
    assert bad["fields"]["ok"] is False and bad["fields"]["code"] == 3 and bad["fields"]["stdout"] == "o\n"
    assert bad["fields"]["why"] == "exit code 3: broken"
    assert expected["fields"].get("ok") is not False and json_out["fields"]["stdout"] == '{"a": 1}\n'
    assert missing["error"]["kind"] == "missing" and "nosuchprogram" in text_of(missing)


def test_exec_has_a_deadline_and_keeps_the_newest_output(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000")
    late, long, write = effects(
        ("docker.exec", "box", ["sleep", "60"], {"reads": True, "timeout": "500ms"}),
        ("docker.exec", "box", ["sh", "-c", "yes 0123456789 | head -n 200000; echo the end; exit 4"], {"reads": True, "expect": [4]}),
        ("docker.exec", "box", ["sleep", "60"], {"timeout": "500ms"}))
    assert late["fields"]["ok"] is False and "may still run" in late["fields"]["why"] and late["seconds"] < 2
    assert long["fields"]["code"] == 4 and long["fields"]["cut"] is True and long["fields"]["stdout"].endswith("the end\n")
    assert write["class"] == "write" and write["error"]["kind"] == "timeout"


def test_exec_is_refused_where_it_could_be_the_end(docker_engine, effects):
    docker_engine.run("tight", "sleep", "1000", options=("-m", "32m"))
    docker_engine.run("ended", "true")
    wait_for(lambda: docker_engine.inspect("ended")["State"]["Status"] == "exited", "it ends")
    tight, ended, nobody, write = effects(*(("docker.exec", name, ["ls"], {"reads": True}) for name in ("tight", "ended", "nobody")),
                                          ("docker.exec", "tight", ["ls"]))
    assert tight["error"]["kind"] == "memory" and "below its memory limit" in text_of(tight)
    assert ended["error"]["kind"] == "missing" and "does not run: exited (0)" in text_of(ended)
    assert nobody["error"]["kind"] == "missing"
    assert "memory limit" in write["preview"]["impossible"]


# Use

@pytest.mark.parametrize("no_cgroup", [False, True])
def test_stats(docker_engine, effects, no_cgroup):
    docker_engine.run("busy", "sh", "-c", "while true; do :; done", options=("-m", "64m"))
    docker_engine.run("ended", "true")
    time.sleep(0.5)
    busy, ended, nobody = effects(*(("docker.stats", name) for name in ("busy", "ended", "nobody")), no_cgroup=no_cgroup)
    fields = busy["fields"]
    assert 30 < fields["cpu_percent"] < 130, fields
    assert fields["memory_limit"] == 64 << 20 and 0 < fields["memory_bytes"] < 64 << 20 and fields["pids"] >= 1
    assert abs(fields["memory_percent"] - 100 * fields["memory_bytes"] / (64 << 20)) < 0.01
    assert ended["fields"]["cpu_percent"] == 0 and ended["fields"]["state"] == "exited"
    assert nobody["fields"]["state"] == "absent"
    if not no_cgroup:
        assert busy["seconds"] < 0.5


# The engine can't be asked

def test_without_an_engine_nothing_is_known(effects, sandbox, closed_port):
    stale = os.path.join(sandbox.folder, "stale.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(stale)
    for host, kind, words in ((f"unix://{sandbox.folder}/none.sock", "missing", "no Docker engine listens there"),
                              (f"unix://{stale}", "unreachable", "no Docker engine listens there"),
                              (f"tcp://{HOST}:{closed_port}", "unreachable", "refused"),
                              ("ssh://db1", "usage", "over ssh"), ("db1:2375", "usage", "is no Docker host")):
        for outcome in effects(("docker.inspect", "x"), ("docker.logs", "x"), ("docker.exec", "x", ["ls"], {"reads": True}),
                               docker={"host": host}):
            assert outcome["error"]["kind"] == kind and words in text_of(outcome), (host, outcome)
        write = effects(("docker.restart", "x"), docker={"host": host})[0]
        assert write["preview"]["unknown"] and write["preview"]["text"].startswith("radius unknown: ")


def test_a_socket_one_may_not_use(docker_engine, effect, sandbox):
    if os.geteuid() == 0:
        pytest.skip("root may use every socket")
    path = os.path.join(sandbox.folder, "mine.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        os.chmod(path, 0)
        outcome = effect("docker.inspect", "x", docker={"host": "unix://" + path})
    assert outcome["error"]["kind"] == "permission" and "usermod -aG docker" in text_of(outcome)


class Imitation(Site):
    """What is not an engine of today."""

    def __init__(self, version, failure=None):
        super().__init__()
        self.version, self.failure = version, failure

    def answer(self, handler, request):
        if request.path == "/_ping":
            return handler.reply(200, "OK", {"Api-Version": self.version} if self.version else {})
        handler.reply(*(self.failure or (500, {"message": "boom"})))


@pytest.mark.parametrize("version, words", [("1.23", "speaks API 1.23"), (None, "no Docker engine"), ("x", "no Docker engine")])
def test_other_engines(effect, version, words):
    site = Imitation(version)
    try:
        outcome = effect("docker.inspect", "x", docker={"host": f"tcp://{HOST}:{site.port}"})
    finally:
        site.stop()
    assert outcome["error"]["kind"] == "unreachable" and words in text_of(outcome)


@pytest.mark.parametrize("failure, kind, words", [
    ((500, {"message": "boom"}), "engine", "the Docker engine says: boom"), ((403, "no"), "permission", "HTTP 403"),
    ((200, "no json"), "unreachable", "is not JSON"), ((200, "[" * 5000), "unreachable", "is not JSON")])
def test_an_engine_that_fails_is_no_finding(effect, failure, kind, words):
    site = Imitation("1.30", failure)
    try:
        outcome = effect("docker.inspect", "x", docker={"host": f"tcp://{HOST}:{site.port}"})
    finally:
        site.stop()
    assert outcome["error"]["kind"] == kind and words in text_of(outcome)
    assert site.requests[-1].path == "/v1.30/containers/x/json"


class Relay:
    """The engine's socket over TLS, for those whose certificate the authority signed."""

    def __init__(self, authority, socket_path):
        self.path, self.listener = socket_path, socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.context = authority.context("good")
        self.context.load_verify_locations(authority.ca)
        self.context.verify_mode = 2  # ssl.CERT_REQUIRED
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(plain,), daemon=True).start()

    def _relay(self, plain):
        try:
            client = self.context.wrap_socket(plain, server_side=True)
        except OSError:
            return
        engine = socket.socket(socket.AF_UNIX)
        engine.connect(self.path)
        threading.Thread(target=self._copy, args=(client, engine), daemon=True).start()
        self._copy(engine, client)

    def _copy(self, source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def stop(self):
        self.listener.close()


@pytest.fixture
def relay(docker_engine, tmp_path):
    folder = tmp_path / "tls"
    folder.mkdir()
    relay = Relay(Authority(str(folder)), docker_engine.socket)
    relay.files = {"ca": str(folder / "ca.pem"), "cert": str(folder / "good.pem"), "key": str(folder / "good.key")}
    relay.host = f"tcp://localhost:{relay.port}"
    yield relay
    relay.stop()


def test_over_tls(docker_engine, effects, relay):
    docker_engine.run("box", "sleep", "1000")
    inspect, restart = effects(("docker.inspect", "box"), ("docker.restart", "box", {"grace": "0s"}),
                               docker={"host": relay.host, **relay.files})
    assert inspect["fields"]["state"] == "running"
    assert inspect["line"] == f"docker.inspect box @localhost:{relay.port}"
    assert restart["fields"]["changed"] is True
    assert restart["command"][:4] == ["docker", "-H", relay.host, "--tlsverify"]
    nobody = effects(("docker.inspect", "box"), docker={"host": relay.host, "ca": relay.files["ca"]})[0]
    assert nobody["error"]["kind"] in ("unreachable", "io"), nobody


def test_the_current_context_of_dockers_own_client(docker_engine, effects, sandbox, relay):
    docker_engine.run("box", "sleep", "1000")
    hash_ = "ab" * 32
    folder = sandbox.write(".docker/contexts/tls/" + hash_ + "/docker/ca.pem", open(relay.files["ca"], "rb").read())
    shutil.copy(relay.files["cert"], os.path.join(os.path.dirname(folder), "cert.pem"))
    shutil.copy(relay.files["key"], os.path.join(os.path.dirname(folder), "key.pem"))
    sandbox.write(f".docker/contexts/meta/{hash_}/meta.json",
                  json.dumps({"Name": "prod", "Endpoints": {"docker": {"Host": relay.host, "SkipTLSVerify": False}}}))
    sandbox.write(".docker/config.json", json.dumps({"currentContext": "prod"}))
    version, inspect = effects(("docker.version",), ("docker.inspect", "box"), docker={})
    assert version["fields"]["host"] == f"{relay.host} (context prod)" and inspect["fields"]["state"] == "running"
    sandbox.write(".docker/config.json", json.dumps({"currentContext": "gone"}))
    lost = effects(("docker.inspect", "box"), docker={})[0]
    assert 'current context is "gone"' in text_of(lost)


# Changes

def test_restart_start_stop_and_kill(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000")
    before = docker_engine.inspect("box")["State"]["StartedAt"]
    quick = {"grace": "0s"}
    restart, stop, again, start, kill, dead = effects(
        ("docker.restart", "box", quick), ("docker.stop", "box", quick), ("docker.stop", "box", quick), ("docker.start", "box"),
        ("docker.kill", "box"), ("docker.kill", "box"))
    assert restart["preview"]["text"].startswith("restarts box (running for ") and "image conduit-api:1" in restart["preview"]["text"]
    assert "1 process" in restart["preview"]["text"] and restart["preview"]["size"] == 1
    assert restart["fields"]["state"] == "running" and restart["verified"] is True
    assert stop["fields"]["state"] == "exited" and stop["fields"]["changed"] is True and stop["verified"] is True
    assert again["fields"]["changed"] is False and "nothing to do" in again["preview"]["text"]
    assert start["fields"]["state"] == "running" and start["verified"] is True
    assert kill["class"] == "destructive" and kill["target"] == "box" and kill["fields"]["changed"] is True
    assert dead["preview"]["impossible"] == "box does not run"
    assert docker_engine.inspect("box")["State"]["StartedAt"] > before


def test_changes_to_what_is_not_there_are_impossible(effects):
    for outcome in effects(*((f"docker.{verb}", "nobody") for verb in ("restart", "start", "stop", "kill")),
                           ("docker.set_env", "nobody", {"A": "1"}), ("docker.exec", "nobody", ["ls"])):
        assert outcome["preview"]["impossible"] == "there is no container nobody" and "fields" not in outcome


def test_a_container_that_ends_at_once_was_not_started(docker_engine, effects):
    docker_engine.run("broken", "sh", "-c", "echo bad; exit 7")
    wait_for(lambda: docker_engine.inspect("broken")["State"]["Status"] == "exited", "it ends")
    for outcome in effects(("docker.start", "broken"), ("docker.restart", "broken")):
        assert outcome["error"]["kind"] == "exited" and "exited (7)" in text_of(outcome)


def test_a_killed_container_is_the_one_that_was_approved(docker_engine, sandbox, effects):
    docker_engine.run("box", "sleep", "1000")
    go = os.path.join(sandbox.folder, "go")

    def replace():
        time.sleep(0.5)
        docker_engine.cli("rm", "-f", "box")
        docker_engine.run("box", "sleep", "1000")
        open(go, "w").close()
    thread = threading.Thread(target=replace)
    thread.start()
    done, = effects(("docker.kill", "box"), meanwhile=go)
    thread.join()
    assert done["error"]["kind"] == "conflict" and docker_engine.inspect("box")["State"]["Running"]


# Room

def make_image(engine, tag, text):
    """A further image on the lab's own, of one layer that holds `text`."""
    name = engine.cli("create", IMAGE, "sh", "-c", f"echo {text} > /mark")
    engine.cli("start", "-a", name)
    engine.cli("commit", name, *([tag] if tag else []))
    engine.cli("rm", name)


def images(engine):
    return set(engine.cli("images", "-a", "--format", "{{.Repository}}:{{.Tag}}").split())


@pytest.fixture
def other_images(docker_engine):
    for tag in ("unused:1", "stopped:1", "running:1"):
        make_image(docker_engine, tag, tag)
    docker_engine.cli("tag", "unused:1", "unused:2")
    make_image(docker_engine, None, "dangling")
    docker_engine.cli("tag", IMAGE, "keep:1")
    docker_engine.cli("create", "--name", "holds", IMAGE)
    yield
    docker_engine.remove_all()
    for name in images(docker_engine) - {IMAGE}:
        if "<none>" not in name:
            docker_engine.cli("rmi", "-f", name, check=False)
    docker_engine.cli("image", "prune", "-f")


def test_prune_takes_what_nobody_uses_and_no_stopped_container(docker_engine, effects, other_images):
    docker_engine.cli("create", "--name", "asleep", "stopped:1", "true")
    docker_engine.cli("run", "-d", "--name", "awake", "--network", "none", "running:1", "sleep", "1000")
    done = effects(("docker.prune", {"images": True, "build_cache": True}))[0]
    assert done["preview"]["text"].startswith("deletes 2 unused images (") and done["preview"]["size"] == 2
    assert done["fields"]["images"] == 2 and done["fields"]["left"] == [] or done["fields"]["left"] == {}
    assert images(docker_engine) == {IMAGE, "keep:1", "stopped:1", "running:1"}
    assert len(docker_engine.containers()) == 3
    assert done["class"] == "destructive" and "command" not in done


def test_prune_of_containers_leaves_those_the_script_named(docker_engine, effects, other_images):
    docker_engine.cli("create", "--name", "named", "stopped:1", "true")
    docker_engine.cli("create", "--name", "named-before-20261123", "stopped:1", "true")
    docker_engine.cli("create", "--name", "asleep", "running:1", "true")
    *_, done = effects(("docker.inspect", "named"), ("docker.inspect", "holds"),
                       ("docker.prune", {"images": True, "containers": True}))
    assert done["fields"]["containers"] == 1, done
    names = docker_engine.cli("ps", "-a", "--format", "{{.Names}}").split()
    assert set(names) == {"named", "named-before-20261123", "holds"}
    assert "stopped:1" in images(docker_engine) and "running:1" not in images(docker_engine)


def test_prune_leaves_what_is_used_since_it_was_listed(docker_engine, sandbox, effects, other_images):
    go = os.path.join(sandbox.folder, "go")

    def use():
        time.sleep(1)
        docker_engine.cli("create", "--name", "late", "unused:1", "true")
        docker_engine.cli("tag", "stopped:1", "fresh:1")
        open(go, "w").close()
    thread = threading.Thread(target=use)
    thread.start()
    outcome, = effects(("docker.prune", {"images": True}), meanwhile=go)
    thread.join()
    assert len(outcome["fields"]["left"]) == 1, outcome
    assert docker_engine.inspect("late")["Image"]


# A container's variables

def set_env(effects, name, env, **given):
    options = {"steady": "1s", "grace": "0s", **given.pop("options", {})}
    return effects(("docker.set_env", name, env, options), **given)[0]


def same_but_for_env(before, after):
    for which in (before, after):
        which["Config"].pop("Env")
    assert after["Config"] == before["Config"]
    before["HostConfig"].pop("Binds"), after["HostConfig"].pop("Binds")
    assert after["HostConfig"] == before["HostConfig"]
    assert after["Image"] == before["Image"] and after["Name"] == before["Name"]


@pytest.fixture
def two_networks(docker_engine):
    names = ("front", "back")
    for i, name in enumerate(names):
        docker_engine.cli("network", "create", "--subnet", f"10.78.{i}.0/24", name)
    yield
    docker_engine.remove_all()
    docker_engine.cli("network", "rm", *names)


def test_set_env_makes_the_same_container_with_other_variables(docker_engine, effects, two_networks):
    docker_engine.cli("run", "-d", "--name", "api", "--hostname", "apihost", "--network", "front", "--ip", "10.78.0.9",
                      "--network-alias", "web", "-v", "/anon", "-v", "named:/data", "--mount", "type=tmpfs,target=/t", "-m", "64m",
                      "--restart", "unless-stopped", "--label", "a=b", "--cap-add", "NET_ADMIN", "--ulimit", "nofile=100:200",
                      "--dns", "192.0.2.1", "--log-opt", "max-size=10m", "-e", "A=1", "-e", "B=2",
                      IMAGE, "sh", "-c", "echo x >> /anon/f; echo x >> /data/f; exec sleep 1000")
    docker_engine.cli("network", "connect", "--alias", "second", "back", "api")
    before = docker_engine.inspect("api")
    done = set_env(effects, "api", {"B": "3", "C": "x y"}, options={"unset": ["A"]})
    assert "makes api anew with B, C, A changed" in done["preview"]["text"], done
    assert done["fields"]["changed"] is True and done["fields"]["state"] == "running" and done["verified"] is True
    after = docker_engine.inspect("api")
    assert set(after["Config"]["Env"]) == {"PATH=/bin", "B=3", "C=x y"}
    networks = after["NetworkSettings"]["Networks"]
    assert networks["front"]["IPAddress"] == "10.78.0.9" and "web" in networks["front"]["Aliases"]
    assert "second" in networks["back"]["Aliases"] and set(networks) == {"front", "back"}
    assert docker_engine.cli("exec", "api", "cat", "/anon/f", "/data/f") == "x\nx\nx\nx"  # the volumes of before
    same_but_for_env(before, after)
    assert len(docker_engine.containers()) == 1


def test_set_env_with_the_same_value_changes_nothing(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000", options=("-e", "A=1"))
    before = docker_engine.inspect("box")
    done = set_env(effects, "box", {"A": "1"})
    assert "has these variables already" in done["preview"]["text"] and done["preview"]["size"] == 0
    assert done["fields"]["changed"] is False and docker_engine.inspect("box") == before


FRAGILE = '[ "$BAD" = exit ] && { echo FATAL no such level; exit 3; }; [ "$BAD" = late ] && { sleep 0.7; exit 4; }; exec sleep 1000'


@pytest.mark.parametrize("how, words", [("exit", "exited (3) "), ("late", "exited (4) ")])
def test_set_env_goes_back_when_the_new_one_does_not_stay_up(docker_engine, effects, how, words):
    docker_engine.run("box", "sh", "-c", FRAGILE, options=("--restart", "always"))
    before = docker_engine.inspect("box")
    done = set_env(effects, "box", {"BAD": how}, options={"steady": "2s"})
    assert done["error"]["kind"] == "rolled_back" and "rolled back: box is as it was and runs" in text_of(done), done
    assert how != "exit" or "FATAL no such level" in text_of(done)
    after = docker_engine.inspect("box")
    assert after["Id"] == before["Id"] and after["Name"] == "/box" and after["State"]["Running"]
    assert len(docker_engine.containers()) == 1


def test_set_env_goes_back_when_the_new_one_is_unhealthy(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000", options=("--health-cmd", '[ "$BAD" != 1 ]', "--health-interval", "300ms",
                                                       "--health-retries", "2"))
    before = docker_engine.inspect("box")
    done = set_env(effects, "box", {"BAD": "1"}, options={"steady": "10s"})
    assert done["error"]["kind"] == "rolled_back" and "unhealthy" in text_of(done)
    assert docker_engine.inspect("box")["Id"] == before["Id"] and len(docker_engine.containers()) == 1


def test_set_env_goes_back_when_the_new_one_does_not_start(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000")
    before = docker_engine.inspect("box")
    done = set_env(effects, "box", {"PATH": "/nowhere"})
    assert done["error"]["kind"] == "rolled_back" and "executable file not found" in text_of(done)
    after = docker_engine.inspect("box")
    assert after["Id"] == before["Id"] and after["State"]["Running"] and len(docker_engine.containers()) == 1


def test_set_env_says_when_there_is_no_way_back(docker_engine, effects):
    folder = os.path.join(docker_engine.folder, "mounted")
    os.mkdir(folder)
    docker_engine.run("box", "sleep", "1000", options=("-v", f"{folder}:/tmp"))
    os.rmdir(folder)
    open(folder, "w").close()  # a file can't be mounted on a folder: neither of them starts
    before = docker_engine.inspect("box")
    done = set_env(effects, "box", {"A": "1"})
    os.remove(folder)
    assert "the way back failed" in text_of(done) and "docker start box" in text_of(done)
    assert docker_engine.inspect("box")["Id"] == before["Id"] and len(docker_engine.containers()) == 1


def test_set_env_interrupted_goes_back(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000")
    before = docker_engine.inspect("box")
    set_env(effects, "box", {"A": "1"}, options={"steady": "30s"}, cancel_after=1.5)
    after = docker_engine.inspect("box")
    assert after["Id"] == before["Id"] and after["State"]["Running"] and len(docker_engine.containers()) == 1


def test_set_env_keeps_the_image_when_its_name_has_moved_on(docker_engine, effects, other_images):
    docker_engine.cli("tag", "unused:1", "app:1")
    docker_engine.cli("run", "-d", "--name", "box", "--network", "none", "app:1", "sleep", "1000")
    before = docker_engine.inspect("box")
    docker_engine.cli("tag", "running:1", "app:1")
    done = set_env(effects, "box", {"A": "1"})
    assert "app:1 names another image now: the running one is kept" in done["preview"]["text"]
    assert docker_engine.inspect("box")["Image"] == before["Image"]


def test_set_env_starts_one_that_had_ended(docker_engine, effects):
    docker_engine.run("box", "sh", "-c", '[ "$GOOD" = 1 ] || exit 3; exec sleep 1000')
    wait_for(lambda: docker_engine.inspect("box")["State"]["Status"] == "exited", "it ends")
    bad, good = (set_env(effects, "box", {"GOOD": value}) for value in ("0", "1"))
    assert bad["error"]["kind"] == "rolled_back" and good["fields"]["state"] == "running"


def test_set_env_is_impossible_without_a_way_back(docker_engine, effects):
    docker_engine.run("box", "sleep", "1000", options=("--rm",))
    docker_engine.run("lodger", "sleep", "1000", options=())
    rm, = effects(("docker.set_env", "box", {"A": "1"}))
    assert "--rm" in rm["preview"]["impossible"]
    path, = effects(("docker.set_env", "lodger", {"B": "1"}, {"unset": ["PATH"]}))
    assert "comes from the image" in path["preview"]["impossible"]


# Compose

COMPOSE = """version: "3"
services:
  api:
    image: conduit-api:1
    command: ["sleep", "1000"]
    network_mode: none
    environment: ["LEVEL=${LEVEL:-Info}"]
  idle:
    image: conduit-api:1
    command: ["sleep", "1000"]
    network_mode: none
"""


# The words of docker-compose that the family uses, over Docker's client: for machines without the real one.
IMITATION = f"""#!/usr/bin/python3
import os, re, subprocess, sys
words = sys.argv[1:]
def docker(*arguments):
    return subprocess.run(["{CLIENT}", *arguments], check=True, capture_output=True, text=True).stdout.split()
def containers(service):
    return docker("ps", "-a", "-q", *(f"--filter=label=com.docker.compose.{{key}}={{value}}" for key, value in
                                      (("project", "lab"), ("service", service))))
if words == ["version", "--short"]:
    sys.exit(print("1.0"))
assert words.pop(0) == "-f", words
services = re.findall("^  ([a-z]+):$", open(words.pop(0)).read(), re.M)
verb, scale = words.pop(0), {{}}
while "--scale" in words:
    at = words.index("--scale")
    name, count = words[at + 1].split("=")
    scale[name] = int(count)
    del words[at:at + 2]
wanted = [word for word in words if word[0] != "-"] or services
if verb == "config":
    print(*services, sep="\\n")
elif verb == "ps":
    print(*(id for service in services for id in containers(service)), sep="\\n")
elif verb == "up":
    for service in wanted:
        for _ in range(len(containers(service)), scale.get(service, 1)):
            docker("run", "-d", "--network=none", "-l", "com.docker.compose.project=lab", "-l",
                   "com.docker.compose.service=" + service, "-e", "LEVEL=" + os.environ.get("LEVEL", "Info"), "{IMAGE}", "sleep", "99")
elif verb == "stop":
    docker("stop", "-t", "0", *(id for service in wanted for id in containers(service)))
else:
    sys.exit("unknown: " + verb)
"""


@pytest.fixture(params=["imitation", "docker-compose"])
def compose_path(request, sandbox):
    """A PATH with a docker-compose on it."""
    if request.param == "imitation":
        os.chmod(sandbox.write("bin/docker-compose", IMITATION), 0o755)
        return os.path.join(sandbox.folder, "bin") + ":/usr/bin:/bin"
    if not shutil.which("docker-compose", path="/usr/bin"):
        pytest.skip("docker-compose is not installed")
    return "/usr/bin:/bin"


def test_compose(docker_engine, effects, sandbox, compose_path):
    file = sandbox.write("docker-compose.yml", COMPOSE)
    nothing, up, scale, ps, stop, unknown = effects(
        ("compose.ps", file), ("compose.up", file, {"services": ["api"], "env": {"LEVEL": "Debug"}}),
        ("compose.scale", file, {"api": 3}), ("compose.ps", file), ("compose.stop", file, {"services": ["api"]}),
        ("compose.scale", file, {"apy": 3}), path=compose_path)
    assert nothing["fields"]["count"] == 0
    assert up["preview"]["text"] == "brings up api (0 of 0 containers run)" and up["fields"]["services"]["api"]["running"] == 1
    assert scale["preview"]["text"] == "scales api from 1 to 3" and scale["preview"]["size"] == 2
    assert scale["fields"]["services"]["api"] == {"count": 3, "running": 3} and "idle" not in scale["fields"]["services"]
    variables = [docker_engine.inspect(it["id"])["Config"]["Env"] for it in ps["fields"]["containers"]]
    assert ps["fields"]["running"] == 3 and sum("LEVEL=Debug" in it for it in variables) == 1
    assert stop["preview"]["text"] == "stops 3 running containers of api" and stop["fields"]["running"] == 0
    assert "has no service 'apy' (did you mean 'api'?)" in unknown["preview"]["impossible"]


def test_compose_refuses_what_it_can_not_mean(effects, sandbox):
    file = sandbox.write("docker-compose.yml", COMPOSE)
    missing, option, many = effects(("compose.up", "/nonexistent.yml"), ("compose.stop", file, {"services": ["--rmi=all"]}),
                                    ("compose.scale", file, {"api": 100000}))
    assert "no such Compose file" in missing["preview"]["impossible"]
    assert "is no service's name" in option["raised"] and "from 0 to 1000" in many["raised"]


# Through the command line

RUNBOOK = """
runbook { title = "Box", alert = "Box", severity = "critical" }
local look = probe("Look", function()
  local box = docker.inspect("box")
  check("it runs", box.state == "running", { fault = "stopped", detail = box.summary })
  note(docker.logs("box"))
  check("it says hello", docker.exec("box", { "echo", "hello" }, { reads = true }))
  check("it has CPU to spare", docker.stats("box").cpu_percent < 80)
end)
local restart = remedy("Restart it", { risk = "low" }, function() docker.restart("box", { grace = "0s" }) end)
local gone = remedy("Restart another", { risk = "low" }, function() docker.restart("nobody") end)
look()
restart()
gone()
return unresolved "looked"
"""


@pytest.fixture
def box(docker_engine, sandbox):
    docker_engine.run("box", "sh", "-c", "echo started; exec sleep 1000")
    sandbox.write("box.lua", RUNBOOK)
    sandbox.write("runbook.config.lua", 'return { approvals = { low = "auto" }, docker = { host = "%s" } }' % docker_engine.host)
    return lambda: docker_engine.inspect("box")["State"]["StartedAt"]


def test_a_dry_run_tells_and_changes_nothing(box, runbook):
    before = box()
    done = runbook("run", "box.lua", "--dry-run")
    assert done.code == 0 and box() == before, done
    assert "would docker.restart box" in done.stdout and "restarts box (running for " in done.stdout
    assert "there is no container nobody" in done.stdout and "it says hello" in done.stdout


def test_a_live_run_restarts(box, runbook):
    before = box()
    done = runbook("run", "box.lua", "--no-input")
    assert box() > before, done
    outcomes = {event["line"]: event for event in done.journal if event["event"] == "effect.outcome"}
    assert outcomes["docker.restart box"]["status"] == "ok", done
    assert "docker.restart nobody" not in [it for it, event in outcomes.items() if event["status"] == "ok"]
