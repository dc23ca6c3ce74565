"""`picamera:N`: a Raspberry Pi camera through picamera2, in a child of the system's Python.

The child (`picamera_child.py`) hands over two sizes of each picture: the small one is looked at,
the large one is for crops.
"""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from agent.capture.child import PATIENT, FrameChild
from agent.capture.frames import FrameMaker, Patience, check_size
from agent.capture.pictures import YuvPicture
from agent.clock import Clock
from agent.errors import CaptureError
from agent.records import Frame

_CHILD = Path(__file__).with_name("picamera_child.py")
_MAIN_SIZE = (1920, 1080)  # the whole width of the sensor on camera modules 1 to 3
_LORES_SIZE = (640, 360)  # twice what a 300 pixel detector needs, so that tiles gain something
_FPS = 10  # a passing car is seen ten times; 31 MB/s through the pipe, some percent of a core


class _Size(NamedTuple):
    width_px: int
    height_px: int
    stride_bytes: int


class PicameraSource:
    """Frames of one camera: `picture` the small size, `main` the large one."""

    def __init__(
        self,
        camera_id: str,
        number: str,
        clock: Clock,
        patience: Patience = PATIENT,
        *,
        python: str = "/usr/bin/python3",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if not number.isdecimal():
            raise CaptureError("picamera: wants a camera's number, like picamera:0")
        self._patience = patience
        self._maker = FrameMaker(camera_id, clock)
        sizes = [str(side) for side in (*_MAIN_SIZE, *_LORES_SIZE)]
        # Out of the agent's virtual environment, whose numpy the system's Python cannot use.
        base = os.environ if environment is None else environment
        outside = {name: base[name] for name in base if name not in ("PYTHONHOME", "VIRTUAL_ENV")}
        self._child = FrameChild(
            lambda pipe: [python, str(_CHILD), number, *sizes, str(_FPS), str(pipe)],
            f"picamera:{number}",
            outside,
        )

    def frames(self) -> Iterator[Frame]:
        try:
            main, lores = _layout(self._child.read_line(self._patience.open_s))
            while True:
                (taken_ns,) = struct.unpack(">Q", self._child.read(8, self._patience.picture_s))
                pictures = [self._picture(size) for size in (main, lores)]
                age_ns = max(0, time.monotonic_ns() - taken_ns)
                yield self._maker.now(pictures[1], age_ns=age_ns, main=pictures[0])
        finally:
            self._child.release()

    def close(self) -> None:
        self._child.stop()

    def _picture(self, size: _Size) -> YuvPicture:
        size_bytes = size.height_px * size.stride_bytes * 3 // 2
        return YuvPicture.from_i420(self._child.read(size_bytes, self._patience.picture_s), *size)


def _layout(line: bytes) -> tuple[_Size, _Size]:
    try:
        sizes = json.loads(line)
        main, lores = (_Size(*map(int, sizes[name])) for name in ("main", "lores"))
    except (ValueError, KeyError, TypeError):
        raise CaptureError("picamera: its child does not write pictures") from None
    for size in (main, lores):
        check_size(size.width_px, size.height_px)
    return main, lores
