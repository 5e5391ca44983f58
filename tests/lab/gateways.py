"""nginx and HAProxy of the tests' own, as they stand before other people's services: in front of `behind`, a port that may be
closed or lie."""

import gzip
import os
import socket

from .process import HOST, HeldPort, Server
from .tls import Authority

NGINX = """\
daemon off;
pid {folder}/pid;
error_log stderr notice;
events {{ worker_connections 64; }}
http {{
  access_log off;
  default_type text/plain;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  gzip on; gzip_min_length 1; gzip_types *; gzip_proxied any;
  server {{
    listen {host}:{port};
    listen {host}:{tls_port} ssl;
    server_name localhost;
    ssl_certificate {folder}/good.pem; ssl_certificate_key {folder}/good.key;
    root {folder};
    location /plain {{ return 200 "all is well\\n"; }}
    location = /405 {{ if ($request_method = HEAD) {{ return 405; }} return 200 "all is well\\n"; }}
    location = /501 {{ if ($request_method = HEAD) {{ return 501; }} return 200 "all is well\\n"; }}
    location = /gone {{ return 410 "moved out\\n"; }}
    location = /moved {{ return 308 https://login.example.com/sso?from=api; }}
    location = /here {{ return 308 /plain; }}
    location /packed {{ gzip_static always; }}
    location /behind/ {{ proxy_pass http://{host}:{behind}/; proxy_read_timeout 1s; proxy_buffering off; }}
    location = /small {{ client_max_body_size 10; proxy_pass http://{host}:{behind}/; }}
    location = /status {{ stub_status; }}
  }}
}}
"""

HAPROXY = """\
global
  stats socket {folder}/socket
defaults
  mode http
  retries 0
  timeout connect 1s
  timeout client 5s
  timeout server 1s
frontend front
  bind {host}:{port}
  use_backend gone if {{ path_beg /gone }}
  use_backend empty if {{ path_beg /empty }}
  default_backend live
backend gone
  server api1 {host}:{closed} check inter 100ms fall 1
backend empty
backend live
  server api1 {host}:{behind}
frontend statistics
  bind {host}:{stats}
  stats enable
  stats uri /stats
"""


class Gateway(Server):
    def __init__(self, folder):
        super().__init__(folder)
        self.backend, self.closed = HeldPort(), HeldPort()

    @property
    def url(self):
        return f"http://{HOST}:{self.port}"

    def listen(self):
        """A listening socket at the port that is behind it; until then that refuses."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, self.backend.port))
        listener.listen()
        return listener

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return path

    def answers(self):
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"GET /plain HTTP/1.0\r\n\r\n")
                return connection.recv(64).startswith(b"HTTP/1.")
        except OSError:
            return False


class Nginx(Gateway):
    def __init__(self, folder):
        super().__init__(folder)
        self.tls, self.authority = HeldPort(), Authority(folder)

    def command(self):
        self.write("packed.json.gz", gzip.compress(b'{"status": "ok"}'))
        config = self.write("conf", NGINX.format(folder=self.folder, host=HOST, port=self.port, tls_port=self.tls.port,
                                                 behind=self.backend.port))
        os.chmod(self.folder, 0o755)
        return ["/usr/sbin/nginx", "-e", "stderr", "-c", config]


class Haproxy(Gateway):
    def __init__(self, folder):
        super().__init__(folder)
        self.stats = HeldPort()

    def command(self):
        config = self.write("conf", HAPROXY.format(folder=self.folder, host=HOST, port=self.port, stats=self.stats.port,
                                                   behind=self.backend.port, closed=self.closed.port))
        return ["/usr/sbin/haproxy", "-db", "-f", config]
