"""What a metered line may carry in a day, and what is given up to stay within it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

from agent import durable
from agent.records import Message, Moment, Phase, Priority

_log = logging.getLogger(__name__)

_DAY_MS = 86_400_000
_AT_ONCE = 0.25  # of the budget; the rest is earned evenly over the day
_MERGE, _DIGEST, _ALERTS = 1.0, 1.2, 1.5  # times what is earned so far
_SAVE_EVERY_NS = 600 * 1_000_000_000  # a write each so often does not wear the card


class Saving(IntEnum):
    """What is given up: the first costs detail, the last only time. Nothing is lost by any."""

    NONE = 0
    MERGE = 1  # counts by the quarter of an hour, no updates between start and end
    DIGEST = 2  # counts by the hour
    ALERTS = 3  # only alerts leave; all else waits on the disk


COUNTS_S: Mapping[Saving, int] = {
    Saving.NONE: 0,
    Saving.MERGE: 900,
    Saving.DIGEST: 3600,
    Saving.ALERTS: 3600,
}
"""The shortest period of a count."""

HEALTH_S: Mapping[Saving, float] = {
    Saving.NONE: 60.0,
    Saving.MERGE: 300.0,
    Saving.DIGEST: 900.0,
    Saving.ALERTS: 900.0,
}
"""How often the vital signs are said."""


def saving(spent_bytes: int, budget_bytes: int, day_share: float) -> Saving:
    """What has to be given up when so much is spent at `day_share` (0..1) of the day."""
    earned = budget_bytes * (_AT_ONCE + (1 - _AT_ONCE) * day_share)
    if spent_bytes >= min(budget_bytes, _ALERTS * earned):
        return Saving.ALERTS
    if spent_bytes >= _DIGEST * earned:
        return Saving.DIGEST
    return Saving.MERGE if spent_bytes >= _MERGE * earned else Saving.NONE


class Budget:
    """Counts the bytes of a UTC day and says what to give up; without a limit, nothing.

    `spend` and the properties from any thread, `look` each second from one.
    """

    def __init__(self, path: Path, limit_bytes: int | None) -> None:
        self.saving = Saving.NONE
        self._path = path
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._day, self._spent_bytes = _kept(path) if limit_bytes else (0, 0)
        self._left_out = 0
        self._save_ns = 0

    def spend(self, wire_bytes: int) -> None:
        """So many more bytes went over the line, either way."""
        with self._lock:
            self._spent_bytes += wire_bytes

    def leave_out(self) -> None:
        """An update between start and end is not told."""
        with self._lock:
            self._left_out += 1

    @property
    def counts_s(self) -> int:
        return COUNTS_S[self.saving]

    def look(self, now: Moment) -> None:
        """Begin a new day, judge, and keep what is spent from time to time."""
        if self._limit_bytes is None:
            return
        day, ms = divmod(now.utc_ms, _DAY_MS)
        with self._lock:
            if day != self._day:
                self._day, self._spent_bytes, self._left_out = day, 0, 0
            spent_bytes = self._spent_bytes
        before, self.saving = self.saving, saving(spent_bytes, self._limit_bytes, ms / _DAY_MS)
        if self.saving is not before:
            _log.info(
                "the line: %d of %d bytes of this day are spent; saving: %s",
                *(spent_bytes, self._limit_bytes, self.saving.name.lower()),
            )
        if now.mono_ns >= self._save_ns:
            self._save_ns = now.mono_ns + _SAVE_EVERY_NS
            self.save()

    def save(self) -> None:
        """So that a restart is no new budget."""
        if self._limit_bytes is None:
            return
        with self._lock:
            content = {"day": self._day, "spent": self._spent_bytes}
        try:
            durable.replace(self._path, json.dumps(content).encode())
        except OSError as error:  # the disk's trouble is told by the writer
            _log.info("%s: %s", self._path, error.strerror)

    def report(self) -> Mapping[str, Any] | None:
        """What `health` says of the line; None where it has no limit."""
        if self._limit_bytes is None:
            return None
        with self._lock:
            said = {"spent": self._spent_bytes, "budget": self._limit_bytes}
            said |= {"updates": self._left_out} if self._left_out else {}
        return {"saving": self.saving.name.lower()} | said


class Sink(Protocol):
    def submit(self, message: Message) -> None: ...


class Sparing:
    """Hands on what cameras say, without the updates while the line is to be spared."""

    def __init__(self, sink: Sink, budget: Budget) -> None:
        self._sink = sink
        self._budget = budget

    def submit(self, message: Message) -> None:
        spares = self._budget.saving is not Saving.NONE and message.priority is not Priority.ALERT
        if spares and message.phase is Phase.UPDATE:  # the end is cumulative: it tells it all
            self._budget.leave_out()
        else:
            self._sink.submit(message)


def _kept(path: Path) -> tuple[int, int]:
    try:
        content = json.loads(path.read_bytes())
        return int(content["day"]), int(content["spent"])
    except (OSError, ValueError, TypeError, KeyError):
        return 0, 0
