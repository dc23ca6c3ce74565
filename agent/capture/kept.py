"""The coded pictures of one stream since a keyframe, so that they can be decoded later."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from agent.capture.rtp import AccessUnit

# 16 MB are ten seconds at 12 Mbit/s, more than any camera spends between keyframes; of one that
# does nothing is kept until the next.
KEPT_BYTES = 16_000_000


class KeptUnits:
    """Begins with a keyframe, and with one that lies `for_ns` back as soon as there is one."""

    def __init__(self, for_ns: int) -> None:
        self._for_ns = for_ns
        self._units: deque[AccessUnit] = deque()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._units)

    def __iter__(self) -> Iterator[AccessUnit]:
        return iter(self._units)

    def add(self, unit: AccessUnit) -> None:
        if unit.keyframe:
            self._forget_before(unit.taken_ns - self._for_ns)
        if self.size_bytes > KEPT_BYTES:
            self._forget_before(unit.taken_ns)
        if self.size_bytes > KEPT_BYTES:
            self.clear()
        if unit.keyframe or self._units:
            self._units.append(unit)
            self.size_bytes += len(unit.coded)

    def since(self, taken_ns: int) -> list[AccessUnit]:
        """What has to be decoded to see all that came after that moment."""
        units = list(self._units)
        keys = _keys(units, taken_ns)
        return units[keys[-1] if keys else 0 :]

    def clear(self) -> None:
        self._units.clear()
        self.size_bytes = 0

    def _forget_before(self, taken_ns: int) -> None:
        """What no look at that time or later needs: all before its keyframe."""
        keys = _keys(self._units, taken_ns)
        for _ in range(keys[-1] if keys else 0):
            self.size_bytes -= len(self._units.popleft().coded)


def _keys(units: deque[AccessUnit] | list[AccessUnit], until_ns: int) -> list[int]:
    return [n for n, unit in enumerate(units) if unit.keyframe and unit.taken_ns <= until_ns]
