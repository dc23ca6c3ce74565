"""Street scenes with drawn plates in them, and where each plate's corners are.

Backgrounds come from pictures whose licence allows training: traffic cameras (CC BY 4.0) and a
dashboard camera whose own plates are labelled (MIT). Without them the scenes are drawn whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from degrade import Quad, camera, paste, pose
from plates import Fonts, Plate, Rgb, any_plate, bait, generic, wear

WIDTH, HEIGHT = 256, 192
SETS = ("traffic_cams", "ro_dashcam_plates")

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Seen:
    """A plate in a scene; `exact` is False where only its upright box is known."""

    corners: Quad
    exact: bool


@dataclass(slots=True)
class Scene:
    image: Rgb
    plates: list[Seen] = field(default_factory=list)
    unsure: list[Quad] = field(default_factory=list)
    """Places that teach nothing: a plate may be there that nobody labelled."""


class Backgrounds:
    """Labelled pictures below `folder`/<set>, kept in memory (1 GB)."""

    def __init__(self, folder: Path | None) -> None:
        self._pictures: list[tuple[Rgb, list[tuple[str, list[float]]], str]] = []
        for name in SETS if folder else ():
            root = folder / name  # type: ignore[operator]
            for line in (root / "labels.jsonl").read_text().splitlines():
                row = json.loads(line)
                boxes = [(thing["cls"], thing["box"]) for thing in row["objects"]]
                picture = cv2.imread(str(root / row["file"]))
                self._pictures.append((cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), boxes, name))
        self._real = [i for i, (_, _, name) in enumerate(self._pictures) if name == SETS[1]]
        self._others = [i for i, (_, _, name) in enumerate(self._pictures) if name == SETS[0]]

    def window(self, rng: Random) -> Scene:
        """A piece of a picture at a random scale, with the real plates that are in it."""
        if not self._pictures:
            return Scene(_drawn_street(rng))
        real = bool(self._real) and rng.random() < 0.3
        index = rng.choice(self._real if real or not self._others else self._others)
        image, boxes, name = self._pictures[index]
        rows, cols = image.shape[:2]
        plates = [np.asarray(box, float) for cls, box in boxes if cls == "plate"]
        across = float(np.exp(rng.uniform(np.log(110), np.log(cols))))
        middle = np.array([rng.uniform(0, cols), rng.uniform(rows * 0.2, rows)])
        if real and plates and rng.random() < 0.8:
            box = plates[rng.integers(len(plates))]
            wide = box[2] - box[0]
            across = float(np.exp(rng.uniform(np.log(1.8 * wide), np.log(min(20 * wide, cols)))))
            middle = (box[:2] + box[2:]) / 2 + rng.uniform(-0.42, 0.42, 2) * across * (1, 0.75)
        near = [np.asarray(box, float) for cls, box in boxes if cls != "plate"]
        near = [box for box in near if box[2] - box[0] > 60]
        if not real and near and rng.random() < 0.6:  # one vehicle, as a crop of it would be
            box = near[rng.integers(len(near))]
            across = float(box[2] - box[0]) * rng.uniform(0.9, 2.5)
            middle = (box[:2] + box[2:]) / 2 + rng.uniform(-0.2, 0.2, 2) * across
        half = np.array([across, across * HEIGHT / WIDTH]) * 0.35  # little beyond its edges
        middle = np.clip(middle, np.minimum(half, (cols / 2, rows / 2)), (cols, rows) - half)
        scale = WIDTH / across
        move = np.array([WIDTH, HEIGHT]) / 2 - middle * scale
        matrix = np.array([[scale, 0, move[0]], [0, scale, move[1]]])
        if scale < 1:  # reduce first: warping alone would alias
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            matrix = np.array([[1, 0, move[0]], [0, 1, move[1]]])
        else:
            small = image
        part = cv2.warpAffine(
            small,
            matrix.astype(np.float32),
            (WIDTH, HEIGHT),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT if rng.random() < 0.5 else cv2.BORDER_REPLICATE,
        )
        scene = Scene(_balanced(rng, part))
        for box in plates:
            low, top = box[:2] * scale + move, box[2:] * scale + move
            quad = np.array([low, [top[0], low[1]], top, [low[0], top[1]]], np.float32)
            scene.plates.append(Seen(quad, False))
        for cls, raw in boxes if name == SETS[0] else ():
            box = np.asarray(raw, float)
            low, top = box[:2] * scale + move, box[2:] * scale + move
            if cls != "plate" and top[0] - low[0] > 50:  # its own plate may show
                low[1] += 0.3 * (top[1] - low[1])
                quad = np.array([low, [top[0], low[1]], top, [low[0], top[1]]], np.float32)
                scene.unsure.append(quad)
        return scene


def _balanced(rng: Random, image: Rgb) -> Rgb:
    """Grey on the average, and as bright as daylight, most of the time."""
    if rng.random() < 0.25:
        return image
    mean = image.reshape(-1, 3).mean(axis=0) + 4
    grey = mean.mean()
    gain = np.maximum(grey, rng.uniform(50, 140)) / mean * rng.normal(1, 0.04, 3)
    return cv2.convertScaleAbs(image * np.clip(gain, 0.3, 4).astype(np.float32))


def scene(rng: Random, fonts: Fonts, grounds: Backgrounds) -> Scene:
    """One training picture, WIDTH x HEIGHT."""
    made = grounds.window(rng)
    count = rng.choice([0, 1, 2, 3], p=[0.15, 0.5, 0.25, 0.1])
    taken = [seen.corners for seen in made.plates]
    placed, cars = [], []
    for _ in range(count):
        wide = float(np.exp(rng.uniform(np.log(15), np.log(200))))
        home = rng.integers(len(made.unsure)) if made.unsure and rng.random() < 0.6 else None
        if home is not None:  # on a real vehicle, as wide as a plate on it would be
            car = made.unsure[home]
            wide = max(13.0, float(np.ptp(car[:, 0])) * rng.uniform(0.18, 0.34))
            at = np.clip(rng.normal((0.5, 0.6), (0.12, 0.17)), 0.1, 0.9)
            middle = car[0] + at * np.ptp(car, axis=0)
        else:
            middle = rng.uniform(0, 1, 2) * np.array([WIDTH, HEIGHT])
        plate = any_plate(rng, fonts) if rng.random() < 0.85 else any_plate(rng, fonts, generic)
        if plate.country == "-":
            continue
        quad = _place(rng, plate, wide, middle)
        if any(_near(quad, other) for other in taken):
            continue
        if home is None and rng.random() < 0.7:
            cars.append(draw_car(rng, made.image, quad, fonts))
        elif home is not None:  # where its own plate would be is this one; around it, who knows
            made.unsure[home] = quad.mean(axis=0) + 2.5 * (quad - quad.mean(axis=0))
        placed.append((plate, quad))
        taken.append(quad)
    _hide(made, cars)
    for plate, quad in placed:  # after all cars: one car would hide another one's plate
        paste(rng, made.image, plate.image, quad)
        made.plates.append(Seen(quad, True))
    # Few: so small, nobody tells words on a board from a plate. The reader does.
    for _ in range(int(rng.choice([0, 1, 2], p=[0.7, 0.2, 0.1]))):
        lure = bait(rng, fonts)
        wear(rng, lure.image)
        wide = float(np.exp(rng.uniform(np.log(18), np.log(170))))
        quad = _place(rng, lure, wide, rng.uniform(0, 1, 2) * np.array([WIDTH, HEIGHT]))
        if not any(_near(quad, other) for other in taken):
            paste(rng, made.image, lure.image, quad)
            taken.append(quad)
    made.image = camera(rng, made.image, night=0.12, dim=0.65)
    return made


def _place(rng: Random, plate: Plate, wide: float, middle: np.ndarray) -> Quad:
    if plate.lines == 2 and plate.image.shape[1] < 2.2 * plate.image.shape[0]:
        wide *= 0.62
    return (pose(rng, plate.image, wide) + middle).astype(np.float32)


def _near(a: Quad, b: Quad) -> bool:
    """Upright boxes that touch, with some air."""
    low = np.maximum(a.min(axis=0), b.min(axis=0)) - 4
    top = np.minimum(a.max(axis=0), b.max(axis=0)) + 4
    return bool((top > low).all())


def _hide(made: Scene, cars: list[Quad]) -> None:
    """Real plates behind drawn cars are gone; what is left of them teaches nothing."""
    hidden = [any(_near(seen.corners, car) for car in cars) for seen in made.plates]
    made.unsure += [s.corners for s, gone in zip(made.plates, hidden, strict=True) if gone]
    made.plates = [s for s, gone in zip(made.plates, hidden, strict=True) if not gone]


def draw_car(rng: Random, image: Rgb, plate: Quad, fonts: Fonts | None = None) -> Quad:
    """Something like the front or the rear of a car around a plate, in place; where it is.

    With `fonts` some have names on them.
    """
    wide = float(np.ptp(plate[:, 0]))
    x, y = plate.mean(axis=0)
    body = rng.integers(15, 240) + rng.integers(-12, 13, 3)
    colour = tuple(int(v) for v in np.clip(body, 0, 255))
    half, up, down = wide * rng.uniform(1.3, 2.2), wide * rng.uniform(0.6, 1.6), wide * 0.7
    _bar(image, x - half, y - up, x + half, y + down, colour)
    glass = tuple(int(v) for v in rng.integers(10, 90, 1).repeat(3))
    _bar(image, x - half * 0.8, y - up * 1.6, x + half * 0.8, y - up * 0.8, glass)
    dark = tuple(int(v) for v in rng.integers(5, 80, 1).repeat(3))
    kind = rng.random()
    if kind < 0.5:  # bumper
        _bar(image, x - half, y - wide * rng.uniform(0.1, 0.4), x + half, y + down, dark)
    if kind > 0.3:  # lamps
        lamp = (210, 60, 50) if rng.random() < 0.5 else (240, 240, 225)
        for side in (-1, 1):
            a = x + side * half * 0.95
            b = x + side * half * rng.uniform(0.55, 0.75)
            _bar(image, min(a, b), y - up * 0.6, max(a, b), y - up * 0.25, lamp)
    if rng.random() < 0.4:  # grille
        for step in np.arange(y - up * 0.7, y - wide * 0.15, max(2.0, wide * 0.06)):
            _bar(image, x - half * 0.45, step, x + half * 0.45, step + max(1, wide * 0.03), dark)
    if rng.random() < 0.35:  # a bright moulding, or the slot of an air intake
        level = y + wide * float(rng.choice([-0.35, 0.35, 0.5]))
        bright = tuple(int(v) for v in rng.integers(120, 256, 1).repeat(3))
        reach = half * rng.uniform(0.3, 0.9)
        _bar(image, x - reach, level, x + reach, level + wide * rng.uniform(0.03, 0.09), bright)
    if rng.random() < 0.3:  # a recess, or a holder's rim
        rim = wide * rng.uniform(0.03, 0.12)
        low, top = plate.min(axis=0) - rim, plate.max(axis=0) + rim
        _bar(image, *low, *top, tuple(int(v) for v in rng.integers(0, 200, 1).repeat(3)))
    if rng.random() < 0.5:  # an emblem
        at = (round(x + wide * rng.normal(0, 0.05)), round(y - wide * rng.uniform(0.3, 0.6)))
        axes = (round(wide * rng.uniform(0.07, 0.2)) + 1, round(wide * rng.uniform(0.06, 0.11)) + 1)
        shade = tuple(int(v) for v in rng.integers(90, 256, 1).repeat(3))
        cv2.ellipse(image, at, axes, 0, 0, 360, shade, int(rng.choice([-1, 1, 2])), cv2.LINE_AA)
    if fonts is not None:
        _badges(rng, fonts, image, (x, y), half, wide)
    _shine(rng, image, x - half, y - up, x + half, y + down)
    low, top = (x - half, y - up * 1.6), (x + half, y + down)
    return np.array([low, (top[0], low[1]), top, (low[0], top[1])], np.float32)


def _badges(
    rng: Random, fonts: Fonts, image: Rgb, at: tuple[float, float], half: float, wide: float
) -> None:
    """The names of maker and model, above the plate at both sides."""
    for side in (-1, 1):
        if rng.random() > 0.25:
            continue
        word = "".join(rng.choice(list("ACDEHILMNORSTVX0235"), size=int(rng.integers(2, 8))))
        ink = fonts.word(rng, word, 40)
        across, down = round(wide * rng.uniform(0.15, 0.45)), round(wide * rng.uniform(0.05, 0.09))
        left = round(at[0] + side * half * 0.6 - across / 2)
        upper = round(at[1] - wide * rng.uniform(0.15, 0.5))
        inside = min(left, upper) >= 0 and left + across <= WIDTH and upper + down <= HEIGHT
        if inside and down >= 3:
            alpha = cv2.resize(ink, (across, down), interpolation=cv2.INTER_AREA)[..., None]
            spot = image[upper : upper + down, left : left + across]
            spot[:] = (spot * (1 - alpha) + rng.integers(140, 256) * alpha).astype(np.uint8)


def _shine(rng: Random, image: Rgb, x0: float, y0: float, x1: float, y1: float) -> None:
    """Bodies are round: light and shade run over them."""
    coarse = rng.uniform(0.7, 1.3, (int(rng.integers(2, 5)), int(rng.integers(2, 4))))
    rows, columns = image.shape[:2]
    left, right = (round(min(max(v, 0), columns)) for v in (x0, x1))
    upper, lower = (round(min(max(v, 0), rows)) for v in (y0, y1))
    if right - left < 4 or lower - upper < 4:
        return
    part = image[upper:lower, left:right]
    size = (right - left, lower - upper)
    light = cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    part[:] = np.clip(part * light[..., None], 0, 255).astype(np.uint8)


def _bar(image: Rgb, x0: float, y0: float, x1: float, y1: float, colour: tuple[int, ...]) -> None:
    cv2.rectangle(image, (round(x0), round(y0)), (round(x1), round(y1)), colour, -1)


def _drawn_street(rng: Random) -> Rgb:
    coarse = rng.integers(0, 256, (int(rng.integers(2, 9)), int(rng.integers(2, 9)), 3))
    street = cv2.resize(coarse.astype(np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(4, 30))):
        a, b = rng.integers(0, WIDTH, 2), rng.integers(0, WIDTH, 2)
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        thick = int(rng.integers(1, 24))
        cv2.line(street, tuple(map(int, a)), tuple(map(int, b)), colour, thick, cv2.LINE_AA)
    return street
