"""The wiring of one camera: a plain chain of calls from a frame to messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from agent.config.model import CameraConfig
from agent.privacy.privacy import Privacy
from agent.records import Box, Detection, Event, Frame, Message, Moment, Track, TrackState
from agent.rules.camera import CameraRules
from agent.track.tracker import Tracker

_HEAD_SHARE = 0.3  # of a person's height: head and shoulders, with room for a tilted camera


class Detector(Protocol):
    def detect(self, frame: Frame, look_at: Sequence[Box] = ()) -> list[Detection]: ...


class Motion(Protocol):
    def find(self, frame: Frame) -> list[Box]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one frame gave."""

    detections: Sequence[Detection]
    tracks: Sequence[Track]
    messages: Sequence[Message]
    detect_ms: float
    rest_ms: float


class CameraPipeline:
    """Frame -> detections -> tracks -> events -> messages, for one camera; not thread-safe."""

    def __init__(
        self,
        camera: CameraConfig,
        *,
        detectors: Sequence[Detector],
        motion: Motion | None,
        privacy: Privacy,
        ids: Callable[[int], str],
    ) -> None:
        self._detectors = detectors
        self._motion = motion
        self._tracker = Tracker()
        self._rules = CameraRules(camera, ids)
        self._privacy = privacy
        self._tracks: Sequence[Track] = ()

    def frame(self, frame: Frame) -> Seen:
        """Take one frame through the whole chain."""
        began = perf_counter()
        look_at = self._where_to_look(frame)
        detections = [
            found for detector in self._detectors for found in detector.detect(frame, look_at)
        ]
        detected = perf_counter()
        at = Moment(mono_ns=frame.t_mono_ns, utc_ms=frame.t_utc_ms, synced=frame.clock_synced)
        self._tracks = self._tracker.update(detections, frame.t_mono_ns)
        messages = self._out(self._rules.back(at) + self._rules.update(self._tracks, at))
        return Seen(
            detections=detections,
            tracks=self._tracks,
            messages=messages,
            detect_ms=(detected - began) * 1e3,
            rest_ms=(perf_counter() - detected) * 1e3,
        )

    def idle(self, at: Moment, *, lost: str | None) -> list[Message]:
        """No frame came: let periods end; `lost` says why the camera is away, None if it is not."""
        events = self._rules.tick(at)
        if lost is not None:
            events = events + self._rules.lost(at, lost)
        return self._out(events)

    def close(self, at: Moment, why: str) -> list[Message]:
        """End everything still open."""
        return self._out(self._rules.close(at, why))

    def _out(self, events: Iterable[Event]) -> list[Message]:
        return [self._privacy.event(event) for event in events]

    def _where_to_look(self, frame: Frame) -> list[Box]:
        heads = [
            Box(
                x0=track.box.x0,
                y0=track.box.y0,
                x1=track.box.x1,
                y1=track.box.y0 + _HEAD_SHARE * track.box.height,
            )
            for track in self._tracks
            if track.kind == "person" and track.state is TrackState.CONFIRMED
        ]
        return heads + (self._motion.find(frame) if self._motion else [])
