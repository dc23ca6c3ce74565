"""`camera.lost`: an occurrence while a camera gives no pictures."""

from __future__ import annotations

from collections.abc import Callable

from agent.records import Event, Moment
from agent.rules.occurrence import Occurrence, seconds_between

KIND = "camera.lost"


class CameraLost:
    """Starts when a camera has been away for `after` s; stamped with when it went away.

    An update tells that the reason has changed; the end, that pictures come again.
    """

    def __init__(self, camera_id: str, ids: Callable[[int], str], *, after_s: float) -> None:
        self._camera_id = camera_id
        self._ids = ids
        self._after_s = after_s
        self._since: Moment | None = None
        self._why = ""
        self._open: Occurrence | None = None

    def lost(self, at: Moment, why: str) -> list[Event]:
        """No picture came, because of `why` (at most 40 characters); may be said again."""
        self._since = self._since or at
        self._why = why
        return self.tick(at)

    def tick(self, at: Moment) -> list[Event]:
        if self._since is None:
            return []
        if self._open is not None:
            return self._open.update(at, self._why, why=self._why)
        if seconds_between(self._since, at) < self._after_s:
            return []
        self._open = Occurrence(KIND, self._camera_id, self._ids(self._since.utc_ms), self._since)
        return [self._open.start(self._why, why=self._why)]

    def back(self, at: Moment) -> list[Event]:
        """A picture came."""
        return self._finish(at, None)

    def close(self, at: Moment, why: str) -> list[Event]:
        return self._finish(at, why)

    def _finish(self, at: Moment, why: str | None) -> list[Event]:
        events = [] if self._open is None else [self._open.end(at, why=why)]
        self._open = self._since = None
        return events
