"""Where plates are: a look at a region of the picture, the peaks of a heat map, four corners each.

The network's answer is read after CenterNet (Zhou et al., "Objects as Points", 2019): in the cell
of a peak stand the plate's upright box and what its corners differ from that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.errors import ModelError
from agent.geometry import iou_matrix
from agent.infer.model import Model, Tensor
from agent.plates.straighten import Corners, plate_width_px
from agent.records import WHOLE, Box, Picture

CLOSER_PX = 48
"""Narrower plates, in pixels of the input, gain by a closer look: a corner is found to about a
pixel of the input, which is then more than a tenth of a character's width."""

SAME_PLATE = 0.3
"""Overlap of one plate's boxes in two looks at one picture."""

_UNIT_PX = 16.0  # sizes are natural logarithms of parts of this
_LOGS = (-2.0, 3.5)  # of a size: 2 to 530 px; what lies outside is noise
_IOU = 0.3  # two plates do not overlap; two peaks on one plate do
_EDGE = 0.01  # of the view: a plate that comes so near to its edge goes on behind it
_MOST = 24  # plates a look: more peaks are noise
_CLOSER_VIEW = 4.0  # plate widths across: a plate is then 80 px wide, with what is around it
_TILE_INPUTS = 2.0  # input widths across a tile: a plate of 35 px is then 17 px wide, the least
_TILE_SHARE = 1 / 3  # of the picture's width at least: a 4K camera is not looked at in 40 tiles
_TILE_OVERLAP = 1 / 4  # of the tile: 160 px of 640, wider than a plate of interest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundPlate:
    """A plate in one picture."""

    corners: Corners
    score: float  # 0..1
    width_px: float  # of its upper and lower edge, in the full-resolution picture

    @property
    def box(self) -> Box:
        """The upright box around it."""
        return _box_around(self.corners)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """What one look gives, best first, in pixels of the input."""

    corners: NDArray[np.float64]  # (N, 4, 2), see `Corners`
    scores: NDArray[np.float64]  # (N,), 0..1


class PlateFinder:
    """The eyes for plates of one camera; not thread-safe, the model behind it is."""

    def __init__(self, model: Model) -> None:
        """ModelError where the model is none of this kind."""
        package = model.package
        names = [(output.name, output.shape[-1]) for output in package.outputs]
        if names != [("heat", 1), ("size", 4), ("shape", 8)]:
            raise ModelError(
                f"{package.directory}: a finder of plates has the outputs heat (1), size (4) and "
                f"shape (8), this model has {names}"
            )
        self.inferences = 0
        """How often the model was asked so far."""
        self._model = model
        self._threshold = package.threshold
        self._size_px = (package.width_px, package.height_px)
        self._levels = package.levels
        self._tensor = np.empty((1, package.height_px, package.width_px, 3), dtype=np.float32)

    @property
    def smallest_px(self) -> int:
        """Width of the narrowest plate that can be found, in the full-resolution picture."""
        return self._model.package.smallest_px

    def find(self, picture: Picture, region: Box = WHOLE, *, closer: int = 0) -> list[FoundPlate]:
        """The plates in `region` and a little around it, best first.

        At most `closer` narrow ones are looked at once more, larger: an inference each.
        """
        view = self._view(region, picture)
        found = self._look(picture, view)
        scale = self._size_px[0] / (view.width * picture.width_px)
        for place, plate in enumerate(found):
            if closer and plate.width_px * scale < CLOSER_PX:
                closer -= 1
                found[place] = self._closer(picture, plate)
        return found

    def tiles(self, picture: Picture) -> list[Box]:
        """Regions that cover the picture at two scales: all of it, then tiles row by row."""
        across = max(_TILE_INPUTS * self._size_px[0] / picture.width_px, _TILE_SHARE)
        aspect = self._size_px[0] / self._size_px[1]
        down = across * picture.width_px / aspect / picture.height_px
        if across >= 1 and down >= 1:
            return [WHOLE]
        return [
            WHOLE,
            *(
                Box(x0=x, y0=y, x1=x + min(across, 1.0), y1=y + min(down, 1.0))
                for y in _starts(down)
                for x in _starts(across)
            ),
        ]

    def _closer(self, picture: Picture, plate: FoundPlate) -> FoundPlate:
        """The same plate with better corners; itself where the closer look does not see it."""
        again = self._look(picture, self._view(around(plate.box), picture))
        if not again:
            return plate
        overlaps = iou_matrix(_xyxy([plate.box]), _xyxy([one.box for one in again]))[0]
        best = int(np.argmax(overlaps))
        if overlaps[best] < SAME_PLATE:
            return plate
        return replace(again[best], score=max(plate.score, again[best].score))

    def _look(self, picture: Picture, view: Box) -> list[FoundPlate]:
        """One inference."""
        pixels = picture.rgb(view, *self._size_px)
        cv2.LUT(pixels, self._levels, dst=self._tensor[0])
        self.inferences += 1
        peaks = decode(self._model.run(self._tensor), self._size_px, self._threshold)
        scale = np.array([view.width, view.height]) / self._size_px
        corners = peaks.corners * scale + np.array([view.x0, view.y0])
        return [
            FoundPlate(corners=quad, score=score, width_px=plate_width_px(quad, picture))
            for quad, score in zip(corners, peaks.scores.tolist(), strict=True)
            if not _cut(_box_around(quad), view)
        ]

    def _view(self, region: Box, picture: Picture) -> Box:
        """`region` widened to the input's aspect, inside the picture as far as it fits.

        Its edges are even pixels, so that no plane is cut between two samples and corners come
        back to where they were seen.
        """
        aspect = self._size_px[0] / self._size_px[1]
        size_px = np.array([picture.width_px, picture.height_px], dtype=float)
        across = max(region.width * size_px[0], region.height * size_px[1] * aspect, 16.0)
        sides = np.round(np.array([across, across / aspect]) / 2) * 2
        start = np.array(region.center) * size_px - sides / 2
        room = size_px - sides
        start = np.where(room > 0, np.clip(start, 0, np.maximum(room, 0)), room / 2)
        start = np.floor(start / 2) * 2
        (x0, y0), (x1, y1) = start / size_px, (start + sides) / size_px
        return Box(x0=float(x0), y0=float(y0), x1=float(x1), y1=float(y1))


def around(box: Box) -> Box:
    """The region of a closer look at a plate whose upright box is `box`."""
    x, y = box.center
    half_x, half_y = _CLOSER_VIEW / 2 * box.width, box.height
    return Box(x0=x - half_x, y0=y - half_y, x1=x + half_x, y1=y + half_y)


def decode(outputs: tuple[Tensor, ...], size_px: tuple[int, int], threshold: float) -> Peaks:
    """Peaks of `heat` (1, rows, columns, 1) of at least `threshold`, with their corners.

    `size` (.., 4): the centre's dx, dy from the middle of its cell in cells, ln(width / 16 px),
    ln(height / 16 px). `shape` (.., 8): x, y of the four corners minus those of the upright box,
    in parts of its width and height.
    """
    heat, size, shape = (output[0] for output in outputs)
    logits = heat[..., 0]
    highest = cv2.dilate(logits, np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero((logits >= highest) & (logits >= log(threshold / (1 - threshold))))
    order = np.argsort(-logits[rows, columns], kind="stable")[: 4 * _MOST]
    rows, columns = rows[order], columns[order]
    scores = 1 / (1 + np.exp(-logits[rows, columns].astype(np.float64)))
    where, offsets = size[rows, columns].astype(np.float64), shape[rows, columns].reshape(-1, 4, 2)
    cell = np.array(size_px) / (logits.shape[1], logits.shape[0])
    centers = (np.column_stack([columns, rows]) + 0.5 + where[:, :2]) * cell
    sides = _UNIT_PX * np.exp(np.clip(where[:, 2:], *_LOGS))
    unit = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    corners = centers[:, None] + sides[:, None] * (unit + offsets)
    kept = _apart(np.hstack([centers - sides / 2, centers + sides / 2]))
    kept = [place for place in kept if _upright(corners[place])]
    return Peaks(corners=corners[kept], scores=scores[kept])


def _apart(xyxy: NDArray[np.float64]) -> list[int]:
    """Places of the boxes (N, 4), best first, that do not lie on a better one."""
    overlaps = iou_matrix(xyxy, xyxy) > _IOU
    kept: list[int] = []
    for place in range(len(xyxy)):
        if len(kept) < _MOST and not overlaps[place, kept].any():
            kept.append(place)
    return kept


def _upright(quad: NDArray[np.float64]) -> bool:
    """Whether its corners go round clockwise without crossing, as a plate's do."""
    contour = quad.astype(np.float32)
    return bool(np.isfinite(contour).all()) and (
        cv2.isContourConvex(contour) and cv2.contourArea(contour, oriented=True) > 1
    )


def _cut(plate: Box, view: Box) -> bool:
    """Whether the plate touches an edge of the view that is not the picture's own."""
    across, down = _EDGE * view.width, _EDGE * view.height
    return (
        plate.x0 < view.x0 + across > across
        or plate.y0 < view.y0 + down > down
        or plate.x1 > view.x1 - across < 1 - across
        or plate.y1 > view.y1 - down < 1 - down
    )


def _box_around(corners: Corners) -> Box:
    (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return Box(x0=x0, y0=y0, x1=x1, y1=y1)


def _xyxy(boxes: list[Box]) -> NDArray[np.float64]:
    return np.array([(box.x0, box.y0, box.x1, box.y1) for box in boxes])


def _starts(side: float) -> list[float]:
    """Where tiles of that side begin on an axis of length 1."""
    if side >= 1:
        return [0.0]
    steps = int(np.ceil((1 - side) / (side * (1 - _TILE_OVERLAP))))
    starts: list[float] = np.linspace(0, 1 - side, steps + 1).tolist()
    return starts
