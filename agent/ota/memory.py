"""What the box must not forget of updates, in one file: refusals, what waits and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.durable import replace
from agent.ota.healing import read_or_set_aside

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
        self.refused: dict[str, Refused] = {}  # by sha256 of the package
        self.waiting: dict[str, Waiting] = {}  # by model
        kept = read_or_set_aside(path, _parsed)
        if kept is not None:
            self.refused, self.waiting = kept

    def save(self) -> None:
        """On disk when it returns."""
        newest = sorted(self.refused.items(), key=lambda item: item[1].at_ms)[-_MOST_REFUSED:]
        self.refused = dict(newest)
        content = {
            "refused": _rows(self.refused),
            "waiting": _rows(self.waiting),
        }
        replace(self._path, json.dumps(content, indent=1).encode())


def _rows(records: Mapping[str, Any]) -> dict[str, Any]:
    return {key: asdict(record) for key, record in records.items()}


def _parsed(content: bytes) -> tuple[dict[str, Refused], dict[str, Waiting]]:
    kept = json.loads(content)
    refused = {str(key): Refused(**row) for key, row in kept["refused"].items()}
    return refused, {str(key): Waiting(**row) for key, row in kept["waiting"].items()}
