"""A plate straightened: seen from the front, at the size that the reader wants.

The same mathematics as `straightened` in models/recipes/degrade.py, with which the reader was
trained; a test holds the two to each other.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.records import Box, Image, Picture

Corners: TypeAlias = NDArray[np.float64]
"""(4, 2) in fractions of the upright picture: upper left, upper right, lower right and lower left
of the plate as its text is read."""

MARGIN = 0.06
"""Of each side, left around the plate: corners are never found exactly."""

_WIDEST_PX = 240  # as the reader was trained; wider plates are cut smaller, warping would alias
_SQUARE = 2.2  # widths to a height below which a plate has two lines, however it is turned
_LONGER = 520 / 280
_PAD_PX = 4  # around the plate's piece of the picture: a cubic needs two, perspective a little


def straighten(
    picture: Picture, corners: Corners, size_px: tuple[int, int], margin: float = MARGIN
) -> Image:
    """The plate inside `corners`, (height, width, 3) RGB for a `size_px` of (width, height).

    Only the piece of the picture that is needed is made, at its own resolution.
    """
    quad = corners * (picture.width_px, picture.height_px)
    low_px, high_px = _piece(quad, margin, picture)
    sides = high_px - low_px
    factor = min(1.0, _WIDEST_PX / max(plate_width_px(corners, picture), 1.0))
    columns, rows = np.maximum(np.round(sides * factor), 1).astype(int).tolist()
    picture_px = np.array([picture.width_px, picture.height_px])
    (x0, y0), (x1, y1) = low_px / picture_px, high_px / picture_px
    box = Box(x0=float(x0), y0=float(y0), x1=float(x1), y1=float(y1))
    piece = picture.rgb(box, columns, rows)
    local = (quad - low_px) * np.array([columns, rows]) / sides
    # A fraction's 0 is the first pixel's edge, OpenCV's is its middle.
    matrix = cv2.getPerspectiveTransform(
        (local - 0.5).astype(np.float32), (_target(size_px, margin) - 0.5).astype(np.float32)
    )
    flat = cv2.warpPerspective(
        piece, matrix, size_px, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(flat, dtype=np.uint8)


def plate_width_px(corners: Corners, picture: Picture) -> float:
    """Mean length of the upper and the lower edge, in pixels of the picture."""
    quad = corners * (picture.width_px, picture.height_px)
    return float(np.hypot(*(quad[[1, 2]] - quad[[0, 3]]).T).mean())


def one_line_px(corners: Corners, picture: Picture) -> float:
    """Width in pixels of a one-line plate whose letters are as large as this plate's.

    A square plate is read at half the width: 280 x 202 mm hold what 520 x 112 mm hold on one line.
    """
    quad = corners * (picture.width_px, picture.height_px)
    high_px = float(np.hypot(*(quad[[3, 2]] - quad[[0, 1]]).T).mean())
    wide_px = plate_width_px(corners, picture)
    return wide_px * _LONGER if wide_px < _SQUARE * high_px else wide_px


def sharpness(luma: Image) -> float:
    """How fine the detail is, 0 (flat) to about 1 (noise): differences of neighbours to contrast.

    The ratio of mean squared gradient to variance: brightness and contrast drop out, blur of
    lens, motion and enlargement does not.
    """
    if min(luma.shape) < 2:
        return 0.0
    level = cv2.GaussianBlur(luma, (3, 3), 0).astype(np.float32)
    contrast = float(level.var())
    if contrast < 1:
        return 0.0
    across, down = np.diff(level, axis=1), np.diff(level, axis=0)
    return float(np.square(across).mean() + np.square(down).mean()) / (4 * contrast)


def _piece(quad: NDArray[np.float64], margin: float, picture: Picture) -> tuple[Corners, Corners]:
    """The first and the last corner, in whole even pixels, of what has to be cut out."""
    reach = np.ptp(quad, axis=0) * 2 * margin + _PAD_PX
    most = np.array([picture.width_px, picture.height_px])
    low = np.clip(np.floor((quad.min(axis=0) - reach) / 2) * 2, 0, (most - 1) // 2 * 2)
    high = np.clip(np.ceil((quad.max(axis=0) + reach) / 2) * 2, low + 1, most)
    return low, high


def _target(size_px: tuple[int, int], margin: float) -> NDArray[np.float64]:
    """Where the plate's corners come to lie, in pixels from the first pixel's edge."""
    low = np.array(size_px) * margin
    (x0, y0), (x1, y1) = low, np.array(size_px) - low
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
