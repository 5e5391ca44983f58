"""A Redis server of the tests' own, without persistence."""

import os
import socket
import ssl
import subprocess

from .process import HOST, HeldPort, Server, wait_for
from .tls import Authority


class Redis(Server):
    def command(self):
        return ["/usr/bin/redis-server", "--bind", HOST, "--port", str(self.port), "--dir", self.folder, "--save", "",
                "--appendonly", "no", "--daemonize", "no", "--enable-debug-command", "yes"]

    def answers(self):
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    @property
    def url(self):
        return f"redis://{HOST}:{self.port}"

    def cli(self, *arguments):
        """redis-cli's output without the last newline."""
        done = subprocess.run(["/usr/bin/redis-cli", "-h", HOST, "-p", str(self.port), *map(str, arguments)],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")


class TlsRedis(Redis):
    """Speaks TLS alone; `present(kind)` changes its certificate, `ask_clients(how)` whether it wants theirs: yes, no, optional."""

    def __init__(self, folder):
        super().__init__(folder)
        self.authority = Authority(folder)
        self.ca = self.authority.ca

    def command(self):
        return ["/usr/bin/redis-server", "--bind", HOST, "--port", "0", "--tls-port", str(self.port), "--dir", self.folder,
                "--save", "", "--daemonize", "no", "--tls-ca-cert-file", self.ca, "--tls-auth-clients", "no",
                "--tls-cert-file", self.file("good.pem"), "--tls-key-file", self.file("good.key")]

    def answers(self):
        context = ssl._create_unverified_context()
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as plain, context.wrap_socket(plain) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    @property
    def url(self):
        return f"rediss://localhost:{self.port}"

    def file(self, name):
        return os.path.join(self.folder, name)

    def cli(self, *arguments):
        tls = ["--tls", "--insecure", "--cert", self.file("good.pem"), "--key", self.file("good.key")]
        return super().cli(*tls, *arguments)

    def present(self, kind):
        self.cli("CONFIG", "SET", "tls-cert-file", self.file(kind + ".pem"), "tls-key-file", self.file(kind + ".key"))

    def ask_clients(self, how):
        self.cli("CONFIG", "SET", "tls-auth-clients", how)


class ClusterNode(Redis):
    """A node of a cluster; its bus listens on a port of its own."""

    def command(self):
        self.bus = getattr(self, "bus", None) or HeldPort()
        return [*super().command(), "--cluster-enabled", "yes", "--cluster-port", str(self.bus.port)]


def join(low, high):
    """Two nodes as one cluster: `low` has the slots to 8191, `high` those above."""
    low.cli("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
    high.cli("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
    low.cli("CLUSTER", "MEET", HOST, high.port, high.bus.port)
    for node in (low, high):
        wait_for(lambda node=node: "cluster_state:ok" in node.cli("CLUSTER", "INFO"), "the cluster is whole")


class Sentinel(Redis):
    """A Sentinel that watches nobody."""

    def command(self):
        path = os.path.join(self.folder, "sentinel.conf")
        with open(path, "w") as file:
            file.write(f"bind {HOST}\nport {self.port}\ndir {self.folder}\n")
        return ["/usr/bin/redis-server", path, "--sentinel"]
