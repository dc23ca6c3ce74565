"""A renewed certificate of this box by the way of models: the public part, its key never leaves.

It is kept in the state folder, where the service may write, and is shown to the brokers instead
of the one that agent.yaml names as long as it fits the box's key and ends later.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from agent import durable
from agent.config.certificates import pair_trouble, validity_ms
from agent.config.model import BrokerConfig, Config
from agent.errors import UpdateError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

LIMIT_BYTES = 64_000

MODEL = "certificate"
"""Under this name `about` and `health` say what became of it."""

_FAMILY = "it is not this box's own, renewed"


def place(state: Path) -> Path:
    """Where it is kept, below the agent's state folder."""
    return state / "ota" / "box.pem"


def renewed(state: Path) -> tuple[str, int] | None:
    """sha256 of the one that came last, and when (Unix ms); None where none did."""
    try:
        content, at_ns = place(state).read_bytes(), place(state).stat().st_mtime_ns
    except OSError:
        return None
    return hashlib.sha256(content).hexdigest(), at_ns // 1_000_000


def with_renewed(config: Config, state: Path) -> Config:
    """The configuration with it in the place of what it renews."""
    kept = place(state)
    if not kept.is_file():
        return config
    brokers = {
        name: replace(broker, cert=kept) if _renews(kept, broker) else broker
        for name, broker in config.brokers.items()
    }
    return replace(config, brokers=MappingProxyType(brokers))


def accept(content: bytes, config: Config, state: Path) -> None:
    """Keep it; UpdateError with the reason where it is not this box's certificate, renewed.

    Same key, same names, a later end, and the signature of the same issuer, whose certificate is
    in the `ca` of a broker. A thief of the role's key can so neither make the box somebody else
    nor cut it off by a certificate that no broker takes.
    """
    fresh = certificate_of(content)
    present = _present(config, state)
    _check(fresh, present)
    authorities = [each for path in _authorities(config) for each in _certificates(path)]
    issuers = [each for each in authorities if each.subject == fresh.issuer]
    if not issuers:
        text = "nobody can vouch for the certificate: no broker's `ca` has its issuer's"
        raise UpdateError(text, why="issuer")
    if not any(_is_signed_by(fresh, issuer) for issuer in issuers):
        raise UpdateError("the certificate is not signed by its issuer", why="signature")
    durable.replace(place(state), content)


def certificate_of(content: bytes) -> Certificate:
    """The first in a PEM file, the box's own; UpdateError where there is none, or a key too."""
    from cryptography import x509

    if b"PRIVATE KEY" in content:
        raise UpdateError("there is a private key in it: that never travels", why="key")
    try:
        return x509.load_pem_x509_certificates(content)[0]
    except (ValueError, IndexError) as error:
        raise UpdateError(f"is no PEM certificate: {error}", why="damaged") from error


def _renews(renewed: Path, broker: BrokerConfig) -> bool:
    if broker.cert is None or broker.key is None:
        return False
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        fits = not pair_trouble(context, renewed, broker.key)
        return fits and validity_ms(renewed)[1] > validity_ms(broker.cert)[1]
    except (OSError, ValueError, IndexError):
        return False


def _present(config: Config, state: Path) -> Certificate:
    """What the box shows now, of all the one that ends last."""
    places = [broker.cert for broker in config.brokers.values() if broker.cert is not None]
    found = [chain[0] for path in (place(state), *places) if (chain := _certificates(path))]
    if not found:
        raise UpdateError("this box shows no certificate that can be read here", why="none")
    return max(found, key=lambda each: each.not_valid_after_utc)


def _check(fresh: Certificate, present: Certificate) -> None:
    if fresh.public_key() != present.public_key():
        raise UpdateError("the certificate does not fit this box's key", why="key")
    if fresh.subject != present.subject or _names(fresh) != _names(present):
        raise UpdateError(f"the certificate has other names: {_FAMILY}", why="names")
    if fresh.issuer != present.issuer:
        raise UpdateError(f"the certificate has another issuer: {_FAMILY}", why="issuer")
    if fresh.not_valid_after_utc <= present.not_valid_after_utc:
        raise UpdateError("the certificate does not end later than the present one", why="old")


def _names(certificate: Certificate) -> list[str]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return sorted(str(name.value) for name in found.value)


def _is_signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _authorities(config: Config) -> Iterable[Path]:
    return {broker.ca for broker in config.brokers.values() if broker.ca is not None}


def _certificates(path: Path) -> list[Certificate]:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return []
