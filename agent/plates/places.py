"""Where plates were: what is painted on the scene, and who has been read out already.

Bounded, in memory only, and forgotten by the frames' own time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

from agent.records import Box

NS = 1_000_000_000

GAP_S = 3.0
"""A track that begins this soon after another one was seen last may be the same vehicle, lost and
found again: longer than the tracker coasts, shorter than it takes to drive round and come back."""

AT_ONCE_S = 1.0
"""One vehicle that was boxed twice is at one place when its second box is told, this soon after the
first was seen last. Cars of one lane leave the picture at one place too, but further apart."""

STOOD_S = 900.0
"""A plate at the very place where it stood this long ago has not been away: a lorry that unloads
in front of a parked car hides it for minutes. A car that left was seen to leave that place."""

FORGOTTEN_S = 600.0
"""A place of painted text that has shown none for so long is free again: cameras are turned."""

PAINTED = 2
"""Vehicles that have driven past under the same text, or times that it was looked at in vain,
before it is taken for the scene's."""

HEIGHTS = 3.0
"""Of a plate's box that count as one width: between a long plate's 4.6 and a square one's 1.5."""

_MOST = 64  # of each: a busy crossing makes that many passages in a minute or two
_NEAR = 1.5  # plate widths between the centres of one plate seen twice
_SAME_PLACE = 0.5  # overlap of text that keeps its place; it jitters by a corner's error


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    across = min(a.x1, b.x1) - max(a.x0, b.x0)
    down = min(a.y1, b.y1) - max(a.y0, b.y0)
    shared = max(across, 0.0) * max(down, 0.0)
    return shared / max(a.area + b.area - shared, 1e-12)


def _covers(outer: Box, inner: Box) -> bool:
    return outer.holds((inner.x0, inner.y0)) and outer.holds((inner.x1, inner.y1))


def widths_apart(a: Box, b: Box) -> float:
    """Distance of two plates' centres, in plate widths."""
    (ax, ay), (bx, by) = a.center, b.center
    wide, high = max(a.width, b.width, 1e-6), max(a.height, b.height, 1e-6)
    return hypot((ax - bx) / wide, (ay - by) / (HEIGHTS * high))


@dataclass(slots=True)
class _Text:
    box: Box
    weight: int
    last_ns: int
    alone: bool


class Scenery:
    """Places whose text belongs to the scene: signs, the camera's own clock."""

    def __init__(self) -> None:
        self._texts: list[_Text] = []

    def note(self, box: Box, now_ns: int, *, alone: bool = False) -> None:
        """Text stood still here while what it was taken for drove on.

        `alone`: it was taken for nobody's, and said nothing. So does the plate of a car at a
        barrier that the detector does not see: such text counts only as long as it stays.
        """
        for text in self._texts:
            if overlap(text.box, box) >= _SAME_PLACE:
                text.weight += 1
                text.last_ns = now_ns
                text.alone &= alone
                return
        self._texts.append(_Text(box, 1, now_ns, alone))
        self._texts.sort(key=lambda text: -text.last_ns)
        del self._texts[_MOST:]

    def looked(self, region: Box, found: Sequence[Box], hidden: Sequence[Box]) -> None:
        """All text of `region` is in `found`, but for what vehicles hide: text alone is gone."""
        self._texts = [
            text
            for text in self._texts
            if not text.alone
            or not _covers(region, text.box)
            or any(overlap(text.box, box) >= _SAME_PLACE for box in found)
            or any(overlap(text.box, box) > 0 for box in hidden)
        ]

    def holds(self, box: Box, now_ns: int) -> bool:
        """Whether text found here is the scene's; being found keeps it so."""
        self._texts = [t for t in self._texts if now_ns - t.last_ns <= FORGOTTEN_S * NS]
        for text in self._texts:
            if text.weight >= PAINTED and overlap(text.box, box) >= _SAME_PLACE:
                text.last_ns = now_ns
                return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A plate that may be read out; its text is never shown."""

    track_id: int
    text: str | None  # None: not settled
    begun_ns: int  # when its track began
    first: Box  # where the plate was found first
    last: Box  # where it is now
    standing: bool

    def __repr__(self) -> str:
        return f"Arrival(track_id={self.track_id})"


@dataclass(slots=True)
class _Passage:
    track_id: int
    text: str | None
    box: Box
    standing: bool
    last_ns: int

    def __repr__(self) -> str:
        return f"_Passage(track_id={self.track_id})"


class Passages:
    """The vehicles read out lately: one passage is told once, however often its track breaks."""

    def __init__(self) -> None:
        self._known: list[_Passage] = []

    def follow(self, track_id: int, box: Box, now_ns: int, *, standing: bool) -> None:
        """Where the plate of a vehicle that was read out is by now."""
        for passage in self._known:
            if passage.track_id == track_id:
                passage.box, passage.standing, passage.last_ns = box, standing, now_ns

    def first_time(self, arrival: Arrival, now_ns: int) -> bool:
        """Whether nothing was told of this passage before; from now on it was."""
        self._known = [p for p in self._known if now_ns - p.last_ns <= STOOD_S * NS]
        before = next((p for p in self._known if _same(p, arrival, now_ns)), None)
        if before is not None:
            before.track_id = arrival.track_id
            before.text = before.text or arrival.text
            before.box, before.last_ns = arrival.last, now_ns
            before.standing = arrival.standing
            return False
        self._known.append(
            _Passage(arrival.track_id, arrival.text, arrival.last, arrival.standing, now_ns)
        )
        self._known.sort(key=lambda passage: -passage.last_ns)
        del self._known[_MOST:]
        return True


def _same(before: _Passage, now: Arrival, now_ns: int) -> bool:
    """Whether it is the same vehicle that has not been away."""
    soon = now.begun_ns - before.last_ns <= GAP_S * NS
    if before.text is not None and before.text == now.text:
        return soon or (before.standing and _near(before.box, now.first))
    if before.text is None or now.text is None or _one_apart(before.text, now.text):
        if now.begun_ns >= before.last_ns:
            return soon and _near(before.box, now.first)
        # Seen while the other one was: two boxes of one vehicle, if in one place at one time.
        return now_ns - before.last_ns <= AT_ONCE_S * NS and _near(before.box, now.last)
    return False


def _near(a: Box, b: Box) -> bool:
    return widths_apart(a, b) <= _NEAR


def _one_apart(a: str, b: str) -> bool:
    """Whether one character at most differs: a plate in half a view reads like that."""
    return len(a) == len(b) and sum(x != y for x, y in zip(a, b, strict=True)) <= 1
