"""Non-maximum suppression: of boxes that lie on each other the best one stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.geometry import iou_matrix

Floats = NDArray[np.float32]


def suppress(xyxy: Floats, scores: Floats, groups: NDArray[np.intp], iou: float) -> list[int]:
    """Places of the boxes that stay, best first; only boxes of one group suppress each other."""
    order = np.argsort(-scores, kind="stable")
    boxes, group = xyxy[order], groups[order]
    covers = (iou_matrix(boxes, boxes) > iou) & (group[:, None] == group[None, :])
    alive = np.ones(len(order), dtype=bool)
    for place in range(len(order)):
        if alive[place]:
            alive[place + 1 :] &= ~covers[place, place + 1 :]
    kept: list[int] = order[alive].tolist()
    return kept
