"""A Docker engine of the tests' own, with the image `conduit-api:1` in it: an imitation of the API that can be broken.

The engine has no bridge and touches no firewall: containers use the host's network or none.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess

from .process import HOST, HeldPort, Server, wait_for

CLIENT = "/usr/bin/docker"  # Debian's: another one may stand before it on PATH
IMAGE = "conduit-api:1"
APPLETS = "sh nc sleep env cat ls ps kill rm echo printf true false yes dd head wget".split()


class Engine(Server):
    def __init__(self, folder):
        super().__init__(folder)
        self.socket = os.path.join(folder, "docker.sock")
        self.host = "unix://" + self.socket
        with open(os.path.join(folder, "daemon.json"), "w") as file:
            file.write("{}\n")  # the machine's own /etc/docker/daemon.json is not ours to follow
        self.start()
        self._import_image()

    def command(self):
        own = [f"--{name}={os.path.join(self.folder, file)}" for name, file in
               (("data-root", "data"), ("exec-root", "exec"), ("pidfile", "pid"), ("config-file", "daemon.json"))]
        return ["/usr/sbin/dockerd", *own, "-H", self.host, "--bridge=none", "--iptables=false", "--ip6tables=false",
                f"--containerd-namespace=runbook-lab-{os.getpid()}",
                f"--containerd-plugins-namespace=runbook-lab-plugins-{os.getpid()}"]

    def answers(self):
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(self.socket)
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 OK" in connection.recv(64)
        except OSError:
            return False

    def _import_image(self):
        root = os.path.join(self.folder, "image")
        shutil.copytree(os.path.join(os.path.dirname(__file__), "image"), root)
        for folder in ("bin", "tmp", "world"):
            os.mkdir(os.path.join(root, folder))
        shutil.copy("/bin/busybox", os.path.join(root, "bin"))
        for applet in APPLETS:
            os.symlink("busybox", os.path.join(root, "bin", applet))
        os.symlink("/app/dotnet", os.path.join(root, "bin", "dotnet"))
        archive = subprocess.Popen(["tar", "c", "-C", root, "."], stdout=subprocess.PIPE)
        changes = ["--change", 'CMD ["/app/start"]', "--change", "WORKDIR /app", "--change", "ENV PATH=/bin"]
        done = subprocess.run([CLIENT, "-H", self.host, "import", *changes, "-", IMAGE],
                              stdin=archive.stdout, capture_output=True, text=True)
        archive.stdout.close()
        assert (archive.wait(), done.returncode) == (0, 0), done.stderr

    def cli(self, *arguments, check=True):
        """Runs Debian's docker client against this engine and returns its standard output without the last newline."""
        done = subprocess.run([CLIENT, "-H", self.host, *map(str, arguments)],
                              capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def inspect(self, name):
        return json.loads(self.cli("inspect", name))[0]

    def containers(self):
        return self.cli("ps", "-aq").split()

    def remove_all(self):
        if self.containers():
            self.cli("rm", "-f", "-v", *self.containers())

    def run_api(self, name="conduit-api", options=(), wait=True):
        """Starts the imitation API in a container on the host's network and waits until it answers."""
        api = Api(self, name)
        api.create(options)
        if wait:
            wait_for(api.status, f"{name} answers")
        return api

    def run(self, name, *command, options=()):
        """Starts any other container from the same image: `run("sleeper", "sleep", "1000")`."""
        return self.cli("run", "-d", "--name", name, "--network", "none", *options, IMAGE, *command)

    def stop(self):
        if self.running():
            try:
                self.remove_all()
            except (AssertionError, subprocess.TimeoutExpired):
                pass  # dockerd itself stops what is left
        super().stop()

    def kill(self):
        """Kills dockerd and the containerd that it started."""
        children = _children(self.pid)
        super().kill()
        for child in children:
            os.kill(child, 9)


class Api:
    """A running imitation API. The folder `world` is mounted into it and decides how it answers."""

    def __init__(self, engine, name):
        self.engine, self.name, self.held = engine, name, HeldPort()
        self.port = self.held.port
        self.url = f"http://{HOST}:{self.port}"
        self.world = os.path.join(engine.folder, "world-" + name)
        shutil.rmtree(self.world, ignore_errors=True)
        os.mkdir(self.world)

    def create(self, options):
        env = ["-e", f"PORT={self.port}", "-e", f"ADDRESS={HOST}", "-e", "CONDUIT_ENVIRONMENT=lab"]
        self.engine.cli("run", "-d", "--name", self.name, "--network", "host", "-v", f"{self.world}:/world",
                        "--expose", str(self.port), *env, *options, IMAGE)

    def say(self, file, text):
        with open(os.path.join(self.world, file), "w") as world:
            world.write(str(text))

    def unsay(self, file):
        path = os.path.join(self.world, file)
        if os.path.exists(path):
            os.remove(path)

    def break_with(self, status=503, heals=False):
        """Every health endpoint answers `status`; with `heals`, until the container is restarted."""
        if heals:
            self.say("heals", "")
        self.say("status", status)

    def slow_down(self, seconds):
        self.say("delay", seconds)

    def break_database(self, message="connection to server failed"):
        """What `dotnet exec ConduitLLM.Http.dll --test-db` says, with exit code 1."""
        self.say("database", message + "\n")

    def mend(self):
        for file in ("status", "delay", "database", "heals", "crashes"):
            self.unsay(file)

    def stop(self):
        self.engine.cli("stop", "-t", "1", self.name)

    def start(self):
        self.engine.cli("start", self.name)
        wait_for(self.status, f"{self.name} answers")

    def status(self, path="/health"):
        """The HTTP status now, or None when nothing answers."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("HEAD", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def inspect(self):
        return self.engine.inspect(self.name)


def _children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]
