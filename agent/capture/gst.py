"""`gst:PIPELINE`: a GStreamer pipeline, for cameras that only GStreamer reaches (Jetson's argus).

`gst-launch-1.0` runs it as a child and writes YUV4MPEG2, a raw format that says its own size; the
OpenCV wheels have no GStreamer, and binding it into this process would bring its crashes along.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from agent.capture.child import PATIENT, FrameChild
from agent.capture.frames import FrameMaker, Patience, check_size
from agent.capture.pictures import YuvPicture
from agent.clock import Clock
from agent.errors import CaptureError
from agent.records import Frame

_TAIL = "! videoconvert ! video/x-raw,format=I420 ! y4menc ! fdsink fd={pipe}"

_PASSWORD = re.compile(r"://[^/@\s]+@|\buser-(id|pw)\s*=")
# Other widths GStreamer pads to whole words in memory, and its y4menc writes the padding too.
_WHOLE_ROWS_PX = 8


class GstSource:
    """The pictures of one pipeline; `! videoconvert ! ... ! fdsink` is put behind it."""

    def __init__(
        self, camera_id: str, pipeline: str, clock: Clock, patience: Patience = PATIENT
    ) -> None:
        try:
            words = shlex.split(pipeline)
        except ValueError as error:
            raise CaptureError(f"gst: the pipeline cannot be read: {error}") from None
        if not words:
            raise CaptureError("gst: empty: write a pipeline, like gst:videotestsrc")
        if _PASSWORD.search(pipeline):
            raise CaptureError(
                "gst: the pipeline holds a password, which the list of processes would show:"
                " write the camera as rtsp:// with `auth`"
            )
        self._patience = patience
        self._maker = FrameMaker(camera_id, clock)
        self._child = FrameChild(
            lambda pipe: ["gst-launch-1.0", "-q", *words, *_TAIL.format(pipe=pipe).split()],
            "gst",
            polls=True,
        )

    def frames(self) -> Iterator[Frame]:
        try:
            width, height = _size(self._child.read_line(self._patience.open_s))
            size_bytes = width * height * 3 // 2
            picture_s = self._patience.picture_s
            while True:
                self._child.read_line(picture_s)  # FRAME
                samples = self._child.read(size_bytes, picture_s)
                yield self._maker.now(YuvPicture.from_i420(samples, width, height))
        finally:
            self._child.release()

    def close(self) -> None:
        self._child.stop()


def _size(header: bytes) -> tuple[int, int]:
    words = header.decode("ascii", "replace").split()
    sides = {word[0]: word[1:] for word in words[1:]}
    width, height = sides.get("W", ""), sides.get("H", "")
    if words[:1] != ["YUV4MPEG2"] or not (width.isdecimal() and height.isdecimal()):
        raise CaptureError("gst: the pipeline does not write pictures: end it in raw video")
    check_size(int(width), int(height))
    if int(width) % _WHOLE_ROWS_PX or int(height) % 2:
        raise CaptureError(
            f"gst: pictures of {width} x {height}: the width must be a multiple of"
            f" {_WHOLE_ROWS_PX}, the height even; put a videoscale and caps behind the pipeline"
        )
    return int(width), int(height)
