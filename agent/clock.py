"""The two clocks: monotonic for order and durations, UTC for people."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

from agent.records import Moment

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

BUILT_UTC_MS = 1_764_000_000_000
"""No true time lies before this agent was built: a clock that says so is not set."""


class Clock(Protocol):
    def now(self) -> Moment: ...


class SystemClock:
    """The box's own clocks."""

    def now(self) -> Moment:
        utc_ms = time.time_ns() // 1_000_000
        return Moment(mono_ns=time.monotonic_ns(), utc_ms=utc_ms, synced=utc_ms >= BUILT_UTC_MS)


class ManualClock:
    """A clock that stands still until told: tests, and replay in media time."""

    def __init__(self, utc_ms: int = 0, mono_ns: int = 0, synced: bool = True) -> None:
        self._utc0_ms = utc_ms
        self._mono0_ns = mono_ns
        self._mono_ns = mono_ns
        self._synced = synced

    def now(self) -> Moment:
        utc_ms = self._utc0_ms + (self._mono_ns - self._mono0_ns) // 1_000_000
        return Moment(mono_ns=self._mono_ns, utc_ms=utc_ms, synced=self._synced)

    def advance(self, seconds: float) -> None:
        self._mono_ns += round(seconds * 1e9)


def boot_id() -> str:
    """Short name of this boot; the same for every process until the next start of the box."""
    try:
        return _BOOT_ID.read_text().strip().replace("-", "")[:12]
    except OSError:
        return "unknown"
