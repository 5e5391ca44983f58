"""A Redis server of the tests' own, without persistence."""

import socket
import subprocess

from .process import HOST, Server


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
