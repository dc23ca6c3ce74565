"""A view: the part of the picture that one inference sees, in the aspect of the model's input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.records import Box

Floats = NDArray[np.float32]


def view_of(box: Box, *, picture_aspect: float, input_aspect: float) -> Box:
    """The smallest box around `box`, same centre, whose pixels have the input's aspect.

    Aspects are width over height; the answer may reach over the picture's edge (a letterbox).
    """
    width, height = box.width, box.height
    width_for_height = height * input_aspect / picture_aspect
    if width_for_height > width:
        width = width_for_height
    else:
        height = width * picture_aspect / input_aspect
    x, y = box.center
    return Box(x0=x - width / 2, y0=y - height / 2, x1=x + width / 2, y1=y + height / 2)


def to_picture(xyxy: Floats, view: Box) -> Floats:
    """Boxes (N, 4) from fractions of the view to fractions of the picture."""
    scale = np.array([view.width, view.height] * 2, dtype=np.float32)
    origin = np.array([view.x0, view.y0] * 2, dtype=np.float32)
    return xyxy * scale + origin
