"""One camera: opened, read, and when it breaks tried again for ever."""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from agent.capture.backoff import Backoff
from agent.capture.frames import Source
from agent.capture.sources import open_source
from agent.capture.watch import FrozenWatch
from agent.clock import Clock
from agent.config.model import CameraConfig
from agent.errors import CaptureError
from agent.records import Frame

log = logging.getLogger(__name__)

_PROGRESS_S = 1.0  # how often a wait reports that it is alive; watchdogs count in tens of seconds
_FPS_FRAMES = 50  # the measured rate is the mean over this many: 2 s at 25 fps, 25 s at 2
_FPS_STALE_S = 5.0  # without a frame for this long the rate is said to be 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraState:
    """How a camera is, at one instant."""

    connected: bool
    since_mono_ns: int
    last_frame_mono_ns: int | None = None
    fps: float = 0.0
    error: str | None = None  # for the log, doctor and the installer's page
    why: str = "connecting"  # the one word for it that may leave the box


class Mailbox:
    """One slot: the newest frame wins, the ones nobody took are counted."""

    def __init__(self) -> None:
        self._filled = threading.Condition()
        self._frame: Frame | None = None
        self.drops = 0

    def put(self, frame: Frame) -> None:
        with self._filled:
            if self._frame is not None:
                self.drops += 1
            self._frame = frame
            self._filled.notify()

    def take(self, timeout_s: float) -> Frame | None:
        """The newest frame, waiting for one up to `timeout_s`; None when none came."""
        with self._filled:
            self._filled.wait_for(lambda: self._frame is not None, timeout_s)
            frame, self._frame = self._frame, None
            return frame


class Capture:
    """Reads one camera into a one-slot mailbox; `run` is the body of its thread.

    `progress` is called at every frame, while connecting, and at least once a second while waiting
    to reconnect.
    `opener` makes the source anew for each try; `wait(seconds)` and `rng` are the back-off's.
    """

    def __init__(
        self,
        camera: CameraConfig,
        clock: Clock,
        *,
        progress: Callable[[], None],
        opener: Callable[[CameraConfig, Clock], Source] | None = None,
        wait: Callable[[float], object] | None = None,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.mailbox = Mailbox()
        self._camera = camera
        self._clock = clock
        self._progress = progress
        self._opener = opener or partial(open_source, realtime=True, progress=progress)
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._backoff = Backoff(rng)
        self._watch = FrozenWatch()
        self._stamps: deque[int] = deque(maxlen=_FPS_FRAMES)
        self._state = CameraState(connected=False, since_mono_ns=clock.now().mono_ns)
        self._source: Source | None = None

    @property
    def state(self) -> CameraState:
        """How the camera is now; safe to ask from any thread."""
        return replace(self._state, fps=self._fps())

    def close(self) -> None:
        """Lets go of the camera, from any thread; `run` then returns soon."""
        self._closed.set()
        source = self._source
        if source is not None:
            source.close()

    def run(self, stop: threading.Event) -> None:
        """Read until `stop` is set or the capture is closed."""
        while not self._over(stop):
            started_ns = self._clock.now().mono_ns
            try:
                self._read(stop)
            except CaptureError as error:
                if not self._over(stop):
                    self._sit_out(error, (self._clock.now().mono_ns - started_ns) / 1e9, stop)

    def _read(self, stop: threading.Event) -> None:
        """One connection, from opening to its end."""
        self._source = source = self._opener(self._camera, self._clock)
        if self._closed.is_set():  # `close` came while it was opened, and closed nothing
            source.close()
        try:
            for frame in source.frames():
                if self._over(stop):
                    return
                self._watch.look(frame)
                if self._watch.frozen:  # opened anew it shows the old picture: it is not back
                    self._progress()
                else:
                    self._deliver(frame)
        finally:
            self._source = None
            source.close()
        if not self._over(stop):
            raise CaptureError("the stream ended", why="ended")

    def _over(self, stop: threading.Event) -> bool:
        return stop.is_set() or self._closed.is_set()

    def _deliver(self, frame: Frame) -> None:
        self._stamps.append(frame.t_mono_ns)
        if not self._state.connected:
            log.info("camera %s: connected", self._camera.camera_id)
            self._state = CameraState(connected=True, since_mono_ns=frame.t_mono_ns)
        self._state = replace(self._state, last_frame_mono_ns=frame.t_mono_ns)
        self.mailbox.put(frame)
        self._progress()

    def _sit_out(self, error: CaptureError, ran_s: float, stop: threading.Event) -> None:
        """Says why once, then waits in steps so that the watchdog sees it wait."""
        wait_s = self._backoff.after(error, ran_s)
        was = self._state
        if was.connected or was.error != str(error):
            log.warning("camera %s: %s; trying again", self._camera.camera_id, error)
        since_ns = self._clock.now().mono_ns if was.connected else was.since_mono_ns
        self._state = replace(
            was, connected=False, since_mono_ns=since_ns, error=str(error), why=error.why
        )
        self._stamps.clear()
        while wait_s > 0 and not self._over(stop):
            self._progress()
            self._wait(min(_PROGRESS_S, wait_s))
            wait_s -= _PROGRESS_S

    def _fps(self) -> float:
        stamps = list(self._stamps)
        if len(stamps) < 2 or self._clock.now().mono_ns - stamps[-1] > _FPS_STALE_S * 1e9:
            return 0.0
        return (len(stamps) - 1) * 1e9 / max(1, stamps[-1] - stamps[0])
