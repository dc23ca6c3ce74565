"""Real brokers on a free loopback port, and certificates made for one run."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


def wait_until(condition, timeout_s: float = 10.0, what: str = "condition"):
    """The first true answer of `condition`; fails the test when none comes."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.02)
    pytest.fail(f"{what} did not come true in {timeout_s:.0f} s")


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


class Mosquitto:
    """A mosquitto of our own; `kill` and `start` again keep the port and what it persisted."""

    name = "mosquitto"
    forgets_sessions = False
    protocols = ("5", "3.1.1")

    def __init__(self, folder: Path, *, settings: str = "", acl: str = "", tls: str = "") -> None:
        if MOSQUITTO is None:
            pytest.skip("mosquitto is not installed (apt install mosquitto)")
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen | None = None
        lines = [
            f"listener {self.port} 127.0.0.1",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",
            "autosave_on_changes true",
            settings,
            tls or "allow_anonymous true",
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # else it drops to a user that cannot read our folder
        if acl:
            (folder / "acl").write_text(acl)
            lines.append(f"acl_file {folder / 'acl'}")
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"mqtts://localhost:{self.port}"

    def start(self) -> None:
        log = (self._folder / "mosquitto.log").open("ab")
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._folder / "mosquitto.conf")], stdout=log, stderr=log
        )
        log.close()
        wait_until(lambda: accepts(self.port), what="mosquitto listening")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(10)
            self._process = None

    def log(self) -> str:
        return (self._folder / "mosquitto.log").read_text()

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Iotcore:
    """rumqttd from the wheel: MQTT 5 only here, no ACL, keeps nothing over a restart."""

    name = "iotcore"
    forgets_sessions = True
    protocols = ("5",)

    def __init__(self, folder: Path) -> None:
        self._iotcore = pytest.importorskip("iotcore", reason="iotcore is not installed")
        self.port = free_port()
        self._config = folder / "iotcore.toml"
        self._config.write_text(_IOTCORE.format(port=self.port))
        self._broker = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._broker = self._iotcore.Broker(config_path=str(self._config))
        self._broker.start()

    def kill(self) -> None:
        self.stop()

    def stop(self) -> None:
        if self._broker is not None:
            self._broker.stop()
            self._broker = None

    def __enter__(self) -> Iotcore:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


_IOTCORE = """
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 10485760
max_segment_count = 10
[v5.1]
name = "v5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 65536
max_inflight_count = 100
"""


class Certificates:
    """A certificate authority of one test run, and what it has signed; elliptic keys, quick."""

    def __init__(self, folder: Path, name: str = "test ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(self._name, self._key.public_key(), days=30)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, days: int = 30) -> tuple[Path, Path]:
        """Certificate and key files for `name`; negative `days` make one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._builder(subject, key.public_key(), days=days)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        cert_file, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        key_file.chmod(0o600)
        return cert_file, key_file

    def renew(
        self, name: str, *, days: int, named: str = "", of: Certificates | None = None
    ) -> bytes:
        """PEM of another certificate over the key that `issue` made, perhaps of another `of`."""
        key_file = (of or self)._folder / f"{name}.key"
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, named or name)])
        alternative = x509.SubjectAlternativeName([x509.DNSName(named or name)])
        certificate = (
            self._builder(subject, key.public_key(), days=days)
            .add_extension(alternative, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def _builder(self, subject, public_key, *, days: int) -> x509.CertificateBuilder:
        now = datetime.now(timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
        )

    def revoke(self, *certificates: Path) -> Path:
        """The list of what is revoked, as a file; these are on it."""
        now = datetime.now(timezone.utc)
        revoked = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        revoked = revoked.last_update(now - timedelta(days=1)).next_update(now + timedelta(days=30))
        for path in certificates:
            serial = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            revoked = revoked.add_revoked_certificate(entry.build())
        crl = self._folder / "crl.pem"
        signed = revoked.sign(self._key, hashes.SHA256())
        crl.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return crl

    def context(self, name: str) -> ssl.SSLContext:
        """TLS of a client `name` that believes this authority."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(*self.issue(name))
        return context

    def mosquitto_settings(self) -> str:
        """Listener settings that let in whoever shows a certificate of this authority."""
        cert, key = self.issue("localhost")
        return "\n".join(
            [
                f"cafile {self.ca}",
                f"certfile {cert}",
                f"keyfile {key}",
                "require_certificate true",
                "use_identity_as_username true",
                "use_username_as_clientid true",
                "tls_version tlsv1.2",
                "allow_anonymous false",
            ]
        )
