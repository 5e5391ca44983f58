"""Server processes of the tests: started on loopback, ended by pid, or by the kernel when pytest itself is killed."""

import ctypes
import os
import signal
import socket
import subprocess
import time

HOST = "127.0.0.1"
START_SECONDS = 30  # a server that isn't up by then won't come up
STOP_SECONDS = 20   # and one that isn't down by then is killed
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


class HeldPort:
    """A TCP port that is ours until `close`: bound, but not listened at. Connecting to it is refused; the kernel hands it to
    nobody, as a listener's or as a connection's own port; a server that sets SO_REUSEADDR, as all do, may listen at it."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((HOST, 0))
        self.port = self.socket.getsockname()[1]

    def close(self):
        self.socket.close()


def wait_for(condition, what, seconds=START_SECONDS, every=0.05):
    """Polls until `condition()` is true, and returns its value; AssertionError says `what` never came."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(every)


class Server:
    """One server process. Subclasses give `command()` and `answers()`; `folder` is theirs alone."""

    user = None                  # run as this user (name), when we are root
    stop_signal = signal.SIGTERM
    orphan_signal = signal.SIGTERM

    def __init__(self, folder):
        self.folder = folder
        self.held = HeldPort()       # as long as there is this object: a restart finds its port free
        self.port = self.held.port
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self):
        """Starts it and waits until it answers. One that runs goes on, thawed."""
        if self.running():
            self.thaw()
            return self
        for _ in range(3):       # what was killed may have left children that are still going
            if self._started():
                return self
        raise AssertionError(f"{type(self).__name__} does not start:\n{self.log_tail()}")

    def _started(self):
        log = open(os.path.join(self.folder, "log"), "ab")
        with log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                start_new_session=True, preexec_fn=self._die_with_parent, **self._identity())
        wait_for(lambda: self.answers() or not self.running(), f"{type(self).__name__} answers")
        return self.running()

    def _identity(self):
        if self.user is None or os.geteuid() != 0:
            return {}
        return {"user": self.user, "group": self.user, "extra_groups": []}

    def _die_with_parent(self):
        libc.prctl(PR_SET_PDEATHSIG, self.orphan_signal)

    def stop(self):
        """Ends it the way its administrator would. Does nothing when it is down."""
        if not self.running():
            return
        os.kill(self.pid, signal.SIGCONT)
        os.kill(self.pid, self.stop_signal)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait()

    def freeze(self):
        """Stopped in its tracks: it accepts connections (the kernel does) and never answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.pid, signal.SIGCONT)

    def log_tail(self, lines=30):
        with open(os.path.join(self.folder, "log"), errors="replace") as log:
            return "".join(log.readlines()[-lines:])
