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
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.durable import point, replace, sync_folder
from agent.errors import ModelError
from agent.infer.package import models_dir, read_card
from agent.ota.packing import unpack

SLOT = "slot.json"

_SLOTS = ("a", "b")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One package of a slot."""

    sha256: str  # of the package as it came
    version: str
    serial: int  # of its release
    over: str  # sha256 of the installed model that it was tried against; "": there was none


Content = Mapping[str, Entry]
"""What lies over the installed packages, by model."""


def installed_sha256(model: str) -> str:
    """sha256 of the installed model in the package of this name; "" where there is none."""
    try:
        return read_card(models_dir() / model).sha256
    except ModelError:
        return ""


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

    def active(self) -> Content:
        """What is in force; empty while the installed packages alone are.

        An agent that was installed since brings models of its own: what was tried against others
        is out of force, and the next update tries it anew.
        """
        return {
            model: entry
            for model, entry in self.current().items()
            if entry.over == installed_sha256(model)
        }

    def current(self) -> Content:
        """What `current` points to, in force or not."""
        return self._content(self._current)

    def prepare(self, content: Content) -> None:
        """Make the other slot of stored packages; what is active stays so."""
        free = self._folder / self._free()
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._current.is_symlink():  # the way back leads to the installed ones alone
            for slot in _SLOTS:
                (self._folder / slot / SLOT).unlink(missing_ok=True)
        (free / SLOT).unlink(missing_ok=True)  # first: from here on it is unfinished
        shutil.rmtree(free, ignore_errors=True)
        free.mkdir()
        for model, entry in content.items():
            (free / model).symlink_to(Path("..") / "store" / entry.sha256 / model)
        rows = {model: asdict(entry) for model, entry in content.items()}
        replace(free / SLOT, json.dumps(rows, indent=1).encode())
        sync_folder(self._folder)

    def flip(self) -> bool:
        """Make the other slot active; False when it is unfinished, and nothing has changed."""
        if not self._content(self._folder / self._free()):
            return False
        point(self._current, self._free())
        return True

    def drop_outdated(self) -> None:
        """Make active what is in force, where that is less than what `current` points to."""
        in_force = self.active()
        if in_force == self.current():
            return
        if in_force:
            self.activate(in_force)
        else:
            self.to_installed()

    def activate(self, content: Content) -> None:
        """Prepare and flip."""
        self.prepare(content)
        self.flip()

    def previous(self) -> Content:
        """What the other slot holds; empty when it is unfinished."""
        return self._content(self._folder / self._free())

    def to_installed(self) -> None:
        """Nothing lies over the installed packages any more."""
        self._current.unlink(missing_ok=True)
        if self._folder.is_dir():
            sync_folder(self._folder)

    def _content(self, slot: Path) -> Content:
        """What a slot holds; empty when it is unfinished or damaged."""
        try:
            rows = json.loads((slot / SLOT).read_bytes())
            content = {str(model): Entry(**row) for model, row in rows.items()}
            whole = all(
                _SHA256.fullmatch(entry.sha256) and self.stored(model, entry.sha256).is_dir()
                for model, entry in content.items()
            )
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
        return content if whole else {}

    def _free(self) -> str:
        used = self._current.readlink().name if self._current.is_symlink() else "b"
        return _SLOTS[1 - _SLOTS.index(used)] if used in _SLOTS else "a"

    def sweep(self) -> None:
        """Drop what no slot names; by an update only, which may have stored what it still tries."""
        slots = (self._content(self._folder / slot) for slot in _SLOTS)
        used = {entry.sha256 for content in slots for entry in content.values()}
        for place in self._store.iterdir() if self._store.is_dir() else ():
            if place.name not in used:
                shutil.rmtree(place, ignore_errors=True)
