"""An OpenSSH server of the tests' own: the "other machine" of `on =`, which is this one under another name."""

import os
import pwd
import socket
import subprocess

from .effects import PATH
from .process import HOST, Server

SERVER_CONFIG = """\
ListenAddress {host}:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/client_key.pub
PidFile {folder}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
"""

CLIENT_CONFIG = """\
Host {name}
  HostName {host}
  Port {port}
  User {user}
  IdentityFile {folder}/client_key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking accept-new
  BatchMode yes
  LogLevel ERROR
"""


class Sshd(Server):
    name = "lab-machine"

    def __init__(self, folder):
        super().__init__(folder)
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # sshd insists on it; systemd would have made it
        for key in ("host_key", "client_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(folder, key)], check=True)

    def command(self):
        self._write("sshd_config", SERVER_CONFIG)
        self._write("config", CLIENT_CONFIG)
        return ["/usr/sbin/sshd", "-D", "-e", "-f", os.path.join(self.folder, "sshd_config")]

    def _write(self, name, template):
        user = pwd.getpwuid(os.geteuid()).pw_name
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(template.format(host=HOST, port=self.port, folder=self.folder, name=self.name, user=user))

    @property
    def config(self):
        """An ssh_config that knows the machine by `.name`: `ssh -F CONFIG NAME`, or ~/.ssh/config of a test's HOME."""
        return os.path.join(self.folder, "config")

    def answers(self):
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                return connection.recv(16).startswith(b"SSH-2.0")
        except OSError:
            return False


class LoginSshd(Sshd):
    """Its login has the shell `shell`, and a home of its own whose .bashrc is `bashrc`: in a mount namespace with another
    /etc/passwd, so only for root."""

    shell, bashrc = "/bin/bash", ""

    def command(self):
        home = os.path.join(self.folder, "home")
        os.makedirs(home, exist_ok=True)
        for path, text in ((os.path.join(home, ".bashrc"), self.bashrc),
                           (os.path.join(self.folder, "passwd"), f"root:x:0:0:root:{home}:{self.shell}\n")):
            with open(path, "w") as file:
                file.write(text)
        with open("/etc/passwd") as here, open(os.path.join(self.folder, "passwd"), "a") as there:
            there.writelines(line for line in here if not line.startswith("root:"))
        shell = 'mount --make-rprivate / && mount --bind "$0" /etc/passwd && exec "$@"'
        return ["unshare", "-m", "sh", "-c", shell, os.path.join(self.folder, "passwd"), *super().command()]


SUDO = """#!/bin/sh
shift
[ "$1" = -- ] && shift
exec env -i PATH="$PATH" TZ="$TZ" LC_ALL="$LC_ALL" SUDO_USER=lab "$@"
"""
REFUSING_SUDO = "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n"


class SudoSshd(Sshd):
    """Its commands find an imitation of sudo, and what is in `more`, before all else."""

    sudo, more = SUDO, ""

    def _write(self, name, template):
        if name == "sshd_config":
            path = os.path.join(self.folder, "sudo")
            with open(path, "w") as file:
                file.write(self.sudo)
            os.chmod(path, 0o755)
            template += f"SetEnv PATH={self.more}{self.folder}:{PATH}\n"
        super()._write(name, template)


class RefusingSshd(SudoSshd):
    sudo = REFUSING_SUDO
