"""How long to wait before trying again."""

from __future__ import annotations

import random

LAST_S = 20.0
"""Of a broker that refuses us: each TLS handshake is 4 kB on a link that may be metered."""

UNREACHABLE_LAST_S = 5.0
"""A broker that is back is found within this; a packet so often costs next to nothing."""


class Backoff:
    """Delays that double from `first_s` to `last_s`, each cut at random to half or more.

    The cut keeps the boxes of a whole town from coming back in the same second.
    """

    def __init__(
        self, *, first_s: float = 1.0, last_s: float = LAST_S, chance: random.Random | None = None
    ) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._chance = chance or random.SystemRandom()
        self._next_s = first_s

    def next_s(self, at_most_s: float = LAST_S) -> float:
        delay_s = min(self._next_s, at_most_s) * self._chance.uniform(0.5, 1.0)
        self._next_s = min(2 * self._next_s, self._last_s)
        return delay_s

    def reset(self) -> None:
        self._next_s = self._first_s
