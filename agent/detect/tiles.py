"""Where to look again, larger: the tiles from which most small things may be expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.records import Box

Floats = NDArray[np.float32]

ZOOMS = (1.5, 2.0, 2.5)
"""How much larger than in the whole picture a tile may show things."""

_STEP = 0.25  # of a tile: how finely places are tried
_POINTS = 6  # a region that is to be looked at counts as this many small things in each direction
_LEAST_GAIN = 0.1  # expected finds that an inference has to be worth
_FILLS = 0.45  # of the tile's side: larger boxes are left to the whole picture
_EDGE = 0.02  # of the tile: what comes nearer to a cut edge is cut itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What the first look suggests: boxes (N, 4) in fractions, and how likely each is real."""

    xyxy: Floats
    weights: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Sizes in pixels of the input: a model finds nothing below `lost`, everything above `sure`."""

    lost_px: float
    sure_px: float

    def chance(self, size_px: Floats) -> Floats:
        """How likely a thing of that size is found."""
        share: Floats = (size_px - self.lost_px) / (self.sure_px - self.lost_px)
        return np.clip(share, 0, 1)


class TilePlan:
    """Tiles of one camera's picture for one model; what depends on the sizes alone is kept."""

    def __init__(self, whole: Box, size_px: tuple[int, int], reach: Reach) -> None:
        """`whole` is the view of the whole picture, letterbox included, and `size_px` its size."""
        self._reach = reach
        self._px = np.array([size_px[0] / whole.width, size_px[1] / whole.height], np.float32)
        self._tiles = np.concatenate([_places(whole, zoom) for zoom in ZOOMS])
        sides = self._tiles[:, 2] - self._tiles[:, 0]
        self._zoom = (whole.width / sides).astype(np.float32)
        self._small = np.sqrt(reach.lost_px * reach.sure_px) / self._px  # a typical small thing

    def choose(self, hints: Hints, look_at: Sequence[Box], most: int) -> list[Box]:
        """At most `most` tiles, one after the other the one that adds most expected finds.

        A hint counts as one thing, each box of `look_at` as one small thing somewhere in it.
        """
        things = _joined([hints, *(self._somewhere(box) for box in look_at)])
        chance = self._chances(things)
        now = self._reach.chance(self._sizes(things.xyxy))
        chosen = []
        for _ in range(most):
            gain = np.clip(chance - now, 0, None) @ things.weights
            best = int(np.argmax(gain))
            if gain[best] < _LEAST_GAIN:
                break
            x0, y0, x1, y1 = self._tiles[best].tolist()
            chosen.append(Box(x0=x0, y0=y0, x1=x1, y1=y1))
            now = np.maximum(now, chance[best])
        return chosen

    def settled(self, xyxy: Floats, tile: Box) -> NDArray[np.bool_]:
        """Which boxes (N, 4) of the first look a look at `tile` decides about.

        They lie whole in it and are too small to be boxed well in the whole picture: there the
        same face is often seen twice, beside itself, too far apart to suppress each other.
        """
        small: NDArray[np.bool_] = self._sizes(xyxy) < self._reach.sure_px
        return small & trusted(xyxy, tile)

    def _chances(self, things: Hints) -> Floats:
        """(tiles, things): how likely each thing is found in each tile; 0 where it is cut."""
        tiles, boxes = self._tiles[:, None, :], things.xyxy[None, :, :]
        inside = (boxes[..., :2] >= tiles[..., :2]) & (boxes[..., 2:] <= tiles[..., 2:])
        sizes = self._sizes(things.xyxy)[None, :] * self._zoom[:, None]
        return np.where(inside.all(axis=2), self._reach.chance(sizes), np.float32(0))

    def _sizes(self, xyxy: Floats) -> Floats:
        """Side in pixels of the first look's input, geometric mean of width and height."""
        sides = np.clip(xyxy[:, 2:] - xyxy[:, :2], 1e-6, None) * self._px
        sizes: Floats = np.sqrt(sides.prod(axis=1))
        return sizes

    def _somewhere(self, box: Box) -> Hints:
        """One small thing, spread evenly over `box`."""
        share = (np.arange(_POINTS, dtype=np.float32) + np.float32(0.5)) / _POINTS
        x, y = np.meshgrid(box.x0 + share * box.width, box.y0 + share * box.height)
        center = np.column_stack([x.ravel(), y.ravel()])
        corners = np.hstack([center - self._small / 2, center + self._small / 2])
        # What a region's edge cuts off is inside the picture all the same.
        weights = np.full(len(center), 1 / len(center), np.float32)
        return Hints(xyxy=np.clip(corners, 0, 1).astype(np.float32), weights=weights)


def trusted(xyxy: Floats, tile: Box) -> NDArray[np.bool_]:
    """Which boxes (N, 4) seen in `tile` are whole: they touch no cut edge and do not fill it.

    What fills a tile is seen whole in the whole picture; in the tile it may be a part of it.
    """
    x, y = _EDGE * tile.width, _EDGE * tile.height
    inner = np.array(
        [
            tile.x0 + x if tile.x0 > 0 else -np.inf,
            tile.y0 + y if tile.y0 > 0 else -np.inf,
            tile.x1 - x if tile.x1 < 1 else np.inf,
            tile.y1 - y if tile.y1 < 1 else np.inf,
        ],
        dtype=np.float32,
    )
    uncut = np.all((xyxy[:, :2] >= inner[:2]) & (xyxy[:, 2:] <= inner[2:]), axis=1)
    fills = np.prod(xyxy[:, 2:] - xyxy[:, :2], axis=1) > _FILLS**2 * tile.width * tile.height
    whole: NDArray[np.bool_] = uncut & ~fills
    return whole


def _places(whole: Box, zoom: float) -> Floats:
    """(N, 4) tiles of one zoom all over the picture, shifted by a part of their size."""
    width, height = whole.width / zoom, whole.height / zoom
    x, y = np.meshgrid(_starts(width), _starts(height))
    corner = np.column_stack([x.ravel(), y.ravel()])
    return np.hstack([corner, corner + np.array([width, height])]).astype(np.float32)


def _starts(side: float) -> NDArray[np.float64]:
    """Where tiles of that side begin on an axis of length 1; one in the middle if it is longer."""
    room = 1 - side
    if room <= 0:
        return np.array([room / 2])
    return np.linspace(0, room, 1 + int(np.ceil(room / (_STEP * side))))


def _joined(parts: Sequence[Hints]) -> Hints:
    return Hints(
        xyxy=np.concatenate([part.xyxy for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
    )
