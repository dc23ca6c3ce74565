"""What these tests share: the real models opened once, frames of pixels, a model that counts."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.capture.clip import ClipSource
from agent.capture.pictures import RgbPicture
from agent.clock import ManualClock
from agent.errors import ModelError
from agent.infer.model import Model, open_model
from agent.infer.package import find_package
from agent.records import WHOLE, Frame

CLIPS = Path(__file__).parents[2] / ".cache" / "clips"
FACE_CLIP, STREET_CLIP = "carphone_pristine.mp4", "bikes.mp4"


@cache
def model(task: str) -> Model:
    try:
        return open_model(find_package(task), threads=2)
    except ModelError as error:
        pytest.skip(f"no model: {error}")


def clip_frames(name: str) -> list[Frame]:
    path = CLIPS / name
    if not path.is_file():
        pytest.skip(f"{name} is not there; run: make setup")
    return list(ClipSource("clip", path, ManualClock(), realtime=False).frames())


def frame_of(rgb: np.ndarray) -> Frame:
    return Frame(
        camera_id="test",
        seq=1,
        t_mono_ns=0,
        t_utc_ms=0,
        clock_synced=True,
        picture=RgbPicture(np.ascontiguousarray(rgb, dtype=np.uint8)),
    )


def pixels(frame: Frame) -> np.ndarray:
    picture = frame.picture
    return picture.rgb(WHOLE, picture.width_px, picture.height_px)


def on_canvas(rgb: np.ndarray, *, width_px: int, at: tuple[int, int], size=(1280, 720)):
    """`rgb`, scaled to `width_px`, on a grey picture of `size` with its corner at `at`."""
    height_px = round(width_px * rgb.shape[0] / rgb.shape[1])
    canvas = np.full((size[1], size[0], 3), 110, np.uint8)
    x, y = at
    canvas[y : y + height_px, x : x + width_px] = cv2.resize(
        rgb, (width_px, height_px), interpolation=cv2.INTER_AREA
    )
    return canvas


class CountingModel:
    """A real model that counts how often it is asked."""

    def __init__(self, real: Model) -> None:
        self.package = real.package
        self.runs = 0
        self._real = real

    def run(self, tensor):
        self.runs += 1
        return self._real.run(tensor)
