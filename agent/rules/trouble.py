"""`box.disk`, `box.hot`, `box.power`: an occurrence while something is wrong with the box."""

from __future__ import annotations

from collections.abc import Callable

from agent.records import Event, Moment
from agent.rules.occurrence import Occurrence, seconds_between

CALM_S = 60.0
"""Without trouble for this long, it is over."""


class Trouble:
    """Starts with the first trouble, tells when its reason changes or more has been given up."""

    def __init__(self, kind: str, ids: Callable[[int], str]) -> None:
        self._kind = kind
        self._ids = ids
        self._open: Occurrence | None = None
        self._given_up = 0  # before this occurrence
        self._why = ""
        self._last: Moment | None = None

    def look(self, at: Moment, why: str | None, given_up: int = 0) -> list[Event]:
        """`why` is the trouble now, None where there is none; `given_up` only ever grows."""
        count = given_up - self._given_up
        if why is not None:
            self._why, self._last = why, at
            if self._open is None:
                self._open = Occurrence(self._kind, None, self._ids(at.utc_ms), at)
                return [self._open.start((why, count), why=why, count=count or None)]
        if self._open is None or self._last is None:
            self._given_up = given_up
            return []
        if seconds_between(self._last, at) > CALM_S:
            self._given_up = given_up
            return self._finish(at, None, count)
        told = self._why, count
        return self._open.update(at, told, why=self._why, count=count or None)

    def close(self, at: Moment, why: str) -> list[Event]:
        """The box stops."""
        return self._finish(at, why, 0)

    def _finish(self, at: Moment, why: str | None, count: int) -> list[Event]:
        if self._open is None:
            return []
        end = self._open.end(at, why=why, count=count or None)
        self._open = None
        return [end]
