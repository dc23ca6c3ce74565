"""A key that never leaves its machine, and the request (PKCS #10) for a certificate of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.errors import SiteError

_LIMIT_BYTES = 16 * 1024


def subject(name: str) -> x509.Name:
    """A distinguished name of one common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def make_request(name: str, key_file: Path, folder: Path, user: str | None) -> tuple[Path, str]:
    """Make the key, unless it is there, and FOLDER/NAME.csr; answers the file and its fingerprint.

    The key is P-256, of mode 0600, and given to `user` where one is named. A key that is there is
    used again, so that whoever types the command twice has not locked the box out.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        key_file.parent.mkdir(parents=True, exist_ok=True)
        if not key_file.exists():
            _write_key(key_file, user)
        key = _load_key(key_file)
        file = folder / f"{name}.csr"
        file.write_bytes(_request(name, key))
    except OSError as error:
        raise SiteError(f"{error.filename}: {error.strerror}") from error
    return file, fingerprint(key.public_key())


def read_request(path: Path, name: str) -> ec.EllipticCurvePublicKey:
    """The key of a request made for `name` and signed by that key; SiteError for anything else."""
    try:
        with path.open("rb") as stream:
            request = x509.load_pem_x509_csr(stream.read(_LIMIT_BYTES))
        sound = request.is_signature_valid
    except OSError as error:
        raise SiteError(f"{path}: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SiteError(f"{path}: is no request; give what `mahalla site request` made") from error
    key = request.public_key()
    if not sound or not isinstance(key, ec.EllipticCurvePublicKey) or key.key_size < 256:
        raise SiteError(
            f"{path}: is not signed by a P-256 key; make it with `mahalla site request`"
        )
    if request.subject != subject(name):
        raise SiteError(f"{path}: was made for {request.subject.rfc4514_string()}, not {name}")
    return key


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """What two people compare by telephone: 32 hexadecimal digits of the key, in fours."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digits = hashlib.sha256(der).hexdigest()[:32]
    return " ".join(digits[at : at + 4] for at in range(0, 32, 4))


def _write_key(path: Path, user: str | None) -> None:
    content = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # Whole or not there: half a key would be found, and be of no use, after a power cut.
    part = path.with_name(f"{path.name}.part")
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if user is not None:
        try:
            shutil.chown(part, user)
        except LookupError as error:
            part.unlink()
            raise SiteError(f"there is no user {user} here; install the agent first") from error
    part.replace(path)


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SiteError(f"{path}: is no P-256 key without passphrase; name another with --key")
    return key


def _request(name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(name))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
