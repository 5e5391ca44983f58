"""A PgBouncer of the tests' own in front of a PostgreSQL: database `conduit`, everybody trusted, pooled by transaction."""

import os
import shutil
import socket

from .process import HOST, Server

CONFIG = """
[databases]
conduit = host={host} port={server_port} dbname=conduit
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
admin_users = postgres
stats_users = conduit
pool_mode = transaction
{settings}
"""


class PgBouncer(Server):
    user = "postgres"

    def __init__(self, folder, server_port, **settings):
        super().__init__(folder)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        with open(folder + "/users", "w") as file:
            file.write('"conduit" ""\n"postgres" ""\n')
        with open(folder + "/config", "w") as file:
            file.write(CONFIG.format(host=HOST, port=self.port, server_port=server_port, folder=folder,
                                     settings="\n".join(f"{name} = {value}" for name, value in settings.items())))
        self.start()

    def command(self):
        return ["/usr/sbin/pgbouncer", "-q", self.folder + "/config"]

    def answers(self):
        try:
            with socket.create_connection((HOST, self.port), timeout=1):
                return True
        except OSError:
            return False

    def uri(self, user="conduit", dbname="conduit"):
        return f"postgresql://{user}@{HOST}:{self.port}/{dbname}"
