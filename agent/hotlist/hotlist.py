"""A hotlist that has been opened: is this plate on it?"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from agent.errors import HotlistError
from agent.hotlist.slow_hash import Cost, plate_hash

DAY_MS = 86_400_000

LIFE_LIMIT_MS = 30 * DAY_MS
"""Neither a list nor an entry lives longer: what is still sought is put on the next list."""

ENTRIES_LIMIT = 10_000
"""A list of more is not a list of sought plates: it is a register, and false hits, which grow with
its length (`mahalla hotlist make` says how many), would bury the true ones."""

VERSION_LIMIT = 10**15
"""A version is below; with the beginning of the hash it fits into `ver` of an event."""

CASE_LIMIT_CHARS = 60
REASON_LIMIT_CHARS = 120

_REMEMBERED = 256  # plates whose hashes are at hand: a car that stands, or passes two cameras
_CLOCKS_APART_MS = 10 * 60_000  # an office's clock and a box's


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One sought plate, known by its hash alone."""

    hash: bytes
    case: str
    reason: str
    expires_ms: int


class Hotlist:
    """One version of one list. `key` and `cost` are those of its hashes. Safe between threads."""

    def __init__(
        self,
        *,
        name: str,
        version: int,
        sha256: str,
        made_ms: int,
        expires_ms: int,
        key: bytes,
        cost: Cost,
        entries: Iterable[Entry],
    ) -> None:
        self.name = name
        self.version = version
        self.sha256 = sha256
        self.made_ms = made_ms
        self.expires_ms = expires_ms
        self._key = key
        self._cost = cost
        self._entries = {entry.hash: entry for entry in entries}
        self._hashes: OrderedDict[bytes, bytes] = OrderedDict()
        self._own = os.urandom(16)
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        return len(self._entries)

    @property
    def label(self) -> str:
        """Version and the beginning of the file's SHA-256: what is told of a list (`ver`)."""
        return f"{self.version}/{self.sha256[:16]}"

    def check_time(self, utc_ms: int, max_age_ms: int) -> None:
        """HotlistError when it must not be used at `utc_ms`."""
        if utc_ms < self.made_ms - _CLOCKS_APART_MS:
            raise HotlistError("was made in the future; set the clock", why="future")
        if utc_ms >= self.expires_ms:
            raise HotlistError("has expired; make a new one", why="expired")
        if utc_ms >= self.made_ms + max_age_ms:
            raise HotlistError("is older than its max_age; make a new one", why="too-old")

    def find(self, country: str, text: str, utc_ms: int) -> Entry | None:
        """The entry of a plate in its canonical text, unless it has expired; one slow hash."""
        entry = self._entries.get(self._hash(country, text))
        return entry if entry is not None and utc_ms < entry.expires_ms else None

    def _hash(self, country: str, text: str) -> bytes:
        # Remembered under a hash of its own: no plate lies about in memory for hours.
        name = hashlib.blake2b(f"{country}\0{text}".encode(), key=self._own).digest()
        with self._lock:
            known = self._hashes.get(name)
            if known is not None:
                self._hashes.move_to_end(name)
                return known
        found = plate_hash(country, text, self._key, self._cost)
        with self._lock:
            self._hashes[name] = found
            while len(self._hashes) > _REMEMBERED:
                self._hashes.popitem(last=False)
        return found
