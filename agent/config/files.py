"""Files that the configuration names: there, of the right sort, and secrets kept to their owner."""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.config.letters import look_alike
from agent.config.login import split_login
from agent.config.place import Place
from agent.config.problems import INLINE, LOGIN_FILE, Refusal, Spoilt, quoted

_PEM_FILE = "put the PEM text into a file and name it here"
_RELATIVE = "a path relative to this file"

_CREDENTIAL = re.compile(r"cred:([A-Za-z0-9_.-]{1,100})")
_READ_LIMIT_BYTES = 64 * 1024

Content = Callable[[bytes], str]
"""What is wrong with the bytes of a file; nothing: they are right."""


def holds_login(content: bytes) -> str:
    """`user:password` and nothing else, as a camera's login is read."""
    try:
        split_login(content)
    except Refusal as refusal:
        return refusal.what
    return ""


def holds_certificate(content: bytes) -> str:
    return "" if b"-----BEGIN CERTIFICATE-----" in content else "holds no PEM certificate"


def holds_key(content: bytes) -> str:
    if b"ENCRYPTED" in content:
        return "holds a key under a password, which nobody can type on a box"
    return "" if b"PRIVATE KEY-----" in content else "holds no PEM private key"


def holds_signer(content: bytes) -> str:
    # Base64 of what begins each Ed25519 SubjectPublicKeyInfo (RFC 8410); `hotlist` reads the rest.
    begins = b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA"
    plain = content.replace(b"\r\n", b"\n")
    return "" if begins in plain else "holds no Ed25519 public key (PEM)"


@dataclass(frozen=True, slots=True)
class NamedFile:
    """The path of a file, relative to the configuration, or `cred:NAME`; becomes absolute."""

    content: Content = lambda content: ""
    private: bool = False
    """Nobody but its owner may read it."""
    may_come_later: bool = False

    def read(self, place: Place) -> Path:
        text = place.text()
        self._refuse_inline(text)
        if text.startswith("cred:"):
            return self._credential(text, place)
        return self.find(text, place)

    def find(self, text: str, place: Place) -> Path:
        """The file of that path, relative to the configuration."""
        path = Path(os.path.normpath(place.reading.folder / text))
        self._check(path, text, place)
        return path

    def sound(self, place: Place | None) -> Path | None:
        """The file there, if it is there and nothing is wrong with it; without any complaint."""
        if place is None:
            return None
        try:
            path = self.read(replace(place, reading=replace(place.reading, problems=[])))
        except (Refusal, Spoilt):
            return None  # reported where it was read
        return path if path.is_file() else None

    def _refuse_inline(self, text: str) -> None:
        if "-----BEGIN" in text:
            raise Refusal(INLINE, _PEM_FILE)
        if self.content is holds_login and ":" in text and not text.startswith("cred:"):
            raise Refusal(INLINE, LOGIN_FILE)

    def _credential(self, text: str, place: Place) -> Path:
        match = _CREDENTIAL.fullmatch(text)
        if not match or match[1] in (".", ".."):
            raise Refusal(f"{quoted(text)} is no credential", "cred:NAME, a systemd credential")
        folder = place.reading.credentials
        if folder is None:
            place.warn(f"{text} cannot be checked", "systemd hands it over when the service starts")
            return Path(text)
        path = folder / match[1]
        # systemd guards its credentials itself, with modes and access lists of its own.
        self._check(path, text, place, private=False)
        return path

    def _check(self, path: Path, text: str, place: Place, private: bool | None = None) -> None:
        try:
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode):
                raise Refusal(f"{quoted(text)} is no file", "the path of a file")
            if (self.private if private is None else private) and mode & 0o077:
                open_mode = f"{quoted(text)} is open to others (mode {mode & 0o777:04o})"
                raise Refusal(open_mode, "mode 0600", f"chmod 600 {text}")
            wrong = self.content(_head(path))
        except FileNotFoundError:
            if not self.may_come_later:
                hint = look_alike(text)
                raise Refusal(f"file {quoted(text)} does not exist", _RELATIVE, hint) from None
            place.warn(f"file {quoted(text)} does not exist yet")
            return
        except OSError as error:
            what = f"file {quoted(text)} cannot be read: {error.strerror}"
            raise Refusal(what, hint=self._cure(text, error)) from None
        if wrong:
            raise Refusal(f"file {quoted(text)} {wrong}")

    def _cure(self, text: str, error: OSError) -> str:
        """`check` is run as the user that runs the agent; systemd owns what it hands over."""
        if not isinstance(error, PermissionError) or text.startswith("cred:"):
            return ""
        cure = f"give it to the user that runs the agent: chown {_own_name()} {text}"
        return f"{cure}, then chmod 600 {text}" if self.private else cure

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a user of a container, in no list
        return str(os.geteuid())


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_READ_LIMIT_BYTES)
