"""Boxes, polygons and lines: pure arithmetic in picture fractions, vectorised where it counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Point = tuple[float, float]
Floats: TypeAlias = "NDArray[np.floating]"


def iou_matrix(a_xyxy: Floats, b_xyxy: Floats) -> Floats:
    """Intersection over union of every pair: (N, 4), (M, 4) -> (N, M)."""
    import numpy as np  # here: the configuration needs polygons only, and no numpy to say --version

    if len(a_xyxy) == 0 or len(b_xyxy) == 0:
        return np.zeros((len(a_xyxy), len(b_xyxy)), dtype=np.float32)
    lo = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    hi = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    inter = np.prod(np.clip(hi - lo, 0, None), axis=2)
    area_a = np.prod(np.clip(a_xyxy[:, 2:] - a_xyxy[:, :2], 0, None), axis=1)
    area_b = np.prod(np.clip(b_xyxy[:, 2:] - b_xyxy[:, :2], 0, None), axis=1)
    union = area_a[:, None] + area_b[None, :] - inter
    ratio: Floats = inter / np.maximum(union, 1e-12)
    return ratio


def side_of_line(start: Point, end: Point, point: Point) -> float:
    """Signed distance-like value: > 0 right of start->end (picture axes, y down), < 0 left."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])


def segments_cross(a0: Point, a1: Point, b0: Point, b1: Point) -> bool:
    """Whether the open segments a and b properly cross (touching at an end does not count)."""
    return (
        side_of_line(a0, a1, b0) * side_of_line(a0, a1, b1) < 0
        and side_of_line(b0, b1, a0) * side_of_line(b0, b1, a1) < 0
    )


def point_in_polygon(point: Point, polygon: Sequence[Point]) -> bool:
    """Even-odd rule; points on an edge may fall on either side."""
    x, y = point
    inside = False
    x0, y0 = polygon[-1]
    for x1, y1 in polygon:
        if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
            inside = not inside
        x0, y0 = x1, y1
    return inside


def polygon_crosses_itself(polygon: Sequence[Point]) -> bool:
    """Whether two edges that are not neighbours cross."""
    count = len(polygon)
    edges = [(polygon[i], polygon[(i + 1) % count]) for i in range(count)]
    return any(
        segments_cross(*edges[i], *edges[j])
        for i in range(count)
        for j in range(i + 2, count)
        if (i, j) != (0, count - 1)
    )


def polygon_area(polygon: Sequence[Point]) -> float:
    """Absolute area by the shoelace formula."""
    before = (polygon[-1], *polygon[:-1])
    twice = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(before, polygon, strict=True))
    return abs(twice) / 2
