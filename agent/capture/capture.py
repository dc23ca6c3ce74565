"""One camera: opened, read, and when it breaks tried again for ever."""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from agent.capture.attention import Attention
from agent.capture.backoff import Backoff
from agent.capture.frames import Source
from agent.capture.sources import open_source
from agent.capture.stillness import Stillness
from agent.capture.watch import FrozenWatch
from agent.clock import Clock
from agent.config.model import CameraConfig
from agent.errors import CaptureError
from agent.records import Frame, Moment

log = logging.getLogger(__name__)

_PROGRESS_S = 1.0  # how often a wait reports that it is alive; watchdogs count in tens of seconds
_FPS_FRAMES = 50  # the measured rate is the mean over this many: 2 s at 25 fps, 25 s at 2
_FOUND_S = 2.0  # what was followed this short a while ago is no restless leaf
_FPS_STALE_S = 5.0  # without a frame for this long the rate is said to be 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraState:
    """How a camera is, at one instant."""

    connected: bool
    since_mono_ns: int
    last_frame_mono_ns: int | None = None  # decoded or, asleep, not
    fps: float = 0.0
    awake_s: float = 0.0  # of all the time it was read
    sleeps: str = "learning"  # by "sizes" or "keyframes", not at all "awake"
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
            self._filled.notify_all()

    def room(self, timeout_s: float) -> bool:
        """Whether the last frame has been taken, waiting for that up to `timeout_s`."""
        with self._filled:
            return self._filled.wait_for(lambda: self._frame is None, timeout_s)

    def take(self, timeout_s: float) -> Frame | None:
        """The newest frame, waiting for one up to `timeout_s`; None when none came."""
        with self._filled:
            self._filled.wait_for(lambda: self._frame is not None, timeout_s)
            frame, self._frame = self._frame, None
            self._filled.notify_all()
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
        self.attention = Attention(
            room=self.mailbox.room, keyframes_will_do=set(camera.roles) == {"face"}
        )
        self._camera = camera
        self._clock = clock
        self._progress = progress
        self._opener = opener or partial(
            open_source, realtime=True, progress=progress, attention=self.attention
        )
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._backoff = Backoff(rng)
        self._watch = FrozenWatch()
        self._stillness = Stillness()
        self._followed_ns = 0
        self._slept = False
        self._awake_ns = 0
        self._stamps: deque[int] = deque(maxlen=_FPS_FRAMES)
        self._state = CameraState(connected=False, since_mono_ns=clock.now().mono_ns)
        self._lived_ns: int | None = None  # when the last picture came
        self._source: Source | None = None

    @property
    def state(self) -> CameraState:
        """How the camera is now; safe to ask from any thread."""
        return replace(
            self._state,
            last_frame_mono_ns=self._lived_ns,
            fps=self._fps(),
            awake_s=self._awake_ns / 1e9,
            sleeps=self.attention.mode,
        )

    def follow(self) -> None:
        """Somebody looks at this camera's frames and follows something: it shall stay awake."""
        self.attention.note()
        self._followed_ns = self.attention.seen_ns

    def past(self, at: Moment) -> Moment:
        """The latest moment up to `at` from before which no frame will come any more."""
        after_ns = self.attention.after_ns
        if after_ns is None or after_ns >= at.mono_ns:
            return at
        ago_ns = at.mono_ns - after_ns
        return replace(at, mono_ns=after_ns, utc_ms=at.utc_ms - ago_ns // 1_000_000)

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
                if frame is None:
                    self._slept |= self.attention.asleep
                    self._live_on(self._clock.now().mono_ns, asleep=self.attention.asleep)
                else:
                    self._look(frame)
        finally:
            self._source = None
            source.close()
        if not self._over(stop):
            raise CaptureError("the stream ended", why="ended")

    def _over(self, stop: threading.Event) -> bool:
        return stop.is_set() or self._closed.is_set()

    def _look(self, frame: Frame) -> None:
        self._watch.look(frame)
        if self._watch.frozen or self._watch.doubtful:
            self.attention.note()
        if self._watch.frozen:  # opened anew it shows the old picture: it is not back
            self._progress()
            return
        asleep, now_ns = self.attention.asleep, self.attention.now_ns()
        found = now_ns - self._followed_ns < _FOUND_S * 1e9
        still = self._stillness.look(frame.picture, frame.t_mono_ns, found=found)
        self._slept |= asleep
        if not still:
            self.attention.note()
            if asleep:  # it comes again in its turn, once the pictures before it have been seen
                return
        elif not asleep and self._stillness.is_worth_a_look(frame.t_mono_ns):
            still = False
        self._deliver(replace(frame, still=still, slept=self._slept), asleep=asleep)
        self._slept = asleep

    def _deliver(self, frame: Frame, *, asleep: bool) -> None:
        if not self._state.connected:
            log.info("camera %s: connected", self._camera.camera_id)
            self._state = CameraState(connected=True, since_mono_ns=frame.t_mono_ns)
            self._lived_ns = None  # the time away is not time awake
        if not asleep:
            self._live_on(frame.t_mono_ns, asleep=frame.still and not self.attention.decodes)
        self.mailbox.put(frame)

    def _live_on(self, came_ns: int, *, asleep: bool) -> None:
        """A picture came, be it decoded or not."""
        before_ns = self._lived_ns
        # While it catches up, pictures of the past come between those of now.
        if self._state.connected and (before_ns is None or came_ns > before_ns):
            self._watch.live_on(came_ns)
            self._stamps.append(came_ns)
            if before_ns is not None and not asleep:
                self._awake_ns += came_ns - before_ns
            self._lived_ns = came_ns
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
