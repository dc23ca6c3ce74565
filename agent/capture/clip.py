"""`clip:PATH`: a video file, lock-step in media time for replay, or paced like a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from agent.capture.attention import Attention
from agent.capture.decoding import Decoder, guard
from agent.capture.frames import MAX_HEIGHT_PX, MAX_PIXELS, MAX_WIDTH_PX, FrameMaker, check_size
from agent.capture.pictures import YuvPicture
from agent.capture.rtp import AccessUnit
from agent.capture.sleeper import Sleeper
from agent.clock import Clock
from agent.errors import CaptureError
from agent.records import Frame

# Containers of pictures only: playlists and session descriptions name other files and hosts.
_FORMATS = "mov,avi,matroska,mpegts,mpeg,flv,h264,hevc,mjpeg,yuv4mpegpipe"
# Codecs of cameras, whose pictures can be decoded later; who replays another decodes all of it.
_SLEEPING = ("h264", "hevc")
# A title in another alphabet makes no clip unreadable; PyAV 19 sees to that by itself.
_TITLES: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
)


class ClipSource:
    """The frames of one file; with `realtime` at the clip's own pace, over and over.

    With `attention` too, it is decoded only while something happens, as a camera's stream.
    """

    def __init__(
        self,
        camera_id: str,
        path: Path,
        clock: Clock,
        *,
        realtime: bool,
        attention: Attention | None = None,
    ) -> None:
        self._path = path
        self._realtime = realtime
        self._attention = attention
        self._closed = threading.Event()
        self._maker = FrameMaker(camera_id, clock)
        _open(path).close()  # a clip that is no video is refused at once, not at its first frame

    def frames(self) -> Iterator[Frame | None]:
        if not self._realtime:
            yield from (self._maker.media(picture, at_s) for picture, at_s in self._pictures())
            return
        sleeper = self._sleeper()
        while not self._closed.is_set():
            yield from self._fed(sleeper) if sleeper else self._paced()

    def close(self) -> None:
        self._closed.set()

    def _paced(self) -> Iterator[Frame]:
        start_s = time.monotonic()
        for picture, at_s in self._pictures():
            if self._closed.wait(max(0.0, start_s + at_s - time.monotonic())):
                return
            yield self._maker.now(picture)

    def _sleeper(self) -> Sleeper | None:
        with _open(self._path) as container:
            context = container.streams.video[0].codec_context
            codec, parameter_sets = context.name, bytes(context.extradata or b"")
        if self._attention is None or codec not in _SLEEPING:
            return None
        return Sleeper(
            self._maker.camera_id, lambda: Decoder(codec, parameter_sets), self._attention
        )

    def _fed(self, sleeper: Sleeper) -> Iterator[Frame | None]:
        """One round of the clip, its coded pictures handed over at their time."""
        start_ns, pictured = time.monotonic_ns(), False
        for coded, keyframe, at_s in self._packets():
            taken_ns = start_ns + round(at_s * 1e9)
            if self._closed.wait(max(0.0, (taken_ns - time.monotonic_ns()) / 1e9)):
                return
            unit = AccessUnit(coded=coded, keyframe=keyframe, taken_ns=taken_ns)
            for taken in sleeper.feed(unit):
                pictured = True
                yield self._frame(*taken) if taken else None
        if not pictured:
            raise CaptureError(f"{self._path}: damaged: its pictures cannot be decoded")

    def _frame(self, picture: YuvPicture, taken_ns: int) -> Frame:
        return self._maker.now(picture, age_ns=time.monotonic_ns() - taken_ns)

    def _packets(self) -> Iterator[tuple[bytes, bool, float]]:
        """Every coded picture, whether it is a keyframe, and its time in seconds."""
        first_s, at_s = None, 0.0
        with _open(self._path) as container:
            stream = container.streams.video[0]
            interval_s = float(1 / stream.average_rate) if stream.average_rate else 0.04
            try:
                for packet in container.demux(stream):
                    if not packet.size:  # the end
                        continue
                    shown_s = None if packet.pts is None else float(packet.pts * packet.time_base)
                    first_s = shown_s if first_s is None else first_s
                    after_s = at_s + interval_s
                    at_s = after_s if shown_s is None or first_s is None else shown_s - first_s
                    yield bytes(packet), packet.is_keyframe, at_s
            except FFmpegError as error:
                raise CaptureError(
                    f"{self._path}: damaged after {at_s:.1f} s: {error.strerror}"
                ) from None

    def _pictures(self) -> Iterator[tuple[YuvPicture, float]]:
        """Every picture with its time since the first, in seconds; there is at least one."""
        first_s = at_s = None
        with _open(self._path) as container:
            stream = container.streams.video[0]
            interval_s = float(1 / stream.average_rate) if stream.average_rate else 0.04
            try:
                for frame in container.decode(stream):
                    first_s = frame.time if first_s is None else first_s
                    if frame.time is None or first_s is None:
                        # A picture without a time of its own comes one interval after the last.
                        at_s = 0.0 if at_s is None else at_s + interval_s
                    else:
                        at_s = frame.time - first_s
                    yield YuvPicture.from_av(frame), at_s
            except FFmpegError as error:
                raise CaptureError(
                    f"{self._path}: damaged after {at_s or 0.0:.1f} s: {error.strerror}"
                ) from None
        if at_s is None:  # looped, it would spin for ever without a picture
            raise CaptureError(f"{self._path}: damaged: its first picture cannot be decoded")


def _open(path: Path) -> av.container.InputContainer:
    if not path.is_file():
        raise CaptureError(f"{path}: no such clip")
    try:
        container: av.container.InputContainer = av.open(
            f"file:{path}",
            options={
                "protocol_whitelist": "file",
                "format_whitelist": _FORMATS,
                "max_pixels": str(MAX_PIXELS),
            },
            **_TITLES,
        )
    except FFmpegError as error:
        raise CaptureError(f"{path}: not a video clip: {error.strerror}") from None
    try:
        if not container.streams.video:
            raise CaptureError(f"{path}: not a video clip: no pictures in it")
        context = container.streams.video[0].codec_context
        if not context.width:  # FFmpeg looked into its first pictures and could not decode one
            raise CaptureError(
                f"{path}: its pictures cannot be decoded: damaged, or larger than"
                f" {MAX_WIDTH_PX} x {MAX_HEIGHT_PX}"
            )
        check_size(context.width, context.height)
    except CaptureError:
        container.close()
        raise
    guard(context)
    return container
