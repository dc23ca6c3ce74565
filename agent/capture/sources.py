"""Which source a camera's `source:` names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agent.capture.attention import Attention
from agent.capture.clip import ClipSource
from agent.capture.frames import Source
from agent.capture.gst import GstSource
from agent.capture.picamera import PicameraSource
from agent.capture.stream import RtspSource
from agent.capture.synthetic import SyntheticSource
from agent.capture.v4l2 import V4l2Source
from agent.clock import Clock
from agent.config.model import CameraConfig
from agent.errors import CaptureError

__all__ = ["KINDS", "Source", "open_source"]

KINDS = ("rtsp", "rtsps", "picamera", "v4l2", "gst", "clip", "synthetic")


def open_source(
    camera: CameraConfig,
    clock: Clock,
    *,
    realtime: bool,
    progress: Callable[[], None] = lambda: None,
    attention: Attention | None = None,
) -> Source:
    """Opens what `camera.source` names; CaptureError says in one line why it cannot.

    Without `realtime` (replay) only clips and synthetic scenes can be opened; their frames are
    stamped in media time, counted from what `clock` says now. With it a clip keeps its own pace
    and starts again at its end, as a camera never ends. `progress` is called while a camera is
    waited for that may be silent for longer than a watchdog likes. With `attention` a coded stream
    is decoded only while something happens.
    """
    kind, _, rest = camera.source.partition(":")
    if kind == "clip":
        return ClipSource(
            camera.camera_id, Path(rest), clock, realtime=realtime, attention=attention
        )
    if kind == "synthetic":
        return SyntheticSource(camera.camera_id, rest, clock, realtime=realtime)
    if not realtime:
        raise CaptureError(f"{kind}: is a camera: only clips and synthetic scenes can be replayed")
    if kind in ("rtsp", "rtsps"):
        return RtspSource(camera, clock, progress=progress, attention=attention)
    if kind == "gst":
        return GstSource(camera.camera_id, rest, clock)
    if kind == "v4l2":
        return V4l2Source(camera.camera_id, rest, clock)
    if kind == "picamera":
        return PicameraSource(camera.camera_id, rest, clock)
    raise CaptureError(f"{kind}: no such source; there are {', '.join(KINDS)}")
