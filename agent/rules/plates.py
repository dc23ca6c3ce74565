"""`plate.hit`, `plate.seen`, `plate.unread`: what the reading of one passage means."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.config.model import Point
from agent.geometry import point_in_polygon
from agent.hotlist.hotlist import Hotlist
from agent.hotlist.search import Match, Search
from agent.records import Event, Moment, Phase, PlateReading, Track, TrackState
from agent.rules.occurrence import Occurrence, seconds_between

HIT, SEEN, UNREAD = KINDS = ("plate.hit", "plate.seen", "plate.unread")

SHARE_LIMIT = 0.01
"""A list that names more than one car in a hundred is no list of sought cars."""

TOO_MANY = "hits above 1% of passages"

_SHARE_WINDOW_S = 86_400.0
_SHARE_LEAST = 300  # passages; of fewer, one in a hundred is a convoy of three
_BACKLOG = 10  # slow hashes that wait for each one a picture does beyond the first
_LAST_STEPS = 16  # at the end there is no time for more


class HitShare:
    """Counts a box's passages and hits by list, a day at a time. Safe between threads."""

    def __init__(self) -> None:
        self._since: Moment | None = None
        self._passages = 0
        self._hits: Counter[str] = Counter()
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def passage(self, at: Moment) -> None:
        with self._lock:
            if self._since is None or seconds_between(self._since, at) >= _SHARE_WINDOW_S:
                self._since, self._passages = at, 0
                self._hits.clear()
                self._told.clear()
            self._passages += 1

    def hit(self, hotlist: str) -> int | None:
        """So many hits are too many of the passages today; None: they are not, or it was said."""
        with self._lock:
            self._hits[hotlist] += 1
            hits = self._hits[hotlist]
            if hits <= SHARE_LIMIT * max(self._passages, _SHARE_LEAST) or hotlist in self._told:
                return None
            self._told.add(hotlist)
            return hits


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatePolicy:
    """What all cameras of a box share: its lists, and what becomes of plates on none of them."""

    in_force: Callable[[int], Sequence[Hotlist]] = lambda utc_ms: ()
    pseudonyms: bool = False
    share: HitShare = field(default_factory=HitShare)


@dataclass(slots=True, kw_only=True)
class _Passage:
    """One vehicle whose plate was read, from then until it has gone."""

    since: Moment
    search: Search
    zone: str | None
    open: list[tuple[Occurrence, dict[str, Any]]] = field(default_factory=list)
    told: bool = False
    """Its search is done, and what came of it was told."""
    gone: Moment | None = None
    """When its track ended."""


class PlateRules:
    """One reading a passage becomes one hit for each list that names it, or what else is `on`.

    The lists are searched in steps, mostly one a picture: a hash is slow, see `Search`. A hit
    lasts as long as the track does, and is stamped with the moment of the reading.
    """

    def __init__(
        self,
        camera_id: str,
        ids: Callable[[int], str],
        *,
        on: Collection[str],
        zones: Mapping[str, Sequence[Point]],
        policy: PlatePolicy,
    ) -> None:
        self._camera_id = camera_id
        self._ids = ids
        self._on = on
        self._zones = zones
        self._policy = policy
        self._passages: dict[int, _Passage] = {}

    def update(
        self, tracks: Sequence[Track], at: Moment, readings: Sequence[PlateReading]
    ) -> list[Event]:
        for reading in readings:
            if reading.track_id not in self._passages:
                self._passages[reading.track_id] = self._begin(reading, at)
        live = {track.track_id for track in tracks if track.state is not TrackState.ENDED}
        for number, passage in self._passages.items():
            if number not in live:
                passage.gone = passage.gone or at
        return self.tick(at)

    def tick(self, at: Moment) -> list[Event]:
        """Goes on with the search, and ends what is over."""
        events = list(self._search(at, steps=1 + self._waiting() // _BACKLOG))
        for number, passage in list(self._passages.items()):
            if passage.gone and not passage.search:
                events += _ends(passage, passage.gone, None)
                del self._passages[number]
        return events

    def close(self, at: Moment, why: str) -> list[Event]:
        events = list(self._search(at, steps=_LAST_STEPS))
        for passage in self._passages.values():
            events += _ends(passage, passage.gone or at, None if passage.gone else why)
        self._passages.clear()
        return events

    def _begin(self, reading: PlateReading, at: Moment) -> _Passage:
        self._policy.share.passage(at)
        lists = self._policy.in_force(at.utc_ms) if HIT in self._on else ()
        return _Passage(
            since=at,
            search=Search(reading, lists),
            zone=self._zone_of(reading),
        )

    def _waiting(self) -> int:
        return sum(len(passage.search) for passage in self._passages.values())

    def _search(self, at: Moment, *, steps: int) -> Iterator[Event]:
        """The oldest passage first; what a passage has come to is told once its search is done."""
        for passage in self._passages.values():
            if passage.told:
                continue
            while passage.search and steps:
                steps -= 1
                if match := passage.search.step(at.utc_ms):
                    yield from self._hit(passage, match)
            if not passage.search:
                passage.told = True
                yield from self._no_hit(passage)

    def _hit(self, passage: _Passage, match: Match) -> Iterator[Event]:
        since, reading = passage.since, passage.search.reading
        what = {
            "plate": match.plate,
            "score": match.score,
            "margin": match.margin,
            "hotlist": match.hotlist,
            "match": match.how,
        }
        # Told once: with the longest names they would not fit into an end.
        where = {"place": passage.zone, "object_class": reading.kind, "box": reading.box}
        occurrence = Occurrence(HIT, self._camera_id, self._ids(since.utc_ms), since)
        passage.open.append((occurrence, what))
        yield occurrence.start(match.how, **what, **where)
        too_many = self._policy.share.hit(match.hotlist)
        if too_many is not None:
            yield self._once(
                "audit", since, None, hotlist=match.hotlist, count=too_many, why=TOO_MANY
            )

    def _no_hit(self, passage: _Passage) -> Iterator[Event]:
        """What is told of a plate that no list names, or that was not read."""
        reading = passage.search.reading
        kind = UNREAD if reading.best is None else SEEN
        if passage.open or kind not in self._on or (kind == SEEN and not self._policy.pseudonyms):
            return
        yield self._once(
            kind,
            passage.since,
            self._camera_id,
            plate=reading.best,
            score=reading.score,
            place=passage.zone,
            object_class=reading.kind,
        )

    def _once(self, kind: str, at: Moment, camera_id: str | None, **what: Any) -> Event:
        return Event(
            event_id=self._ids(at.utc_ms),
            n=0,
            phase=Phase.ONCE,
            at=at,
            camera_id=camera_id,
            kind=kind,
            **what,
        )

    def _zone_of(self, reading: PlateReading) -> str | None:
        center = reading.box.center
        holding = (name for name, zone in self._zones.items() if point_in_polygon(center, zone))
        return next(holding, None)


def _ends(passage: _Passage, at: Moment, why: str | None) -> list[Event]:
    return [occurrence.end(at, why=why, **what) for occurrence, what in passage.open]
