"""`Frame` -> detections: letterbox, run, decode, look again at what is small, suppress."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from agent.detect.decode import Candidates, decoder_of, joined
from agent.detect.nms import suppress
from agent.detect.tiles import Hints, Reach, TilePlan, trusted
from agent.detect.views import to_picture, view_of
from agent.infer.model import Model
from agent.records import VEHICLES, WHOLE, Box, Detection, Frame, Picture

_IOU = 0.4
_HINT = 0.05
"""Lowest score that says where to look again; lower ones cost time and changed nothing."""
_MOST = 300  # candidates that go on: more is noise, and suppression grows with their square


class Detector:
    """One model's eyes on one camera; not thread-safe, the model behind it is.

    `budget` bounds the inferences a frame: the whole picture, then tiles of it in which things
    are larger. `least_score` takes the place of the card's threshold.
    """

    def __init__(self, model: Model, *, budget: int = 3, least_score: float | None = None) -> None:
        package = model.package
        self._model = model
        self._budget = budget
        self._decoder = decoder_of(package)
        self._threshold = package.threshold if least_score is None else least_score
        self._size_px = (package.width_px, package.height_px)
        self._reach = Reach(lost_px=package.lost_px, sure_px=package.sure_px)
        self._levels = package.levels
        self._tensor = np.empty((1, package.height_px, package.width_px, 3), dtype=np.float32)
        # Kinds in one group suppress each other: what is a car is also a vehicle.
        names = ["vehicle" if kind in VEHICLES else kind for kind in self._decoder.kinds]
        self._groups = np.array([names.index(name) for name in names])
        self._plan: tuple[float, TilePlan] | None = None

    def detect(self, frame: Frame, look_at: Sequence[Box] | None = (WHOLE,)) -> list[Detection]:
        """What is in the picture, best first; `look_at` is where small things may be.

        None: only the whole picture is looked at, and small things are not found.
        """
        small, large = frame.picture, frame.main or frame.picture
        view = self._view(WHOLE, small)
        found = self._see(small, view)
        if self._budget > 1 and look_at is not None:
            found = self._closer(found, self._planned(view, small), large, look_at)
        found = found.only(found.scores >= self._threshold)
        # Before the last suppression: of what reaches over the edge only what is seen is compared.
        np.clip(found.xyxy, 0.0, 1.0, out=found.xyxy)
        return [self._detection(found, place) for place in self._kept(found)]

    def _closer(
        self, found: Candidates, plan: TilePlan, picture: Picture, look_at: Sequence[Box]
    ) -> Candidates:
        """`found` after a closer look, which has the last word on small things."""
        kept = self._kept(found)
        hints = Hints(xyxy=found.xyxy[kept], weights=found.scores[kept])
        looks = []
        for tile in plan.choose(hints, look_at, self._budget - 1):
            seen = self._see(picture, tile)
            looks.append(seen.only(trusted(seen.xyxy, tile)))
            found = found.only(~plan.settled(found.xyxy, tile))
        return joined([found, *looks])

    def _kept(self, found: Candidates) -> list[int]:
        return suppress(found.xyxy, found.scores, self._groups[found.kinds], _IOU)

    def _planned(self, view: Box, picture: Picture) -> TilePlan:
        aspect = picture.width_px / picture.height_px
        if self._plan is None or self._plan[0] != aspect:
            self._plan = aspect, TilePlan(view, self._size_px, self._reach)
        return self._plan[1]

    def _view(self, box: Box, picture: Picture) -> Box:
        width_px, height_px = self._size_px
        return view_of(
            box,
            picture_aspect=picture.width_px / picture.height_px,
            input_aspect=width_px / height_px,
        )

    def _see(self, picture: Picture, view: Box) -> Candidates:
        """One inference on `view`; candidates in fractions of the picture."""
        pixels = picture.rgb(view, *self._size_px)
        cv2.LUT(pixels, self._levels, dst=self._tensor[0])  # scales, shifts and widens at once
        least = min(self._threshold, _HINT) if self._budget > 1 else self._threshold
        found = self._decoder.decode(self._model.run(self._tensor), least).best(_MOST)
        return Candidates(xyxy=to_picture(found.xyxy, view), scores=found.scores, kinds=found.kinds)

    def _detection(self, found: Candidates, place: int) -> Detection:
        x0, y0, x1, y1 = found.xyxy[place].tolist()
        return Detection(
            kind=self._decoder.kinds[found.kinds[place]],
            score=float(found.scores[place]),
            box=Box(x0=x0, y0=y0, x1=x1, y1=y1),
        )
