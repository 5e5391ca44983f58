"""What script/bench measures against: nginx, PostgreSQL, Redis and a Docker engine, started for it alone on loopback (the
servers of tests/lab, and one more), and ended with it."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import urllib.parse

from lab import docker, kubernetes, postgres, process, redis

NGINX = """\
load_module /usr/lib/nginx/modules/ngx_http_echo_module.so;
daemon off; pid {folder}/pid; error_log {folder}/log warn; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; default_type application/json; keepalive_requests 100000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen {host}:{port} backlog=2048;
    location /health {{ echo '{{"status":"Healthy"}}'; }}
    location /slow/health {{ echo_sleep 0.05; echo '{{"status":"Healthy"}}'; }}
    location /down/health {{ return 503; }}
  }}
}}
"""
CONTAINER = "conduit-api"
PROCESS = "sleep 86397"  # what the container ends up as: no other process of this machine is called so
LOG_LINES = 10000
MAIN = (f"i=0; while [ $i -lt 100 ]; do yes 'info: request finished in 7 ms' | head -n {LOG_LINES // 100}; i=$((i+1)); done;"
        f" exec {PROCESS}")


class Nginx(process.Server):
    """/health and everything below it answers 200 at once, under /slow after 50 ms, under /down 503."""

    def command(self):
        conf = os.path.join(self.folder, "nginx.conf")
        with open(conf, "w") as file:
            file.write(NGINX.format(folder=self.folder, host=process.HOST, port=self.port))
        return ["/usr/sbin/nginx", "-c", conf, "-p", self.folder]

    def answers(self):
        return subprocess.run(["curl", "-sfI", "-o", "/dev/null", self.url + "/health"]).returncode == 0

    @property
    def url(self):
        return f"http://{process.HOST}:{self.port}"


class Pods(kubernetes.Cluster):
    """A namespace of so many pods. Answers are made once: what is measured is who reads them."""

    def __init__(self, count):
        super().__init__()
        self.many_pods(count)
        self.made = {}

    def answer(self, handler, request):
        url = urllib.parse.urlsplit(request.path)
        with self.lock:
            if request.path not in self.made:
                status, body = self.respond(request, url.path, dict(urllib.parse.parse_qsl(url.query)))
                self.made[request.path] = status, json.dumps(body).encode()
        handler.reply(*self.made[request.path], {"Content-Type": "application/json"})

    def config(self):
        """A kubeconfig for it."""
        return json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": {"server": self.url}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "namespace": kubernetes.NAMESPACE, "user": "bench"}}],
            "users": [{"name": "bench", "user": {"token": "x"}}]})


class World:
    """`web`, `database`, `cache`, `engine`, and how a runbook and bench/limit.c are told of them."""

    def __init__(self, stack, folder):
        self.folder = folder
        self.web, self.database, self.cache, self.engine = (
            self._start(stack, kind) for kind in (Nginx, postgres.Postgres, redis.Redis, docker.Engine))
        self.engine.run(CONTAINER, "/bin/sh", "-c", MAIN, options=["-e", "CONDUIT_ENVIRONMENT=bench"])
        process.wait_for(lambda: len(self.engine.cli("logs", CONTAINER).splitlines()) >= LOG_LINES, "the container's log")

    def _start(self, stack, kind):
        folder = os.path.join(self.folder, kind.__name__.lower())
        os.mkdir(folder)
        server = kind(folder)
        stack.callback(server.stop)
        return server.start()

    def parameters(self, base="", **more):
        given = {"base_url": self.web.url + base, "name": CONTAINER, "process": PROCESS, "database": self.database.dsn,
                 "redis": self.cache.url, **more}
        return [word for name, value in given.items() for word in ("-p", f"{name}={value}")]

    def limit_arguments(self, base, *also):
        """PROCESS stands with a NUL between its words in /proc: its last one is enough for a program that compares bytes."""
        return [self.web.url + base, self.engine.socket, CONTAINER, self.database.dsn, str(self.cache.port),
                PROCESS.split()[-1], *also]


@contextlib.contextmanager
def world():
    folder = tempfile.mkdtemp(prefix="runbook-bench-", dir="/tmp")
    os.chmod(folder, 0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield World(stack, folder)
