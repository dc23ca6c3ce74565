"""Lists of sought plates by the way of models: into the state folder, where the service may write.

The agent itself judges a list by its own signatures and numbers (`agent.hotlist`), and keeps the
one before where it refuses the new one: here only bytes are carried, and never half of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from agent.durable import replace
from agent.errors import UpdateError
from agent.hotlist.shelf import ARRIVED
from agent.ota.client import Client

LIMIT_BYTES = 20_000_000

_NAME = re.compile(r"[a-z0-9-]{1,31}")


def path_of(name: str) -> str:
    """Where a list lies among the repository's targets; UpdateError where it is no name."""
    if not _NAME.fullmatch(name):
        raise UpdateError(f"{name}: is no name of a hotlist as in agent.yaml (a-z, 0-9 and -)")
    return f"hotlists/{name}.list"


def fetch(client: Client, names: Iterable[str], state: Path) -> list[str]:
    """Bring the named lists to what the repository has; names of those that were replaced."""
    fetched, folder = [], state / ARRIVED
    for name in names:
        target = client.target(path_of(name))
        file = folder / f"{name}.list"
        if target is None or target.hashes["sha256"] == _sha256(file):
            continue
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(file, client.download(target, LIMIT_BYTES).read_bytes())
        except OSError as error:
            raise UpdateError(f"{file}: cannot be written: {error.strerror}") from error
        fetched.append(name)
    return fetched


def _sha256(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""
