"""What one track has shown of its plate so far, and whether another look at it is worth it."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, inf, log

from agent.plates.finder import FoundPlate
from agent.plates.grammar import Grammars
from agent.plates.places import HEIGHTS, NS, overlap, widths_apart
from agent.plates.reader import View
from agent.plates.vote import Vote
from agent.records import Box, Track

LEAST_VOTES = 2
"""Views before a text counts as read: what one picture's glare or a corner found wrongly makes of
a character, the next one hardly makes of it again."""

MOST_LOOKS = 10
"""Looks that a vehicle gets unless it shows itself better: views beyond the vote's eight best
change nothing, and a standing car would be read for hours."""

SPACING_S = 0.2
"""Between looks once there are LEAST_VOTES: pictures further apart err less alike."""

SPACING_ALONE_S = 0.5
"""The same for a plate outside every vehicle that does not move: there is time."""

BETTER = 1.25
"""Times as many sharp pixels across: a view that good is worth an inference at any time."""

WORSE = 0.7
"""A view this much worse than the best adds nothing; wait for a better one..."""

PATIENCE_S = 0.5  # ...but not longer than this: it may never come

_EMPTY = 2  # looks without a plate before they become rare: it is on the other side, or too small
_MOST_EMPTY = 8
_STANDS_S = 1.0
_STEADY = 0.1  # sizes: a standing vehicle's smoothed box stays within this of its place...
_STEADY_PLATE = 0.3  # ...and a plate's own, which a tile shows to a few pixels only
_PASSED = 0.7  # plate widths that a vehicle has driven, more than its box trembles...
_STAYED = 0.25  # ...while the text kept its place: it is not the vehicle's
_NEARER = 0.1  # ln of the width: as much as a corner's error at 40 px


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sighting:
    plate: Box
    vehicle: Box


class Vehicle:
    """The changing state behind one track; a plate without a vehicle is its own vehicle."""

    def __init__(self, track: Track, grammars: Grammars) -> None:
        self.track = track
        self.vote = Vote(grammars)
        self.told = False
        """Read out, or known to have been."""
        self.widest_px = 0.0
        self._first: _Sighting | None = None
        self._last: _Sighting | None = None
        self._strange: list[Box] = []  # at most a few: a look each, and looks are counted
        self._looks = self._empty = 0
        self._looked_ns = 0
        self._looked_quality = 0.0
        self._rest_box, self._rest_ns = track.box, track.last_mono_ns

    @property
    def is_plate(self) -> bool:
        return self.track.kind == "plate"

    @property
    def alone(self) -> bool:
        """Whether it is a plate outside every vehicle and has not moved: it may be a sign."""
        return self.is_plate and not self.went

    @property
    def age_s(self) -> float:
        return (self.track.last_mono_ns - self.track.first_mono_ns) / NS

    @property
    def plate(self) -> Box | None:
        """Where its plate is now, if it has kept its place on the vehicle; None: never seen."""
        if self._last is None:
            return None
        return _carried(self._last.plate, self._last.vehicle, self.track.box)

    @property
    def lost_sight(self) -> bool:
        """Whether the plate was not where it was expected the last time."""
        return self._empty > 0

    @property
    def first_plate(self) -> Box | None:
        """Where its plate was found first."""
        return self._first.plate if self._first else None

    @property
    def standing(self) -> bool:
        """Whether it has kept its place for a while."""
        return self.track.last_mono_ns - self._rest_ns >= _STANDS_S * NS

    def follow(self, track: Track) -> None:
        """The same track, later."""
        self.track = track
        box, rest = track.box, self._rest_box
        across = _agreed(box.x0 - rest.x0, box.x1 - rest.x1) / max(rest.width, 1e-3)
        down = _agreed(box.y0 - rest.y0, box.y1 - rest.y1) / max(rest.height, 1e-3)
        growth = abs(log(max(box.width, 1e-3) / max(rest.width, 1e-3)))
        if max(hypot(across, down), growth) > (_STEADY_PLATE if self.is_plate else _STEADY):
            self._rest_box, self._rest_ns = box, track.last_mono_ns

    def promise(self, quality: float, now_ns: int) -> float | None:
        """How many times better than so far a look is likely to be; None: not worth it.

        `quality` is what can be told without looking: sharpness times width.
        """
        if self.told:
            return None
        if self._looks == 0:
            return inf
        gain = quality / max(self._looked_quality, 1e-9)
        waited_s = (now_ns - self._looked_ns) / NS
        if gain >= BETTER:
            return gain
        if not self.vote:
            soon = self._empty >= _EMPTY and waited_s < PATIENCE_S
            return None if soon or self.exhausted else gain
        spacing_s = SPACING_ALONE_S if self.alone else SPACING_S
        if self.exhausted or (len(self.vote) >= LEAST_VOTES and waited_s < spacing_s):
            return None
        return gain if gain >= WORSE or waited_s >= PATIENCE_S else None

    @property
    def exhausted(self) -> bool:
        """Whether only a much better view is worth another look."""
        return self._looks >= MOST_LOOKS or self._empty >= _MOST_EMPTY

    def see(self, found: FoundPlate, view: View, quality: float, now_ns: int) -> None:
        """A look in which its plate was read."""
        sighting = _Sighting(plate=found.box, vehicle=self.track.box)
        self._first = self._first or sighting
        self._last = sighting
        self._empty = 0
        if not self.vote:  # until now it was measured without knowing where the plate is
            self._looked_quality = 0.0
        self._looked(quality, now_ns)
        self.widest_px = max(self.widest_px, view.width_px)
        self.vote.add(view)

    def miss(self, quality: float, now_ns: int) -> None:
        """A look that showed no plate."""
        self._empty += 1
        self._looked(quality, now_ns)

    def disown(self) -> None:
        """What was read is not its own, and text at that place will not be."""
        if self._last is not None:
            self._strange.append(self._last.plate)
        self.vote.clear()
        self._first = self._last = None
        self.widest_px = 0.0

    @property
    def went(self) -> bool:
        """Whether its plate was seen to move over the picture, or to come nearer."""
        if self._first is None or self._last is None:
            return False
        before, now = self._first.plate, self._last.plate
        grown = abs(log(now.width / before.width))
        return widths_apart(before, now) > _STAYED or grown > _NEARER

    @property
    def left_text_behind(self) -> bool:
        """Whether it drove on while the text stayed where it was: a sign's, or the clock's."""
        return not self.is_plate and not self.went and self.drove > _PASSED

    @property
    def drove(self) -> float:
        """How far the vehicle has gone between the views of its plate, in plate widths."""
        if self._first is None or self._last is None:
            return 0.0
        before, now, plate = self._first.vehicle, self._last.vehicle, self._last.plate
        across = _agreed(now.x0 - before.x0, now.x1 - before.x1)
        down = _agreed(now.y0 - before.y0, now.y1 - before.y1)
        return hypot(across / plate.width, down / (HEIGHTS * plate.height))

    def disowns(self, plate: Box) -> bool:
        """Whether text at that place was left behind before."""
        return any(overlap(plate, strange) > 0 for strange in self._strange)

    def _looked(self, quality: float, now_ns: int) -> None:
        self._looks += 1
        self._looked_ns = now_ns
        self._looked_quality = max(self._looked_quality, quality)


def _carried(plate: Box, before: Box, now: Box) -> Box:
    """`plate` at the same place on a vehicle whose box was `before` and is `now`."""
    across, down = now.width / max(before.width, 1e-6), now.height / max(before.height, 1e-6)
    return Box(
        x0=now.x0 + (plate.x0 - before.x0) * across,
        y0=now.y0 + (plate.y0 - before.y0) * down,
        x1=now.x0 + (plate.x1 - before.x0) * across,
        y1=now.y0 + (plate.y1 - before.y0) * down,
    )


def _agreed(one: float, other: float) -> float:
    """How far opposite edges have gone together: a box cut short by something goes nowhere."""
    return min(abs(one), abs(other)) if one * other > 0 else 0.0
