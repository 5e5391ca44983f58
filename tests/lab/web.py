"""The base of all HTTP servers written for the tests: threads, recorded requests, scripted failures, an orderly end."""

import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .process import HOST, HeldPort, wait_for


class Request:
    """A request as it came: `at` (monotonic seconds), method, path, headers, body (bytes)."""

    def __init__(self, handler, body):
        self.at = time.monotonic()
        self.method, self.path, self.headers, self.body = handler.command, handler.path, handler.headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.method} {self.path} {self.body[:200]!r}>"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "lab"

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self, self.rfile.read(length))
        with self.server.site.lock:
            self.server.site.requests.append(request)
        self.server.site.answer(self, request)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any

    def reply(self, status, body=b"", headers=()):
        """A complete answer; `body` is bytes, str, or anything else as JSON."""
        kind = "text/plain; charset=utf-8" if isinstance(body, (str, bytes)) else "application/json"
        if not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(body), **dict(headers)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def raw(self, data):
        """Bytes instead of an answer; then the connection ends."""
        self.close_connection = True
        self.wfile.write(data)
        self.wfile.flush()

    def silence(self):
        """No answer until the site ends."""
        self.close_connection = True
        self.server.site.ended.wait()

    def reset(self):
        """The connection ends with RST instead of FIN."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.rfile = self.wfile = open("/dev/null", "r+b", buffering=0)  # what the base class flushes and closes

    def log_message(self, *_):
        pass


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        pass  # a client that hung up


class Site:
    """An HTTP server. Subclasses give `answer(handler, request)`. `requests` lists what came, in order."""

    def __init__(self):
        self.lock = threading.RLock()
        self.ended = threading.Event()
        self.requests = []
        self.listeners = []
        self.held = HeldPort()       # a site that stopped finds its port free
        self.port = self.listen(self.held.port)
        self.url = f"http://{HOST}:{self.port}"

    def listen(self, port=0, context=None):
        """One more port of this site, with TLS when a context is given."""
        listener = Listener((HOST, port), Handler)
        listener.site = self
        if context:
            listener.socket = context.wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
        self.listeners.append(listener)
        threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return listener.server_address[1]

    def answer(self, handler, request):
        raise NotImplementedError

    def stop(self):
        """Nobody listens any more: connections are refused."""
        for listener in self.listeners:
            listener.shutdown()
            listener.server_close()
        self.listeners = []
        self.ended.set()

    def start(self):
        """Back on the first port after `stop`."""
        self.ended = threading.Event()
        self.listen(self.port)

    def wait_for_requests(self, count, seconds=20):
        wait_for(lambda: len(self.requests) >= count, f"request {count}", seconds)
        return self.requests


class Scripted(Site):
    """A service that can be told how it fails next. Failures are used up in the order they were asked for."""

    def __init__(self):
        super().__init__()
        self.script = []

    def fail_next(self, count=1, status=429, retry_after=None, body="lab: told to fail"):
        """The next `count` requests get this status and change nothing."""
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        self._plan(count, lambda handler, _: handler.reply(status, body, headers))

    def timeout_next(self, count=1):
        """The next `count` requests change nothing and get no answer."""
        self._plan(count, lambda handler, _: handler.silence())

    def reset_next(self, count=1):
        self._plan(count, lambda handler, _: handler.reset())

    def timeout_after_success(self, count=1):
        """The next `count` requests are carried out, and the caller never learns of it."""
        def carry_out(handler, request):
            self.carry_out(request)
            handler.silence()
        self._plan(count, carry_out)

    def _plan(self, count, failure):
        with self.lock:
            self.script += [failure] * count

    def answer(self, handler, request):
        with self.lock:
            failure = self.script.pop(0) if self.script else None
        if failure:
            failure(handler, request)
        else:
            handler.reply(*self.carry_out(request))

    def carry_out(self, request):
        """Does what the request asks and returns (status, body) or (status, body, headers)."""
        raise NotImplementedError


class Webhook(Scripted):
    """Accepts everything."""

    def carry_out(self, request):
        return 200, {"ok": True, "id": f"hook-{len(self.requests)}", "url": f"{self.url}/seen/{len(self.requests)}"}
