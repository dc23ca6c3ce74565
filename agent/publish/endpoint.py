"""Where a broker is, and the TLS it is spoken to with."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from agent.config.brokers import DEFAULT_PORTS
from agent.config.certificates import dates_trouble, pair_trouble
from agent.config.model import BrokerConfig
from agent.errors import LinkError


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address of a broker."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse(url: str) -> Endpoint:
    """`mqtt://host[:port]` or `mqtts://host[:port]`, as the configuration has checked it."""
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise LinkError(f"{parts.scheme}: no broker address; write mqtts://host:8883")
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return Endpoint(host=parts.hostname, port=port, tls=parts.scheme == "mqtts")


def tls_context(broker: BrokerConfig) -> ssl.SSLContext:
    """TLS 1.2 or later, the broker checked against `ca`, this box shown by `cert` and `key`.

    Raises LinkError naming the file that is missing or unfit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if broker.ca is None:
        context.load_default_certs()
    else:
        _check_readable(broker.ca, "ca")
        try:
            context.load_verify_locations(broker.ca)
        except ssl.SSLError as error:
            raise LinkError(
                f"{broker.ca}: holds no certificate; put the CA there as PEM"
            ) from error
    if broker.cert is not None:
        _show_self(context, broker.cert, broker.key)
    return context


def _show_self(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    _check_readable(cert, "cert")
    if key is not None:
        _check_readable(key, "key")
    trouble = pair_trouble(context, cert, key)
    if trouble:
        raise LinkError(f"{cert}: {trouble}")


def _check_readable(path: Path, what: str) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise LinkError(f"{path}: {what} cannot be read: {error.strerror}") from error


def certificate_trouble(cert: Path | None, utc_ms: int) -> str:
    """Why a certificate is of no use at this moment, or "" when its dates are right."""
    trouble = dates_trouble(cert, utc_ms) if cert else ""
    return f"{cert} {trouble}" if trouble else ""
