"""The certificate that a box shows: its dates, and whether its key belongs to it."""

from __future__ import annotations

import ssl
from datetime import datetime, timezone
from pathlib import Path


def pair_trouble(context: ssl.SSLContext, cert: Path, key: Path | None) -> str:
    """Have `context` show this certificate; answers why it cannot, or "" when it will."""
    try:
        # The empty password keeps OpenSSL from asking at the terminal for an encrypted key.
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError:
        return f"certificate and key {key or 'in it'} do not fit together; renew them"
    return ""


def dates_trouble(cert: Path, utc_ms: int, ahead_ms: int = 0) -> str:
    """Why a certificate is of no use now, or will be none in `ahead_ms`; "" when it is fine."""
    not_before_ms, not_after_ms = validity_ms(cert)
    if utc_ms > not_after_ms:
        return f"expired on {day_of(not_after_ms)}; renew it"
    if utc_ms < not_before_ms:
        return f"is valid from {day_of(not_before_ms)} on only; check the clock"
    if utc_ms + ahead_ms > not_after_ms:
        return f"expires on {day_of(not_after_ms)}; renew it"
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


def day_of(utc_ms: int) -> str:
    """Year-month-day in UTC of Unix ms."""
    return datetime.fromtimestamp(utc_ms / 1000, tz=timezone.utc).strftime("%Y-%m-%d")
