"""`Frame` -> detections: letterbox, run, decode, suppress, back to the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.detect.decode import Candidates, decoder_of
from agent.detect.nms import suppress
from agent.detect.views import to_picture, view_of
from agent.infer.model import Model
from agent.records import VEHICLES, WHOLE, Box, Detection, Frame, Picture

_IOU = 0.4


class Detector:
    """One model's eyes on one camera; not thread-safe, the model behind it is."""

    def __init__(self, model: Model, *, budget: int = 3, least_score: float | None = None) -> None:
        package = model.package
        self._model = model
        self._budget = budget
        self._decoder = decoder_of(package)
        self._threshold = package.threshold if least_score is None else least_score
        self._size_px = (package.width_px, package.height_px)
        low, high = package.value_range
        self._scale, self._low = np.float32((high - low) / 255), np.float32(low)
        self._tensor = np.empty((1, package.height_px, package.width_px, 3), dtype=np.float32)
        # Kinds in one group suppress each other: what is a car is also a vehicle.
        names = ["vehicle" if kind in VEHICLES else kind for kind in self._decoder.kinds]
        self._groups = np.array([names.index(name) for name in names])

    def detect(self, frame: Frame, look_at: Sequence[Box] = ()) -> list[Detection]:
        """What is in the picture, best first, with at most `budget` inferences."""
        picture = frame.picture
        found = self._see(picture, WHOLE)
        kept = suppress(found.xyxy, found.scores, self._groups[found.kinds], _IOU)
        return [self._detection(found, place) for place in kept]

    def _see(self, picture: Picture, box: Box) -> Candidates:
        """One inference on `box`; candidates in fractions of the picture."""
        width_px, height_px = self._size_px
        view = view_of(
            box,
            picture_aspect=picture.width_px / picture.height_px,
            input_aspect=width_px / height_px,
        )
        pixels = picture.rgb(view, width_px, height_px)
        np.multiply(pixels, self._scale, out=self._tensor[0])
        np.add(self._tensor, self._low, out=self._tensor)
        found = self._decoder.decode(self._model.run(self._tensor), self._threshold)
        return Candidates(xyxy=to_picture(found.xyxy, view), scores=found.scores, kinds=found.kinds)

    def _detection(self, found: Candidates, place: int) -> Detection:
        x0, y0, x1, y1 = np.clip(found.xyxy[place], 0.0, 1.0).tolist()
        return Detection(
            kind=self._decoder.kinds[found.kinds[place]],
            score=float(found.scores[place]),
            box=Box(x0=x0, y0=y0, x1=x1, y1=y1),
        )
