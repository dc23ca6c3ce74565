"""Packages whose trying out had no end: the update itself was killed over them, perhaps for memory.

One empty file an attempt, removed at its end: that works on a full disk too.
"""

from __future__ import annotations

from pathlib import Path


class Trying:
    """`folder` is the one of updates."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "trying"

    def begin(self, sha256: str) -> int:
        """Another attempt; how many before it had no end."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        before = len(list(self._folder.glob(f"{sha256}.*")))
        (self._folder / f"{sha256}.{before}").touch()
        return before

    def end(self) -> None:
        """Whatever came of it, the update lives."""
        for mark in self._folder.glob("*"):
            mark.unlink(missing_ok=True)
