"""`face.count` and `vehicle.count`: totals of a period.

Periods lie on multiples of their length in UTC, so that all cameras report together and a
replay gives the same totals. An event is stamped with the end of its period: its count
belongs to the `per` seconds before `t`. Nothing counted, nothing sent. When the rule is
closed inside a period, what it has counted leaves at once; the sum of what carries a `t`
inside one period is right either way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from agent.records import VEHICLES, Event, Moment, Phase, Track, TrackState
from agent.rules.occurrence import NS_PER_MS

_SURE = (TrackState.CONFIRMED, TrackState.COASTING)


def new_face(track: Track) -> bool:
    """Counts for `face.count`: a confirmed face."""
    return track.kind == "face" and track.state in _SURE


def moving_vehicle(track: Track) -> bool:
    """Counts for `vehicle.count`: a vehicle that has moved, so a parked one never does."""
    return track.kind in VEHICLES and track.moved and track.state in _SURE


class PeriodCount:
    """Counts each track once in its life, in the period in which it first `counts`.

    A period that begins is `period_s` long, or `at_least_s()` where that is more.
    """

    def __init__(
        self,
        kind: str,
        camera_id: str,
        ids: Callable[[int], str],
        *,
        period_s: int,
        counts: Callable[[Track], bool],
        at_least_s: Callable[[], int] = lambda: 0,
    ) -> None:
        self._kind = kind
        self._camera_id = camera_id
        self._ids = ids
        self._shortest_s = self._period_s = period_s
        self._at_least_s = at_least_s
        self._counts = counts
        self._counted: set[int] = set()
        self._total: Counter[str] = Counter()
        self._opened: Moment | None = None  # first moment of the running period

    def update(self, tracks: Sequence[Track], at: Moment) -> list[Event]:
        over = self.tick(at)
        fitting = [track for track in tracks if self._counts(track)]
        for track in fitting:
            if track.track_id not in self._counted:
                self._total[track.kind] += 1
        # What is no longer live never comes back under its number: forget it.
        self._counted = {t.track_id for t in tracks if t.track_id in self._counted}
        self._counted.update(track.track_id for track in fitting)
        return over

    def tick(self, at: Moment) -> list[Event]:
        """The totals of the last period, once it is over."""
        opened = self._opened
        if opened is not None and self._period(at) == self._period(opened):
            return []
        told = [] if opened is None else self._tell(self._end_of_period(opened, at), None)
        self._opened = at
        self._period_s = max(self._shortest_s, self._at_least_s())
        return told

    def close(self, at: Moment, why: str) -> list[Event]:
        self._opened = None
        return self._tell(at, why)

    def _period(self, at: Moment) -> int:
        return at.utc_ms // (self._period_s * 1000)

    def _end_of_period(self, opened: Moment, now: Moment) -> Moment:
        """The period's last instant, on the clocks as they were when it opened."""
        end_ms = (self._period(opened) + 1) * self._period_s * 1000
        mono_ns = opened.mono_ns + (end_ms - opened.utc_ms) * NS_PER_MS
        return Moment(mono_ns=min(mono_ns, now.mono_ns), utc_ms=end_ms, synced=opened.synced)

    def _tell(self, at: Moment, why: str | None) -> list[Event]:
        totals, self._total = self._total, Counter()
        return [
            Event(
                event_id=self._ids(at.utc_ms),
                n=0,
                phase=Phase.ONCE,
                at=at,
                camera_id=self._camera_id,
                kind=self._kind,
                count=count,
                object_class=name if name in VEHICLES else None,
                period_s=self._period_s,
                why=why,
            )
            for name, count in sorted(totals.items())
            if count
        ]
