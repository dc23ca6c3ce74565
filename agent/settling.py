"""What came over the air for the configuration, in the running agent: taken up, watched, kept.

A fragment that lets threads die is taken back here, one with which the agent crashes at its next
start (`Fragments.started`). What was confirmed stays.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.errors import UpdateError
from agent.ota import certificates
from agent.ota.fragments import Fragments, State, version

_log = logging.getLogger(__name__)

SETTLED_S = 300.0
"""So long it has to run before it is confirmed."""

_MOST_RESTARTS = 3  # of threads, meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What the daemon is to tell of it: an event of `kind`."""

    kind: str
    why: str
    version: str


class Settling:
    """`tick` each second; `arrived` says why the configuration has to be read again, once."""

    def __init__(
        self,
        state: Path,
        in_force: str,
        boot: str,
        now_ms: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`in_force` is the fragment that the agent runs with, in this `boot`."""
        self._fragments = Fragments(state)
        self._certificate = certificates.place(state)
        self._boot = boot
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._seen: tuple[int, int] | None = None
        self._shown = self._certificate_stamp()
        self.arrived = ""
        self._state = State()
        self.runs_with(in_force)

    def runs_with(self, sha256: str) -> None:
        """The agent has begun to run with this fragment."""
        self._in_force = sha256
        self._began_s = self._monotonic()
        self._restarts: int | None = None
        try:
            self._fragments.runs(self._boot)
        except UpdateError as error:
            _log.warning("update: %s", error)

    def does_not_start(self, text: str) -> None:
        """What is on trial let the agent not begin anew: never again."""
        trial = self._state.trial
        if trial and trial != self._in_force:
            self._fragments.refuse(trial, "does-not-start", text, self._now_ms())

    def take_arrived(self) -> str:
        """The word for what has arrived since the last call; "" where nothing has."""
        arrived, self.arrived = self.arrived, ""
        return arrived

    def tick(self, restarts: int) -> list[Word]:
        """Look whether something has come, and how it does; what is to be told.

        `restarts` counts the threads of the box that died, since it was begun.
        """
        try:
            return [*self._look(), *self._judge(restarts)]
        except UpdateError as error:
            _log.warning("update: %s", error)
            self._seen = None
            return []

    def _look(self) -> list[Word]:
        """`mahalla ota` was here, or this very loop has taken something back."""
        stamps = _stamp(self._fragments.folder), self._certificate_stamp()
        if stamps == self._seen:
            return []
        self._seen = stamps
        self._state = self._fragments.state()
        if self._state.in_force != self._in_force:
            self.arrived = "fragment"
        if stamps[1] != self._shown:
            self._shown, self.arrived = stamps[1], self.arrived or "certificate"
        return [
            Word(kind="audit", why=f"config refused: {each.word}", version=each.version)
            for each in self._fragments.untold()
        ]

    def _judge(self, restarts: int) -> list[Word]:
        trial = self._state.trial
        if not trial or trial != self._in_force:
            return []
        if self._restarts is None:
            self._restarts = restarts
        if restarts - self._restarts >= _MOST_RESTARTS:
            _log.warning("update: fragment %s lets threads die", version(trial))
            text = f"{_MOST_RESTARTS} threads died with it"
            self._fragments.refuse(trial, "errors", text, self._now_ms())
            return []
        if self._monotonic() - self._began_s < SETTLED_S:
            return []
        _log.info("update: fragment %s is confirmed", self._fragments.confirm())
        return [Word(kind="config.changed", why="confirmed", version=version(trial))]

    def _certificate_stamp(self) -> int:
        return _stamp(self._certificate)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
