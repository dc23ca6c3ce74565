"""Clips drawn by the test itself: what is in them is known."""

from pathlib import Path

import av
import numpy as np


def bar_at(number, size):
    """A grey picture with a white bar that moves 5 pixels a picture."""
    width, height = size
    pixels = np.full((height, width, 3), 128, np.uint8)
    left = number * 5 % (width - 20)
    pixels[:, left : left + 20] = 255
    return pixels


def drawn_clip(
    path: Path,
    *,
    count=20,
    size=(160, 120),
    rate=10,
    codec="libx264",
    pix_fmt="yuv420p",
    metadata=None,
    faststart=False,
    picture=bar_at,
):
    """`picture(number, size)` over and over, encoded; the clip's path."""
    muxer = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", options=muxer) as out:
        out.metadata.update(metadata or {})
        stream = out.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path
