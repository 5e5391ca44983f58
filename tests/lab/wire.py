"""raw.http asked from a test, and servers of one behaviour each.

The fixtures `request_` and `wire` are for test files to import."""

import socket
import threading

import pytest

from lab.luavalues import ask, lua
from lab.process import HOST


@pytest.fixture
def request_(luahost):
    """request_(url, **options) -> (answer, None) or (None, error), as dicts."""
    def request(url, **options):
        text = f'show(require("raw.http").request({lua({"url": url, **options})}))'
        answer = ask(luahost, text)[0]
        return answer[0], answer[1] if len(answer) > 1 else None
    return request


class Wire:
    """A server of one behaviour: `serve(connection, number)` runs in a thread for each connection."""

    def __init__(self, serve, family=socket.AF_INET, address=(HOST, 0)):
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address)
        self.listener.listen(256)
        self.serve, self.count = serve, 0
        self.address = self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"http://{HOST}:{self.address[1]}"

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self._run, args=(connection, self.count), daemon=True).start()

    def _run(self, connection, number):
        with connection:
            try:
                self.serve(connection, number)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def wire():
    servers = []

    def start(serve, **options):
        servers.append(Wire(serve, **options))
        return servers[-1]
    yield start
    for server in servers:
        server.close()


def head_of(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return data
        data += more
    return data
