"""A camera's login as it stands in its file: one line, `user:password`."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

from agent.config.problems import Refusal

_FORM = "must be one line, user:password"


def credentials_folder() -> Path | None:
    """Where systemd hands over what `cred:NAME` names, to this service alone."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) if folder else None


def split_login(content: bytes) -> tuple[str, str]:
    """User and password; raises Refusal, which shows nothing of what was read."""
    if content.startswith(codecs.BOM_UTF8):
        raise Refusal(f"{_FORM}, without a byte order mark: save it as plain UTF-8")
    try:
        line = content.decode("utf-8").strip("\r\n")
    except UnicodeDecodeError:
        raise Refusal("must be one line of text, user:password") from None
    user, _, password = line.partition(":")
    if not (user and password) or "\n" in line or "\r" in line:
        raise Refusal(_FORM)
    return user, password
