"""All rules of one camera: tracks and time in, events out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from agent.config.model import CameraConfig
from agent.records import Event, Moment, PlateReading, Track
from agent.rules.counts import PeriodCount, moving_vehicle, new_face
from agent.rules.faces import FacePresent
from agent.rules.lines import CLASSES, LineRule
from agent.rules.lost import CameraLost
from agent.rules.plates import KINDS, PlatePolicy, PlateRules


class Rule(Protocol):
    """A state machine fed by tracks and time; it reads no clock."""

    def update(self, tracks: Sequence[Track], at: Moment) -> list[Event]: ...

    def tick(self, at: Moment) -> list[Event]: ...

    def close(self, at: Moment, why: str) -> list[Event]: ...


class CameraRules:
    """The rules that `camera.rules` puts in force; a kind that is not there is off.

    `ids` gives the ULID of a new occurrence from its UTC ms; `plates` is what the box's cameras
    have in common; counts have periods of `counts_s()` at the least.
    """

    def __init__(
        self,
        camera: CameraConfig,
        ids: Callable[[int], str],
        plates: PlatePolicy | None = None,
        counts_s: Callable[[], int] = lambda: 0,
    ) -> None:
        self._rules = _rules(camera, ids, counts_s)
        self._plates = PlateRules(
            camera.camera_id,
            ids,
            on=[kind for kind in KINDS if kind in camera.rules],
            zones=camera.zones,
            policy=plates or PlatePolicy(),
        )
        self._lost: CameraLost | None = None
        if "camera.lost" in camera.rules:
            after_s = camera.rules["camera.lost"]["after"]
            self._lost = CameraLost(camera.camera_id, ids, after_s=after_s)

    def update(
        self, tracks: Sequence[Track], at: Moment, readings: Sequence[PlateReading] = ()
    ) -> list[Event]:
        """What one picture's tracks and the plates settled by now mean.

        A picture also says that the camera is there.
        """
        events = self.back(at)
        for rule in self._rules:
            events += rule.update(tracks, at)
        return events + self._plates.update(tracks, at, readings)

    def tick(self, at: Moment) -> list[Event]:
        """What the passing of time alone means; call it at least each second without pictures."""
        events = self._lost.tick(at) if self._lost else []
        for rule in self._rules:
            events += rule.tick(at)
        return events + self._plates.tick(at)

    def lost(self, at: Moment, why: str) -> list[Event]:
        """The camera gives no picture, because of `why`; may be said again and again."""
        return self._lost.lost(at, why) if self._lost else []

    def back(self, at: Moment) -> list[Event]:
        """The camera gives pictures."""
        return self._lost.back(at) if self._lost else []

    def close(self, at: Moment, why: str) -> list[Event]:
        """Ends every open occurrence; the rules stand as new afterwards."""
        events = self._lost.close(at, why) if self._lost else []
        for rule in self._rules:
            events += rule.close(at, why)
        return events + self._plates.close(at, why)


def _rules(
    camera: CameraConfig, ids: Callable[[int], str], counts_s: Callable[[], int]
) -> list[Rule]:
    on, name = camera.rules, camera.camera_id
    rules: list[Rule] = []
    if "face.present" in on:
        seconds = on["face.present"]
        rules.append(FacePresent(name, ids, least_s=seconds["for"], gap_s=seconds["gap"]))
    for kind, counts in (("face.count", new_face), ("vehicle.count", moving_vehicle)):
        if kind in on:
            period_s = int(on[kind]["per"])
            rules.append(
                PeriodCount(kind, name, ids, period_s=period_s, counts=counts, at_least_s=counts_s)
            )
    rules += [LineRule(kind, name, ids, lines=camera.lines) for kind in CLASSES if kind in on]
    return rules
