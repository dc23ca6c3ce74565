"""What is known of the box's clock: the earliest that now can be, and whether anything set it."""

from __future__ import annotations

import ctypes
import json
import logging
from dataclasses import dataclass
from pathlib import Path

from agent import durable
from agent.records import Moment

_log = logging.getLogger(__name__)

BUILT_UTC_MS = 1_764_000_000_000
"""No true time lies before this agent was built: a clock that says so is not set."""

CLOCK_FILE = "clock.json"
"""In the agent's state folder."""

SAVE_EVERY_S = 600.0
"""A write each so often does not wear the card."""

INSIST_S = 900.0
"""A time server that keeps to an earlier time for so long is right, and the one before was not."""

_SLACK_MS = 600_000  # a time server may set the clock back by a little
_RTC = Path("/sys/class/rtc")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelClock:
    """What the kernel says of the clock that it keeps."""

    synced: bool  # a time server keeps it right
    offset_ms: float  # what is left to be corrected


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as it is read here."""

    _fields_ = (
        ("modes", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 40),
    )


_UNSYNC, _NANO = 0x0040, 0x2000


def kernel_clock() -> KernelClock | None:
    """The kernel's own word, which needs no right; None where it says nothing (no Linux)."""
    asked = _Timex()
    try:
        if ctypes.CDLL(None).adjtimex(ctypes.byref(asked)) < 0:
            return None
    except (OSError, AttributeError):
        return None
    scale = 1e6 if asked.status & _NANO else 1e3
    return KernelClock(synced=not asked.status & _UNSYNC, offset_ms=asked.offset / scale)


def has_battery_clock() -> bool:
    """Whether the kernel took its time from a clock that runs on while the box is off."""
    try:
        return any(each.read_text().strip() == "1" for each in _RTC.glob("*/hctosys"))
    except OSError:
        return False


class Timekeeper:
    """Judges the clock; `look` each second, `trusts` from any thread.

    A clock below the floor is not set. The hard floor is the later of this agent's build and times
    that were signed by others, with the time passed since. The soft one is what a time server has
    said, kept over restarts: it gives way to a server that insists on an earlier time, so that one
    wrong answer does not spoil it for good. Neither follows the clock alone: one that leaps years
    ahead and back must not be called wrong then.

    A box whose clock a time server has ever kept, and which has none that runs on while the box
    is off, waits for the server again after each boot: what the clock says until then is the time
    at which the power went, or a guess.
    """

    def __init__(self, path: Path, boot_id: str, mono_ns: int) -> None:
        self.offset_ms: float | None = None  # of the clock, where a time server keeps it
        self._path = path
        self._boot_id = boot_id
        self._hard_ms = BUILT_UTC_MS
        self._soft_ms, self._synced_boot = _kept(path)
        self._floor_ns = mono_ns
        self._below_ns: int | None = None  # since when a time server says that it is earlier
        self._runs_on = has_battery_clock()
        self._save_ns = mono_ns + round(SAVE_EVERY_S * 1e9)

    def trusts(self, utc_ms: int, mono_ns: int) -> bool:
        """Whether this may be the time."""
        waits = self._synced_boot not in ("", self._boot_id) and not self._runs_on
        return utc_ms >= self._floor_at(mono_ns) - _SLACK_MS and not waits

    def look(self, now: Moment) -> None:
        """Hear the kernel; save what is known from time to time."""
        said = kernel_clock()
        synced = said is not None and said.synced and self._believes(now)
        self.offset_ms = said.offset_ms if said is not None and synced else None
        first = synced and self._synced_boot != self._boot_id
        if synced:
            self._synced_boot = self._boot_id
            self._pass_to(now.mono_ns)
            self._soft_ms = now.utc_ms
        if first or now.mono_ns >= self._save_ns:
            self._save_ns = now.mono_ns + round(SAVE_EVERY_S * 1e9)
            self._save(now)

    def raise_to(self, utc_ms: int, mono_ns: int) -> None:
        """At `mono_ns` it is later than `utc_ms`: somebody has signed that."""
        self._pass_to(mono_ns)
        self._hard_ms = max(utc_ms, self._hard_ms)

    def _believes(self, now: Moment) -> bool:
        """Whether this is what a time server may say."""
        if now.utc_ms >= self._floor_at(now.mono_ns):
            self._below_ns = None
            return True
        if now.utc_ms < self._hard_ms + self._passed_ms(now.mono_ns):
            return False
        if self._below_ns is None:
            self._below_ns = now.mono_ns
        if now.mono_ns - self._below_ns < INSIST_S * 1e9:
            return False
        _log.warning("the time server insists: it is earlier than was known before")
        self._below_ns = None
        return True

    def _floor_at(self, mono_ns: int) -> int:
        return max(self._hard_ms, self._soft_ms) + self._passed_ms(mono_ns)

    def _passed_ms(self, mono_ns: int) -> int:
        return max(0, mono_ns - self._floor_ns) // 1_000_000

    def _pass_to(self, mono_ns: int) -> None:
        passed_ms = self._passed_ms(mono_ns)
        self._hard_ms += passed_ms
        self._soft_ms += passed_ms
        self._floor_ns = mono_ns

    def _save(self, now: Moment) -> None:
        content = {"floor_ms": self._floor_at(now.mono_ns), "synced_boot": self._synced_boot}
        try:
            durable.replace(self._path, json.dumps(content).encode())
        except OSError as error:  # the disk's trouble is told by the writer
            _log.info("%s: %s", self._path, error.strerror)


def kept_floor_ms(state: Path) -> int:
    """The time that this box has known in an earlier run, or that of its build (Unix ms)."""
    return _kept(state / CLOCK_FILE)[0]


def _kept(path: Path) -> tuple[int, str]:
    try:
        content = json.loads(path.read_bytes())
        return max(BUILT_UTC_MS, int(content["floor_ms"])), str(content["synced_boot"])
    except (OSError, ValueError, TypeError, KeyError):
        return BUILT_UTC_MS, ""
