"""Keys of the update repository that never leave a hardware token (PKCS#11): ECDSA P-256."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from securesystemslib.exceptions import UnsupportedLibraryError, UnverifiedSignatureError
from securesystemslib.signer import HSMSigner, Signature, Signer, SSlibKey

from agent.errors import UpdateError

SCHEME = f"{HSMSigner.SCHEME}:"
"""What the .key file of a token begins with."""

P256 = "ecdsa-sha2-nistp256"
_TRIAL = b"does this token sign for mahalla ota?"
_WORDS = {
    "PinIncorrect": "the PIN is wrong; after a few wrong ones a token locks itself",
    "PinLenRange": "the PIN is wrong: too short or too long",
    "PinLocked": "locked after too many wrong PINs",
}


def public_of(token: str, pin: Callable[[], str]) -> tuple[str, SSlibKey]:
    """URI and public key of `token`, `hsm[:KEYID][?label=LABEL]`; `pin` only where it wants one."""
    uri = urlsplit(token if token.startswith(SCHEME) else token.replace("hsm", SCHEME, 1))
    label = parse_qs(uri.query).get("label", [None])[0]
    if f"{uri.scheme}:" != SCHEME or not (uri.path or "0").isdecimal():
        raise UpdateError(f"{token}: is no token; hsm, hsm:2 or 'hsm:2?label=LABEL'")
    with _told(token):
        found, key = HSMSigner.import_(int(uri.path) if uri.path else None, label, lambda _: pin())
    if key.scheme != P256:
        raise UpdateError(f"{token}: its key is no ECDSA P-256 key")
    return found, key


def signer_of(uri: str, public: SSlibKey, pin: str) -> Signer:
    """What signs with the token behind `uri`; it has shown that PIN and `public` fit.

    A wrong PIN is sent once: whoever signs again and again would lock the token.
    """
    with _told(uri):
        signer = Signer.from_priv_key_uri(uri, public, lambda _: pin)
        trial = signer.sign(_TRIAL)
    if not _fits(public, trial):
        raise UpdateError(f"{uri}: the token's key is not that of the .pub beside the .key")
    return signer


def _fits(public: SSlibKey, trial: Signature) -> bool:
    try:
        public.verify_signature(trial, _TRIAL)
    except UnverifiedSignatureError:
        return False
    return True


@contextmanager
def _told(token: str) -> Iterator[None]:
    """What a token or its library has to say, in one line."""
    try:
        yield
    except UnsupportedLibraryError:
        raise UpdateError(
            f"{token}: a token needs python-pkcs11: pip install 'mahalla-agent[token]'"
        ) from None
    except (ValueError, RuntimeError, OSError) as error:  # RuntimeError: those of python-pkcs11
        kind = type(error).__name__
        said = _WORDS.get(kind) or str(error) or kind
        if "PYKCS11LIB" in said:
            said = "PYKCS11LIB has to name the token's PKCS#11 library, e.g. …/libykcs11.so"
        raise UpdateError(f"{token}: {said}") from None
