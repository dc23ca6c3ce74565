"""What an old and a new model saw on the same frames, and what that says of the new one. Pure.

Both look at the very same frames, so a bazaar day or a dust storm weighs on both sides alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.ota.release import Limits
from agent.records import VEHICLES

ENOUGH_FRAMES = 300
"""Half a minute of one camera: below that a time says little."""

ENOUGH_FOUND = 100
"""Things of one kind, on either side: three in ten fewer of them are no accident."""

ENOUGH_READ = 20
"""Plates: with fewer, two passages more or less decide."""

FEWEST_READ_PERCENT = 80

ERRORS = 3
"""Exceptions of the pipeline: one may be a frame's fault."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """One side's sum over all frames that both have looked at."""

    frames: int = 0
    ms: float = 0.0
    found: dict[str, int] = field(default_factory=dict)
    read: int = 0
    unread: int = 0
    errors: int = 0

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Tally:
        """What `asdict` gave."""
        found = {str(kind): int(count) for kind, count in row["found"].items()}
        numbers = {key: int(row[key]) for key in ("frames", "read", "unread", "errors")}
        return cls(ms=float(row["ms"]), found=found, **numbers)

    def add(self, other: Tally) -> None:
        """Take another sum in."""
        self.frames += other.frames
        self.ms += other.ms
        for kind, count in other.found.items():
            self.found[kind] = self.found.get(kind, 0) + count
        self.read += other.read
        self.unread += other.unread
        self.errors += other.errors

    def look(self, kinds: list[str], ms: float) -> None:
        """One frame."""
        self.frames += 1
        self.ms += ms
        for kind in kinds:
            merged = "vehicle" if kind in VEHICLES else kind
            self.found[merged] = self.found.get(merged, 0) + 1

    @property
    def ms_per_frame(self) -> float:
        return self.ms / self.frames if self.frames else 0.0


def verdict(old: Tally, new: Tally, limits: Limits) -> tuple[str, str] | None:
    """The word and the whole reason why the new one must not stay; None while it may."""
    if new.errors >= ERRORS:
        return "errors", f"it failed on {new.errors} frames"
    if min(old.frames, new.frames) >= ENOUGH_FRAMES and old.ms_per_frame > 0:
        percent = round(100 * new.ms_per_frame / old.ms_per_frame)
        if percent > limits.slower_percent:
            return (
                "slow",
                f"a frame takes {percent} % of the time, {limits.slower_percent} % may be",
            )
    for kind in sorted(old.found | new.found):
        before, now = old.found.get(kind, 0), new.found.get(kind, 0)
        if max(before, now) < ENOUGH_FOUND:
            continue
        if now * 100 < before * limits.fewest_percent:
            return (
                "fewer-seen",
                f"it found {now} of kind {kind} where the present one found {before}",
            )
        if now * 100 > before * limits.most_percent:
            return (
                "more-seen",
                f"it found {now} of kind {kind} where the present one found {before}",
            )
    if old.read >= ENOUGH_READ and new.read * 100 < old.read * FEWEST_READ_PERCENT:
        return "fewer-read", f"it read {new.read} plates where the present one read {old.read}"
    return None


def compared(old: Tally, new: Tally) -> bool:
    """Has enough been seen on both sides for `verdict` to mean something."""
    most = max([*old.found.values(), *new.found.values()], default=0)
    return min(old.frames, new.frames) >= ENOUGH_FRAMES and most >= ENOUGH_FOUND
