"""A PostgreSQL server of the tests' own: superuser `postgres`, database and role `conduit`, everybody trusted."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import threading

from .process import HOST, Server


def programs():
    """The newest installed server's folder: Debian's wrappers on PATH are slower, and hold only the clients."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[-2]))
    assert found, "no PostgreSQL server installed: run script/bootstrap"
    return found[-1]


class Postgres(Server):
    user = "postgres"
    stop_signal = signal.SIGINT      # fast shutdown: sessions are ended
    orphan_signal = signal.SIGQUIT   # immediate shutdown

    settings = {
        "listen_addresses": HOST, "fsync": "off", "max_connections": "40", "log_min_messages": "warning",
        "shared_buffers": "16MB", "timezone": "UTC", "shared_preload_libraries": "pg_stat_statements",
    }

    def __init__(self, folder):
        super().__init__(folder)
        self.bin = programs()
        self.data = os.path.join(folder, "data")
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        initdb = [self.bin + "/initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **self._identity())
        self.start()
        self.psql("CREATE ROLE conduit LOGIN", dbname="postgres")
        self.psql("CREATE DATABASE conduit OWNER conduit", dbname="postgres")

    def command(self):
        options = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        return [self.bin + "/postgres", "-D", self.data, "-p", str(self.port), "-k", self.folder, *options]

    def answers(self):
        ready = [self.bin + "/pg_isready", "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(ready).returncode == 0

    def uri(self, user, dbname):
        return f"postgresql://{user}@{HOST}:{self.port}/{dbname}"

    @property
    def dsn(self):
        return self.uri("conduit", "conduit")

    @property
    def admin_dsn(self):
        return self.uri("postgres", "conduit")

    def psql(self, sql, dbname="conduit", user="postgres"):
        """Runs SQL and returns psql's bare output: rows as lines, columns split by `|`."""
        done = subprocess.run(self.psql_command(dbname, user) + ["-c", sql], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def psql_file(self, sql, dbname="conduit"):
        """The same for SQL that is longer than a command line may be."""
        done = subprocess.run(self.psql_command(dbname, "postgres"), input=sql, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr[-500:]

    def psql_command(self, dbname="conduit", user="postgres"):
        return [self.bin + "/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.uri(user, dbname)]

    def session(self, sql="", user="conduit", name="lab"):
        """An open connection that ran `sql` and now idles: a psql process; `.kill()` or `.stdin.close()` ends it."""
        environment = {**os.environ, "PGAPPNAME": name}
        client = subprocess.Popen(self.psql_command(user=user), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True, env=environment)
        client.stdin.write(sql + "\n;\\echo ready\n")
        client.stdin.flush()
        while client.stdout.readline() not in ("ready\n", ""):
            pass
        return client


class Standby(Postgres):
    """A hot standby of another server, which `of` names; it reads on its own."""
    of = None

    def __init__(self, folder):
        Server.__init__(self, folder)
        self.bin, self.data = programs(), os.path.join(folder, "data")
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        copy = [self.bin + "/pg_basebackup", "-D", self.data, "-R", "--no-sync", "-c", "fast", "-d", self.of.uri("postgres", "")]
        subprocess.run(copy, check=True, capture_output=True, cwd=folder, **self._identity())


# What a Wire needs to pass for a PostgreSQL server of one answer.

SSL_REQUEST = b"\x04\xd2\x16\x2f"


def answers_start_up_with(reply):
    def serve(connection, _):
        if connection.recv(4096)[4:8] == SSL_REQUEST:
            connection.sendall(b"N")
            connection.recv(4096)
        connection.sendall(reply)
    return serve


def fatal(sqlstate, words, detail=None):
    """An ErrorResponse."""
    told = ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", sqlstate), (b"M", words), (b"D", detail))
    fields = b"".join(code + text.encode() + b"\0" for code, text in told if text) + b"\0"
    return b"E" + (len(fields) + 4).to_bytes(4, "big") + fields


# A Wire between a client and a PostgreSQL server, for connections with sslmode=disable.

def relay(port, change=lambda data: data, is_kept=lambda kind: True):
    """Passes all on: what the client sends as `change` has it, of the server's messages those whose type `is_kept`."""
    def serve(connection, _):
        with socket.create_connection((HOST, port)) as server:
            back = threading.Thread(target=pass_messages, args=(server, connection, is_kept), daemon=True)
            back.start()
            while data := connection.recv(65536):
                server.sendall(change(data))
            server.shutdown(socket.SHUT_WR)
            back.join()
    return serve


def pass_messages(server, client, is_kept):
    stream = server.makefile("rb")
    while head := stream.read(5):
        body = stream.read(int.from_bytes(head[1:], "big") - 4)
        if is_kept(head[:1]):
            client.sendall(head + body)
