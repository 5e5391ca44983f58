"""Certificates made at the start of a test session: an authority of the lab's own, good and bad ones for localhost."""

import os
import ssl
import subprocess
from datetime import datetime, timedelta, timezone

HERE = "DNS:localhost,IP:127.0.0.1"
KINDS = ("good", "expiring", "expired", "wrong_host", "self_signed")
EXPIRING_DAYS = 5
# Only this command of openssl's can say from when a certificate is good, in every version: others begin now, and one that
# has expired would end before.
SIGNING = """
[ca]
default_ca = lab
[lab]
database = {0}/index
new_certs_dir = {0}
rand_serial = yes
unique_subject = no
default_md = sha256
copy_extensions = copy
policy = policy
[policy]
commonName = supplied
"""


class Authority:
    """`ca` is the PEM file that a client has to trust; `context(kind)` is a server's TLS context."""

    def __init__(self, folder):
        self.folder = folder
        self.ca = self._path("ca.pem")
        self._openssl("req", "-x509", *_new_key(self._path("ca.key")), "-days", "30", "-subj", "/CN=Lab CA",
                      "-out", self.ca)
        for name, text in (("signing", SIGNING.format(folder)), ("index", "")):
            with open(self._path(name), "w") as file:
                file.write(text)
        self._sign("good", days=30)
        self._sign("expiring", days=EXPIRING_DAYS)
        self._sign("expired", days=-1)
        self._sign("wrong_host", days=30, names="DNS:other.example")
        self._openssl("req", "-x509", *_new_key(self._path("self_signed.key")), "-days", "30", "-subj", "/CN=localhost",
                      "-addext", f"subjectAltName={HERE}", "-out", self._path("self_signed.pem"))

    def _sign(self, kind, days, names=HERE):
        request = self._path(kind + ".csr")
        self._openssl("req", *_new_key(self._path(kind + ".key")), "-subj", "/CN=" + kind,
                      "-addext", f"subjectAltName={names}", "-out", request)
        begin, end = (f"{datetime.now(timezone.utc) + timedelta(days=days):%Y%m%d%H%M%SZ}" for days in (-30, days))
        self._openssl("ca", "-batch", "-notext", "-config", self._path("signing"),
                      "-cert", self.ca, "-keyfile", self._path("ca.key"), "-startdate", begin, "-enddate", end,
                      "-in", request, "-out", self._path(kind + ".pem"))

    def context(self, kind):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._path(kind + ".pem"), self._path(kind + ".key"))
        return context

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _openssl(self, *arguments):
        done = subprocess.run(["/usr/bin/openssl", *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def _new_key(path):
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path]
