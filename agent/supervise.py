"""The threads of the box: started, watched, restarted, stopped.

Here is the one broad `except` of the house: a loop that dies of a bug is logged, counted and
started again, and its neighbours do not notice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

_log = logging.getLogger(__name__)

_RESTART_FIRST_S = 1.0
_RESTART_LAST_S = 60.0
_STEADY_S = 60.0  # a loop that lived this long starts its back-off anew


class Pulse:
    """When each loop last made progress; the watchdog is fed only while all of them do."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last: dict[str, float] = {}

    def beat(self, name: str) -> None:
        self._last[name] = self._monotonic()

    def forget(self, name: str) -> None:
        self._last.pop(name, None)

    def stale(self, limit_s: float) -> Mapping[str, float]:
        """Loops without progress for more than `limit_s`, and for how long (s)."""
        now = self._monotonic()
        return {
            name: now - last for name, last in self._last.copy().items() if now - last > limit_s
        }


class Loop:
    """One supervised thread: `body(stop)` runs until `stop` is set, and again when it dies."""

    def __init__(self, name: str, body: Callable[[threading.Event], None], pulse: Pulse) -> None:
        self.name = name
        self.restarts = 0
        self._body = body
        self._pulse = pulse
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)

    def start(self) -> None:
        self._pulse.beat(self.name)
        self._thread.start()

    def ask_to_stop(self) -> None:
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False when it did not come in time."""
        self._thread.join(timeout_s)
        self._pulse.forget(self.name)
        return not self._thread.is_alive()

    def _live(self) -> None:
        backoff_s = _RESTART_FIRST_S
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._body(self._stop)
                if self._stop.is_set():
                    return
                _log.error("%s ended without being asked to", self.name)
            except Exception:  # noqa: BLE001 - the one place: whatever it was, the box lives on
                _log.exception("%s died", self.name)
            self.restarts += 1
            if time.monotonic() - began > _STEADY_S:
                backoff_s = _RESTART_FIRST_S
            _log.info("%s starts again in %.0f s", self.name, backoff_s)
            self._sit_out(backoff_s)
            backoff_s = min(2 * backoff_s, _RESTART_LAST_S)

    def _sit_out(self, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while (left_s := deadline - time.monotonic()) > 0 and not self._stop.wait(min(left_s, 0.5)):
            self._pulse.beat(self.name)  # waiting to start again is progress
