"""`person.line` and `vehicle.line`: once for each time something crosses a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from agent.config.model import LineConfig, Point
from agent.geometry import side_of_line
from agent.records import VEHICLES, Event, Moment, Phase, Track, TrackState

CLASSES = {"person.line": frozenset({"person"}), "vehicle.line": VEHICLES | {"bicycle"}}
"""What each kind of event is about; a bicycle crosses as `vehicle.line` where a line lists it."""

_MARGIN = 0.25  # sizes beyond the line
_SWING = 0.5  # sizes from the furthest point before to the one after
_SWING_AGAIN = 1.0  # the same, once the thing has crossed this line before


def line_counts(line: LineConfig, kind: str) -> bool:
    """Whether `line` is about `kind`; `vehicle`, listed or seen, stands for any vehicle."""
    if kind in line.counts:
        return True
    listed = VEHICLES.intersection(line.counts)
    return kind in VEHICLES and ("vehicle" in listed or (kind == "vehicle" and bool(listed)))


class Crossing:
    """One track against one line: a crossing needs the foot to pass through the segment.

    Distances are signed (right of the line is positive) and in sizes of the thing across
    the line. A crossing is complete once the foot lies a margin beyond the line and a swing
    away from the furthest it was before. The swing is larger for the same thing once more:
    a box that trembles, or is half hidden now and then, stays silent.
    """

    __slots__ = ("_foot", "_furthest", "_line", "_offset", "_side", "_swing", "_through")

    def __init__(self, line: LineConfig) -> None:
        self._line = line
        self._side = 0  # where it counts as being: -1 left, 1 right
        self._furthest = 0.0  # how far into that side it has been
        self._swing = _SWING
        self._through = False  # the line was last passed inside the segment
        self._foot = (0.0, 0.0)
        self._offset = 0.0  # side_of_line of the foot before, 0: none yet

    def step(self, track: Track) -> str | None:
        """Take in where the track was really seen; "+" or "-" when it has crossed."""
        offset = side_of_line(self._line.start, self._line.end, track.box.foot)
        if offset == 0:
            return None
        self._note_passage(track.box.foot, offset)
        side, distance = (1 if offset > 0 else -1), abs(offset) / self._size(track)
        if self._side in (0, side):
            self._side = side
            self._furthest = max(self._furthest, distance)
            return None
        over = distance >= _MARGIN and distance + self._furthest >= self._swing
        if not over or not track.moved or track.state is not TrackState.CONFIRMED:
            return None
        self._side, self._furthest = side, distance
        if not self._through:
            return None
        self._swing = _SWING_AGAIN
        return "+" if side > 0 else "-"

    def _size(self, track: Track) -> float:
        """Extent of the box across the line, in the unit of `side_of_line`."""
        (x0, y0), (x1, y1) = self._line.start, self._line.end
        return max(abs(y1 - y0) * track.box.width + abs(x1 - x0) * track.box.height, 1e-9)

    def _note_passage(self, foot: Point, offset: float) -> None:
        """Where, on the straight way from the foot before to this one, the line was passed."""
        if self._offset * offset < 0:
            share = self._offset / (self._offset - offset)
            (x0, y0), (x1, y1) = self._line.start, self._line.end
            x = self._foot[0] + share * (foot[0] - self._foot[0]) - x0
            y = self._foot[1] + share * (foot[1] - self._foot[1]) - y0
            along = x * (x1 - x0) + y * (y1 - y0)
            self._through = 0 <= along <= (x1 - x0) ** 2 + (y1 - y0) ** 2
        self._foot, self._offset = foot, offset


class LineRule:
    """Watches every line of a camera that counts what `kind` is about."""

    def __init__(
        self,
        kind: str,
        camera_id: str,
        ids: Callable[[int], str],
        *,
        lines: Mapping[str, LineConfig],
    ) -> None:
        self._kind = kind
        self._camera_id = camera_id
        self._ids = ids
        classes = CLASSES[kind]
        self._lines = {
            name: line
            for name, line in lines.items()
            if any(line_counts(line, object_class) for object_class in classes)
        }
        self._tracks: dict[int, dict[str, Crossing]] = {}
        self._seen_ns: dict[int, int] = {}

    def update(self, tracks: Sequence[Track], at: Moment) -> list[Event]:
        mine = [track for track in tracks if track.kind in CLASSES[self._kind]]
        fresh = [t for t in mine if t.last_mono_ns > self._seen_ns.get(t.track_id, -1)]
        events = [event for track in fresh for event in self._step(track, at)]
        self._seen_ns = {track.track_id: track.last_mono_ns for track in mine}
        self._tracks = {number: self._tracks[number] for number in self._seen_ns}
        return events

    def tick(self, at: Moment) -> list[Event]:
        return []

    def close(self, at: Moment, why: str) -> list[Event]:
        return []

    def _step(self, track: Track, at: Moment) -> Iterator[Event]:
        crossings = self._tracks.setdefault(
            track.track_id, {name: Crossing(line) for name, line in self._lines.items()}
        )
        for name, crossing in crossings.items():
            direction = crossing.step(track)
            if direction is not None and line_counts(self._lines[name], track.kind):
                yield self._event(track, at, name, direction)

    def _event(self, track: Track, at: Moment, line: str, direction: str) -> Event:
        return Event(
            event_id=self._ids(at.utc_ms),
            n=0,
            phase=Phase.ONCE,
            at=at,
            camera_id=self._camera_id,
            kind=self._kind,
            place=line,
            object_class=None if track.kind == "person" else track.kind,  # the kind says it
            direction=direction,
            score=track.score,
            box=track.box,
        )
