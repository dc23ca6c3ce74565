"""How the last look at the repository went: a box that cannot update says so over its broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agent.durable import replace
from agent.ota.healing import read_or_set_aside

REPOSITORY = "repository"
"""Under this name `about` and `health` say what is wrong."""

UNREACHABLE = "unreachable"

_FILE = "look.json"
_PATIENCE_MS = 86_400_000  # a line that is away for an hour is no news


def note(folder: Path, why: str | None, now_ms: int) -> None:
    """What is wrong, one word, or None; on disk when it returns. Raises OSError."""
    before = read_or_set_aside(folder / _FILE, _parsed)
    if before is not None and before[0] == why:
        return  # since then
    replace(folder / _FILE, json.dumps({"why": why, "since_ms": now_ms}).encode())


def report(folder: Path, now_ms: int) -> dict[str, dict[str, Any]]:
    """For `about` and `health`; nothing while all is well, or the line is away for a while."""
    found = read_or_set_aside(folder / _FILE, _parsed)
    if found is None or found[0] is None:
        return {}
    why, since_ms = found
    if why == UNREACHABLE and now_ms - since_ms < _PATIENCE_MS:
        return {}
    return {REPOSITORY: {"v": "", "n": 0, "state": "waiting", "since": since_ms, "why": why}}


def _parsed(content: bytes) -> tuple[str | None, int]:
    row = json.loads(content)
    why = row["why"]
    return None if why is None else str(why), int(row["since_ms"])
