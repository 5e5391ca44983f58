"""The docker family and its engine: none there, one that fails, another's, over TLS, that of a context."""

import hashlib
import json
import os
import select
import shutil
import socket
import ssl

import pytest

from lab.docker_effects import effect, effects, text_of
from lab.process import HOST
from lab.tls import Authority
from lab.web import Site
from lab.wire import wire


def test_without_an_engine_nothing_is_known(effects, sandbox, closed_port):
    stale = os.path.join(sandbox.folder, "stale.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(stale)
    for host, kind, words in ((f"unix://{sandbox.folder}/none.sock", "missing", "no Docker engine listens there"),
                              (f"unix://{stale}", "unreachable", "no Docker engine listens there"),
                              (f"tcp://{HOST}:{closed_port}", "unreachable", "refused"),
                              ("ssh://db1", "usage", "over ssh"), ("db1", "usage", "is no Docker host")):
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
    assert outcome["error"]["kind"] == "permission" and "`runbook doctor` says what to do" in text_of(outcome)


class Imitation(Site):
    """What is not an engine of today."""

    def __init__(self, version, failure=None, least=None):
        super().__init__()
        self.version, self.failure, self.least = version, failure, least

    def answer(self, handler, request):
        if request.path == "/version":
            return handler.reply(200, {"ApiVersion": self.version, "MinAPIVersion": self.least} if self.version else "OK")
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


@pytest.mark.parametrize("newest, least, taken", [
    ("1.30", "1.12", "1.30"), ("1.41", None, "1.41"), ("1.47", "1.24", "1.47"), ("1.52", "1.44", "1.47"), ("1.60", "1.50", "1.50")])
def test_the_highest_version_that_both_speak(effect, newest, least, taken):
    """Up as well as down: an engine may take nothing that is old."""
    site = Imitation(newest, (404, {"message": "No such container"}), least)
    try:
        assert effect("docker.inspect", "x", docker={"host": f"tcp://{HOST}:{site.port}"})["fields"]["state"] == "absent"
    finally:
        site.stop()
    assert site.requests[-1].path == f"/v{taken}/containers/x/json"


RUNNING = {"Id": "ab" * 32, "Image": "b", "Created": "2019-10-10T10:07:11Z",
           "State": {"Status": "running", "Running": True, "Pid": 1, "StartedAt": "2019-10-10T14:43:40Z"}}


@pytest.mark.parametrize("answer, state", [
    ({**RUNNING, "HostConfig": None, "Config": {"Image": "w"}}, "running"),
    ({**RUNNING, "Config": None, "HostConfig": {}}, "running"),
    (RUNNING, "running"), ({"Id": "ab" * 32}, "unknown"), ({}, None), ([1], None),
    ({**RUNNING, "NetworkSettings": {"Networks": {"a": 5}}}, None), ({**RUNNING, "State": {"StartedAt": 7}}, None)])
def test_an_answer_of_an_odd_shape_is_read_or_not_understood_in_words(runbook, sandbox, answer, state):
    """Proxies and other engines leave parts out. Broken by: live.carry_out without its pcall."""
    site = Imitation("1.41", (200, answer))
    sandbox.env["DOCKER_HOST"] = f"tcp://{HOST}:{site.port}"
    sandbox.write("x.lua", """runbook { title = "X" }
probe("P", function() note(docker.inspect("x").state) end)()
return unresolved "x"
""")
    try:
        result = runbook("run", "x.lua", "--dry-run")
    finally:
        site.stop()
    outcome, = result.events("effect.outcome")
    assert result.code == 0 and "stdlib/" not in result.stdout + result.stderr, result
    if state:
        assert outcome["result"]["state"] == state, outcome
    else:
        assert outcome["status"] == "failed" and outcome["result"]["error"]["kind"] in ("answer", "unreachable"), outcome


@pytest.fixture
def engines(sandbox):
    """Two engines that know no container, each a context; `staging` is the current one."""
    sites = {name: Imitation("1.41", (404, {"message": "none"})) for name in ("prod", "staging")}
    for name, site in sites.items():
        sandbox.write(f".docker/contexts/meta/{hashlib.sha256(name.encode()).hexdigest()}/meta.json", json.dumps(
            {"Name": name, "Endpoints": {"docker": {"Host": f"tcp://{HOST}:{site.port}", "SkipTLSVerify": False}}}))
    sandbox.write(".docker/config.json", json.dumps({"currentContext": "staging"}))
    yield sites
    for site in sites.values():
        site.stop()


@pytest.mark.parametrize("shell, asked, by_hand", [
    ({}, "staging", ["--context", "staging"]), ({"DOCKER_CONTEXT": "prod"}, "prod", ["--context", "prod"]),
    ({"DOCKER_HOST": "", "DOCKER_CONTEXT": "prod"}, "prod", ["--context", "prod"]),
    ({"DOCKER_HOST": "PROD", "DOCKER_CONTEXT": "staging"}, "prod", ["-H", "PROD"]),
    ({"DOCKER_CONFIG": "nowhere", "DOCKER_HOST": "PROD"}, "prod", ["-H", "PROD"]),
    ({"DOCKER_CONTEXT": "default", "DOCKER_HOST": "PROD"}, "prod", ["-H", "PROD"])])
def test_the_engine_is_the_one_of_the_operators_shell(effects, engines, shell, asked, by_hand):
    """As docker/cli finds it; the command by hand names the same one in any shell."""
    address = f"tcp://{HOST}:{engines['prod'].port}"
    shell = {name: value.replace("PROD", address) for name, value in shell.items()}
    outcome = effects(("docker.inspect", "x"), docker={"shell": shell})[0]
    assert outcome["fields"]["state"] == "absent", outcome
    assert {name for name, site in engines.items() if site.requests} == {asked}
    assert outcome["command"] == ["docker", *[word.replace("PROD", address) for word in by_hand], "inspect", "x"]


def test_the_configs_engine_goes_before_the_shells(effects, engines):
    given = {"host": f"tcp://{HOST}:{engines['prod'].port}", "shell": {"DOCKER_CONTEXT": "staging"}}
    effects(("docker.inspect", "x"), docker=given)
    assert engines["prod"].requests and not engines["staging"].requests


@pytest.mark.parametrize("shell, wanted", [
    ({"DOCKER_TLS_VERIFY": "1"}, "--tlsverify"), ({"DOCKER_TLS": "1"}, "--tls"), ({}, None)])
def test_tls_by_variables(docker_engine, effects, relay, tmp_path, shell, wanted):
    docker_engine.run("box", "sleep", "1000")
    for name, there in (("ca", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem")):
        if relay.files[name] != str(tmp_path / "tls" / there):
            shutil.copy(relay.files[name], tmp_path / "tls" / there)
    shell = {"DOCKER_HOST": relay.host, "DOCKER_CERT_PATH": str(tmp_path / "tls"), **shell}
    outcome = effects(("docker.inspect", "box"), docker={"shell": shell})[0]
    if not wanted:
        assert "error" in outcome and wanted not in outcome["command"]
        return
    assert outcome["fields"]["state"] == "running", outcome
    assert outcome["command"][:4] == ["docker", "-H", relay.host, wanted]


def relay_of(authority, socket_path):
    """Of a Wire: the engine's socket over TLS, for those whose certificate the authority signed."""
    context = authority.context("good")
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_REQUIRED

    def serve(connection, _):
        with context.wrap_socket(connection, server_side=True) as client, socket.socket(socket.AF_UNIX) as engine:
            engine.connect(socket_path)
            relay_both(client, engine)
    return serve


def relay_both(client, engine):
    """Until one of them hangs up. In one thread: OpenSSL's connections are not for two."""
    other = {client: engine, engine: client}
    while True:
        ready = [client] if client.pending() else select.select(other, [], [])[0]
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            other[source].sendall(data)


@pytest.fixture
def relay(docker_engine, wire, tmp_path):
    folder = tmp_path / "tls"
    folder.mkdir()
    relay = wire(relay_of(Authority(str(folder)), docker_engine.socket))
    relay.files = {"ca": str(folder / "ca.pem"), "cert": str(folder / "good.pem"), "key": str(folder / "good.key")}
    relay.host = f"tcp://localhost:{relay.port}"
    return relay


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
    hash_ = hashlib.sha256(b"prod").hexdigest()
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
    assert 'Docker\'s context is "gone"' in text_of(lost)
