"""`face.present`: an occurrence while faces are in view. It counts them, it knows none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.records import Event, Moment, Track, TrackState
from agent.rules.occurrence import Occurrence, seconds_between

KIND = "face.present"


class FacePresent:
    """Starts once faces have been in view for `for` s, ends after `gap` s without any.

    The count is the largest number of faces seen at once so far. The start is stamped with
    the first sight and the end with the last, so the duration lies between the two.
    """

    def __init__(
        self, camera_id: str, ids: Callable[[int], str], *, least_s: float, gap_s: float
    ) -> None:
        self._camera_id = camera_id
        self._ids = ids
        self._least_s = least_s
        self._gap_s = gap_s
        self._since: Moment | None = None
        self._last: Moment | None = None
        self._most = 0
        self._open: Occurrence | None = None

    def update(self, tracks: Sequence[Track], at: Moment) -> list[Event]:
        ended = self.tick(at)
        faces = sum(t.kind == "face" and t.state is TrackState.CONFIRMED for t in tracks)
        if not faces:
            return ended
        self._since = self._since or at
        self._last = at
        self._most = max(self._most, faces)
        return ended + self._tell(self._since, at)

    def tick(self, at: Moment) -> list[Event]:
        """The end, when no face has been in view for long enough."""
        if self._last is None or seconds_between(self._last, at) < self._gap_s:
            return []
        return self._finish(self._last, None)

    def close(self, at: Moment, why: str) -> list[Event]:
        return self._finish(at, why)

    def _tell(self, since: Moment, at: Moment) -> list[Event]:
        if self._open is not None:
            return self._open.update(at, self._most, count=self._most)
        if seconds_between(since, at) < self._least_s:
            return []
        self._open = Occurrence(KIND, self._camera_id, self._ids(since.utc_ms), since)
        return [self._open.start(self._most, count=self._most)]

    def _finish(self, at: Moment, why: str | None) -> list[Event]:
        events = [] if self._open is None else [self._open.end(at, count=self._most, why=why)]
        self._open = self._since = self._last = None
        self._most = 0
        return events
