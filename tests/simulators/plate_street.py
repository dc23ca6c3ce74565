"""A drawn street whose plates two fake models can see and read, through the real tracker.

A plate is red, its number is in its blue: the fake finder looks for red in what it is shown, the
fake reader tells the number from the straightened piece. So crops, views and corners are real.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from plate_fakes import (
    FINDER_CARD,
    READER_CARD,
    FakeModel,
    char_logits,
    country_logits,
    finder_outputs,
    rectangle,
)

from agent.capture.pictures import RgbPicture
from agent.plates.watch import BUDGET, PlateWatch
from agent.records import Box, Detection, Frame, PlateReading
from agent.track.tracker import Tracker

WIDTH, HEIGHT = 1280, 720
FPS = 10
NS = 1_000_000_000

Path = Callable[[float], tuple[float, float] | None]
"""Upper left corner of a thing at a time in seconds, px; None: it is not there."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A vehicle with its plate, or a plate alone (`size` 0)."""

    number: int  # what its plate says, a place in `Street.texts`; 0: it has none
    path: Path
    size: tuple[int, int] = (260, 200)
    plate: tuple[int, int, int, int] = (95, 150, 70, 18)  # x, y, width, height on the vehicle
    kind: str = "car"
    detected: Callable[[float], bool] = lambda t: True


def straight(start: tuple[float, float], speed: tuple[float, float], begin=0.0, end=1e9) -> Path:
    """From `start` at `begin`, px a second, until `end`."""

    def at(t: float) -> tuple[float, float] | None:
        if not begin <= t < end:
            return None
        return start[0] + speed[0] * (t - begin), start[1] + speed[1] * (t - begin)

    return at


def standing(place: tuple[float, float], begin=0.0, end=1e9) -> Path:
    return straight(place, (0, 0), begin, end)


@dataclass
class Street:
    """Plays things before a `PlateWatch`."""

    things: Sequence[Thing]
    texts: dict[int, tuple[str, str]]  # number -> text, country
    sure: float = 9.0  # of the reader's logits
    noise: float = 0.0
    budget: int = BUDGET
    readings: list[tuple[float, PlateReading]] = field(default_factory=list)
    costs: list[int] = field(default_factory=list)  # inferences of each frame

    def __post_init__(self) -> None:
        self._chance = np.random.default_rng(1)
        self.finder = FakeModel(FINDER_CARD, self._find)
        self.reader = FakeModel(READER_CARD, self._read)
        self.watch = PlateWatch(self.finder, self.reader, budget=self.budget)
        self.tracker = Tracker()

    def play(self, seconds: float, begin: float = 0.0) -> list[str | None]:
        """Texts read out by now, None for those that were not settled."""
        for number in range(round(begin * FPS), round((begin + seconds) * FPS)):
            t = number / FPS
            frame, detections = self.frame(t, number), self.detections(t)
            before = self.watch.inferences
            plates = self.watch.search(frame, detections, self.moving(t))
            tracks = self.tracker.update([*detections, *plates], frame.t_mono_ns)
            self.readings += [(t, each) for each in self.watch.update(frame, tracks)]
            self.costs.append(self.watch.inferences - before)
        return self.said

    def close(self) -> list[str | None]:
        self.readings += [(-1.0, each) for each in self.watch.close()]
        return self.said

    @property
    def said(self) -> list[str | None]:
        return [reading.best.text if reading.best else None for _, reading in self.readings]

    def frame(self, t: float, number: int) -> Frame:
        pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        pixels[::4] = 100
        for thing in self.things:
            place = thing.path(t)
            if place is None:
                continue
            x, y = map(round, place)
            if thing.size[0]:
                _fill(pixels, (x, y, *thing.size), (60, 66, 62))
                _fill(
                    pixels, (x + 20, y + 10, thing.size[0] - 40, thing.size[1] // 3), (20, 26, 30)
                )
            if thing.number:
                px, py, wide, high = thing.plate
                for stripe in range(0, wide, 5):  # something to be sharp or not
                    colour = (250 if stripe % 2 else 170, 0, 5 * thing.number)
                    box = (x + px + stripe, y + py, min(5, wide - stripe), high)
                    _fill(pixels, box, colour)
        return Frame(
            camera_id="gate",
            seq=number + 1,
            t_mono_ns=round(t * NS),
            t_utc_ms=round(t * 1000),
            clock_synced=True,
            picture=RgbPicture(pixels),
        )

    def detections(self, t: float) -> list[Detection]:
        """The vehicles, as a detector sees them: as much as lies inside the picture."""
        found = []
        for thing in self.things:
            place = thing.path(t)
            if place is None or not thing.size[0] or not thing.detected(t):
                continue
            jitter = self._chance.normal(0, 0.01, 4) * (*thing.size, *thing.size)
            corners = (*place, place[0] + thing.size[0], place[1] + thing.size[1])
            x0, y0, x1, y1 = jitter + corners
            box = Box(
                x0=max(x0 / WIDTH, 0),
                y0=max(y0 / HEIGHT, 0),
                x1=min(x1 / WIDTH, 1),
                y1=min(y1 / HEIGHT, 1),
            )
            if box.width > 0.03 and box.height > 0.03:
                found.append(Detection(kind=thing.kind, score=0.8, box=box))
        return found

    def moving(self, t: float) -> list[Box]:
        """Around what has moved since the last frame, as much as lies inside the picture."""
        boxes = []
        for thing in self.things:
            place, before = thing.path(t), thing.path(t - 1 / FPS)
            if not place or not before or place == before:
                continue
            dx, dy, wide, high = (0, 0, *thing.size) if thing.size[0] else thing.plate
            x, y = place[0] + dx, place[1] + dy
            box = Box(
                x0=max(x / WIDTH, 0),
                y0=max(y / HEIGHT, 0),
                x1=min((x + wide) / WIDTH, 1),
                y1=min((y + high) / HEIGHT, 1),
            )
            if box.width > 0.03 and box.height > 0.01:
                boxes.append(box)
        return boxes

    def _find(self, tensor: np.ndarray) -> Sequence[np.ndarray]:
        """Corners of everything red."""
        red = ((tensor[0, ..., 0] - tensor[0, ..., 1:].max(axis=2)) > 0.5).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(red)
        return finder_outputs(
            [rectangle(x, y, w, h) for x, y, w, h, area in stats[1:] if w >= 8 and area >= 24]
        )

    def _read(self, tensor: np.ndarray) -> Sequence[np.ndarray]:
        """The text whose number is in the middle's blue."""
        blue = (float(np.median(tensor[0, 15:25, 40:88, 2])) + 1) * 127.5
        text, country = self.texts.get(round(blue / 5), ("", "-"))
        noise = self._chance.normal(0, self.noise, (10, 37)) if self.noise else 0
        return (
            (char_logits(text, self.sure) + noise).astype(np.float32)[None],
            country_logits(country)[None],
        )


def _fill(pixels: np.ndarray, box: tuple[int, int, int, int], colour: tuple[int, int, int]) -> None:
    x, y, wide, high = box
    pixels[max(y, 0) : max(y + high, 0), max(x, 0) : max(x + wide, 0)] = colour
