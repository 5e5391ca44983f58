"""redis over TLS, on a real Redis with certificates of the lab's own: what is trusted, what is said when it isn't, and who speaks
no TLS at all. Broken by: secure.c without SSL_VERIFY_PEER or name_set; redis_server.lua without `explained`."""

import os
import shlex
import shutil
import subprocess
import time

import pytest

from lab.luavalues import ask as lua_ask
from lab.process import HOST
from lab.redis import TlsRedis
from lab.wire import wire


@pytest.fixture(scope="session")
def tls_session(server_of):
    return server_of(TlsRedis)


@pytest.fixture
def tls_redis(tls_session):
    yield tls_session
    tls_session.present("good")
    tls_session.ask_clients("no")


@pytest.fixture
def ask(runbook, sandbox, tls_redis):
    """ask(code, config) -> the outcome of the last effect of a probe's `code`, and the run. `url` is the server's."""
    def run(code, config=None, *arguments, url=None, act="", **options):
        own = config if config is not None else f'redis = {{ ca = "{tls_redis.ca}" }}'
        sandbox.write("runbook.config.lua", "return { " + own + " }")
        sandbox.write("x.lua", f"""runbook {{ title = "X" }}
local url = "{url or tls_redis.url}"
local look = probe("P", function() {code} end)
local act = remedy("Act", {{ risk = "low" }}, function() {act} end)
look()
act()
return unresolved "x"
""")
        answers = sandbox.write("answers.lua", 'return { Act = "yes" }')
        result = runbook("run", "x.lua", "--answers", answers, *arguments, **options)
        return result.events("effect.outcome")[-1], result
    return run


def told(event):
    """status, kind, words of an outcome."""
    result = event["result"]
    error = result.get("error") or {}
    return event["status"], error.get("kind"), error.get("message") or result.get("why")


def test_reads_and_writes(ask, tls_redis):
    big = 'local big = ("x"):rep(3000000) '
    event, result = ask("redis.ping(url)", act=f'{big} redis.command(url .. "/1", "SET", "k", big)')
    assert told(event)[0] == "ok" and tls_redis.cli("-n", "1", "STRLEN", "k") == "3000000", result
    event, result = ask('note(#redis.command(url .. "/1", "GET", "k").value)')
    assert "3000000" in result.stdout, result


@pytest.mark.parametrize("config", ['ca = "{ca}"', 'environments = {{ one = {{ default = true, redis = {{ ca = "{ca}" }} }} }}'])
def test_authorities_by_the_config(ask, tls_redis, config):
    event, result = ask("redis.ping(url)", config.format(ca=tls_redis.ca))
    assert told(event)[0] == "ok", result


def test_authorities_by_the_environment(ask, sandbox, tls_redis):
    sandbox.env["SSL_CERT_FILE"] = tls_redis.ca
    event, result = ask("redis.ping(url)", "")
    assert told(event)[0] == "ok", result


@pytest.mark.parametrize("kind, status, error, words", [
    ("expired", "not_well", None, "the certificate does not verify: certificate has expired, on 2"),
    ("wrong_host", "not_well", None, "hostname mismatch: it is for other.example"),
    ("self_signed", "failed", "trust", "can't be checked here: self")])
def test_a_bad_certificate_is_told_in_words(ask, tls_redis, kind, status, error, words):
    tls_redis.present(kind)
    event, result = ask("redis.ping(url)")
    assert told(event)[:2] == (status, error) and words in told(event)[2], result
    assert f"localhost:{tls_redis.port}" in told(event)[2], result


def test_an_address_is_checked_as_one(ask, tls_redis):
    url = f"rediss://{HOST}:{tls_redis.port}"
    assert told(ask("redis.ping(url)", url=url)[0])[0] == "ok"
    tls_redis.present("wrong_host")
    event, result = ask("redis.ping(url)", url=url)
    assert told(event)[0] == "not_well" and "IP address mismatch" in told(event)[2], result


def test_an_unknown_authority_fails(ask):
    event, result = ask("redis.ping(url)", "")
    assert told(event)[:2] == ("failed", "trust") and "SSL_CERT_FILE" in told(event)[2], result


def test_the_servers_name_is_sent_and_asked_of_a_rehearsals(ask, tls_redis):
    """`hosts` says where a name is; the certificate must bear the name all the same."""
    config = f'redis = {{ ca = "{tls_redis.ca}" }}, hosts = {{ ["other.example"] = "{HOST}:{tls_redis.port}" }}'
    tls_redis.present("wrong_host")
    event, result = ask("redis.ping(url)", config, url="rediss://other.example")
    assert told(event)[0] == "ok", result


def test_a_client_certificate(ask, tls_redis):
    tls_redis.ask_clients("yes")
    event, result = ask("redis.ping(url)")
    assert told(event)[:2] == ("failed", "login") and "wants a client's certificate" in told(event)[2], result
    mine = f'ca = "{tls_redis.ca}", cert = "{tls_redis.file("good.pem")}", key = "{tls_redis.file("good.key")}"'
    event, result = ask("redis.ping(url)", f"redis = {{ {mine} }}")
    assert told(event)[0] == "ok", result
    whole = tls_redis.file("whole.pem")
    with open(whole, "w") as file:
        file.write(open(tls_redis.file("good.pem")).read() + open(tls_redis.file("good.key")).read())
    event, result = ask("redis.ping(url)", f'redis = {{ ca = "{tls_redis.ca}", cert = "{whole}" }}')
    assert told(event)[0] == "ok", result
    other = mine.replace("good.", "self_signed.")
    event, result = ask("redis.ping(url)", f"redis = {{ {other} }}")
    assert told(event)[:2] == ("failed", "login") and "refuses our client certificate" in told(event)[2], result


def test_a_login_over_tls(ask, tls_redis):
    tls_redis.cli("ACL", "SETUSER", "reader", "on", ">sesame88", "+ping", "+select")
    address = f"localhost:{tls_redis.port}/1"
    assert told(ask("redis.ping(url)", url="rediss://reader:sesame88@" + address)[0])[0] == "ok"
    event, result = ask("redis.ping(url)", url="rediss://reader:sesame77@" + address)
    assert told(event)[:2] == ("failed", "login") and "WRONGPASS" in told(event)[2], result
    assert "sesame" not in result.stdout + "".join(result.journal_lines), result


@pytest.mark.parametrize("files, kind, words", [
    ({"ca": "/nonexistent/ca.pem"}, "trust", "the authorities in /nonexistent/ca.pem can't be read: No such file"),
    ({"cert": "/nonexistent/me.pem"}, "trust", "the client's certificate /nonexistent/me.pem can't be read"),
    ({"cert": "good.pem", "key": "/nonexistent/me.key"}, "trust", "the client's key /nonexistent/me.key can't be read"),
    ({"cert": "good.pem", "key": "expired.key"}, "usage", "expired.key can't be used: key values mismatch"),
    ({"cert": "good.pem", "key": "locked.key"}, "usage", "locked.key can't be used"),
    ({"ca": "index"}, "usage", "index can't be used")])
def test_our_own_file_that_is_not_usable_is_named(ask, tls_redis, files, kind, words):
    subprocess.run(["/usr/bin/openssl", "ec", "-aes256", "-passout", "pass:sesame88", "-in", tls_redis.file("good.key"),
                    "-out", tls_redis.file("locked.key")], check=True, capture_output=True)
    files = {"ca": tls_redis.ca} | {name: os.path.join(tls_redis.folder, path) for name, path in files.items()}
    event, result = ask("redis.ping(url)", "redis = { " + ", ".join(f'{k} = "{v}"' for k, v in files.items()) + " }")
    assert told(event)[:2] == ("failed", kind) and words in told(event)[2], result


@pytest.mark.parametrize("config, words", [
    ('redis = { ca = "ca.pem" }', "redis.ca: a whole path expected"),
    ('redis = { key = "/k" }', "redis.key: its certificate is missing"),
    ("redis = { cacert = 1 }", "unknown key 'redis.cacert'")])
def test_a_wrong_config_is_refused(runbook, sandbox, config, words):
    sandbox.write("runbook.config.lua", "return { " + config + " }")
    sandbox.write("x.lua", 'runbook { title = "X" }\nreturn unresolved "x"\n')
    result = runbook("run", "x.lua")
    assert result.code == 2 and words in result.stderr, result


def test_the_tongues_are_told_apart(ask, tls_redis, redis_server):
    """Redis hangs up on the one and waits for ever on the other."""
    plain = f"redis://localhost:{tls_redis.port}"
    for url in (plain, plain + "/1"):
        event, result = ask("redis.ping(url)", url=url)
        assert told(event) == ("failed", "usage", f"localhost:{tls_redis.port} speaks TLS: its address begins with rediss://, "
                               "not redis://"), result
    event, result = ask('redis.command(url, "GET", "a")', "", url=plain)
    assert told(event)[1] == "usage" and "speaks TLS" in told(event)[2], result
    began = time.monotonic()
    event, result = ask('redis.ping(url, { timeout = "3s" })', url=f"rediss://localhost:{redis_server.port}")
    assert told(event) == ("failed", "usage", f"localhost:{redis_server.port} speaks no TLS: its address begins with redis://, "
                           "not rediss://"), result
    assert time.monotonic() - began < 15, result


def test_who_answers_something_else_speaks_no_tls(ask, wire):
    def serve(connection, _):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    event, result = ask("redis.ping(url)", url=f"rediss://{HOST}:{wire(serve).port}")
    assert told(event)[:2] == ("failed", "usage") and "speaks no TLS" in told(event)[2], result


@pytest.mark.parametrize("words, said", [
    (b"", "in the TLS handshake"), (b"\x16\x03\x03\x00\x04\x02\x00", "in the TLS handshake"),
    (b"\x15\x03\x03\x00\x02\x02\x28", "handshake failure")], ids=["end", "part", "alert"])
def test_a_handshake_that_breaks_off_is_not_well(ask, wire, words, said):
    def serve(connection, _):
        connection.recv(4096)
        connection.sendall(words)
    event, result = ask("redis.ping(url)", url=f"rediss://{HOST}:{wire(serve).port}")
    assert told(event)[0] == "not_well" and said in told(event)[2], result


def test_deadlines_hold_in_the_handshake(ask, tls_redis):
    tls_redis.freeze()
    try:
        began = time.monotonic()
        event, result = ask('redis.ping(url, { timeout = "1s" })', timeout=30)
    finally:
        tls_redis.thaw()
    assert told(event)[0] == "not_well" and "took longer than" in told(event)[2], result
    assert time.monotonic() - began < 15, result


def test_a_cancelled_handshake_leaves_nothing(luahost, tls_redis):
    """Under the sanitizers, and the server goes on as before."""
    tls_redis.freeze()
    try:
        shown = lua_ask(luahost, f"""
          local redis, task = require "raw.redis", require "raw.task"
          local session = require("raw.tls").client {{ target = "it", name = "localhost", ca = "{tls_redis.ca}" }}
          local conn, err = redis.connect {{ host = "{HOST}", port = {tls_redis.port}, tls = session, timeout = 0.3 }}
          show(conn, err.kind)
          show(pcall(redis.connect, {{ host = "{HOST}", port = {tls_redis.port}, tls = session }}))
          require("raw.tls").client {{ target = "it", name = "localhost", ca = "{tls_redis.ca}" }}""")
    finally:
        tls_redis.thaw()
    assert shown[0] == [None, "timeout"] and shown[1][0] is False and "the session has been used" in shown[1][1], shown
    assert tls_redis.cli("PING") == "PONG"


def test_the_line_by_hand_does_the_same(ask, tls_redis):
    mine = f'ca = "{tls_redis.ca}", cert = "{tls_redis.file("good.pem")}", key = "{tls_redis.file("good.key")}"'
    _, result = ask("redis.ping(url)", f"redis = {{ {mine} }}", act='redis.command(url .. "/1", "SET", "by", "program")')
    line = result.events("plan")[-1]["effects"][0]["command"]
    assert line.startswith(f"redis-cli -u rediss://localhost:{tls_redis.port}/1 --cacert {tls_redis.ca} --cert "), line
    words = shlex.split(line.replace("by program", "by hand"))
    done = subprocess.run([shutil.which(words[0]), *words[1:]], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "OK" and tls_redis.cli("-n", "1", "GET", "by") == "hand", done


def test_the_doctor_looks_at_it(runbook, sandbox, tls_redis):
    sandbox.write("x.lua", f"""runbook {{ title = "X" }}
local look = probe("P", function() redis.ping("{tls_redis.url}") end)
look()
return unresolved "x"
""")
    blind = runbook("doctor", "x.lua")
    assert "SSL_CERT_FILE" in blind.stdout and "the file of the authority that signed it" in blind.stdout, blind
    sandbox.write("runbook.config.lua", f'return {{ redis = {{ ca = "{tls_redis.ca}" }} }}')
    seeing = runbook("doctor", "x.lua")
    assert f"Redis {tls_redis.cli('INFO', 'server').split('redis_version:')[1].split()[0]} answers" in seeing.stdout, seeing
