"""Pictures as decoders leave them: views of their planes, scaled first and coloured last.

A full-resolution RGB picture is never made. What a detector wants is cut out of each plane,
resized, and only then turned into RGB, at the size that was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from agent.records import WHOLE, Box, Image

# The resizes here take under a millisecond; OpenCV's pool of threads would only fight
# with the interpreter's for the box's few cores, and every thread costs memory.
cv2.setNumThreads(1)

_PLANAR = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"})
_BT709 = 1  # AVCOL_SPC_BT709
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG


class _Placing(NamedTuple):
    """Which part of the picture is seen (fractions), and where it lands in the output (px)."""

    seen: Box
    left: int
    top: int
    right: int
    bottom: int


def _placing(box: Box, width_px: int, height_px: int) -> _Placing | None:
    seen = Box(x0=max(box.x0, 0), y0=max(box.y0, 0), x1=min(box.x1, 1), y1=min(box.y1, 1))
    if seen.width <= 0 or seen.height <= 0:
        return None
    across, down = width_px / box.width, height_px / box.height
    left, top = round((seen.x0 - box.x0) * across), round((seen.y0 - box.y0) * down)
    right, bottom = round((seen.x1 - box.x0) * across), round((seen.y1 - box.y0) * down)
    if right <= left or bottom <= top:
        return None
    return _Placing(seen, left, top, right, bottom)


def _resized(plane: Image, seen: Box, width_px: int, height_px: int) -> Image:
    """The part of a plane inside `seen`, at exactly the size asked for."""
    rows, columns = plane.shape[:2]
    x0 = min(round(seen.x0 * columns), columns - 1)
    y0 = min(round(seen.y0 * rows), rows - 1)
    part = plane[
        y0 : max(round(seen.y1 * rows), y0 + 1), x0 : max(round(seen.x1 * columns), x0 + 1)
    ]
    while part.shape[0] >= 2 * height_px and part.shape[1] >= 2 * width_px:
        part = _halved(part)
    if part.shape[:2] == (height_px, width_px):
        return part
    skips_pixels = part.shape[0] > 2 * height_px or part.shape[1] > 2 * width_px
    how = cv2.INTER_AREA if skips_pixels else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (width_px, height_px), interpolation=how), dtype=np.uint8)


def _halved(part: Image) -> Image:
    """Means of 2 x 2: ten times faster than INTER_AREA at any other ratio, and as free of moire."""
    rows, columns = part.shape[0] // 2, part.shape[1] // 2
    even = part[: rows * 2, : columns * 2]
    return np.asarray(cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def _frozen(view: Image) -> Image:
    view = view.view()
    view.flags.writeable = False
    return view


def _luma(plane: Image, width_px: int | None) -> Image:
    if width_px is None:
        return _frozen(plane)
    height_px = max(1, round(width_px * plane.shape[0] / plane.shape[1]))
    return _frozen(_resized(plane, WHOLE, width_px, height_px))


def _padded(part: Image, placing: _Placing, width_px: int, height_px: int) -> Image:
    """`part` at its place on black; itself when it fills the output."""
    if part.shape[:2] == (height_px, width_px):
        return part
    out: Image = np.zeros((height_px, width_px, 3), dtype=np.uint8)
    out[placing.top : placing.bottom, placing.left : placing.right] = part
    return out


def _colour_matrix(*, full_range: bool, bt709: bool) -> NDArray[np.float32]:
    """Rows R, G, B over columns Y, U, V, 1 for 8-bit samples (ITU-T H.273, matrices 1 and 6)."""
    red, blue = (0.2126, 0.0722) if bt709 else (0.299, 0.114)
    green = 1 - red - blue
    luma_gain, chroma_gain, black = (1.0, 1.0, 0) if full_range else (255 / 219, 255 / 224, 16)
    v_red, u_blue = 2 * (1 - red) * chroma_gain, 2 * (1 - blue) * chroma_gain
    u_green, v_green = -u_blue * blue / green, -v_red * red / green
    gains = np.array([[luma_gain, 0, v_red], [luma_gain, u_green, v_green], [luma_gain, u_blue, 0]])
    offsets = -gains @ np.array([black, 128, 128])
    return np.column_stack([gains, offsets]).astype(np.float32)


class YuvPicture:
    """Luma and chroma planes, each uint8: three of them, or two with U and V interleaved (NV12)."""

    def __init__(
        self, luma: Image, chroma: Sequence[Image], *, full_range: bool, bt709: bool = False
    ) -> None:
        self._luma = luma
        self._chroma = tuple(chroma)
        self._matrix = _colour_matrix(full_range=full_range, bt709=bt709)

    @classmethod
    def from_av(cls, frame: av.VideoFrame) -> YuvPicture:
        """Views of the decoder's own planes; other than 4:2:0 to 4:4:4 in 8 bits is converted."""
        name = frame.format.name
        if name not in _PLANAR and name != "nv12":
            frame = frame.reformat(format="yuv420p")
        planes = [_plane_view(frame, index) for index in range(len(frame.planes))]
        return cls(
            planes[0],
            planes[1:],
            full_range=name.startswith("yuvj") or frame.color_range == _FULL_RANGE,
            bt709=frame.colorspace == _BT709,
        )

    @classmethod
    def from_i420(
        cls,
        samples: bytes | bytearray | memoryview,
        width_px: int,
        height_px: int,
        stride_px: int = 0,
    ) -> YuvPicture:
        """Packed planes in limited range; `stride_px` where luma rows are padded."""
        stride = stride_px or width_px
        chroma_rows, chroma_stride = (height_px + 1) // 2, (stride + 1) // 2
        flat = np.frombuffer(samples, dtype=np.uint8)
        luma_end = height_px * stride
        u_end = luma_end + chroma_rows * chroma_stride
        v_end = u_end + chroma_rows * chroma_stride
        chroma = [
            flat[start:end].reshape(chroma_rows, chroma_stride)[:, : (width_px + 1) // 2]
            for start, end in ((luma_end, u_end), (u_end, v_end))
        ]
        luma = flat[:luma_end].reshape(height_px, stride)[:, :width_px]
        return cls(luma, chroma, full_range=False)

    @property
    def width_px(self) -> int:
        return int(self._luma.shape[1])

    @property
    def height_px(self) -> int:
        return int(self._luma.shape[0])

    def luma(self, width_px: int | None = None) -> Image:
        return _luma(self._luma, width_px)

    def rgb(self, box: Box, width_px: int, height_px: int) -> Image:
        placing = _placing(box, width_px, height_px)
        if placing is None:
            return _frozen(np.zeros((height_px, width_px, 3), dtype=np.uint8))
        size = placing.right - placing.left, placing.bottom - placing.top
        planes = [_resized(plane, placing.seen, *size) for plane in (self._luma, *self._chroma)]
        part = np.asarray(cv2.transform(cv2.merge(planes), self._matrix), dtype=np.uint8)
        return _frozen(_padded(part, placing, width_px, height_px))


def _plane_view(frame: av.VideoFrame, index: int) -> Image:
    plane = frame.planes[index]
    samples: Image = np.frombuffer(memoryview(cast(Any, plane)), dtype=np.uint8)
    rows = samples.reshape(-1, plane.line_size)[: plane.height]
    if frame.format.name == "nv12" and index == 1:
        return rows[:, : plane.width * 2].reshape(plane.height, plane.width, 2)
    return rows[:, : plane.width]


class RgbPicture:
    """An H x W x 3 uint8 array, RGB, or BGR where OpenCV made it."""

    def __init__(self, pixels: Image, *, bgr: bool = False) -> None:
        self._pixels = pixels
        self._bgr = bgr

    @property
    def width_px(self) -> int:
        return int(self._pixels.shape[1])

    @property
    def height_px(self) -> int:
        return int(self._pixels.shape[0])

    def luma(self, width_px: int | None = None) -> Image:
        height_px = round((width_px or self.width_px) * self.height_px / self.width_px)
        small = _resized(self._pixels, WHOLE, width_px or self.width_px, max(1, height_px))
        code = cv2.COLOR_BGR2GRAY if self._bgr else cv2.COLOR_RGB2GRAY
        return _frozen(np.asarray(cv2.cvtColor(small, code), dtype=np.uint8))

    def rgb(self, box: Box, width_px: int, height_px: int) -> Image:
        placing = _placing(box, width_px, height_px)
        if placing is None:
            return _frozen(np.zeros((height_px, width_px, 3), dtype=np.uint8))
        size = placing.right - placing.left, placing.bottom - placing.top
        part = _resized(self._pixels, placing.seen, *size)
        if self._bgr:
            part = np.asarray(cv2.cvtColor(part, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        return _frozen(_padded(part, placing, width_px, height_px))
