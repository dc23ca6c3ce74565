"""How long to leave a broken camera alone."""

from __future__ import annotations

import random
from collections.abc import Callable

from agent.capture.credentials import AuthenticationError
from agent.errors import CaptureError

FIRST_S = 1.0  # a camera that hiccupped is back within a second
MAX_S = 60.0  # a dead one costs a connection attempt a minute
# Cameras lock an account after a handful of wrong passwords within some minutes; even with the
# jitter taken off, this leaves more than a minute between two tries.
AFTER_REFUSAL_S = 90.0
STABLE_S = 60.0  # it has run this long: the trouble before is over, begin at a second again
_JITTER = 0.25  # cameras behind one switch that rebooted shall not all be asked at once


class Backoff:
    """Doubling waits with jitter, so that nothing hammers."""

    def __init__(self, rng: Callable[[], float] = random.random) -> None:
        self._rng = rng
        self._next_s = FIRST_S

    def after(self, error: CaptureError, ran_s: float) -> float:
        """Seconds to wait after `error` ended a run of `ran_s` seconds."""
        if ran_s >= STABLE_S:
            self._next_s = FIRST_S
        wait_s = self._next_s
        self._next_s = min(MAX_S, 2 * self._next_s)
        if isinstance(error, AuthenticationError):
            wait_s = AFTER_REFUSAL_S
        return wait_s * (1 + _JITTER * (2 * self._rng() - 1))
