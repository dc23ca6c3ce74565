"""What is active on the box: packages stored by hash, two slots, one link that flips.

    store/SHA256/NAME/   an unpacked package
    a/, b/               a slot: NAME -> ../store/SHA256/NAME, and slot.json, written last
    current -> a         what the agent opens; absent: the installed packages

A slot without slot.json is unfinished and never pointed to. `current` is changed by one rename,
so at every moment it is absent or names a whole slot.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from agent.durable import point, replace, sync_folder
from agent.ota.packing import unpack

_SLOTS = ("a", "b")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTENT = "slot.json"


class Slots:
    """The folder `models` in the state of the box."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = folder / "store"
        self._current = folder / "current"

    def stored(self, model: str, sha256: str) -> Path:
        """Where this package is, or would be."""
        return self._store / sha256 / model

    def keep(self, model: str, sha256: str, packed: Path) -> Path:
        """Unpack a verified file into the store; UpdateError when it is no package."""
        place = self.stored(model, sha256)
        if place.is_dir():
            return place
        part = self._store / f"{sha256}.part"
        shutil.rmtree(part, ignore_errors=True)
        unpack(packed, part / model)
        sync_folder(part)
        part.replace(place.parent)
        sync_folder(self._store)
        return place

    def active(self) -> dict[str, str]:
        """sha256 by model, of what is over the installed packages; empty while nothing is."""
        return self._content(self._current)

    def activate(self, content: Mapping[str, str]) -> None:
        """Make the other slot of stored packages and flip to it."""
        free = self._folder / self._free()
        self._folder.mkdir(parents=True, exist_ok=True)
        (free / _CONTENT).unlink(missing_ok=True)  # first: from here on it is unfinished
        shutil.rmtree(free, ignore_errors=True)
        free.mkdir()
        for model, sha256 in content.items():
            (free / model).symlink_to(Path("..") / "store" / sha256 / model)
        replace(free / _CONTENT, json.dumps(dict(content)).encode())
        point(self._current, free.name)
        self._sweep()

    def previous(self) -> dict[str, str]:
        """What the other slot holds; empty when it is unfinished, or nothing is active."""
        return self._content(self._folder / self._free()) if self._current.is_symlink() else {}

    def roll_back(self, *, to_installed: bool = False) -> dict[str, str]:
        """Flip to the other slot, or to the installed packages where it is none; what is active."""
        if self.previous() and not to_installed:
            point(self._current, self._free())
        else:
            self._current.unlink(missing_ok=True)
            sync_folder(self._folder)
        return self.active()

    def _free(self) -> str:
        used = self._current.readlink().name if self._current.is_symlink() else "b"
        return _SLOTS[1 - _SLOTS.index(used)] if used in _SLOTS else "a"

    def _content(self, slot: Path) -> dict[str, str]:
        """What a slot holds; empty when it is unfinished or damaged."""
        try:
            content = json.loads((slot / _CONTENT).read_bytes())
            whole = all(
                _SHA256.fullmatch(sha256) and self.stored(model, sha256).is_dir()
                for model, sha256 in content.items()
            )
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
        return content if whole else {}

    def _sweep(self) -> None:
        """Drop what no slot names."""
        slots = (self._content(self._folder / slot) for slot in _SLOTS)
        used = {sha256 for content in slots for sha256 in content.values()}
        for place in self._store.iterdir():
            if place.name not in used:
                shutil.rmtree(place, ignore_errors=True)
