"""What an update must not fall below, and what it has spent; only `mahalla ota` writes it."""

from __future__ import annotations

import json
from pathlib import Path

from agent.durable import replace
from agent.ota.healing import read_or_set_aside

FLOORS = "floors.json"
"""In the folder of updates; the daemon's clock reads `issued_s` there."""


class Floors:
    """Read it, change it, `save`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FLOORS
        self.issued_s = 0
        self.versions: dict[str, tuple[int, str]] = {}  # by role: seen, under which keys
        self.spent: tuple[str, int] = ("", 0)  # day, bytes fetched on it
        kept = read_or_set_aside(self._path, _parsed)
        if kept is not None:
            self.issued_s, self.versions, self.spent = kept

    def save(self) -> None:
        """On disk when it returns."""
        content = {"issued_s": self.issued_s, "versions": self.versions, "spent": self.spent}
        replace(self._path, json.dumps(content, indent=1).encode())


def _parsed(content: bytes) -> tuple[int, dict[str, tuple[int, str]], tuple[str, int]]:
    kept = json.loads(content)
    versions = {str(role): (int(n), str(by)) for role, (n, by) in kept["versions"].items()}
    return int(kept["issued_s"]), versions, (str(kept["spent"][0]), int(kept["spent"][1]))
