"""One occurrence from start to end, and how often it may speak in between."""

from __future__ import annotations

from typing import Any

from agent.records import Event, Moment, Phase

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


def quiet_s(age_s: float) -> float:
    """Least time between two updates of an occurrence that is `age_s` old."""
    if age_s < 600:
        return 10.0
    return 60.0 if age_s < 7200 else 3600.0


def seconds_between(earlier: Moment, later: Moment) -> float:
    return (later.mono_ns - earlier.mono_ns) / NS_PER_S


class Occurrence:
    """Numbers the events of one occurrence; `value` is what an update is about.

    An update is due only when the value differs from the one told last and the schedule
    allows it; what was not told is told by the next update or by the end.
    """

    def __init__(self, kind: str, camera_id: str | None, event_id: str, since: Moment) -> None:
        self._kind = kind
        self._camera_id = camera_id
        self._event_id = event_id
        self._since = self._told_at = since
        self._next = 0
        self._told: object = None

    def start(self, value: object, **what: Any) -> Event:
        self._told = value
        return self._event(Phase.START, self._since, **what)

    def update(self, at: Moment, value: object, **what: Any) -> list[Event]:
        """An update, if one is due."""
        age_s = seconds_between(self._since, at)
        if value == self._told or seconds_between(self._told_at, at) < quiet_s(age_s):
            return []
        self._told, self._told_at = value, at
        return [self._event(Phase.UPDATE, at, **what)]

    def end(self, at: Moment, **what: Any) -> Event:
        """The last event, with the duration since the start."""
        duration_ms = (at.mono_ns - self._since.mono_ns) // NS_PER_MS
        return self._event(Phase.END, at, duration_ms=duration_ms, **what)

    def _event(self, phase: Phase, at: Moment, **what: Any) -> Event:
        number, self._next = self._next, self._next + 1
        return Event(
            event_id=self._event_id,
            n=number,
            phase=phase,
            at=at,
            camera_id=self._camera_id,
            kind=self._kind,
            **what,
        )
