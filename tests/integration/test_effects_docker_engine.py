"""The docker family and its engine: none there, one that fails, another's, over TLS, that of a context."""

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
