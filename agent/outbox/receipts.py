"""How far a recorder behind a broker has confirmed one stream."""

from __future__ import annotations

STUCK_MS = 60_000
"""Who confirms the same number again after this time misses what we know the broker has had."""

AGAIN_MOST = 1000
"""So many are then sent again, from the lowest on: of all, the newest would go first each time."""


class Receipts:
    """What the recorder has said; numbers up to `to` have been seen."""

    def __init__(self) -> None:
        self.to = 0
        self._since_ms = 0

    def lacks(self, number: int) -> None:
        """The recorder asks for `number` again: all from there on is to be confirmed anew."""
        self.to = min(self.to, number - 1)

    def hear(self, to: int, now_ms: int) -> bool:
        """Take note of `to` at monotonic `now_ms`; True where the recorder does not get on."""
        if to > self.to:
            self.to, self._since_ms = to, now_ms
            return False
        if now_ms - self._since_ms < STUCK_MS:
            return False
        self._since_ms = now_ms
        return True
