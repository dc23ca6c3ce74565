"""A camera's user and password: read from a file, shown to the camera, to nobody else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import CaptureError


class AuthenticationError(CaptureError):
    """The camera refused the user or password: try again seldom, because cameras lock out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The password is left out of `repr`, so that no log of a record shows it."""

    user: str = field(repr=False)
    password: str = field(repr=False)


def read_credentials(path: Path) -> Credentials:
    """`user:password`, one line, from a file that only its owner can read."""
    try:
        mode = path.stat().st_mode
        line = path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise CaptureError(f"{path}: cannot read the camera's password: {reason}") from None
    if mode & 0o077:
        raise CaptureError(f"{path}: others can read the camera's password: chmod 600 it")
    user, colon, password = line.partition(":")
    if not (user and colon) or "\n" in line:
        raise CaptureError(f"{path}: must be one line, user:password")
    return Credentials(user=user, password=password)
