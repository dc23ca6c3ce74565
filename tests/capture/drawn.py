"""Clips drawn by the test itself: what is in them is known."""

from fractions import Fraction
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


ENCODERS = {
    "h264": ("libx264", "yuv420p", {"preset": "ultrafast", "tune": "zerolatency", "g": "5"}),
    "hevc": (
        "libx265",
        "yuv420p",
        {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "x265-params": "keyint=5:repeat-headers=1:log-level=none:pools=1",
        },
    ),
    "mjpeg": ("mjpeg", "yuvj420p", {"huffman": "default", "q": "3"}),
}


def drawn_units(codec, *, count=12, size=(160, 120), picture=bar_at):
    """Coded pictures as a camera sends them."""
    name, layout, options = ENCODERS[codec]
    encoder = av.CodecContext.create(name, "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.time_base, encoder.framerate = layout, Fraction(1, 10), 10
    encoder.thread_count = 1
    encoder.options = options
    units = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24")
        frame.pts = number
        units += [bytes(packet) for packet in encoder.encode(frame)]
    return units + [bytes(packet) for packet in encoder.encode(None)]
