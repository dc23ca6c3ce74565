"""The certificate authority of a maintainer: one folder.

    ca.key               private, encrypted under a passphrase
    ca.pem               its certificate, for every box and broker
    crl.pem              the serials that are revoked, each with its day; nowhere else is that kept
    issued/NAME/N.pem    every certificate it has signed

Everything is dated from 1970, the list of the revoked too, and the list never runs out: a box or
an office whose clock is not set must be let in, and a maintainer on leave must not lock all out.
What this costs: a list that somebody holds back is not noticed by its age.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from agent import durable
from agent.errors import SiteError
from agent.passphrase import LEAST_CHARS
from agent.site.request import subject

LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)
FOREVER = datetime(2049, 12, 31, tzinfo=timezone.utc)  # the last year that UTCTime can say
_DAY = timedelta(days=1)


class Authority:
    """Signs for names; `unlock` first what signs. Raises SiteError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key: ec.EllipticCurvePrivateKey | None = None
        try:
            self.certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        except (OSError, ValueError) as error:
            raise SiteError(
                f"{folder}: is no authority; begin one with `mahalla site new`"
            ) from error

    @classmethod
    def create(cls, folder: Path, passphrase: str) -> Authority:
        """A new one; never over an existing one."""
        if len(passphrase) < LEAST_CHARS:
            raise SiteError(f"the passphrase is shorter than {LEAST_CHARS} characters")
        if (folder / "ca.key").exists():
            raise SiteError(f"{folder}: has a key already")
        key = ec.generate_private_key(ec.SECP256R1())
        closed = serialization.BestAvailableEncryption(passphrase.encode())
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, closed
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder / "ca.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secret)
            durable.replace(folder / "ca.pem", pem(_self_signed(key)))
        except OSError as error:
            raise SiteError(f"{folder}: {error.strerror}") from error
        authority = cls(folder)
        authority._key = key
        authority._sign_revoked([])
        return authority

    @property
    def _own_key(self) -> ec.EllipticCurvePublicKey:
        return key_of(self.certificate)

    @property
    def key_file(self) -> Path:
        return self.folder / "ca.key"

    def unlock(self, passphrase: str) -> None:
        """Open the key for what follows."""
        try:
            key = serialization.load_pem_private_key(
                self.key_file.read_bytes(), passphrase.encode()
            )
        except OSError as error:
            raise SiteError(f"{self.key_file}: {error.strerror}; bring the stick") from error
        except (ValueError, TypeError) as error:
            raise SiteError(f"{self.key_file}: the passphrase is wrong") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SiteError(f"{self.key_file}: is no key of `mahalla site new`")
        self._key = key

    @property
    def unlocked(self) -> bool:
        return self._key is not None

    def issued(self, name: str) -> list[x509.Certificate]:
        """All that was ever signed for `name`, the oldest first."""
        files = (self.folder / "issued" / name).glob("*.pem")
        ordered = sorted(files, key=lambda file: int(file.stem))
        return [x509.load_pem_x509_certificate(file.read_bytes()) for file in ordered]

    def serials(self, name: str) -> list[int]:
        """Of all that was ever signed for `name`."""
        return [each.serial_number for each in self.issued(name)]

    def current(self, name: str) -> x509.Certificate | None:
        """The newest certificate of `name` that is not revoked."""
        newest_first = reversed(self.issued(name))
        return next(
            (each for each in newest_first if not self.is_revoked(each.serial_number)), None
        )

    def issue(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        *,
        life_days: int,
        now: datetime,
        hosts: Sequence[str] = (),
    ) -> x509.Certificate:
        """Sign for the key of a box, or of a broker that is reached as `hosts`."""
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        names = [_host(host) for host in hosts] or [x509.DNSName(name)]
        builder = (
            _builder(subject(name), key, min(now + life_days * _DAY, FOREVER))
            .issuer_name(self.certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            # Key agreement: hotlists are sealed to the keys of boxes.
            .add_extension(_usage("digital_signature", "key_agreement"), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(_known_by(self._own_key), critical=False)
        )
        signed = builder.sign(self._opened(), hashes.SHA256())
        folder = self.folder / "issued" / name
        folder.mkdir(parents=True, exist_ok=True)
        durable.replace(folder / f"{len(self.issued(name)) + 1}.pem", pem(signed))
        return signed

    def revoke(self, serials: Sequence[int], now: datetime) -> list[int]:
        """Put serials on the list for good; answers those that were not on it."""
        present = list(self._revoked())
        listed = {entry.serial_number for entry in present}
        fresh = [serial for serial in serials if serial not in listed]
        entries = [
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            for serial in fresh
        ]
        if entries:
            self._sign_revoked([*present, *entries])
        return fresh

    def last_revoked(self, name: str) -> datetime | None:
        """When a certificate of `name` was last revoked; None where none was."""
        serials = set(self.serials(name))
        days = [
            entry.revocation_date_utc for entry in self._revoked() if entry.serial_number in serials
        ]
        return max(days, default=None)

    def is_revoked(self, serial: int) -> bool:
        return self._revoked().get_revoked_certificate_by_serial_number(serial) is not None

    def owner(self, serial: int) -> str | None:
        """For whom `serial` was signed."""
        for folder in sorted((self.folder / "issued").glob("*")):
            if serial in self.serials(folder.name):
                return folder.name
        return None

    @property
    def crl_pem(self) -> bytes:
        """The list of the revoked, as a broker reads it."""
        return self._revoked().public_bytes(serialization.Encoding.PEM)

    def _revoked(self) -> x509.CertificateRevocationList:
        path = self.folder / "crl.pem"
        try:
            revoked = x509.load_pem_x509_crl(path.read_bytes())
            sound = revoked.is_signature_valid(self._own_key)
        except (OSError, ValueError) as error:
            raise SiteError(f"{path}: cannot be read; take it from a copy") from error
        if not sound:
            raise SiteError(f"{path}: is not signed by this authority; take it from a copy")
        return revoked

    def _sign_revoked(self, entries: Sequence[x509.RevokedCertificate]) -> None:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(LONG_AGO)
            .next_update(FOREVER)
            .add_extension(x509.CRLNumber(len(entries) + 1), critical=False)
            .add_extension(_known_by(self._own_key), critical=False)
        )
        for entry in entries:
            builder = builder.add_revoked_certificate(entry)
        signed = builder.sign(self._opened(), hashes.SHA256())
        durable.replace(self.folder / "crl.pem", signed.public_bytes(serialization.Encoding.PEM))

    def _opened(self) -> ec.EllipticCurvePrivateKey:
        if self._key is None:
            raise SiteError(f"{self.key_file}: is locked")
        return self._key


def key_of(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """The public key in a certificate of ours."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise SiteError("a certificate in the authority's folder has a key of another kind")
    return key


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    # A name of its own: brokers find the list of the revoked by the name of who signed it.
    own = subject(f"mahalla authority {x509.random_serial_number():x}"[:34])
    return (
        _builder(own, key.public_key(), FOREVER)
        .issuer_name(own)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(_known_by(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _builder(
    name: x509.Name, public_key: ec.EllipticCurvePublicKey, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(LONG_AGO)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _known_by(key: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _usage(*allowed: str) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{each: each in allowed for each in every})


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def pem(certificate: x509.Certificate) -> bytes:
    """As a file holds it."""
    return certificate.public_bytes(serialization.Encoding.PEM)
