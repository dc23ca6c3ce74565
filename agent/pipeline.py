"""The wiring of one camera: a plain chain of calls from a frame to messages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from agent.capture.synthetic import SyntheticScene
from agent.config.model import CameraConfig, InferConfig
from agent.config.sending import HIT
from agent.detect.detector import Detector as ModelDetector
from agent.detect.motion import MotionFinder
from agent.infer.model import Model, open_model
from agent.infer.package import find_package
from agent.infer.tasks import SYNTHETIC, tasks_of
from agent.plates.watch import PlateWatch
from agent.privacy.picture import picture_of
from agent.privacy.privacy import Privacy
from agent.records import (
    VEHICLES,
    Box,
    Detection,
    Event,
    Frame,
    Message,
    Moment,
    Phase,
    PlateReading,
    Track,
    TrackState,
)
from agent.rules.camera import CameraRules
from agent.rules.plates import PlatePolicy
from agent.sharing import Need
from agent.track.tracker import Tracker

_READ_NS = 10_000_000_000  # so long the plate of who has just stopped is looked at
_VIEWS = 4  # decoded pictures that are held for hits: the search for one takes a few frames

_FAST = 1.25  # of its own longer side a second: a quarter of it between two looks, if five are had

_HEAD_SHARE = 0.3  # of a person's height: head and shoulders, with room for a tilted camera

# Objects first: the heads of the persons are where small faces are looked for.
_DETECTED = ("object", "face")
"""Tasks that look at every frame; the others look at plates, see `PlateWatch`."""


class Detector(Protocol):
    def detect(self, frame: Frame, look_at: Sequence[Box] | None = ()) -> list[Detection]: ...


class Motion(Protocol):
    def find(self, frame: Frame) -> list[Box]: ...


class Eyes:
    """The models of the box, each opened once and shared fairly by the cameras that need it.

    Raises ModelError when one is missing or no good.
    """

    def __init__(self, cameras: Iterable[CameraConfig], infer: InferConfig) -> None:
        tasks = {task for camera in cameras for task in tasks_of(camera)}
        self.models: Mapping[str, Model] = {
            task: open_model(find_package(task), threads=infer.threads, delegate=infer.delegate)
            for task in sorted(tasks)
        }

    def with_models(self, models: Mapping[str, Model]) -> Eyes:
        """The same, with these in the place of those for their tasks."""
        eyes = copy(self)
        eyes.models = {**self.models, **models}
        return eyes

    def tasks(self, camera: CameraConfig) -> set[str]:
        """Tasks of the models that look at this camera's frames."""
        return tasks_of(camera)

    def serve(self, cameras: Iterable[CameraConfig]) -> bool:
        """Whether every model that `cameras` need is open."""
        return all(task in self.models for camera in cameras for task in tasks_of(camera))

    def of(self, camera: CameraConfig) -> tuple[Sequence[Detector], Motion | None]:
        """What looks at one camera's frames; nothing of it may be shared between cameras."""
        if camera.source.startswith(SYNTHETIC):
            return [TruthDetector(camera.source.removeprefix(SYNTHETIC))], None
        tasks = tasks_of(camera)
        detectors = [ModelDetector(self.models[task]) for task in _DETECTED if task in tasks]
        return detectors, MotionFinder()

    def watch(self, camera: CameraConfig) -> PlateWatch | None:
        """What reads plates on one camera's frames; None where it is not to."""
        if "plate" not in tasks_of(camera):
            return None
        return PlateWatch(self.models["plate"], self.models["plate-text"])


class TruthDetector:
    """The truth of a drawn scene in the place of a model's detections.

    No model sees cars in coloured rectangles; what is tried with a scene is all that follows.
    """

    def __init__(self, scene: str) -> None:
        self._scene = SyntheticScene(scene)

    def detect(self, frame: Frame, look_at: Sequence[Box] | None = ()) -> list[Detection]:
        return self._scene.truth((frame.seq - 1) / self._scene.fps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one frame gave."""

    detections: Sequence[Detection]
    tracks: Sequence[Track]
    messages: Sequence[Message]
    closer: bool = True
    detect_ms: float
    rest_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Of which kinds of events a picture is kept, and where it goes: id, JPEG, monotonic ns."""

    kinds: frozenset[str]
    add: Callable[[str, bytes, int], None]


class CameraPipeline:
    """Frame -> detections -> tracks -> plates -> events -> messages; one camera, not thread-safe.

    A masked picture of some events goes to `keeping`. `on_reading` is shown each plate as it is
    read; it is for development, plates do not leave.
    """

    def __init__(
        self,
        camera: CameraConfig,
        *,
        detectors: Sequence[Detector],
        motion: Motion | None,
        privacy: Privacy,
        ids: Callable[[int], str],
        plates: PlatePolicy | None = None,
        watch: PlateWatch | None = None,
        on_reading: Callable[[PlateReading], None] = lambda reading: None,
        keeping: Keeping | None = None,
        counts_s: Callable[[], int] = lambda: 0,
    ) -> None:
        self._detectors = detectors
        self._motion = motion
        self._watch = watch
        self._on_reading = on_reading
        self._keeping = keeping
        self._views: OrderedDict[tuple[int, Box], tuple[Frame, Sequence[Detection]]] = OrderedDict()
        self._tracker = Tracker()
        self._rules = CameraRules(camera, ids, plates, counts_s)
        self._privacy = privacy
        self._tracks: Sequence[Track] = ()
        self._still_ns: int | None = None  # since when nothing moves

    def frame(self, frame: Frame, *, closer: bool = True) -> Seen:
        """Take one frame through the whole chain, with closer looks at small things or without."""
        began = perf_counter()
        if not frame.still:
            self._still_ns = None
        moving = self._motion.find(frame) if self._motion else []
        look_at = self._heads() + moving if closer else None
        detections = [
            found for detector in self._detectors for found in detector.detect(frame, look_at)
        ]
        if self._watch:
            detections += self._watch.search(frame, detections, moving)
        detected = perf_counter()
        at = Moment(mono_ns=frame.t_mono_ns, utc_ms=frame.t_utc_ms, synced=frame.clock_synced)
        if frame.slept:
            self._tracker.rest(frame.t_mono_ns)
        self._tracks = self._tracker.update(detections, frame.t_mono_ns)
        readings = self._watch.update(frame, self._tracks) if self._watch else []
        events = self._told(readings, at)
        if self._keeping is not None:
            self._remember(frame, detections, readings)
            self._keep(self._keeping, events, frame)
        messages = self._out(events)
        return Seen(
            detections=detections,
            tracks=self._tracks,
            messages=messages,
            closer=closer,
            detect_ms=(detected - began) * 1e3,
            rest_ms=(perf_counter() - detected) * 1e3,
        )

    def look_with(
        self,
        detectors: Sequence[Detector],
        motion: Motion | None,
        watch: PlateWatch | None,
        at: Moment,
    ) -> list[Message]:
        """From the next frame on by other models; tracks go on, plates are told as far as read."""
        messages = self._out(self._gone(at))
        self._detectors, self._motion, self._watch = detectors, motion, watch
        return messages

    def give_up(self) -> None:
        """What is in view is read with what there is, and nothing of it is told."""
        for reading in self._watch.close() if self._watch else []:
            self._on_reading(reading)

    @property
    def need(self) -> Need:
        """How soon the next look should be, by what the last one showed."""
        if (self._watch and self._watch.reads) or any(map(_is_fast, self._tracks)):
            return Need.URGENT
        return Need.CALM if self._tracker.at_rest else Need.MOVING

    @property
    def follows(self) -> bool:
        """Whether it follows something that does not stand still."""
        return self._tracker.follows

    def still(self, frame: Frame) -> list[Message] | None:
        """What a frame in which nothing has moved means, unseen; None: it has to be looked at."""
        since_ns = self._still_ns = self._still_ns or frame.t_mono_ns
        reads = self._watch is not None and any(self._tracks)
        if not self._tracker.at_rest or (reads and frame.t_mono_ns - since_ns < _READ_NS):
            return None
        at = Moment(mono_ns=frame.t_mono_ns, utc_ms=frame.t_utc_ms, synced=frame.clock_synced)
        self._tracks = self._tracker.hold(frame.t_mono_ns)
        return self._out(self._rules.update(self._tracks, at))

    def idle(self, at: Moment, *, lost: str | None) -> list[Message]:
        """No frame came: let periods end; `lost` says why the camera is away, None if it is not."""
        events = self._rules.tick(at)
        if lost is not None:
            events = events + self._gone(at) + self._rules.lost(at, lost)
        return self._out(events)

    def close(self, at: Moment, why: str) -> list[Message]:
        """End everything still open."""
        return self._out(self._gone(at) + self._rules.close(at, why))

    def _gone(self, at: Moment) -> list[Event]:
        """No frame will come for now: whoever was in the picture is read with what there is."""
        readings = self._watch.close() if self._watch else []
        return self._told(readings, at) if readings else []

    def _told(self, readings: Sequence[PlateReading], at: Moment) -> list[Event]:
        for reading in readings:
            self._on_reading(reading)
        return self._rules.update(self._tracks, at, readings)

    def _remember(
        self, frame: Frame, detections: Sequence[Detection], readings: Sequence[PlateReading]
    ) -> None:
        """The frames in which a plate was read for sure: its hit is told some pictures later."""
        seen = {each.track_id for each in self._tracks if each.last_mono_ns == frame.t_mono_ns}
        for reading in readings:
            if reading.track_id in seen:
                self._views[frame.t_mono_ns, reading.box] = frame, detections
        while len(self._views) > _VIEWS:
            self._views.popitem(last=False)

    def _keep(self, keeping: Keeping, events: Iterable[Event], frame: Frame) -> None:
        for event in events:
            if event.kind not in keeping.kinds or event.phase not in (Phase.START, Phase.ONCE):
                continue
            view, plate = frame, None
            detections: Sequence[Detection] = ()
            if event.kind == HIT and event.box is not None:
                # Without the very frame the place may show another car's plate by now: none then.
                known = self._views.get((event.at.mono_ns, event.box))
                if known is not None:
                    (view, detections), plate = known, event.box
            jpeg = picture_of(view, plate, detections)
            keeping.add(event.event_id, jpeg, view.t_mono_ns)

    def _out(self, events: Iterable[Event]) -> list[Message]:
        return [self._privacy.event(event) for event in events]

    def _heads(self) -> list[Box]:
        return [
            Box(
                x0=track.box.x0,
                y0=track.box.y0,
                x1=track.box.x1,
                y1=track.box.y0 + _HEAD_SHARE * track.box.height,
            )
            for track in self._tracks
            if track.kind == "person" and track.state is TrackState.CONFIRMED
        ]


def _is_fast(track: Track) -> bool:
    """Whether it moves fast for its size, or is a vehicle whose speed nobody knows yet."""
    if track.state is TrackState.TENTATIVE:
        return track.kind in VEHICLES
    side = max(track.box.width, track.box.height, 1e-6)
    speed = max(map(abs, track.velocity))
    return track.state is TrackState.CONFIRMED and speed > _FAST * side
