"""An HTTP proxy: tunnels (CONNECT) and plain requests. `seen` lists what it was asked for; `login` is "USER:PASSWORD" or None."""

import base64
import http.client
import select
import socket
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def let_in(self):
        site = self.server.site
        site.seen.append((self.command, self.path))
        login = self.headers.get("Proxy-Authorization")
        if site.login and login != "Basic " + base64.b64encode(site.login.encode()).decode():
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.answer(407, b"login, please", {"Proxy-Authenticate": "Basic realm=lab"})
            return False
        return True

    def answer(self, status, body, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_CONNECT(self):
        if not self.let_in():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: there, there: self.connection}
            while ready := select.select(list(ends), [], [], 20)[0]:
                data = ready[0].recv(65536)
                if not data:
                    break
                ends[ready[0]].sendall(data)
        self.close_connection = True

    def plain(self):
        if not self.let_in():
            return
        url = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        there = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
        try:
            there.request(self.command, url.path or "/", body, {name: value for name, value in self.headers.items()
                                                                if not name.startswith("Proxy-")})
            reply = there.getresponse()
            self.answer(reply.status, reply.read(), {"Content-Type": reply.headers.get("Content-Type", "text/plain")})
        except OSError:
            self.answer(502, b"nobody there", {})
        there.close()

    do_GET = do_HEAD = do_POST = plain

    def log_message(self, *_):
        pass


class Proxy:
    def __init__(self, login=None):
        self.seen, self.login = [], login
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.site, self.server.daemon_threads, self.server.block_on_close = self, True, False
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
