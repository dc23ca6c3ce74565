"""A video of what was seen, masked: boxes and lines over a picture in which nothing is readable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from av.error import FFmpegError

from agent.config.model import CameraConfig
from agent.errors import AgentError
from agent.privacy.mask import mask_picture
from agent.records import WHOLE, Frame, Image, Track, TrackState

_MAX_WIDTH_PX = 1280
_MS = Fraction(1, 1000)
_COLOURS = {"face": (255, 196, 0), "person": (0, 200, 255)}
_OTHER = (0, 230, 118)
_LINE = (255, 64, 64)


class Video:
    """An MP4 (H.264) with one picture for each frame that was looked at; a context."""

    def __init__(self, path: Path, camera: CameraConfig) -> None:
        self._path = path
        self._camera = camera
        self._stream: av.VideoStream | None = None
        with self._writing():
            path.open("wb").close()  # av finds out with the first picture only
            self._container = av.open(str(path), "w", format="mp4")

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._writing():
            if self._stream is not None:
                self._container.mux(self._stream.encode())
            self._container.close()

    def add(self, frame: Frame, tracks: Sequence[Track]) -> None:
        """Draw `tracks` over the frame with everything in it pixelated: default deny."""
        picture = frame.picture
        width = min(_MAX_WIDTH_PX, picture.width_px) // 2 * 2
        height = round(width * picture.height_px / picture.width_px) // 2 * 2
        masked = mask_picture(picture.rgb(WHOLE, width, height), keep=None)
        self._draw_lines(masked)
        for track in tracks:
            if track.state in (TrackState.CONFIRMED, TrackState.COASTING):
                _draw_track(masked, track)
        image = av.VideoFrame.from_ndarray(masked, format="rgb24")
        image.pts, image.time_base = round(frame.t_mono_ns / 1e6), _MS
        with self._writing():
            self._container.mux(self._opened(width, height).encode(image))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (FFmpegError, OSError) as error:
            raise AgentError(f"{self._path}: cannot be written: {error.strerror}") from None

    def _opened(self, width: int, height: int) -> av.VideoStream:
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=10)
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = _MS
        return self._stream

    def _draw_lines(self, pixels: Image) -> None:
        height, width = pixels.shape[:2]
        for line in self._camera.lines.values():
            ends = [(round(x * width), round(y * height)) for x, y in (line.start, line.end)]
            cv2.arrowedLine(pixels, ends[0], ends[1], _LINE, 2, tipLength=0.03)


def _draw_track(pixels: Image, track: Track) -> None:
    height, width = pixels.shape[:2]
    scale = np.array([width, height, width, height])
    box = track.box
    x0, y0, x1, y1 = np.rint(np.array([box.x0, box.y0, box.x1, box.y1]) * scale).astype(int)
    colour = _COLOURS.get(track.kind, _OTHER)
    thickness = 2 if track.state is TrackState.CONFIRMED else 1
    cv2.rectangle(pixels, (x0, y0), (x1, y1), colour, thickness)
    words = f"{track.kind} {track.score:.2f}"
    cv2.putText(pixels, words, (x0, max(12, y0 - 4)), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1)
