"""Where a broker is, and the TLS it is spoken to with."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

from agent.config.model import BrokerConfig
from agent.errors import LinkError

_PORTS = {"mqtt": 1883, "mqtts": 8883}


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
    if parts.scheme not in _PORTS or not parts.hostname:
        raise LinkError(f"{parts.scheme}: no broker address; write mqtts://host:8883")
    port = parts.port or _PORTS[parts.scheme]
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
    try:
        # The empty password keeps OpenSSL from asking at the terminal for an encrypted key.
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        raise LinkError(
            f"{cert}: certificate and key {key or 'in it'} do not fit together; renew them"
        ) from error


def _check_readable(path: Path, what: str) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise LinkError(f"{path}: {what} cannot be read: {error.strerror}") from error


def certificate_trouble(cert: Path | None, utc_ms: int) -> str:
    """Why a certificate is of no use at this moment, or "" when its dates are right."""
    if cert is None:
        return ""
    not_before_ms, not_after_ms = validity_ms(cert)
    if utc_ms > not_after_ms:
        return f"{cert} expired on {_day(not_after_ms)}; renew it"
    if utc_ms < not_before_ms:
        return f"{cert} is valid from {_day(not_before_ms)} on only; check the clock"
    return ""


def validity_ms(cert: Path) -> tuple[int, int]:
    """Not-before and not-after (Unix ms) of the first certificate in a PEM file.

    Walks the DER down to `validity` (RFC 5280, 4.1): the standard library decodes only the
    certificates of peers.
    """
    pem = cert.read_text()
    end = "-----END CERTIFICATE-----"
    der = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERT") : pem.index(end) + len(end)])
    certificate, _ = _element(der, 0)
    body, _ = _element(certificate, 0)
    offset = 0
    for _ in range(4 if body[0] == 0xA0 else 3):  # [version] serial signature issuer
        _, offset = _element(body, offset)
    validity, _ = _element(body, offset)
    start, offset = _element(validity, 0)
    stop, _ = _element(validity, offset)
    return _moment_ms(start), _moment_ms(stop)


def _element(der: bytes, offset: int) -> tuple[bytes, int]:
    """Content of the DER element at `offset`, and where the next one begins."""
    length, start = der[offset + 1], offset + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size], "big"), start + size
    return der[start : start + length], start + length


def _moment_ms(text: bytes) -> int:
    """UTCTime (years 1950 to 2049) or GeneralizedTime, always in Z."""
    digits = text.decode("ascii").rstrip("Z")
    if len(digits) == 12:
        digits = ("19" if digits[0] >= "5" else "20") + digits
    moment = datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    return round(moment.timestamp() * 1000)


def _day(utc_ms: int) -> str:
    return datetime.fromtimestamp(utc_ms / 1000, tz=timezone.utc).strftime("%Y-%m-%d")
