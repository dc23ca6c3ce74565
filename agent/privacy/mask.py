"""Pictures that may leave: default deny, then cover what is left of persons and plates."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from agent.records import Box, Image

BLOCKS_ACROSS = 12
"""Blocks over the longer side of the picture: a face over a third of it is four blocks wide."""

_COVER = 32  # grey of what is covered: nothing of the picture is in it
_FACE_MARGIN = 0.25  # of the box, on each side: chin, hair and ears
_PLATE_MARGIN = 0.15
_PERSON_MARGIN = 0.05
_HEAD_OF_HEIGHT = 0.28  # a standing person
_HEAD_OF_WIDTH = 0.75  # a person cut off by the picture's edge: the head is most of the box


def mask_picture(
    rgb: Image,
    *,
    keep: Box | None,
    faces: Iterable[Box] = (),
    people: Iterable[Box] = (),
    plates: Iterable[Box] = (),
) -> Image:
    """A copy of `rgb` (H x W x 3) with nothing readable outside `keep`; None keeps nothing.

    Inside `keep`, faces, plates and the heads of persons (whether or not a face was found
    there) are covered with one grey. Outside, the picture is a smooth surface through the means
    of at most 12 blocks along its longer side.
    """
    masked = _pixelated(rgb)
    if keep is not None:
        inside = _pixels(keep, rgb.shape, outward=False)
        masked[inside] = rgb[inside]
    height, width = rgb.shape[:2]
    covered = [face.wider(_FACE_MARGIN) for face in faces]
    covered += [_head(person, aspect=width / height) for person in people]
    covered += [plate.wider(_PLATE_MARGIN) for plate in plates]
    for box in covered:
        masked[_pixels(box, rgb.shape, outward=True)] = _COVER
    return masked


def _pixelated(rgb: Image) -> Image:
    """Block means, enlarged with a smooth kernel: block edges too would draw the eye to detail."""
    height, width = rgb.shape[:2]
    block = max(1, -(-max(height, width) // BLOCKS_ACROSS))
    across, down = -(-width // block), -(-height // block)
    padded = cv2.copyMakeBorder(
        rgb, 0, down * block - height, 0, across * block - width, cv2.BORDER_REPLICATE
    )
    means = padded.reshape(down, block, across, block, -1).mean(axis=(1, 3)).round()
    size = (across * block, down * block)
    smooth = cv2.resize(means.astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(smooth[:height, :width])


def _head(person: Box, *, aspect: float) -> Box:
    """Top of a person's box; `aspect` is the picture's width over its height."""
    width_in_heights = person.width * aspect
    height = max(_HEAD_OF_HEIGHT * person.height, _HEAD_OF_WIDTH * width_in_heights)
    head = Box(
        x0=person.x0,
        y0=person.y0,
        x1=person.x1,
        y1=person.y0 + min(height, person.height),
    )
    return head.wider(_PERSON_MARGIN)


def _pixels(box: Box, shape: tuple[int, ...], *, outward: bool) -> tuple[slice, slice]:
    """The pixels of `box`, cut to the picture; parts of a pixel count as in when `outward`."""
    height, width = shape[:2]
    low, high = (np.floor, np.ceil) if outward else (np.ceil, np.floor)
    x0, x1 = (int(np.clip(edge, 0, width)) for edge in (low(box.x0 * width), high(box.x1 * width)))
    y0, y1 = (
        int(np.clip(edge, 0, height)) for edge in (low(box.y0 * height), high(box.y1 * height))
    )
    return slice(y0, y1), slice(x0, x1)
