"""Where something moves: coarse luminance difference -> boxes, so that tiles look there first."""

from __future__ import annotations

import cv2
import numpy as np

from agent.records import Box, Frame, Image

_WIDTH_PX = 160  # a face of 2 % of the picture's width still covers 3 pixels
_STEP = 14  # luma levels: above sensor noise averaged over such a pixel
_LIGHT_SHARE = 0.5  # more than this changed at once: a lamp or the infrared filter, not a passer-by
_LARGEST = 4  # boxes handed out: tiles cost an inference each


class MotionFinder:
    """Remembers the last picture of one camera and says which parts of the next one differ."""

    def __init__(self) -> None:
        self._before: Image | None = None

    def find(self, frame: Frame) -> list[Box]:
        """Boxes around moving parts, largest first; empty at first and when the light jumps."""
        now = cv2.GaussianBlur(frame.picture.luma(_WIDTH_PX), (3, 3), 0)
        before, self._before = self._before, now.astype(np.uint8, copy=False)
        if before is None or before.shape != now.shape:
            return []
        changed = (cv2.absdiff(before, now) > _STEP).view(np.uint8)
        if cv2.countNonZero(changed) > _LIGHT_SHARE * changed.size:
            return []
        joined = cv2.dilate(changed, np.ones((5, 5), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(joined)
        height_px, width_px = now.shape
        largest = sorted(stats[1:], key=lambda row: -row[cv2.CC_STAT_AREA])[:_LARGEST]
        return [
            Box(
                x0=float(x) / width_px,
                y0=float(y) / height_px,
                x1=float(x + w) / width_px,
                y1=float(y + h) / height_px,
            )
            for x, y, w, h, _ in largest
        ]
