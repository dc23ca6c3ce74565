"""What becomes of the box's clock: set late, set anew."""

from __future__ import annotations

from dataclasses import dataclass

from agent.records import Moment

STEP_MS = 1000
"""A time server moves the clock by less without setting it anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """The times told in this boot are to be corrected, t = offset + monotonic."""

    offset_ms: int
    why: str


class ClockWatch:
    """Looks at the clock each second; `was_unset` where times of this boot wait for correction."""

    def __init__(self, *, was_unset: bool) -> None:
        self._was_unset = was_unset
        self._offset_ms: int | None = None  # UTC minus monotonic, as it was told last

    def look(self, now: Moment) -> Correction | None:
        """What is to be told, and by what unsent times are to be corrected."""
        if not now.synced:
            self._was_unset = True
            return None
        offset_ms = now.utc_ms - now.mono_ns // 1_000_000
        before_ms, was_unset = self._offset_ms, self._was_unset
        self._was_unset = False
        if was_unset:
            why = "set"
        elif before_ms is not None and abs(offset_ms - before_ms) >= STEP_MS:
            why = f"step {(offset_ms - before_ms) / 1000:+.0f} s"
        else:
            self._offset_ms = offset_ms if before_ms is None else before_ms
            return None
        self._offset_ms = offset_ms
        return Correction(offset_ms=offset_ms, why=why)
