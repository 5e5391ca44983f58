"""An HTTP server that misbehaves in every way a client has to survive. The path says how:

  /                     200, "ok"                       /status/503          that status, with a body that says so
  /health*              200, until `set` says more      /slow/2.5            answers after that many seconds
  /json /echo           JSON; /echo the request itself  /never               never answers
  /body/1000000         that many bytes                 /drip/0.1            a byte now and then, without an end
  /chunked              a body in chunks                /truncated           ends before its Content-Length
  /bigheader            10 MB of one header             /garbage             not HTTP at all
  /badjson /badutf8     what they say, as JSON, as text /close               hangs up without an answer
  /nul                  a body with NUL bytes           /reset               RST instead of an answer
  /escapes              terminal escapes and bidi marks /redirect/3          three redirects, then /
  /headers              unusual headers                 /loop                redirects to itself
  /flaky/2/KEY          503 twice, then 200             /retry-after/7       429 with that Retry-After

`url` speaks HTTP; `https(kind)` HTTPS with the certificate of that kind (tls.KINDS), trusted by who trusts `ca`.
"""

import os
import socket
import threading
import time

from .process import HOST
from .tls import KINDS, Authority
from .web import Site

BIG_HEADER = 10 * 1000 * 1000
ESCAPES = ("\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J\x9b31m bell\x07 back\x08 \r over "
           "\u202egnp.exe\u202c \u2066x\u2069\n")


class Faults(Site):
    def __init__(self, folder):
        super().__init__()
        self.answers, self.failures = {}, {}
        os.makedirs(folder, exist_ok=True)
        authority = Authority(folder)
        self.ca = authority.ca
        self.tls_ports = {kind: self.listen(context=authority.context(kind)) for kind in KINDS}

    def https(self, kind="good"):
        return f"https://localhost:{self.tls_ports[kind]}"

    def set(self, path, status=200, body="ok", headers=(), delay=0):
        """From now on `path` (exact, without query) is answered like this, whatever the table above says."""
        self.answers[path] = (status, body, headers, delay)

    def reset(self):
        """Forgets what `set` said and what came; who waits for /never, /slow or /drip is hung up on."""
        self.ended.set()
        self.ended = threading.Event()
        self.answers, self.failures, self.requests = {}, {}, []

    def answer(self, handler, request):
        path = request.path.split("?")[0]
        if path in self.answers:
            status, body, headers, delay = self.answers[path]
            self.ended.wait(delay)
            return handler.reply(status, body, headers)
        name, _, argument = path.lstrip("/").partition("/")
        route = ROUTES.get(name)
        if route is None:
            return handler.reply(404, "no such route\n")
        route(self, handler, request, argument)

    def status(self, handler, _, argument):
        handler.reply(int(argument), b"" if argument in ("204", "304") else f"status {argument}\n")

    def health(self, handler, *_):
        handler.reply(200, {"status": "Healthy"})

    def slow(self, handler, _, argument):
        self.ended.wait(float(argument))
        handler.reply(200, "slow\n")

    def never(self, handler, *_):
        handler.silence()

    def drip(self, handler, _, argument):
        handler.raw(b"HTTP/1.1 200 OK\r\n\r\n")
        ended = self.ended
        while not ended.wait(float(argument or 0.1)):
            handler.raw(b".")

    def echo(self, handler, request, _):
        handler.reply(200, {"method": request.method, "path": request.path, "headers": dict(request.headers),
                            "body": request.body.decode("utf-8", "replace")})

    def body(self, handler, _, argument):
        handler.reply(200, b"0123456789abcde\n" * (int(argument) // 16) + b"x" * (int(argument) % 16))

    def chunked(self, handler, *_):
        handler.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")

    def truncated(self, handler, *_):
        handler.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nnot a thousand bytes")

    def big_header(self, handler, *_):
        handler.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Big: " + b"x" * BIG_HEADER + b"\r\n\r\nok")

    def headers(self, handler, *_):
        handler.raw(b"HTTP/1.1 200 OK\r\nX-Twice: one\r\nX-Twice: two\r\nX-Empty:\r\nX-Latin: caf\xe9\r\n"
                    b"X-Escape: a\x1b[31mb\r\nContent-Length: 2\r\n\r\nok")

    def redirect(self, handler, _, argument):
        left = int(argument or 1) - 1
        handler.reply(302, "", {"Location": f"/redirect/{left}" if left > 0 else "/"})

    def loop(self, handler, *_):
        handler.reply(302, "", {"Location": "/loop"})

    def flaky(self, handler, request, argument):
        with self.lock:
            seen = self.failures[request.path] = self.failures.get(request.path, 0) + 1
        failing = seen <= int(argument.split("/")[0])
        handler.reply(503 if failing else 200, f"try {seen}\n")

    def retry_after(self, handler, _, argument):
        handler.reply(429, "later\n", {"Retry-After": argument or "1"})


def _fixed(body, kind="application/json"):
    return lambda _site, handler, *_: handler.reply(200, body, {"Content-Type": kind})


ROUTES = {
    "": _fixed("ok\n", "text/plain"), "status": Faults.status, "health": Faults.health, "slow": Faults.slow,
    "never": Faults.never, "drip": Faults.drip, "echo": Faults.echo, "body": Faults.body, "chunked": Faults.chunked,
    "truncated": Faults.truncated, "bigheader": Faults.big_header, "headers": Faults.headers,
    "redirect": Faults.redirect, "loop": Faults.loop, "flaky": Faults.flaky, "retry-after": Faults.retry_after,
    "json": _fixed({"name": "conduit", "n": 3, "pi": 3.5, "list": [1, "two", None], "deep": {"a": True}}),
    "badjson": _fixed('{"unfinished": [1, 2'), "badutf8": _fixed(b"caf\xe9 \xff\xfe \xc3(\n", "text/plain"),
    "nul": _fixed(b"before\0after\0\n", "text/plain"), "escapes": _fixed(ESCAPES, "text/plain"),
    "close": lambda _site, handler, *_: handler.raw(b""),
    "reset": lambda _site, handler, *_: handler.reset(),
    "garbage": lambda _site, handler, *_: handler.raw(b"\x16\x03\x01SSH-2.0-not http\r\n\r\n\0\0"),
}


class StuckPort:
    """A port where connecting takes for ever: its queue is full, so the kernel drops whoever comes next."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind((HOST, 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.queued = [socket.socket() for _ in range(4)]
        for client in self.queued:
            client.setblocking(False)
            client.connect_ex((HOST, self.port))
        time.sleep(0.05)

    def close(self):
        for one in (*self.queued, self.listener):
            one.close()


class SilentPort:
    """A port that accepts every connection and says nothing, in any protocol."""

    def __init__(self):
        self.listener = socket.create_server((HOST, 0), backlog=64)
        self.port = self.listener.getsockname()[1]

    def close(self):
        self.listener.close()
