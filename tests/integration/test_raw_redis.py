"""raw.redis against a real server, and against servers that are not quite Redis."""

import os
import socket
import subprocess
import time

import pytest

from lab.luavalues import ask, lua
from lab.process import HOST, wait_for
from lab.wire import wire


@pytest.fixture
def redis_lua(luahost):
    """redis_lua(options, text): what `text` shows, with `conn` connected as the options say."""
    def call(options, text):
        return ask(luahost, f'local redis = require "raw.redis"\n'
                            f'local conn, failure = redis.connect({lua(options)})\n{text}')
    return call


def ping(redis_lua, port, options="{timeout = 0.5}"):
    """[value, error] of one PING, then those of a second."""
    return redis_lua({"host": HOST, "port": port}, f"""
      for _ = 1, 2 do
        local value, err = conn:call({{"PING"}}, {options})
        show(value, err)
      end""")


# A real server

def test_every_kind_of_reply(redis_lua, redis_server):
    shown = redis_lua({"host": HOST, "port": redis_server.port}, """
      show(conn:call { "PING" })
      show(conn:call { "SET", "k\\0\\255", "v\\r\\n\\0" })
      show(conn:call { "GET", "k\\0\\255" })
      show(conn:call { "INCRBY", "n", 41 })
      show(select("#", conn:call { "GET", "nothing" }), conn:call { "GET", "nothing" })
      local list = conn:call { "MGET", "n", "nothing" }
      show(#list, list[1], type(list[2]), list[2] == nil)
      show(conn:call { "KEYS", "nothing*" })
      show(conn:call { "DEBUG", "SLEEP", "0" })
    """)
    assert shown == [["PONG"], ["OK"], ["v\r\n\0"], [41], [1, None], [2, "41", "userdata", False], [{}], ["OK"]]


def test_error_replies_leave_the_connection_usable(redis_lua, redis_server):
    shown = redis_lua({"host": HOST, "port": redis_server.port}, """
      conn:call { "SET", "s", "text" }
      show(conn:call { "LPUSH", "s", "x" })
      show(conn:call { "NOSUCH" })
      show(conn:call { "MULTI" })
      conn:call { "LPUSH", "s", "x" }
      conn:call { "GET", "s" }
      show(conn:call { "EXEC" })
    """)
    assert shown[0][1]["kind"] == "reply" and shown[0][1]["message"].startswith("WRONGTYPE")
    assert shown[1][1]["kind"] == "reply"
    assert shown[3][0][0]["error"].startswith("WRONGTYPE") and shown[3][0][1] == "text"


def test_passwords_and_permissions(redis_lua, redis_server):
    redis_server.cli("ACL", "SETUSER", "reader", "on", ">pass", "~*", "+get")
    redis_server.cli("ACL", "SETUSER", "default", "resetpass", ">word")
    try:
        shown = redis_lua({"host": HOST, "port": redis_server.port}, """
          local commands = { { "GET", "x" }, { "AUTH", "wrong" }, { "AUTH", "reader", "pass" }, { "SET", "x", "1" } }
          for _, command in ipairs(commands) do
            local value, err = conn:call(command)
            show(value, err and err.kind)
          end""")
    finally:
        admin = ["/usr/bin/redis-cli", "-h", HOST, "-p", str(redis_server.port), "-a", "word", "--no-auth-warning"]
        subprocess.run([*admin, "ACL", "SETUSER", "default", "nopass"], check=True, stdout=subprocess.DEVNULL)
    assert shown == [[None, "login"], [None, "login"], ["OK", None], [None, "permission"]]


def test_unix_socket(redis_lua, lab_folder, luahost):
    path = os.path.join(lab_folder, "redis.sock")
    options = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", lab_folder]
    server = subprocess.Popen(["/usr/bin/redis-server", *options], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: os.path.exists(path), "the socket is there")
        assert redis_lua({"path": path}, 'show(conn:call { "ECHO", "hi" })') == [["hi"]]
    finally:
        server.terminate()
        server.wait()


def test_large_replies_and_the_limit(redis_lua, redis_server):
    shown = redis_lua({"host": HOST, "port": redis_server.port}, """
      show(conn:call { "SET", "big", ("x"):rep(6000000) })
      show(#conn:call { "GET", "big" })
      local value, err = conn:call({ "GET", "big" }, { max_reply = 100000 })
      show(value, err)
      show(conn:call { "PING" })
    """)
    assert shown[1] == [6000000] and shown[2][1]["kind"] == "limit" and "100000" in shown[2][1]["message"]
    assert shown[3][1]["kind"] == "reset"


def test_a_server_that_was_restarted(redis_lua, redis_server):
    shown = redis_lua({"host": HOST, "port": redis_server.port}, """
      conn:call { "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no" }
      show(conn:call { "PING" })
    """)
    assert shown[0][1]["kind"] == "reset"


def test_a_frozen_server(redis_lua, redis_server):
    redis_server.freeze()
    try:
        shown = redis_lua({"host": HOST, "port": redis_server.port}, 'show(conn:call({ "PING" }, { timeout = 0.3 }))')
    finally:
        redis_server.thaw()
    assert shown[0][1]["kind"] == "timeout"


def test_one_call_at_a_time(luahost, redis_server):
    shown = ask(luahost, f"""
      local task, redis = require "raw.task", require "raw.redis"
      local conn <close> = redis.connect {{ host = "{HOST}", port = {redis_server.port} }}
      local other = task.spawn(function() return conn:call {{ "DEBUG", "SLEEP", "0.3" }} end)
      task.sleep(0.1)
      show(pcall(conn.call, conn, {{ "PING" }}))
      show(pcall(conn.close, conn))
      show(task.join(other))
      show(conn:call {{ "PING" }})
      show(tostring(conn))
      conn:close() conn:close()
      show(tostring(conn), conn:call {{ "PING" }})
    """)
    assert [row[0] for row in shown[:2]] == [False, False]
    assert shown[2:5] == [[True, "OK"], ["PONG"], ["redis connection (open)"]]
    assert shown[5][0] == "redis connection (closed)" and shown[5][2]["kind"] == "reset"


def test_cancelling_closes_the_connection(luahost, silent_port):
    shown = ask(luahost, f"""
      local task, redis = require "raw.task", require "raw.redis"
      local conn = redis.connect {{ host = "{HOST}", port = {silent_port} }}
      local other = task.spawn(function() return conn:call({{ "PING" }}, {{ timeout = 50 }}) end)
      task.sleep(0.1)
      task.cancel(other)
      task.join(other)
      show(conn:call {{ "PING" }})
    """)
    assert shown[0][1]["kind"] == "reset"


# Where nothing answers

@pytest.mark.parametrize("options, kind", [
    ({"host": "no.such.host.invalid"}, "dns"),
    ({"host": "localhost", "port": 1}, "refused"),
    ({"host": "::1", "port": 1}, "refused"),
    ({"path": "/no/such/socket"}, "missing"),
])
def test_what_cannot_be_reached(redis_lua, options, kind):
    assert redis_lua({**options, "timeout": 20}, "show(failure)")[0][0]["kind"] == kind


def test_connecting_takes_for_ever(redis_lua, stuck_port):
    started = time.monotonic()
    failure = redis_lua({"host": HOST, "port": stuck_port, "timeout": 0.5}, "show(failure)")[0][0]
    assert failure["kind"] == "timeout" and time.monotonic() - started < 5


def test_the_next_address_is_tried(redis_lua, redis_server):
    """localhost is ::1 first, where nothing listens."""
    assert redis_lua({"host": "localhost", "port": redis_server.port}, 'show(conn:call { "PING" })') == [["PONG"]]


# Servers that are not quite Redis

def test_a_server_that_never_answers(redis_lua, silent_port):
    first, second = ping(redis_lua, silent_port)
    assert first[1]["kind"] == "timeout" and second[1]["kind"] == "reset"


def test_a_server_that_drips(redis_lua, wire):
    def serve(connection, _):
        connection.recv(4096)
        for byte in b"$1000000\r\n" + b"x" * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)
    assert ping(redis_lua, wire(serve).port)[0][1]["kind"] == "timeout"


def test_a_reply_byte_by_byte(redis_lua, wire):
    def serve(connection, _):
        for _ in range(2):
            connection.recv(4096)
            for byte in b"*2\r\n$2\r\nab\r\n:7\r\n":
                connection.sendall(bytes([byte]))
                time.sleep(0.002)
    assert ping(redis_lua, wire(serve).port) == [[["ab", 7], None], [["ab", 7], None]]


@pytest.mark.parametrize("data, kind", [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "usage"),
    (b"%1\r\n+a\r\n+b\r\n", "protocol"),                           # RESP3 was not asked for; hiredis 1.0 would read it
    (b",1.5\r\n", "protocol"),
    (b"#t\r\n", "protocol"),
    (b"_\r\n", "protocol"),
    (b"(12\r\n", "protocol"),
    (b"=7\r\ntxt:abc\r\n", "protocol"),
    (b"*1\r\n" * 9 + b":1\r\n", "protocol"),
    (b"+OK\r\n+OK\r\n", "protocol"),                               # two answers to one question
    (b"$-2\r\n", "protocol"),
    (b"*1\r\n" * 900000, "protocol"),                              # nested too deep
    (b"*2000000000\r\n", "limit"),
    (b"*1000001\r\n", "limit"),
    (b"*4\r\n" + b"*400000\r\n" + b":1\r\n" * 400000 + b"*700000\r\n", "limit"),
    (b"$9000000000\r\n" + b"x" * 9_000_000, "limit"),
    (b"", "reset"),
    (b"$10\r\nhalf", "reset"),
])
def test_nonsense(redis_lua, wire, data, kind):
    def serve(connection, _):
        connection.recv(4096)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    first, second = ping(redis_lua, wire(serve).port, "{timeout = 20}")
    assert first[1]["kind"] == kind and second[1]["kind"] == "reset"


def test_what_comes_unasked_is_not_taken_for_an_answer(redis_lua, wire):
    def serve(connection, _):
        connection.recv(4096)
        connection.sendall(b"+PONG\r\n")
        time.sleep(0.1)
        connection.sendall(b"+stale\r\n")
        connection.recv(4096)
    shown = redis_lua({"host": HOST, "port": wire(serve).port}, """
      show(conn:call { "PING" })
      require("raw.task").sleep(0.3)
      show(conn:call { "PING" })""")
    assert shown[0] == ["PONG"] and shown[1][1]["kind"] == "protocol"


def test_a_server_that_lets_nobody_in(redis_lua, wire):
    def serve(connection, _):
        connection.sendall(b"-DENIED Redis is running in protected mode\r\n")
    shown = redis_lua({"host": HOST, "port": wire(serve).port}, """
      require("raw.task").sleep(0.2)
      show(conn:call { "PING" })""")
    assert shown[0][1]["kind"] == "permission" and "protected mode" in shown[0][1]["message"]


@pytest.mark.parametrize("text", [
    "redis.connect {}", "redis.connect { host = 'x', port = 0 }", "redis.connect { host = 'x', wat = 1 }",
    "redis.connect { path = ('x'):rep(200) }", "conn:call {}", "conn:call { true }", "conn:call { 1.5 }",
    "conn:call({ 'PING' }, { wat = 1 })", "conn:call({ 'PING' }, { timeout = -1 })",
])
def test_misuse_raises(redis_lua, redis_server, text):
    shown = redis_lua({"host": HOST, "port": redis_server.port}, f"show(pcall(function() {text} end))")
    assert shown[0][0] is False


def test_a_hundred_connections(luahost, redis_server):
    assert ask(luahost, f"""
      local task, redis = require "raw.task", require "raw.redis"
      local tasks, right = {{}}, 0
      for i = 1, 100 do
        tasks[i] = task.spawn(function()
          local conn <close> = redis.connect {{ host = "{HOST}", port = {redis_server.port} }}
          return conn:call {{ "ECHO", i }}
        end)
      end
      for i, one in ipairs(tasks) do
        local _, text = task.join(one)
        if text == tostring(i) then right = right + 1 end
      end
      show(right)""") == [[100]]
