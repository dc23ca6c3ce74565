"""ULIDs: 26 characters that sort by time and collide with nothing."""

from __future__ import annotations

import random

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class UlidMaker:
    """Gives ULIDs (48-bit milliseconds, 80 random bits, Crockford base32).

    `random.SystemRandom()` in the daemon; a seeded `random.Random` makes a replay repeatable.
    """

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def __call__(self, utc_ms: int) -> str:
        number = (utc_ms & (1 << 48) - 1) << 80 | self._source.getrandbits(80)
        return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
