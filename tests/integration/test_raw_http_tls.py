"""raw.http over TLS: certificates that verify and those that don't."""

import time

import pytest

from lab.luavalues import ask, lua
from lab.process import HOST
from lab.tls import Authority
from lab.wire import head_of, request_, wire


def test_certificate(request_, http_faults):
    answer, _ = request_(http_faults.https() + "/", ca_file=http_faults.ca)
    tls = answer["tls"]
    assert answer["status"] == 200 and tls["verified"] is True
    assert (tls["subject"], tls["issuer"]) == ("CN=good", "CN=Lab CA")
    assert abs(tls["expires_at"] - time.time() - 30 * 86400) < 3600
    assert answer["ms"]["tls"] > 0


@pytest.mark.parametrize("kind, means, words", [
    ("expired", "tls", "certificate has expired, on 20"), ("wrong_host", "tls", "localhost"),
    ("self_signed", "trust", "self-signed")])
def test_certificates_that_do_not_verify(request_, http_faults, kind, means, words):
    """An expired one is the server's fault; an issuer that we don't know may be our own."""
    _, error = request_(http_faults.https(kind) + "/", ca_file=http_faults.ca)
    assert error["kind"] == means and words in error["message"]
    assert error["tls"]["verified"] is False and error["tls"]["expires_at"] > 0 and "status" not in error
    assert (error["tls"]["expires_at"] < time.time()) == (kind == "expired")
    assert http_faults.requests == []


def test_unverified_on_request(request_, http_faults):
    answer, _ = request_(http_faults.https("expired") + "/", verify=False)
    assert answer["status"] == 200 and answer["tls"]["verified"] is False
    assert answer["tls"]["expires_at"] < time.time()


def test_reused_connection_still_knows_its_certificate(luahost, http_faults):
    http_faults.set("/x", 200, "x")
    options = lua({"url": http_faults.https() + "/x", "ca_file": http_faults.ca})
    shown = ask(luahost, f"local http = require 'raw.http' for _ = 1, 2 do show(http.request({options})) end")
    assert shown[0][0]["tls"] == shown[1][0]["tls"]


def test_no_tls_there(request_, http_faults):
    _, error = request_(f"https://{HOST}:{http_faults.port}/")
    assert error["kind"] == "tls" and "tls" not in error


def test_files_that_are_missing(request_, http_faults):
    for name in ("ca_file", "cert_file"):
        _, error = request_(http_faults.https() + "/", **{name: "/nope.pem"})
        assert error["kind"] == "usage" and "/nope.pem" in error["message"]


def test_client_certificate(request_, wire, tmp_path):
    authority = Authority(str(tmp_path))
    context = authority.context("good")
    context.load_verify_locations(authority.ca)
    context.verify_mode = 2  # required

    def serve(connection, _):
        with context.wrap_socket(connection, server_side=True) as tls:
            head_of(tls)
            name = dict(tls.getpeercert()["subject"][0])["commonName"].encode()
            tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(name), name))
    url = wire(serve).url.replace("http:", "https:")
    mine = {"cert_file": str(tmp_path / "expiring.pem"), "key_file": str(tmp_path / "expiring.key")}
    answer, error = request_(url, ca_file=authority.ca, **mine)
    assert (error, answer["body"]) == (None, "expiring")
    _, error = request_(url, ca_file=authority.ca)
    assert error["kind"] in ("tls", "reset")
