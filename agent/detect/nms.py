"""Non-maximum suppression: of boxes that lie on each other the best one stays."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def suppress(xyxy: Floats, scores: Floats, groups: NDArray[np.intp], iou: float) -> list[int]:
    """Places of the boxes that stay, best first; only boxes of one group suppress each other."""
    if not len(scores):
        return []
    xywh = np.hstack([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]])
    # OpenCV takes boxes of different groups apart by adding a multiple of the largest coordinate.
    kept = np.asarray(
        cv2.dnn.NMSBoxesBatched(xywh.tolist(), scores.tolist(), groups.tolist(), 0.0, iou),
        dtype=np.intp,
    )
    best: list[int] = kept[np.argsort(-scores[kept], kind="stable")].tolist()
    return best
