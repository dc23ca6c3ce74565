"""The chain of a plate camera up to its readings: detections, tracks, looks at plates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.plates.watch import PlateWatch
from agent.records import Box, Detection, Frame, PlateReading, Track
from agent.track.tracker import Tracker

Detect = Callable[[Frame, Sequence[Box]], list[Detection]]
"""What is seen in a frame; the boxes are where something moves."""


class PlateChain:
    """As in the pipeline, but the readings are kept in clear: this is development."""

    def __init__(
        self, detect: Detect, watch: PlateWatch, find_motion: Callable[[Frame], list[Box]]
    ) -> None:
        self.watch = watch
        self.searches = 0
        """Inferences for plates that are on no vehicle."""
        self._detect, self._find_motion = detect, find_motion
        self._tracker = Tracker()

    def frame(self, frame: Frame) -> tuple[list[Track], list[PlateReading]]:
        moving = self._find_motion(frame)
        detections = self._detect(frame, moving)
        before = self.watch.inferences
        detections += self.watch.search(frame, detections, moving)
        self.searches += self.watch.inferences - before
        tracks = self._tracker.update(detections, frame.t_mono_ns)
        return tracks, self.watch.update(frame, tracks)

    def close(self) -> list[PlateReading]:
        return self.watch.close()
