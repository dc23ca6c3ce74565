"""What may stand for a plate that is on no list: the same all day on one box, then forgotten."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from agent.records import Moment, PlateText

_DIGEST_BYTES = 12
_KEY_BYTES = 32
_DAY_NS = 86_400_000_000_000


class Pseudonyms:
    """96-bit keyed hashes of plates (BLAKE2b); the key is in memory only, and shared with nobody.

    A new key with each start and each day of the box's `timezone`; after a wrong clock at the
    latest 24 hours later. `new_key` gives 32 bytes: secret ones, unless a replay wants to be
    repeatable. Safe between threads.
    """

    def __init__(
        self,
        timezone: str,
        new_key: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._zone = ZoneInfo(timezone)
        self._new_key = new_key
        self._key = b""
        self._day = date.min
        self._since_ns = 0
        self._lock = threading.Lock()

    def of(self, plate: PlateText, at: Moment) -> str:
        """24 hexadecimal digits, for that day."""
        text = f"{plate.country}\0{plate.text}".encode()
        return hashlib.blake2b(text, key=self._key_at(at), digest_size=_DIGEST_BYTES).hexdigest()

    def _key_at(self, at: Moment) -> bytes:
        day = datetime.fromtimestamp(at.utc_ms / 1000, tz=self._zone).date()
        with self._lock:
            # A moment just before midnight may be told after it: the key of yesterday is gone.
            if day > self._day or at.mono_ns - self._since_ns >= _DAY_NS:
                self._key, self._day = self._new_key(_KEY_BYTES), day
                self._since_ns = at.mono_ns
            return self._key
