"""The time that ages are counted by: it follows the clock, but never leaps with it."""

from __future__ import annotations

import sqlite3

from agent.records import Moment

HURRY = 30
"""How many times faster than time passes it may run, to come up with the clock."""

_SAVE_EVERY_MS = 600_000  # a write each tidy would wear the card

TABLE = """
CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


class Ages:
    """Tells what time it is for rows that are to expire.

    A clock that leaps ahead, by years because of a broken battery or by the weeks that the box
    was off, must not empty the outbox before the broker could have had what waits there: of 30
    days, a day remains. Where the leap was wrong and is mended, nothing has happened. Back it
    goes at once.
    """

    def __init__(self) -> None:
        self._utc_ms: int | None = None
        self._mono_ns = 0
        self._saved_ms = 0

    def resume(self, db: sqlite3.Connection, now: Moment) -> None:
        """Begin where the last run left off; without one, with the clock."""
        found = db.execute("SELECT value FROM mark WHERE name = 'age'").fetchone()
        if found:
            self._saved_ms = self._utc_ms = int(found[0])
        elif now.synced:
            self._utc_ms = now.utc_ms
        self._mono_ns = now.mono_ns

    def now_ms(self, db: sqlite3.Connection, now: Moment) -> int:
        """Unix ms to count ages by; `now` is of a clock that is set."""
        if self._utc_ms is None:
            self._utc_ms = now.utc_ms
        passed_ms = max(0, now.mono_ns - self._mono_ns) // 1_000_000
        self._utc_ms = min(now.utc_ms, self._utc_ms + HURRY * passed_ms)
        self._mono_ns = now.mono_ns
        if abs(self._utc_ms - self._saved_ms) >= _SAVE_EVERY_MS:
            db.execute(
                "INSERT OR REPLACE INTO mark (name, value) VALUES ('age', ?)", (self._utc_ms,)
            )
            self._saved_ms = self._utc_ms
        return self._utc_ms
