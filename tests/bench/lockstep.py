"""A camera of the box in the time of its coded pictures: an idle hour takes seconds.

Capture, sleeper, stillness and pipeline are the box's own; the clock is that of the stream, and
each picture that is handed over is looked at before the next coded picture comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

from agent.capture.capture import Capture
from agent.capture.decoding import Decoder
from agent.capture.frames import FrameMaker
from agent.capture.rtp import AccessUnit
from agent.capture.sleeper import Sleeper
from agent.clock import ManualClock
from agent.config.model import CameraConfig
from agent.config.rules import rules_in_force
from agent.detect.motion import MotionFinder
from agent.pipeline import CameraPipeline, Detector, Seen
from agent.privacy.privacy import Privacy
from agent.records import Frame
from agent.sharing import Pace

NS = 10**9


class LockStep:
    """One camera; `seen` is told of each frame that was looked at."""

    def __init__(
        self,
        decoder: Callable[[], Decoder],
        detector: Detector,
        *,
        role: str = "face",
        gate: bool = True,
        seen: Callable[[Frame, Seen], None] = lambda frame, seen: None,
    ) -> None:
        self._clock = ManualClock()
        rules = rules_in_force(preset="street", roles=(role,), overrides={})
        camera = CameraConfig(camera_id="bench", roles=(role,), source="clip:bench", rules=rules)
        self.capture = Capture(camera, self._clock, progress=lambda: None)
        attention = self.attention = self.capture.attention
        attention.now_ns, attention.seen_ns = lambda: self._clock.now().mono_ns, 0
        attention.room = lambda seconds: True
        self._gate = gate
        self.sleeper = Sleeper("bench", decoder, attention if gate else None)
        self._maker = FrameMaker("bench", self._clock)
        self._pipeline = CameraPipeline(
            camera,
            detectors=[detector],
            motion=MotionFinder(),
            privacy=Privacy("bench", "bench", "bench"),
            ids=lambda utc_ms: "0" * 26,
        )
        self._pace = Pace()
        self._seen = seen
        self.decoded = 0  # pictures handed over
        self.looked = 0  # those that detectors saw
        self.looks_asleep = 0

    def watch(self, units: Iterable[AccessUnit]) -> None:
        """Take in the next stretch of the stream."""
        stop = threading.Event()
        self._units, self._stop = units, stop
        self.capture._opener = lambda camera, clock: self
        self.capture.run(stop)

    def frames(self) -> Iterator[Frame | None]:
        for unit in self._units:
            self._clock.advance((unit.taken_ns - self._clock.now().mono_ns) / NS)
            for taken in self.sleeper.feed(unit):
                if taken is None:
                    yield None
                    continue
                self.looks_asleep += self._gate and self.attention.asleep
                self.decoded += 1
                picture, taken_ns = taken
                yield self._maker.now(picture, age_ns=unit.taken_ns - taken_ns)
                self._look()
        self._stop.set()

    def close(self) -> None:
        """Nothing to let go of: the stream goes on at the next `watch`."""

    def _look(self) -> None:
        """As the camera's thread in `box`."""
        frame = self.capture.mailbox.take(0)
        if frame is None or not self._pace.due(frame.t_mono_ns):
            return
        if not (self._gate and frame.still) or self._pipeline.still(frame) is None:
            self._seen(frame, self._pipeline.frame(frame))
            self.looked += 1
        if self._pipeline.follows:
            self.capture.follow()
