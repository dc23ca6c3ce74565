"""The two clocks: monotonic for order and durations, UTC for people."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

from agent.records import Moment
from agent.timekeeper import BUILT_UTC_MS, Timekeeper

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    def now(self) -> Moment: ...


class SystemClock:
    """The box's own clocks; whether they are set is for `keeper` to say, else for the build."""

    def __init__(self, keeper: Timekeeper | None = None) -> None:
        self._keeper = keeper

    def now(self) -> Moment:
        mono_ns, utc_ms = time.monotonic_ns(), time.time_ns() // 1_000_000
        keeper = self._keeper
        synced = keeper.trusts(utc_ms, mono_ns) if keeper else utc_ms >= BUILT_UTC_MS
        return Moment(mono_ns=mono_ns, utc_ms=utc_ms, synced=synced)


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
