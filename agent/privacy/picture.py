"""A picture that may leave: masked, and small enough for one message."""

from __future__ import annotations

from collections.abc import Iterable

import cv2

from agent.privacy.mask import mask_picture
from agent.records import WHOLE, Box, Detection, Frame

PICTURE_LIMIT_BYTES = 60_000
WIDTH_PX = 1280

_QUALITIES = (85, 70, 55, 40, 25)
_PLATE_ROOM = 0.15  # of the plate's box, on each side: what lies about it shows that it is one


def picture_of(
    frame: Frame, plate: Box | None = None, detections: Iterable[Detection] = ()
) -> bytes:
    """JPEG of `frame` in which nothing but `plate` can be read, at most 60 kB.

    Other plates, faces and heads are covered inside it too. Everything outside is pixelated
    whether or not a model has found anything there.
    """
    width_px = min(WIDTH_PX, (frame.main or frame.picture).width_px)
    while True:
        pixels = frame.crop(WHOLE, width_px)
        masked = mask_picture(
            pixels,
            keep=None if plate is None else plate.wider(_PLATE_ROOM),
            faces=[each.box for each in detections if each.kind == "face"],
            people=[each.box for each in detections if each.kind == "person"],
            plates=[each.box for each in detections if _is_other_plate(each, plate)],
        )
        for quality in _QUALITIES:
            _, jpeg = cv2.imencode(
                ".jpg",
                cv2.cvtColor(masked, cv2.COLOR_RGB2BGR),
                (cv2.IMWRITE_JPEG_QUALITY, quality),
            )
            if len(jpeg) <= PICTURE_LIMIT_BYTES:
                return jpeg.tobytes()
        width_px //= 2


def _is_other_plate(found: Detection, plate: Box | None) -> bool:
    if found.kind != "plate":
        return False
    return plate is None or not found.box.holds(plate.center)
