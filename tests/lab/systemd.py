"""systemd itself, as PID 1 of namespaces of its own over this machine's /usr: `bin` holds a systemctl and a journalctl
that speak to it, and a stat that sees its files, for a PATH. Needs root and a control group hierarchy of systemd's
(version 1, name=systemd)."""

import os
import signal
import subprocess
import time

from .process import Server

CGROUPS = "/sys/fs/cgroup/systemd"
BOOT = os.path.join(os.path.dirname(__file__), "systemd_boot")
TOOLS = ("systemctl", "journalctl", "stat")

UNITS = {
    "lab.target": "[Unit]\nRequires=dbus.service systemd-journald.service\nAfter=dbus.service\n",
    "db.service": "[Service]\nExecStart=/bin/sh -c 'echo ready; exec sleep 1000'\nExecReload=/bin/true\n"
                  "[Install]\nWantedBy=lab.target\n",
    "app.service": "[Unit]\nRequires=db.service\n[Service]\nExecStart=/bin/sleep 1000\n",
    "bad.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo broken >&2; exit 3'\n",
    "frame.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
    "frame@.service": "[Unit]\nPartOf=frame.service\nBefore=frame.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
                      "ExecStart=/bin/sh -c '[ %i = well ]'\n",
    "stubborn.service": "[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n"
                        "TimeoutStopSec=600\n",
}


def possible():
    return os.geteuid() == 0 and os.path.isdir(CGROUPS) and os.path.exists("/lib/systemd/systemd")


class Systemd(Server):
    stop_signal = signal.SIGKILL      # of unshare, which takes all of the namespace with it
    orphan_signal = signal.SIGKILL

    def __init__(self, folder):
        super().__init__(folder)
        self.root, self.bin = os.path.join(folder, "root"), os.path.join(folder, "bin")
        self.cgroup = os.path.join(CGROUPS, f"runbook-lab-{os.getpid()}")
        units = os.path.join(folder, "units")
        for path in (self.root, self.bin, units):
            os.makedirs(path)
        for name, text in UNITS.items():
            with open(os.path.join(units, name), "w") as file:
                file.write(f"[Unit]\nDefaultDependencies=no\n{text}")
        os.symlink("/dev/null", os.path.join(units, "masked.service"))

    def command(self):
        os.makedirs(self.cgroup, exist_ok=True)
        return ["/bin/bash", BOOT, self.folder, self.cgroup]

    def init(self):
        """The pid of its PID 1 as seen from here, or None."""
        try:
            with open(f"/proc/{self.pid}/task/{self.pid}/children") as children:
                return int(children.read().split()[0])
        except (OSError, IndexError):
            return None

    def answers(self):
        pid = self.init()
        if pid is None:
            return False
        for name in TOOLS:
            path = os.path.join(self.bin, name)
            with open(path, "w") as file:
                file.write(f'#!/bin/sh\nexec nsenter -t {pid} -m -p -u -i -r /usr/bin/{name} "$@"\n')
            os.chmod(path, 0o755)
        return self.systemctl("is-active", "lab.target") == "active"

    def systemctl(self, *arguments):
        done = subprocess.run([os.path.join(self.bin, "systemctl"), *arguments], capture_output=True, text=True,
                              timeout=20, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})
        return done.stdout.strip()

    def stop(self):
        super().stop()
        for _ in range(50):
            folders = [folder for folder, _, _ in os.walk(self.cgroup, topdown=False)]
            try:
                for folder in folders:
                    os.rmdir(folder)
                return
            except OSError:            # what was killed is still there
                time.sleep(0.1)
