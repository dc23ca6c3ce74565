"""`v4l2:/dev/videoN`: a USB or CSI camera.

Through OpenCV, which gives up on a silent device after ten seconds; FFmpeg's reader waits in the
kernel for ever and cannot be woken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from agent.capture.frames import FrameMaker
from agent.capture.pictures import RgbPicture
from agent.clock import Clock
from agent.errors import CaptureError
from agent.records import Frame

# Uncompressed 1080p fills a USB 2 bus at 5 pictures a second; as MJPEG it comes at 30.
_FOURCC = "MJPG"
# OpenCV asks for 640 x 480 unless told; of what is asked for the driver gives the nearest it has.
_WIDTH_PX, _HEIGHT_PX = 1920, 1080


def _v4l2(device: str) -> cv2.VideoCapture:
    return cv2.VideoCapture(device, cv2.CAP_V4L2)


class V4l2Source:
    """The pictures of one video device, at the size nearest to 1920 x 1080 that it has."""

    def __init__(
        self,
        camera_id: str,
        device: str,
        clock: Clock,
        opener: Callable[[str], cv2.VideoCapture] = _v4l2,
    ) -> None:
        if not Path(device).exists():
            raise CaptureError(f"{device}: no such device: is the camera plugged in?")
        self._device = device
        self._maker = FrameMaker(camera_id, clock)
        self._closed = threading.Event()
        self._camera = opener(device)
        if not self._camera.isOpened():
            self._camera.release()
            raise CaptureError(f"{device}: not a camera, in use, or not allowed (group video?)")
        self._camera.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*_FOURCC))
        self._camera.set(cv2.CAP_PROP_FRAME_WIDTH, _WIDTH_PX)
        self._camera.set(cv2.CAP_PROP_FRAME_HEIGHT, _HEIGHT_PX)
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # a buffered picture is an old one

    def frames(self) -> Iterator[Frame]:
        try:
            while not self._closed.is_set():
                got, pixels = self._camera.read()  # gives up by itself after 10 s
                if not got:
                    raise CaptureError(f"{self._device}: no picture: unplugged?")
                yield self._maker.now(RgbPicture(np.asarray(pixels, dtype=np.uint8), bgr=True))
        finally:
            self._camera.release()

    def close(self) -> None:
        self._closed.set()
