"""Keys: Ed25519 for who signs a list, the boxes' own keys for whom it is sealed to.

To seal is to wrap the 32 byte key of a list for each box: for elliptic keys (P-256 and larger,
X25519) by a fresh key pair, ECDH, HKDF-SHA256 and ChaCha20-Poly1305, for RSA by OAEP.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.errors import HotlistError

Signer = ed25519.Ed25519PublicKey
SigningKey = ed25519.Ed25519PrivateKey
Recipient = ec.EllipticCurvePublicKey | x25519.X25519PublicKey | rsa.RSAPublicKey
BoxKey = ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | rsa.RSAPrivateKey

ID_BYTES = 8
SIGNATURE_BYTES = 64
LIST_KEY_BYTES = 32

_READ_LIMIT_BYTES = 64 * 1024
_LEAST_EC_BITS = 256
_LEAST_RSA_BITS = 2048
_ONCE = bytes(12)  # a nonce may be constant where a key encrypts one thing only
_PURPOSE = b"mahalla hotlist 1 wrap"
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), _PURPOSE)


def key_id(key: Signer | Recipient) -> str:
    """16 hexadecimal digits that name a public key."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[: 2 * ID_BYTES]


def load_signer(path: Path) -> Signer:
    """The public key of who signs lists; HotlistError when it is none."""
    key = _public(path, _read(path))
    if not isinstance(key, Signer):
        raise HotlistError(f"{path}: is no Ed25519 public key; give the .pub of keygen", why="key")
    return key


def load_signing_key(path: Path) -> SigningKey:
    """The private key of who signs lists; HotlistError when it is none or others may read it."""
    _refuse_open(path)
    key = _private(path, _read(path))
    if not isinstance(key, SigningKey):
        raise HotlistError(f"{path}: is no Ed25519 private key; make one with keygen", why="key")
    return key


def load_recipient(path: Path) -> Recipient:
    """The public key in a box's certificate or public key file; HotlistError when it has none."""
    content = _read(path)
    if b"PRIVATE KEY-----" in content:
        raise HotlistError(f"{path}: is a private key; keep it on its box alone", why="key")
    if b"-----BEGIN CERTIFICATE-----" in content:
        key = _key_of_certificate(path, content)
    else:
        key = _public(path, content)
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size >= _LEAST_EC_BITS:
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS:
        return key
    if isinstance(key, x25519.X25519PublicKey):
        return key
    raise HotlistError(
        f"{path}: nothing can be sealed to this key; it must be EC P-256, X25519 or RSA 2048 "
        "or larger",
        why="key",
    )


def load_box_key(path: Path) -> BoxKey:
    """The private key of a box; HotlistError when it is none."""
    key = _private(path, _read(path))
    if not isinstance(key, BoxKey):
        raise HotlistError(f"{path}: nothing can be sealed to a key of this kind", why="key")
    return key


def is_signed(by: Signer, signature: bytes, content: bytes) -> bool:
    try:
        by.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def new_list_key() -> bytes:
    return os.urandom(LIST_KEY_BYTES)


def wrap(list_key: bytes, recipient: Recipient) -> tuple[bytes, bytes]:
    """The list's key for one box: the fresh public key, empty for RSA, and the wrapped key."""
    if isinstance(recipient, rsa.RSAPublicKey):
        return b"", recipient.encrypt(list_key, _OAEP)
    if isinstance(recipient, x25519.X25519PublicKey):
        once = x25519.X25519PrivateKey.generate()
        shared, fresh = once.exchange(recipient), once.public_key().public_bytes_raw()
    else:
        pair = ec.generate_private_key(recipient.curve)
        shared = pair.exchange(ec.ECDH(), recipient)
        fresh = pair.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return fresh, encrypt(_wrapping_key(shared, fresh, recipient), list_key, b"")


def unwrap(fresh: bytes, wrapped: bytes, key: BoxKey) -> bytes:
    """The list's key; HotlistError when it was wrapped for another box, or spoilt."""
    try:
        if isinstance(key, rsa.RSAPrivateKey):
            return key.decrypt(wrapped, _OAEP)
        if isinstance(key, x25519.X25519PrivateKey):
            shared = key.exchange(x25519.X25519PublicKey.from_public_bytes(fresh))
        else:
            point = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, fresh)
            shared = key.exchange(ec.ECDH(), point)
    except ValueError as error:
        raise HotlistError("the key sealed to this box is spoilt", why="key") from error
    return decrypt(_wrapping_key(shared, fresh, key.public_key()), wrapped, b"")


def encrypt(key: bytes, content: bytes, beside: bytes) -> bytes:
    """ChaCha20-Poly1305; each `key` may be used for one `content` only."""
    return ChaCha20Poly1305(key).encrypt(_ONCE, content, beside)


def decrypt(key: bytes, content: bytes, beside: bytes) -> bytes:
    """The other way; HotlistError when any byte differs or the key is another."""
    try:
        return ChaCha20Poly1305(key).decrypt(_ONCE, content, beside)
    except (InvalidTag, ValueError) as error:
        raise HotlistError(
            "this key does not open it, or it is damaged: --signer tells which", why="key"
        ) from error


def write_key_pair(name: Path) -> tuple[Path, Path]:
    """A new Ed25519 pair: `NAME.key` (mode 0600) and `NAME.pub`; never over an old one."""
    if not name.name:
        raise HotlistError("--out names no file, for instance --out office")
    key = SigningKey.generate()
    private = key.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    files = name.with_name(f"{name.name}.key"), name.with_name(f"{name.name}.pub")
    for path in files:
        if path.exists():
            raise HotlistError(f"{path}: is there already; another --out, or move it away")
    for path, content, mode in zip(files, (private, public), (0o600, 0o644), strict=True):
        path.touch(mode, exist_ok=False)
        path.write_bytes(content)
    return files


def _wrapping_key(shared: bytes, fresh: bytes, recipient: Recipient) -> bytes:
    der = recipient.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    info = _PURPOSE + hashlib.sha256(fresh + der).digest()
    return HKDF(hashes.SHA256(), LIST_KEY_BYTES, salt=None, info=info).derive(shared)


def _key_of_certificate(path: Path, content: bytes) -> object:
    try:
        certificate = x509.load_pem_x509_certificate(content)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        authority = constraints.value.ca
    except x509.ExtensionNotFound:
        authority = False
    except ValueError as error:
        raise HotlistError(f"{path}: is no PEM certificate", why="key") from error
    if authority:
        raise HotlistError(
            f"{path}: is an authority's certificate, not a box's; a test one is made with "
            "openssl req -x509 … -addext basicConstraints=critical,CA:FALSE",
            why="key",
        )
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise HotlistError(f"{path}: is a certificate without a usable key", why="key") from error


def _public(path: Path, content: bytes) -> object:
    try:
        return serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise HotlistError(f"{path}: is no PEM public key", why="key") from error


def _private(path: Path, content: bytes) -> object:
    try:
        return serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Not chained: the library's words may be about the key's own content.
        raise HotlistError(f"{path}: is no PEM private key without a password", why="key") from None


def _refuse_open(path: Path) -> None:
    if path.suffix == ".pub":
        raise HotlistError(f"{path}: is the public half; the private one ends in .key", why="key")
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0
    if mode & 0o077:
        raise HotlistError(f"{path}: is open to others (mode {mode:04o}); chmod 600 it", why="key")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_READ_LIMIT_BYTES)
    except OSError as error:
        raise HotlistError(f"{path}: {error.strerror}", why="key") from error
