"""`clip:PATH`: a video file, lock-step in media time for replay, or paced like a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
from av.error import FFmpegError

from agent.capture.decoding import guard
from agent.capture.frames import MAX_PIXELS, FrameMaker, check_size
from agent.capture.pictures import YuvPicture
from agent.clock import Clock
from agent.errors import CaptureError
from agent.records import Frame

# Containers of pictures only: playlists and session descriptions name other files and hosts.
_FORMATS = "mov,avi,matroska,mpegts,mpeg,flv,h264,hevc,mjpeg,yuv4mpegpipe"


class ClipSource:
    """The frames of one file; with `realtime` at the clip's own pace, over and over."""

    def __init__(self, camera_id: str, path: Path, clock: Clock, *, realtime: bool) -> None:
        self._path = path
        self._realtime = realtime
        self._closed = threading.Event()
        self._maker = FrameMaker(camera_id, clock)
        _open(path).close()  # a clip that is no video is refused at once, not at its first frame

    def frames(self) -> Iterator[Frame]:
        if not self._realtime:
            yield from (self._maker.media(picture, at_s) for picture, at_s in self._pictures())
            return
        while not self._closed.is_set():
            yield from self._paced()

    def close(self) -> None:
        self._closed.set()

    def _paced(self) -> Iterator[Frame]:
        start_s = time.monotonic()
        for picture, at_s in self._pictures():
            if self._closed.wait(max(0.0, start_s + at_s - time.monotonic())):
                return
            yield self._maker.now(picture)

    def _pictures(self) -> Iterator[tuple[YuvPicture, float]]:
        """Every picture with its time since the first, in seconds."""
        first_s = None
        interval_s = 0.0
        with _open(self._path) as container:
            stream = container.streams.video[0]
            interval_s = float(1 / stream.average_rate) if stream.average_rate else 0.04
            at_s = -interval_s
            try:
                for frame in container.decode(stream):
                    first_s = frame.time if first_s is None else first_s
                    # A picture without a time of its own comes one interval after the last.
                    stamped = (
                        None if frame.time is None or first_s is None else frame.time - first_s
                    )
                    at_s = at_s + interval_s if stamped is None else stamped
                    yield YuvPicture.from_av(frame), at_s
            except FFmpegError as error:
                raise CaptureError(
                    f"{self._path}: damaged after {at_s:.1f} s: {error.strerror}"
                ) from None


def _open(path: Path) -> av.container.InputContainer:
    if not path.is_file():
        raise CaptureError(f"{path}: no such clip")
    try:
        container = av.open(
            f"file:{path}",
            options={
                "protocol_whitelist": "file",
                "format_whitelist": _FORMATS,
                "max_pixels": str(MAX_PIXELS),
            },
        )
    except FFmpegError as error:
        raise CaptureError(f"{path}: not a video clip: {error.strerror}") from None
    if not container.streams.video:
        container.close()
        raise CaptureError(f"{path}: not a video clip: no pictures in it")
    context = container.streams.video[0].codec_context
    check_size(context.width, context.height)
    guard(context)
    return container
