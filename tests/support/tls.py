"""TLS for the tests: an authority of their own, and an end of TLS before a real server.

The servers that come as wheels are built without TLS, so it ends in front of them, as it does where
stunnel, HAProxy or a cloud's load balancer stands there.
"""

from __future__ import annotations

import datetime
import ipaddress
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.servers import die_with_parent, wait_until


class Authority:
    """A CA with a certificate file, that signs for hosts."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = (
            folder,
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        )
        self._key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        certificate = (
            _builder(self._name, self._name, self._key.public_key(), days=2)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, host: str, days: int = 2) -> Path:
        """A file with certificate and key for a host name or address; `days` < 0: expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        with suppress(ValueError):
            name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        if not host[0].isdigit():
            name = x509.DNSName(host)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(subject, self._name, key.public_key(), days)
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .add_extension(issuer_key, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        file = self._folder / f"{host}-{days}.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return file


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


class TlsFront:
    """Listens with a certificate, and relays what comes over TLS to a server's port."""

    def __init__(
        self,
        port: int,
        certificate: Path,
        *,
        is_postgres: bool = False,
        address: str = "127.0.0.1",
    ) -> None:
        self._log = certificate.with_name(f"{secrets.token_hex(4)}.log")
        script = Path(__file__).with_name("tls_front.py")
        command = [sys.executable, script, address, str(port), certificate]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *(["postgres"] if is_postgres else [])],
                stdout=log,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        wait_until(lambda: self._log.read_text().endswith("\n"), "the end of TLS listens")
        self.port = int(self._log.read_text())

    @property
    def relayed(self) -> int:
        """Connections that came through with TLS."""
        return self._log.read_text().count("relayed")

    def freeze(self) -> None:
        """Relay nothing, and close no connection: the peer is as good as off the network."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue after `freeze`."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
