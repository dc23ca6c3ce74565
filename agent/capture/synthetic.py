"""`synthetic:SCENE`: a scene drawn with known truth; `agent/config/scenes.py` has its grammar.

The scene is a pure function of time: the same `t_s` always gives the same truth and picture.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

import cv2
import numpy as np

from agent.capture.frames import FrameMaker
from agent.capture.pictures import RgbPicture
from agent.clock import Clock
from agent.config.problems import Refusal
from agent.config.scenes import parse_scene
from agent.errors import CaptureError
from agent.records import Box, Detection, Frame, Image

_ROAD_TOP = 0.45  # of the picture's height; above it a pavement
_COLOURS = {"car": (176, 32, 38), "person": (24, 60, 150)}
# Noise is drawn once, somewhat taller than the picture, and shifted from frame to frame, because
# drawing it anew costs more than the scene; an odd step visits every shift.
_NOISE_SHIFTS, _NOISE_STEP = 64, 13


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mover:
    """Something that crosses the picture from edge to edge, again and again."""

    kind: str
    width: float
    height: float
    foot: float  # y of its lower edge
    speed: float  # picture widths per second, > 0 to the right
    every_s: float
    first_s: float

    def box_at(self, t_s: float) -> Box | None:
        since_s = (t_s - self.first_s) % self.every_s
        if t_s < self.first_s or since_s * abs(self.speed) > 1 + self.width:
            return None
        travelled = since_s * abs(self.speed)
        left = travelled - self.width if self.speed > 0 else 1 - travelled
        return Box(x0=left, y0=self.foot - self.height, x1=left + self.width, y1=self.foot)


_STREET = (
    _Mover(kind="car", width=0.22, height=0.2, foot=0.72, speed=0.25, every_s=8, first_s=0.5),
    _Mover(kind="car", width=0.26, height=0.24, foot=0.95, speed=-0.3, every_s=11, first_s=3),
    _Mover(kind="person", width=0.05, height=0.25, foot=0.42, speed=0.06, every_s=20, first_s=0),
)
_PARKED = Box(x0=0.4, y0=0.5, x1=0.65, y1=0.75)


class SyntheticScene:
    """One scene: what is in it at a time, and what that looks like."""

    def __init__(self, text: str) -> None:
        try:
            scene = parse_scene(text)
        except Refusal as refusal:
            parts = (f"synthetic:{text}", refusal.what, refusal.allowed, refusal.hint)
            raise CaptureError("; ".join(part for part in parts if part)) from None
        self.name, self.fps, self.seconds = scene.name, scene.fps, scene.seconds
        self.width_px, self.height_px = scene.width_px, scene.height_px
        self._clock = scene.clock
        self._backdrop = _backdrop(self.name, self.width_px, self.height_px)
        shape = (self.height_px + _NOISE_SHIFTS, self.width_px, 3)
        grain = np.rint(np.random.default_rng(scene.seed).normal(0, scene.noise, shape))
        self._noise = grain.clip(-128, 127).astype(np.int8) if scene.noise else None

    def truth(self, t_s: float) -> list[Detection]:
        """Everything in view `t_s` seconds after the start, cut at the picture's edge."""
        if self.name == "parked":
            return [Detection(kind="car", score=1.0, box=_PARKED)]
        movers = _STREET if self.name == "street" else ()
        placed = [(mover.kind, mover.box_at(t_s)) for mover in movers]
        cut = [(kind, _cut(box)) for kind, box in placed if box is not None]
        return [Detection(kind=kind, score=1.0, box=box) for kind, box in cut if box.area > 0]

    def picture(self, t_s: float, utc_ms: int) -> RgbPicture:
        """The scene at `t_s`, with `utc_ms` burnt in where a clock was asked for."""
        pixels = self._backdrop.copy()
        for thing in self.truth(t_s):
            self._draw(pixels, thing)
        if self._noise is not None:
            shift = round(t_s * self.fps) * _NOISE_STEP % _NOISE_SHIFTS
            grain = self._noise[shift : shift + self.height_px]
            pixels = np.asarray(cv2.add(pixels, grain, dtype=cv2.CV_8U), dtype=np.uint8)
        if self._clock:
            _burn_in(pixels, utc_ms)
        return RgbPicture(pixels)

    def _draw(self, pixels: Image, thing: Detection) -> None:
        corner = round(thing.box.x0 * self.width_px), round(thing.box.y0 * self.height_px)
        opposite = round(thing.box.x1 * self.width_px), round(thing.box.y1 * self.height_px)
        cv2.rectangle(pixels, corner, opposite, _COLOURS[thing.kind], -1)


class SyntheticSource:
    """The scene's pictures, paced like a camera or lock-step."""

    def __init__(self, camera_id: str, text: str, clock: Clock, *, realtime: bool) -> None:
        self.scene = SyntheticScene(text)
        self._clock = clock
        self._realtime = realtime
        self._closed = threading.Event()
        self._maker = FrameMaker(camera_id, clock)

    def frames(self) -> Iterator[Frame]:
        start_s, start_utc_ms = time.monotonic(), self._clock.now().utc_ms
        number = 0
        while not self._over(number):
            t_s = number / self.scene.fps
            picture = self.scene.picture(t_s, start_utc_ms + round(t_s * 1000))
            if not self._realtime:
                yield self._maker.media(picture, t_s)
            elif self._closed.wait(max(0.0, start_s + t_s - time.monotonic())):
                return
            else:
                yield self._maker.now(picture)
            number += 1

    def close(self) -> None:
        self._closed.set()

    def _over(self, number: int) -> bool:
        ended = 0 < self.scene.seconds <= number / self.scene.fps
        return self._closed.is_set() or ended


def _cut(box: Box) -> Box:
    return Box(x0=max(box.x0, 0), y0=max(box.y0, 0), x1=min(box.x1, 1), y1=min(box.y1, 1))


def _backdrop(name: str, width_px: int, height_px: int) -> Image:
    pixels: Image = np.full((height_px, width_px, 3), 128, dtype=np.uint8)
    if name != "blank":
        road = round(_ROAD_TOP * height_px)
        pixels[:road] = np.linspace(210, 150, road, dtype=np.uint8)[:, None, None]
        pixels[road:] = (84, 86, 88)
        lane = round(0.75 * height_px)
        for x in range(0, width_px, max(1, width_px // 8)):
            cv2.rectangle(pixels, (x, lane), (x + width_px // 16, lane + 3), (230, 230, 220), -1)
    return pixels


def _burn_in(pixels: Image, utc_ms: int) -> None:
    words = datetime.fromtimestamp(utc_ms / 1000, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    scale = pixels.shape[1] / 1280
    place = (round(12 * scale * 2), round(28 * scale * 2))
    cv2.putText(pixels, words, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1)
