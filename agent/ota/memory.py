"""What the box must not forget of updates, in one file: floors, refusals, what waits and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.durable import replace
from agent.errors import UpdateError

_MOST_REFUSED = 200  # the oldest are forgotten: their releases have long been replaced


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A package that is not tried again."""

    model: str
    version: str
    serial: int
    word: str  # what leaves the box
    text: str  # the whole reason, for its log
    at_ms: int
    told: bool = False  # the daemon has sent an event


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A release that this box would take, and not now."""

    version: str
    serial: int
    word: str
    at_ms: int


class Memory:
    """Read it, change it, `save`; two at once keep each other out by `BoxModels.alone`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.issued_s = 0
        self.versions: dict[str, tuple[int, str]] = {}  # by role: seen, under which keys
        self.refused: dict[str, Refused] = {}  # by sha256 of the package
        self.waiting: dict[str, Waiting] = {}  # by model
        self.spent: tuple[str, int] = ("", 0)  # day, bytes fetched on it
        try:
            kept = json.loads(path.read_bytes())
            self.issued_s = int(kept["issued_s"])
            self.versions = {role: (int(n), str(by)) for role, (n, by) in kept["versions"].items()}
            self.refused = {key: Refused(**row) for key, row in kept["refused"].items()}
            self.waiting = {key: Waiting(**row) for key, row in kept["waiting"].items()}
            self.spent = (str(kept["spent"][0]), int(kept["spent"][1]))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise UpdateError(f"{path}: damaged; remove it to begin anew: {error}") from error

    def save(self) -> None:
        """On disk when it returns."""
        newest = sorted(self.refused.items(), key=lambda item: item[1].at_ms)[-_MOST_REFUSED:]
        self.refused = dict(newest)
        content = {
            "issued_s": self.issued_s,
            "versions": self.versions,
            "refused": _rows(self.refused),
            "waiting": _rows(self.waiting),
            "spent": self.spent,
        }
        replace(self._path, json.dumps(content, indent=1).encode())


def _rows(records: Mapping[str, Any]) -> dict[str, Any]:
    return {key: asdict(record) for key, record in records.items()}
