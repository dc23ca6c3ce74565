"""A plate camera whose readings can be seen: the pipeline as it is, for development."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.config.model import CameraConfig
from agent.config.rules import rules_in_force
from agent.infer.model import Model
from agent.pipeline import CameraPipeline, Detector, Motion
from agent.plates.watch import PlateWatch
from agent.privacy.privacy import Privacy
from agent.records import Box, Detection, Frame, Moment, PlateReading


class CountingWatch(PlateWatch):
    """Knows how many of its inferences were for plates that are on no vehicle."""

    def __init__(self, finder: Model, reader: Model) -> None:
        super().__init__(finder, reader)
        self.searches = 0

    def search(
        self, frame: Frame, detections: Sequence[Detection], moving: Sequence[Box] = ()
    ) -> list[Detection]:
        before = self.inferences
        found = super().search(frame, detections, moving)
        self.searches += self.inferences - before
        return found


def plate_camera(
    detector: Detector,
    motion: Motion | None,
    watch: PlateWatch,
    on_reading: Callable[[PlateReading], None],
) -> CameraPipeline:
    """The whole chain of one camera of the role plate, without hotlists."""
    rules = rules_in_force(preset="street", roles=("plate",), overrides={})
    camera = CameraConfig(camera_id="bench", roles=("plate",), source="clip:-", rules=rules)
    return CameraPipeline(
        camera,
        detectors=[detector],
        motion=motion,
        privacy=Privacy("bench", "bench", "bench"),
        ids=lambda utc_ms: "0" * 26,
        watch=watch,
        on_reading=on_reading,
    )


def moment(frame: Frame) -> Moment:
    return Moment(mono_ns=frame.t_mono_ns, utc_ms=frame.t_utc_ms)
