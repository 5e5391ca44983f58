"""raw.http against servers that behave and servers that don't; TLS is in test_raw_http_tls.py."""

import os
import re
import socket
import time

import pytest

from lab.luavalues import ask
from lab.process import HOST
from lab.wire import head_of, request_, wire


# Answers

def test_get(request_, http_faults):
    answer, error = request_(http_faults.url + "/")
    assert error is None
    assert (answer["status"], answer["body"], answer["cut"]) == (200, "ok\n", False)
    assert answer["headers"]["content-type"] == "text/plain"
    assert answer["url"] == http_faults.url + "/"
    assert answer["remote_address"] == f"{HOST}:{http_faults.port}"
    assert set(answer["ms"]) == {"dns", "connect", "tls", "first_byte", "total"}
    assert "tls" not in answer


def test_503_is_an_answer(request_, http_faults):
    answer, _ = request_(http_faults.url + "/status/503")
    assert (answer["status"], answer["body"]) == (503, "status 503\n")


def test_head_has_no_body(request_, http_faults):
    answer, _ = request_(http_faults.url + "/", method="HEAD")
    assert (answer["status"], answer["body"]) == (200, "")
    assert http_faults.requests[0].method == "HEAD"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods(request_, http_faults, method):
    http_faults.set("/x", 200, "done")
    answer, error = request_(http_faults.url + "/x", method=method, **({} if method == "OPTIONS" else {"body": b"a\0b\xff"}))
    seen = http_faults.requests[0]
    assert (error, seen.method) == (None, method)
    assert seen.body == (b"" if method == "OPTIONS" else b"a\0b\xff")
    assert "Content-Type" not in seen.headers and "Expect" not in seen.headers


def test_post_without_body_says_so(request_, http_faults):
    request_(http_faults.url + "/", method="POST")
    assert http_faults.requests[0].headers["Content-Length"] == "0"


def test_headers_sent(request_, http_faults):
    request_(http_faults.url + "/", headers={"X-One": "1", "X-Empty": "", "Host": "other.example", "content-type": "a/b"},
             method="POST", body="x")
    seen = http_faults.requests[0].headers
    assert (seen["X-One"], seen["X-Empty"], seen["Host"], seen["Content-Type"]) == ("1", "", "other.example", "a/b")
    assert seen["User-Agent"].startswith("runbook/")


def test_headers_received(request_, http_faults):
    headers = request_(http_faults.url + "/headers")[0]["headers"]
    assert headers["x-twice"] == "one, two"
    assert headers["x-empty"] == ""
    assert headers["x-latin"] == "caf\xe9"
    assert headers["x-escape"] == "a\x1b[31mb"


def test_bodies_are_exact(request_, http_faults):
    assert request_(http_faults.url + "/nul")[0]["body"] == "before\0after\0\n"
    assert request_(http_faults.url + "/badutf8")[0]["body"] == "caf\xe9 \xff\xfe \xc3(\n"
    assert request_(http_faults.url + "/chunked")[0]["body"] == "hello world"


def test_user_info_becomes_basic_auth_and_nothing_else(request_, http_faults):
    url = f"http://us%40er:pa%3Ass@{HOST}:{http_faults.port}/"
    answer, _ = request_(url)
    assert http_faults.requests[0].headers["Authorization"] == "Basic dXNAZXI6cGE6c3M="
    assert answer["url"] == http_faults.url + "/"


def test_auth_option(request_, http_faults):
    request_(http_faults.url + "/", auth={"user": "u", "password": "p"})
    assert http_faults.requests[0].headers["Authorization"] == "Basic dTpw"


# Cutting

def test_head_of_a_large_body(request_, http_faults):
    answer, error = request_(http_faults.url + "/body/3000000")
    assert error is None and answer["cut"] and len(answer["body"]) == 1 << 20


def test_exactly_full_is_not_cut(request_, http_faults):
    answer, _ = request_(http_faults.url + "/body/1000", max_body=1000)
    assert len(answer["body"]) == 1000 and not answer["cut"]


def test_max_body_zero(request_, http_faults):
    for keep in ("head", "tail"):
        answer, error = request_(http_faults.url + "/body/1000", max_body=0, keep=keep)
        assert (error, answer["body"], answer["cut"]) == (None, "", True)


def test_endless_body_ends_when_the_head_is_full(request_, http_faults):
    answer, error = request_(http_faults.url + "/drip/0.01", max_body=5)
    assert (error, answer["body"], answer["cut"]) == (None, ".....", True)


def test_tail(request_, wire):
    lines = b"".join(b"line %d\n" % number for number in range(50000))

    def serve(connection, _):
        head_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + lines)
    answer, error = request_(wire(serve).url, keep="tail", max_body=1000)
    assert error is None and answer["cut"] and answer["body"].encode() == lines[-1000:]


def test_short_tail(request_, http_faults):
    answer, _ = request_(http_faults.url + "/body/100", keep="tail", max_body=1000)
    assert len(answer["body"]) == 100 and not answer["cut"]


# Redirects

def test_redirects_only_when_asked(request_, http_faults):
    assert request_(http_faults.url + "/redirect/3")[0]["status"] == 302
    answer, _ = request_(http_faults.url + "/redirect/3", follow=True)
    assert (answer["status"], answer["url"], answer["body"]) == (200, http_faults.url + "/", "ok\n")
    assert "location" not in answer["headers"]


def test_redirect_loop(request_, http_faults):
    _, error = request_(http_faults.url + "/loop", follow=True)
    assert error["kind"] == "limit" and error["status"] == 302
    assert len(http_faults.requests) == 11


def test_redirect_to_another_protocol(request_, http_faults):
    http_faults.set("/r", 302, "", {"Location": "file:///etc/passwd"})
    _, error = request_(http_faults.url + "/r", follow=True)
    assert error["kind"] == "protocol"


def test_credentials_of_a_redirect_are_not_shown(request_, http_faults):
    http_faults.set("/r", 302, "", {"Location": f"http://who:secret@{HOST}:{http_faults.port}/"})
    answer, _ = request_(http_faults.url + "/r", follow=True)
    assert answer["url"] == http_faults.url + "/"


# Faults

def test_refused(request_, closed_port):
    _, error = request_(f"http://user:secret@{HOST}:{closed_port}/")
    assert error["kind"] == "refused"
    assert error["message"] == f"{HOST}:{closed_port}: connection refused"


def test_name_that_does_not_resolve(request_):
    _, error = request_("http://user:secret@no-such-host.invalid/")
    assert error["kind"] == "dns" and "secret" not in error["message"]


def took(call, *arguments, **options):
    began = time.monotonic()
    _, error = call(*arguments, **options)
    return time.monotonic() - began, error


def test_timeouts_say_how_far_it_got(request_, http_faults, silent_port, stuck_port):
    seconds, error = took(request_, f"http://{HOST}:{stuck_port}/", timeout=0.5)
    assert error["kind"] == "timeout" and "no connection within" in error["message"] and seconds < 3
    _, error = took(request_, f"http://{HOST}:{stuck_port}/", timeout=5, connect_timeout=0.3)
    assert error["kind"] == "timeout" and 300 <= error["ms"]["total"] < 1500
    seconds, error = took(request_, f"http://{HOST}:{silent_port}/", timeout=0.5)
    assert error["kind"] == "timeout" and "connected, but no answer" in error["message"] and seconds < 3
    seconds, error = took(request_, f"https://{HOST}:{silent_port}/", timeout=0.5)
    assert error["kind"] == "timeout" and "no TLS handshake" in error["message"]
    _, error = took(request_, http_faults.url + "/never", timeout=0.5)
    assert error["kind"] == "timeout" and 500 <= error["ms"]["total"] < 1500


def test_dripping_body(request_, http_faults):
    _, error = request_(http_faults.url + "/drip/0.1", timeout=0.6)
    assert error["kind"] == "timeout" and error["status"] == 200 and error["cut"]
    assert error["body"].startswith("..") and error["headers"] == {}


def test_dripping_header(request_, wire):
    def serve(connection, _):
        for byte in b"HTTP/1.1 200 OK\r\n" * 100:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
    seconds, error = took(request_, wire(serve).url, timeout=0.5)
    assert error["kind"] == "timeout" and seconds < 3


@pytest.mark.parametrize("path, kind", [
    ("/close", "reset"), ("/reset", "reset"), ("/truncated", "reset"), ("/garbage", "protocol"), ("/bigheader", "limit")])
def test_broken_servers(request_, http_faults, path, kind):
    _, error = request_(http_faults.url + path)
    assert error["kind"] == kind
    assert error["message"].startswith(f"{HOST}:{http_faults.port}: ")


def test_truncated_body_keeps_what_came(request_, http_faults):
    _, error = request_(http_faults.url + "/truncated")
    assert (error["status"], error["body"], error["cut"]) == (200, "not a thousand bytes", True)


@pytest.mark.parametrize("line, count", [(b"X-A: b\r\n", 600), (b"X-A: " + b"b" * 4000 + b"\r\n", 100)])
def test_too_many_headers(request_, wire, line, count):
    def serve(connection, _):
        head_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + line * count + b"\r\n")
    _, error = request_(wire(serve).url)
    assert error["kind"] == "limit" and "headers" in error["message"] and "headers" not in error


def test_interim_answers_are_not_the_answer(request_, wire):
    def serve(connection, _):
        head_of(connection)
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    answer, _ = request_(wire(serve).url)
    assert (answer["status"], answer["headers"], answer["body"]) == (200, {"content-length": "2"}, "ok")


def test_not_urls(request_):
    for url in ("", "ftp://host/", "file:///etc/passwd", "http://user:secret@host:99999999/", "http://a b/", "//"):
        _, error = request_(url)
        assert error["kind"] == "usage" and "secret" not in error["message"], url


def test_misuse_raises(luahost):
    calls = ['{}', '{url = 1}', '{url = "http://x", timout = 1}', '{url = "http://x", timeout = 0}',
             '{url = "http://x", keep = "all"}',
             '{url = "http://x", method = "GET / HTTP/1.1"}', '{url = "http://x", headers = {["a: b"] = "c"}}',
             '{url = "http://x", headers = {a = "b\\r\\nc: d"}}', '{url = "http://x", headers = {a = "b\\0c"}}',
             '{url = "http://x\\0y"}', '{url = "http://x", method = "HEAD", body = ""}', '{url = "http://x", resolve = {"x:80"}}',
             '{url = "http://x", max_body = -1}', '{url = "http://x", auth = "x"}']
    text = "local http = require 'raw.http'\n" + "\n".join(f"show(pcall(http.request, {call}))" for call in calls)
    for call, (well, message) in zip(calls, ask(luahost, text), strict=True):
        assert well is False and "option" in message or "table expected" in message, (call, message)


# Unix sockets

def test_unix_socket(request_, wire, tmp_path):
    path = str(tmp_path / "s")

    def serve(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + head_of(connection).split(b"\r\n")[0])
    wire(serve, family=socket.AF_UNIX, address=path)
    answer, _ = request_("http://docker/v1/info", unix_socket=path)
    assert (answer["body"], answer["remote_address"]) == ("GET /v1/info HTTP/1.1", path)


def test_unix_sockets_that_cannot_be_reached(request_, tmp_path):
    missing, dead, folder = (str(tmp_path / name) for name in ("missing", "dead", "long" * 30))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(dead)
    for path, kind in ((missing, "missing"), (dead, "refused"), (folder, "usage")):
        _, error = request_("http://docker/", unix_socket=path)
        assert error["kind"] == kind and path in error["message"]


# Where it goes

def test_resolve_and_connect_to(request_, http_faults):
    port = http_faults.port
    answer, error = request_("http://api.conduit.example/echo", connect_to=[f"api.conduit.example:80:{HOST}:{port}"])
    assert error is None and '"Host": "api.conduit.example"' in answer["body"]
    answer, error = request_(f"http://api.conduit.example:{port}/", resolve=[f"api.conduit.example:{port}:{HOST}"])
    assert error is None and answer["remote_address"] == f"{HOST}:{port}"


def test_resolve_is_of_that_request_only(luahost, http_faults):
    url = f"http://api.conduit.invalid:{http_faults.port}/"
    shown = ask(luahost, f"""
      local http = require 'raw.http'
      show(http.request {{ url = "{url}", resolve = {{ "api.conduit.invalid:{http_faults.port}:{HOST}" }} }})
      show(http.request {{ url = "{url}" }})""")
    assert shown[0][0]["status"] == 200 and shown[1][1]["kind"] == "dns"


def test_proxies_of_the_environment_are_not_used(luahost, http_faults):
    env = {"http_proxy": f"http://{HOST}:1", "ALL_PROXY": f"http://{HOST}:1"}
    shown = ask(luahost, f'show(require("raw.http").request {{ url = "{http_faults.url}/" }})', env=env)
    assert shown[0][0]["status"] == 200


# Connections

def keep_alive(connection, _):
    while head_of(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def test_reads_reuse_connections_and_writes_do_not(luahost, wire):
    server = wire(keep_alive)

    def ask_five_times(method):
        request = f"http.request {{ url = '{server.url}', method = '{method}' }}"
        ask(luahost, f"local http = require 'raw.http' for _ = 1, 5 do assert({request}) end")
    ask_five_times("GET")
    assert server.count == 1
    ask_five_times("POST")
    assert server.count == 6


def test_a_write_is_never_sent_twice(luahost, wire):
    """The server takes the second request of a connection and dies: a GET may be repeated, a POST must not be."""
    seen = []

    def serve(connection, _):
        seen.append(head_of(connection)[:4])
        if seen[-1] == b"POST":
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        seen.append(head_of(connection)[:4])
    url = wire(serve).url
    shown = ask(luahost, f"""
      local http = require 'raw.http'
      show(http.request {{ url = '{url}' }})
      show(http.request {{ url = '{url}', method = 'POST', body = 'x' }})
      show(http.request {{ url = '{url}' }})
      show(http.request {{ url = '{url}' }})""")
    assert shown[1][1]["kind"] == "reset" and seen.count(b"POST") == 1
    assert shown[3][0]["status"] == 200 and seen.count(b"GET ") == 5


def test_cancelled_lookup_and_request_end_at_once(luahost, silent_port):
    began = time.monotonic()
    ask(luahost, f"""
      local http, task = require 'raw.http', require 'raw.task'
      local stuck = task.spawn(function() http.request {{ url = 'http://{HOST}:{silent_port}/' }} end)
      local lookup = task.spawn(function() http.request {{ url = 'http://slow.invalid/' }} end)
      task.sleep(0.1)
      task.cancel(stuck) task.cancel(lookup)
      show((task.join(stuck))) show((task.join(lookup)))""")
    assert time.monotonic() - began < 5


def test_requests_left_behind_at_the_end(luahost, silent_port):
    result = luahost(f"""
      local http, task = require 'raw.http', require 'raw.task'
      for _ = 1, 20 do task.spawn(function() http.request {{ url = 'http://{HOST}:{silent_port}/' }} end) end
      task.sleep(0.1)""")
    assert result.code == 0


def test_sockets_are_close_on_exec(luahost, sandbox, silent_port):
    host = sandbox.write("stuck.lua", f"require('raw.http').request {{ url = 'http://{HOST}:{silent_port}/', timeout = 20 }}")
    process = sandbox.start("luahost", host)
    try:
        flags = wait_for_socket(process.pid)
    finally:
        process.kill()
        process.communicate()
    assert flags and all(flag & os.O_CLOEXEC for flag in flags.values()), flags


def wait_for_socket(pid):
    """{fd: flags} of the process above stderr, once it has a TCP connection."""
    for _ in range(100):
        time.sleep(0.05)
        fds = [fd for fd in os.listdir(f"/proc/{pid}/fd") if int(fd) > 2]
        flags = {}
        for fd in fds:
            with open(f"/proc/{pid}/fdinfo/{fd}") as info:
                flags[fd] = int(re.search(r"flags:\s+(\d+)", info.read()).group(1), 8)
        with open(f"/proc/{pid}/net/tcp") as table:
            inodes = {line.split()[9] for line in table if line.split()[3] == "01"}
        mine = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in fds]
        if any(f"socket:[{inode}]" in mine for inode in inodes):
            return flags
    return {}


@pytest.mark.slow
def test_many_at_once(luahost, wire):
    def serve(connection, _):
        while head_of(connection):
            time.sleep(0.05)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    server = wire(serve)
    shown = ask(luahost, f"""
      local http, task = require 'raw.http', require 'raw.task'
      local ok, tasks, began = 0, {{}}, task.now()
      for i = 1, 200 do
        tasks[i] = task.spawn(function()
          for _ = 1, 5 do
            local answer, why = http.request {{ method = 'HEAD', url = '{server.url}' }}
            assert(answer, why and why.message)
            ok = ok + 1
          end
        end)
      end
      for i = 1, 200 do assert(task.join(tasks[i])) end
      show(ok, task.now() - began)""")
    assert shown[0][0] == 1000 and server.count <= 200
