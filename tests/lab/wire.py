"""raw.http asked from a test, and servers of one behaviour each, below HTTP.

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
        self.port = self.address[1] if family == socket.AF_INET else None
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://{HOST}:{self.port}"

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
        """Nobody listens any more. The thread must end before its listener is closed: a thread left in `accept` goes on by the
        listener's number when a signal (any child's end) interrupts it, and takes a client of whoever has that number by then."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()


@pytest.fixture
def wire():
    """wire(serve, family=…, address=…) -> a Wire, closed after the test."""
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
