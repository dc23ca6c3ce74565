"""Plates in single pictures: found, straightened, read, without the time that a track gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from agent.detect.detector import Detector
from agent.evaluate.labelled import Labelled, in_pixels
from agent.evaluate.scoring import Found
from agent.plates.finder import SAME_PLATE, FoundPlate, PlateFinder, around
from agent.plates.grammar import load_grammars
from agent.plates.places import overlap
from agent.plates.reader import GLANCES, PlateReader, View
from agent.plates.straighten import Corners, one_line_px
from agent.plates.vote import Vote
from agent.plates.watch import ROOM
from agent.records import VEHICLES, Box, Frame, Picture

_PLATE_SHARE = 0.35  # of a vehicle's width: no plate is wider


class PlateEyes:
    """All models that a plate camera has, on pictures that have nothing to do with each other."""

    def __init__(self, objects: Detector, finder: PlateFinder, reader: PlateReader) -> None:
        self._objects, self._finder, self._reader = objects, finder, reader
        self._grammars = load_grammars()

    @property
    def sure(self) -> float:
        """The probability from which a text counts as read, as the reader's card has it."""
        return self._reader.calibration.sure

    def whole(self, labelled: Labelled, frame: Frame) -> Iterator[Found]:
        """The plates on each vehicle and in every tile of the picture, each looked at closely."""
        picture = frame.picture
        regions = [*self._on_vehicles(frame), *self._finder.tiles(picture)]
        seen = [
            plate
            for region in regions
            for plate in self._finder.find(picture, region)
            if plate.width_px >= self._finder.smallest_px  # what is narrower was imagined
        ]
        for plate in _apart(self._closer(picture, plate) for plate in _apart(seen)):
            view, text, q = self._read(picture, plate.corners)
            if view.agrees(plate.score):
                box = in_pixels(plate.box, labelled)
                yield Found(cls="plate", xyxy_px=box, score=plate.score, text=text, q=q)

    def crops(self, labelled: Labelled, frame: Frame) -> Iterator[Found]:
        """What the reader says of each labelled plate, its place given."""
        size = np.array([labelled.content["w"], labelled.content["h"]])
        for plate in labelled.objects:
            x0, y0, x1, y1 = plate.xyxy_px
            corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) / size
            _, text, q = self._read(frame.picture, corners)
            yield Found(cls="plate", xyxy_px=plate.xyxy_px, text=text, q=q)

    def _on_vehicles(self, frame: Frame) -> Iterator[Box]:
        for found in self._objects.detect(frame):
            box = found.box
            widest_px = _PLATE_SHARE * box.width * frame.picture.width_px
            if found.kind in VEHICLES and widest_px >= self._finder.smallest_px:
                yield box.wider(ROOM)

    def _closer(self, picture: Picture, plate: FoundPlate) -> FoundPlate:
        """The same plate at the scale at which a track's later looks see it."""
        again = self._finder.find(picture, around(plate.box))
        best = max(again, key=lambda one: overlap(one.box, plate.box), default=plate)
        return best if overlap(best.box, plate.box) >= SAME_PLATE else plate

    def _read(self, picture: Picture, corners: Corners) -> tuple[View, str | None, float]:
        """What is seen, the likeliest text of all grammars, how probable that is."""
        narrow = one_line_px(corners, picture) < self._reader.smallest_px
        view = self._reader.read(picture, corners, glances=1 if narrow else len(GLANCES))
        vote = Vote(self._grammars)
        vote.add(view)
        verdict = vote.verdict()
        return view, verdict.texts[0].text if verdict.texts else None, verdict.score


def _apart(plates: Iterable[FoundPlate]) -> list[FoundPlate]:
    """Those that do not lie on a better one, best first."""
    kept: list[FoundPlate] = []
    for plate in sorted(plates, key=lambda plate: -plate.score):
        if all(overlap(plate.box, other.box) < SAME_PLATE for other in kept):
            kept.append(plate)
    return kept
