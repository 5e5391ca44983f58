"""Certificates made at the start of a test session: an authority of the lab's own, good and bad ones for localhost."""

import os
import ssl
import subprocess

HERE = "DNS:localhost,IP:127.0.0.1"
KINDS = ("good", "expiring", "expired", "wrong_host", "self_signed")
EXPIRING_DAYS = 5


class Authority:
    """`ca` is the PEM file that a client has to trust; `context(kind)` is a server's TLS context."""

    def __init__(self, folder):
        self.folder = folder
        self.ca = self._path("ca.pem")
        self._openssl("req", "-x509", *_new_key(self._path("ca.key")), "-days", "30", "-subj", "/CN=Lab CA",
                      "-out", self.ca)
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
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._path("ca.key"), "-CAcreateserial",
                      "-days", str(days), "-copy_extensions", "copy", "-out", self._path(kind + ".pem"))

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
