"""One camera at work: frames come in by one thread, messages go out by another."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext

from agent.budget import Sink
from agent.capture.capture import Capture
from agent.clock import Clock
from agent.config.model import CameraConfig
from agent.pipeline import CameraPipeline, Eyes, Keeping
from agent.privacy.privacy import Privacy
from agent.proving import Beside
from agent.records import CameraHealth, Frame, Message, Moment
from agent.rules.plates import PlatePolicy
from agent.sharing import Sharing
from agent.supervise import Loop, Pulse
from agent.ulid import UlidMaker

_LOOK_S = 0.25  # without a frame for this long, time alone is told to the rules
_SILENT_S = 15.0  # a capture that lives gives up a silent camera sooner than this


class CameraLoop:
    """One camera: its capture fills a mailbox, `run` takes frames from it down to messages."""

    def __init__(
        self,
        camera: CameraConfig,
        *,
        eyes: Eyes,
        privacy: Privacy,
        clock: Clock,
        pulse: Pulse,
        sharing: Sharing,
        plates: PlatePolicy | None = None,
        beside: Beside | None = None,
        keeping: Keeping | None = None,
        counts_s: Callable[[], int] = lambda: 0,
    ) -> None:
        self.camera = camera
        self.latest: Frame | None = None
        self.detect_ms = 0.0  # of the frame looked at last
        self.frames = 0
        self._beats = f"capture {camera.camera_id}", f"camera {camera.camera_id}"
        self.capture = Capture(camera, clock, progress=lambda: pulse.beat(self._beats[0]))
        self._eyes = eyes
        self._privacy = privacy
        self._clock = clock
        self._pulse = pulse
        self._seat = sharing.seat(camera.camera_id, camera.most_fps)
        self._plates = plates
        self._beside = beside
        self._keeping = keeping
        self._counts_s = counts_s
        self._ids = UlidMaker(random.SystemRandom())
        self._why = "restart"
        self._awake_s = 0.0
        self._looks = 0
        self._asked_s = time.monotonic()

    def loops(self, writer: Sink) -> Iterator[Loop]:
        """The two threads; what the camera says goes to `writer`."""
        yield Loop(self._beats[0], self.capture.run, self._pulse)
        yield Loop(self._beats[1], lambda stop: self._run(stop, writer), self._pulse)

    def look_with(self, eyes: Eyes) -> None:
        """Other models, from the next frame on."""
        self._eyes = eyes

    def end_with(self, why: str) -> None:
        """What is still open when the loop is stopped ends with `why`."""
        self._why = why

    def close(self) -> None:
        """Let go of the camera, which wakes the loop that waits for it."""
        self.capture.close()

    def health(self) -> CameraHealth:
        """Vital signs; duty and looks are of the time since it was asked for last."""
        now_s, state = time.monotonic(), self.capture.state
        awake_s, self._awake_s = state.awake_s - self._awake_s, state.awake_s
        wall_s, self._asked_s = max(now_s - self._asked_s, 1e-6), now_s
        looks, self._looks = self._seat.looks - self._looks, self._seat.looks
        last_ns = state.last_frame_mono_ns
        return CameraHealth(
            fps=state.fps,
            age_s=None if last_ns is None else (self._clock.now().mono_ns - last_ns) / 1e9,
            drops=self.capture.mailbox.drops,
            duty=min(1.0, awake_s / wall_s),
            looks_fps=looks / wall_s,
            skipped=self._seat.skipped,
            gate=state.sleeps if state.sleeps in ("keyframes", "awake") else None,
        )

    def _run(self, stop: threading.Event, writer: Sink) -> None:
        # All state is new with each start: a loop that died of a bug must not die of it again.
        eyes = self._eyes
        detectors, motion = eyes.of(self.camera)
        pipeline = CameraPipeline(
            self.camera,
            detectors=detectors,
            motion=motion,
            privacy=self._privacy,
            ids=self._ids,
            plates=self._plates,
            watch=eyes.watch(self.camera),
            on_reading=self._beside.heard_reading if self._beside else lambda reading: None,
            keeping=self._keeping,
            counts_s=self._counts_s,
        )
        try:
            self._watch(stop, pipeline, eyes, writer)
        finally:
            self._seat.leave()
            for message in pipeline.close(self._clock.now(), self._why):
                writer.submit(message)

    def _watch(
        self, stop: threading.Event, pipeline: CameraPipeline, eyes: Eyes, writer: Sink
    ) -> None:
        while not stop.is_set():
            frame = self.capture.mailbox.take(_LOOK_S)
            self._pulse.beat(self._beats[1])
            if eyes is not self._eyes:
                eyes = self._eyes
                with_these = (*eyes.of(self.camera), eyes.watch(self.camera))
                for message in pipeline.look_with(*with_these, self._clock.now()):
                    writer.submit(message)
            self.latest = frame or self.latest
            if frame is None:
                at = self._clock.now()
                lost = self._why_lost(at)
                at = at if lost else self.capture.past(at)
                messages: Sequence[Message] = pipeline.idle(at, lost=lost)
                self._seat.rest()
            elif self._is_due(frame):
                messages = self._seen(frame, pipeline)
            else:
                continue
            for message in messages:
                writer.submit(message)

    def _is_due(self, frame: Frame) -> bool:
        age_s = (self._clock.now().mono_ns - frame.t_mono_ns) / 1e9
        catches_up = self.capture.attention.after_ns is not None
        return self._seat.due(
            frame.t_mono_ns,
            age_s=0.0 if catches_up else age_s,
            drops=self.capture.mailbox.drops,
        )

    def _seen(self, frame: Frame, pipeline: CameraPipeline) -> Sequence[Message]:
        """One frame, looked at unless nothing moves in it and nothing is followed."""
        messages = pipeline.still(frame) if frame.still else None
        if messages is not None:
            self._seat.rest()
        else:
            began_s = time.thread_time()
            with self._beside.speaking() if self._beside else nullcontext():
                seen = pipeline.frame(frame, closer=self._seat.share.closer)
            self._seat.looked(pipeline.need, time.thread_time() - began_s)
            messages = list(seen.messages)
            self.frames += 1
            self.detect_ms = seen.detect_ms
            if self._beside:
                self._beside.frame(frame, seen)
        if pipeline.follows:
            self.capture.follow()
        return messages

    def _why_lost(self, at: Moment) -> str | None:
        """The one word for why no frame comes; None while that means nothing."""
        state = self.capture.state
        if not state.connected:
            return state.why
        # Still connected by its own account: its thread died of a bug, or hangs.
        silent_ns = at.mono_ns - (state.last_frame_mono_ns or state.since_mono_ns)
        return "no-picture" if silent_ns > _SILENT_S * 1e9 else None
