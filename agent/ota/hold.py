"""Updates that the office wants delayed (`want`): it may only delay, and not for ever."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.durable import replace

FILE = "hold.json"

_NAME = re.compile(r"[a-z0-9-]{1,31}")
_MOST_NAMES = 50
_USUAL_MS = 7 * 86_400_000  # where it names no end
_LONGEST_MS = 30 * 86_400_000
_LIMIT_BYTES = 64_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Models (or `config`) whose updates wait until then."""

    names: tuple[str, ...] = ()
    since_ms: int = 0
    until_ms: int = 0

    def holds(self, name: str, now_ms: int) -> bool:
        """Has an update of this to wait."""
        return name in self.names and now_ms < self.until_ms


def asked(body: bytes, now_ms: int, before: Hold) -> Hold | None:
    """What a `want` says of it; None where it is none. An empty one holds nothing any more.

    The broker says it again at each connection: the same names go on from `before`, so that no
    hold lasts longer than it may.
    """
    if not body:
        return Hold()
    try:
        content = json.loads(body)
        names, until = content.get("hold", []), content.get("until")
        good = isinstance(names, list) and len(names) <= _MOST_NAMES
        if not good or not all(isinstance(each, str) and _NAME.fullmatch(each) for each in names):
            return None
        wanted = tuple(sorted(set(names)))
        since_ms = before.since_ms if wanted == before.names else now_ms
        until_ms = since_ms + _USUAL_MS if until is None else int(until)
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return None
    until_ms = min(until_ms, since_ms + _LONGEST_MS)
    return Hold(names=wanted, since_ms=since_ms, until_ms=until_ms)


def load(folder: Path) -> Hold:
    """What is kept in the folder of updates; a damaged file holds nothing."""
    try:
        with (folder / FILE).open("rb") as file:
            row = json.loads(file.read(_LIMIT_BYTES))
        names = tuple(map(str, row["names"]))
        return Hold(names=names, since_ms=int(row["since_ms"]), until_ms=int(row["until_ms"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Hold()


def save(folder: Path, hold: Hold) -> None:
    """On disk when it returns; raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(folder / FILE, json.dumps(asdict(hold)).encode())
