"""A camera's user and password: read from a file, proven to the camera, shown to nobody else."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.config.login import credentials_folder, split_login
from agent.config.problems import Refusal
from agent.errors import CaptureError

_HASHES = {"MD5": "md5", "SHA-256": "sha256"}
_PARAMETER = re.compile(r'\b(\w+)=(?:"([^"]*)"|([^\s,]*))')


class AuthenticationError(CaptureError):
    """The camera refused the user or password: try again seldom, because cameras lock out."""

    def __init__(self, text: str) -> None:
        super().__init__(text, why="login")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Both are left out of `repr`, so that no log of a record shows them."""

    user: str = field(repr=False)
    password: str = field(repr=False)


def read_credentials(path: Path) -> Credentials:
    """`user:password`, one line, from a file that only its owner can read.

    Those of systemd it guards itself: they have mode 0440, in a folder closed to others.
    """
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise CaptureError(f"{path}: cannot read the camera's password: {error.strerror}") from None
    if mode & 0o077 and path.parent != credentials_folder():
        raise CaptureError(f"{path}: others can read the camera's password: chmod 600 it")
    try:
        user, password = split_login(content)
    except Refusal as refusal:
        raise CaptureError(f"{path}: {refusal.what}") from None
    return Credentials(user=user, password=password)


class Login:
    """Answers a camera's challenge: Digest (RFC 7616), Basic only where nothing else is offered.

    Who has asked for Digest gets no Basic later: that would show the password to whoever has come
    between.
    """

    def __init__(
        self, credentials: Credentials, own_nonce: Callable[[], str] = secrets.token_urlsafe
    ) -> None:
        self._credentials = credentials
        self._own_nonce = own_nonce
        self._challenge: dict[str, str] | None = None
        self._uses = 0

    @property
    def started(self) -> bool:
        """Whether a challenge has been answered, so that a further one means a refusal."""
        return self._challenge is not None

    @property
    def in_clear(self) -> bool:
        """Whether the password itself is sent."""
        return self._challenge is not None and self._challenge["scheme"] == "basic"

    def challenge(self, offers: Sequence[str]) -> bool:
        """Takes the best of the WWW-Authenticate values; says whether it is only a stale nonce."""
        parsed = [_parsed(offer) for offer in offers]
        known = [offer for offer in parsed if offer["scheme"] == "basic" or _hash(offer)]
        if not known:
            raise CaptureError("the camera asks for a kind of login that is not known here")
        best = min(known, key=lambda offer: offer["scheme"] == "basic")
        if best["scheme"] == "basic" and self.started and not self.in_clear:
            raise AuthenticationError(
                "the camera first asked for Digest and now for the password in clear: not sent"
            )
        self._challenge = best
        self._uses = 0
        return self._challenge.get("stale", "").lower() == "true"

    def header(self, method: str, uri: str) -> str | None:
        """The value of Authorization for one request; None before any challenge."""
        if self._challenge is None:
            return None
        if self.in_clear:
            both = f"{self._credentials.user}:{self._credentials.password}"
            return "Basic " + base64.b64encode(both.encode()).decode()
        return self._digest(self._challenge, method, uri)

    def _digest(self, challenge: dict[str, str], method: str, uri: str) -> str:
        self._uses += 1
        realm, nonce = challenge.get("realm", ""), challenge.get("nonce", "")
        algorithm = challenge.get("algorithm", "MD5").upper()

        def hashed(text: str) -> str:
            return hashlib.new(_HASHES[algorithm], text.encode()).hexdigest()

        secret = hashed(f"{self._credentials.user}:{realm}:{self._credentials.password}")
        asked = hashed(f"{method}:{uri}")
        fields = {"username": self._credentials.user, "realm": realm, "nonce": nonce, "uri": uri}
        plain = {"algorithm": algorithm} if "algorithm" in challenge else {}
        if "auth" in challenge.get("qop", "").replace(",", " ").split():
            count, own = f"{self._uses:08x}", self._own_nonce()
            fields |= {"response": hashed(f"{secret}:{nonce}:{count}:{own}:auth:{asked}")}
            fields |= {"cnonce": own}
            plain |= {"qop": "auth", "nc": count}
        else:
            fields |= {"response": hashed(f"{secret}:{nonce}:{asked}")}
        if "opaque" in challenge:
            fields |= {"opaque": challenge["opaque"]}
        quoted = [f'{name}="{_escaped(value)}"' for name, value in fields.items()]
        return "Digest " + ", ".join(quoted + [f"{name}={value}" for name, value in plain.items()])


def _parsed(offer: str) -> dict[str, str]:
    scheme, _, rest = offer.partition(" ")
    found = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(rest)}
    return found | {"scheme": scheme.strip().lower()}


def _hash(offer: dict[str, str]) -> bool:
    return offer["scheme"] == "digest" and offer.get("algorithm", "MD5").upper() in _HASHES


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
