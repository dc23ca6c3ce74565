"""Keys of the update repository.

Ed25519 with the private half encrypted on disk by a passphrase, or ECDSA P-256 on a hardware token:
then the .key file says no more than where it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.signer import CryptoSigner, Signer, SSlibKey

from agent.errors import UpdateError
from agent.ota import tokens

LEAST_PASSPHRASE = 8  # characters
_KEY_LIMIT_BYTES = 16 * 1024


def write_key(name: Path, passphrase: str) -> tuple[Path, Path]:
    """Make NAME.key (private, encrypted, mode 0600) and NAME.pub; never over an existing file."""
    if len(passphrase) < LEAST_PASSPHRASE:
        raise UpdateError(f"the passphrase is shorter than {LEAST_PASSPHRASE} characters")
    key = ed25519.Ed25519PrivateKey.generate()
    closed = BestAvailableEncryption(passphrase.encode())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, closed)
    open_half = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return _write(name, secret, open_half)


def write_token_key(name: Path, token: str, pin: Callable[[], str]) -> tuple[Path, Path]:
    """NAME.key, the token's URI and no secret, and NAME.pub; never over an existing file."""
    uri, key = tokens.public_of(token, pin)
    return _write(name, f"{uri}\n".encode(), key.keyval["public"].encode())


def load_public(path: Path) -> SSlibKey:
    """The public key in a .pub file; UpdateError when it is none."""
    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, ec.EllipticCurvePublicKey) and not isinstance(key.curve, ec.SECP256R1):
        key = None
    if not isinstance(key, (ed25519.Ed25519PublicKey, ec.EllipticCurvePublicKey)):
        raise UpdateError(
            f"{path}: is no Ed25519 or ECDSA P-256 public key; give the .pub of `ota key`"
        )
    return SSlibKey.from_crypto(key)


def load_signer(path: Path, passphrase: str) -> Signer:
    """What signs with a .key file; UpdateError when it is none or the passphrase is wrong.

    For a token the passphrase is its PIN, and the .pub has to be beside the .key.
    """
    content = _read(path)
    if content.startswith(tokens.SCHEME.encode()):
        uri = content.decode(errors="replace").strip()
        return tokens.signer_of(uri, load_public(path.with_suffix(".pub")), passphrase)
    try:
        key = load_pem_private_key(content, passphrase.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UpdateError(f"{path}: is no key of `ota key`, or the passphrase is wrong") from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UpdateError(f"{path}: is no Ed25519 private key; give the .key of `ota key`")
    return CryptoSigner(key)


def _write(name: Path, secret: bytes, open_half: bytes) -> tuple[Path, Path]:
    private, public = Path(f"{name}.key"), Path(f"{name}.pub")
    for path, content, mode in ((private, secret, 0o600), (public, open_half, 0o644)):
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
        except FileExistsError:
            raise UpdateError(f"{path}: is there already; name another") from None
        except OSError as error:
            raise UpdateError(f"{path}: cannot be written: {error.strerror}") from error
    return private, public


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_KEY_LIMIT_BYTES)
    except OSError as error:
        raise UpdateError(f"{path}: {error.strerror}") from error
