"""Letters of number plates: strokes drawn after photographs of Uzbek plates, and free fonts.

A drawn letter is a few polylines in a box 1 wide and 1 high (y down) whose corners are rounded;
weight, width, roundness and the shapes that vary from plate to plate are drawn at random for each
plate, so a reader never sees the same alphabet twice. W and M stand upright and narrow, J has a
bar to the left, as on the plates: fonts draw them otherwise, and a reader trained on fonts alone
takes W for N and M for H.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
HEIGHT_PX = 96
_SHIFT = 4  # cv2 draws in 1/16 px

Points = list[tuple[float, ...]]  # x, y and, where its corner is not as round, in what part
Alpha = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Style:
    """What differs between the alphabets of two plates; lengths in parts of a letter's height."""

    weight: float = 0.135  # of a stroke
    width: float = 0.5  # of a letter, between the middles of its outer strokes
    round: float = 0.35  # radius of a corner, in parts of the width
    slope: float = 0.10  # by how much the sides of W and M lean
    vertex: float = 0.60  # how deep the middle of M reaches; of W, from below
    top: float = 0.12  # how flat the A is on top
    slanted: bool = True  # the stroke of 6 and 9 leans
    open4: bool = True  # the 4 has no closed triangle
    slashed: bool = False  # the 0 is cut at its upper right, as in the FE type
    serif: bool = True  # J and 1 have a bar to the left
    waist: float = 1.0  # weight of the bar inside an 8 or a B, in parts of a stroke


def draw_style(rng: np.random.Generator) -> Style:
    """A style near the Uzbek one, now and then far from it."""
    far = rng.random() < 0.25
    spread = 2.0 if far else 1.0
    return Style(
        weight=float(np.clip(rng.normal(0.135, 0.016 * spread), 0.085, 0.2)),
        width=float(np.clip(rng.normal(0.48, 0.035 * spread), 0.36, 0.62)),
        round=float(rng.uniform(0.15, 0.5)),
        slope=float(rng.uniform(0.0, 0.16 if not far else 0.26)),
        vertex=float(rng.uniform(0.45, 0.8) if not far else rng.uniform(0.35, 1.0)),
        top=float(rng.uniform(0.0, 0.3)),
        slanted=bool(rng.random() < 0.6),
        open4=bool(rng.random() < 0.6),
        slashed=bool(rng.random() < (0.3 if far else 0.05)),
        serif=bool(rng.random() < 0.7),
        waist=float(rng.uniform(0.55, 1.05)),
    )


class Drawn(dict[str, Alpha]):
    """Each letter as coverage 0..255, HEIGHT_PX high, cut to its own width.

    Drawn when first asked for: a plate needs a few of them.
    """

    def __init__(self, style: Style) -> None:
        self._style = style

    def __missing__(self, letter: str) -> Alpha:
        self[letter] = alpha = _draw(letter, self._style)
        return alpha


def font_alphabet(path: Path, squeeze: float = 1.0) -> Mapping[str, Alpha]:
    """The letters as in `Drawn`, from a font file; `squeeze` scales the widths."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(str(path), 2 * HEIGHT_PX)
    _, top, _, bottom = font.getbbox("H")
    letters = {}
    for letter in ALPHABET:
        left, _, right, _ = font.getbbox(letter)
        image = Image.new("L", (right - left + 8, 4 * HEIGHT_PX), 0)
        ImageDraw.Draw(image).text((4 - left, 0), letter, fill=255, font=font)
        full = np.asarray(image)[top - 3 : bottom + 3]
        columns = np.flatnonzero(full.max(axis=0))
        full = full[:, columns[0] : columns[-1] + 1]
        width = max(4, round(full.shape[1] * HEIGHT_PX / full.shape[0] * squeeze))
        letters[letter] = cv2.resize(full, (width, HEIGHT_PX), interpolation=cv2.INTER_AREA)
    return letters


def text_alpha(text: str, path: Path, height_px: int) -> Alpha:
    """A whole word in a font, joined as its script joins: for Perso-Arabic and for adverts."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(str(path), height_px)
    box = font.getbbox(text)
    image = Image.new("L", (max(1, box[2] - box[0]) + 4, max(1, box[3] - box[1]) + 4), 0)
    ImageDraw.Draw(image).text((2 - box[0], 2 - box[1]), text, fill=255, font=font)
    return np.asarray(image)


def _draw(letter: str, style: Style) -> Alpha:
    strokes, wide = _strokes(letter, style)
    weight = style.weight
    across = style.width * wide
    width_px = max(6, round((across + weight) * HEIGHT_PX))
    canvas = np.zeros((HEIGHT_PX, width_px), np.uint8)
    edge = weight / 2
    for points, closed in strokes:
        rounded = _rounded(points, closed, style.round, style.width)
        pixels = [
            ((edge + x * across) * HEIGHT_PX - 0.5, (edge + y * (1 - weight)) * HEIGHT_PX - 0.5)
            for x, y in rounded
        ]
        fixed = np.round(np.array(pixels) * (1 << _SHIFT)).astype(np.int32)
        bar = letter in "8B" and len(points) == 2
        thickness = max(2, round(weight * (style.waist if bar else 1.0) * HEIGHT_PX))
        cv2.polylines(canvas, [fixed], closed, 255, thickness, cv2.LINE_AA, _SHIFT)
    return canvas


def _rounded(points: Points, closed: bool, radius: float, width: float) -> Points:
    """The polyline with its corners turned into curves (quadratic Bezier through the corner)."""
    corners = np.array([point[:2] for point in points], float)
    count = len(corners)
    scale = np.array([width, 1.0])  # radii are the same along both axes
    out: Points = []
    for index in range(count):
        here = corners[index]
        if not closed and index in (0, count - 1):
            out.append((float(here[0]), float(here[1])))
            continue
        before, after = corners[index - 1], corners[(index + 1) % count]
        a, b = (before - here) * scale, (after - here) * scale
        la, lb = float(np.hypot(*a)), float(np.hypot(*b))
        reach = radius * width * (points[index][2] if len(points[index]) > 2 else 1.0)
        cos = float(a @ b) / max(la * lb, 1e-9)
        if cos > 0.3:  # a sharp corner (A, M, V, W, 7) stays sharp
            out.append((float(here[0]), float(here[1])))
            continue
        cut_a, cut_b = min(reach, la / 2) / max(la, 1e-9), min(reach, lb / 2) / max(lb, 1e-9)
        start, end = here + (before - here) * cut_a, here + (after - here) * cut_b
        for t in np.linspace(0, 1, 6):
            p = (1 - t) ** 2 * start + 2 * t * (1 - t) * here + t**2 * end
            out.append((float(p[0]), float(p[1])))
    return out


def _strokes(letter: str, s: Style) -> tuple[Sequence[tuple[Points, bool]], float]:
    """(polylines, closed or not) of a letter and its width in parts of the usual one."""
    box: Points = [(0, 0), (1, 0), (1, 1), (0, 1)]
    v, m = s.slope, s.vertex
    left: tuple[Points, bool] = ([(0, 0), (0, 1)], False)
    six: list[tuple[Points, bool]] = (
        [([(0.8, 0), (0.25, 0.34), (0, 0.55), (0, 1), (1, 1), (1, 0.42), (0.12, 0.42)], False)]
        if s.slanted
        else [([(0.95, 0.16), (0.95, 0), (0, 0), (0, 1), (1, 1), (1, 0.43), (0, 0.43)], False)]
    )
    eight: Points = [(0.05, 0), (0.95, 0), (0.95, 0.4), (0.88, 0.46), (1, 0.52)]
    eight += [(1, 1), (0, 1), (0, 0.52), (0.12, 0.46), (0.05, 0.4)]
    b: Points = [(0, 0, 0.1), (0.95, 0), (0.95, 0.4), (0.87, 0.47), (1, 0.54), (1, 1), (0, 1, 0.1)]
    if letter in "0O":
        shape: list[tuple[Points, bool]] = [(box, True)]
        if letter == "0" and s.slashed:
            shape.append(([(0.75, 0.22), (1, 0.1)], False))
        return shape, 1.0
    if letter == "9":
        return [([(1 - x, 1 - y) for x, y, *_ in p], c) for p, c in six], 1.0
    table: dict[str, tuple[list[tuple[Points, bool]], float]] = {
        "1": ([([(0, 0.24), (0.85, 0), (0.85, 1)], False)], 0.55 if s.serif else 0.4),
        "2": ([([(0, 0.24), (0, 0), (1, 0), (1, 0.4), (0, 1), (1, 1)], False)], 1.0),
        "3": (
            [
                ([(0, 0.2), (0, 0), (1, 0), (1, 0.46), (0.35, 0.46)], False),
                ([(0.35, 0.46), (1, 0.46), (1, 1), (0, 1), (0, 0.8)], False),
            ],
            1.0,
        ),
        "4": (
            [
                ([(0.6, 0), (0, 0.72), (1, 0.72)], False),
                ([(0.74, 0.42 if s.open4 else 0.0), (0.74, 1)], False),
            ],
            1.05,
        ),
        "5": (
            [
                (
                    [
                        (0.95, 0),
                        (0.08, 0, 0.1),
                        (0.03, 0.43, 0.2),
                        (1, 0.4),
                        (1, 1),
                        (0, 1),
                        (0, 0.8),
                    ],
                    False,
                )
            ],
            1.0,
        ),
        "6": (six, 1.0),
        "7": ([([(0, 0), (1, 0), (0.38, 1)], False)], 0.95),
        "8": ([(eight, True), ([(0.12, 0.46), (0.88, 0.46)], False)], 1.0),
        "A": (
            [
                ([(0, 1), (0.5 - s.top / 2, 0), (0.5 + s.top / 2, 0), (1, 1)], False),
                ([(0.16, 0.7), (0.84, 0.7)], False),
            ],
            1.1,
        ),
        "B": ([(b, True), ([(0, 0.47), (0.87, 0.47)], False)], 1.0),
        "C": ([([(1, 0.25), (1, 0), (0, 0), (0, 1), (1, 1), (1, 0.75)], False)], 1.0),
        "D": ([([(0, 0, 0.1), (1, 0), (1, 1), (0, 1, 0.1)], True)], 1.0),
        "E": (
            [
                ([(1, 0), (0, 0, 0.15), (0, 1, 0.15), (1, 1)], False),
                ([(0, 0.48), (0.85, 0.48)], False),
            ],
            0.92,
        ),
        "F": ([([(1, 0), (0, 0, 0.15), (0, 1)], False), ([(0, 0.48), (0.85, 0.48)], False)], 0.9),
        "G": (
            [
                (
                    [(1, 0.25), (1, 0), (0, 0), (0, 1), (1, 1), (1, 0.54), (0.55, 0.54)],
                    False,
                )
            ],
            1.0,
        ),
        "H": ([left, ([(1, 0), (1, 1)], False), ([(0, 0.48), (1, 0.48)], False)], 1.0),
        "I": ([left], 0.05),
        "J": (
            [([(0.25 if s.serif else 1, 0), (1, 0), (1, 1), (0, 1), (0, 0.74)], False)],
            0.95,
        ),
        "K": ([left, ([(0.95, 0), (0.05, 0.56)], False), ([(0.32, 0.42), (1, 1)], False)], 1.0),
        "L": ([([(0, 0), (0, 1, 0.15), (1, 1)], False)], 0.9),
        "M": (
            [([(0, 1), (v / 2, 0), (0.5, m), (1 - v / 2, 0), (1, 1)], False)],
            1.12,
        ),
        "N": ([([(0, 1), (0, 0), (1, 1), (1, 0)], False)], 1.0),
        "P": ([left, ([(0, 0), (1, 0), (1, 0.52), (0, 0.52)], False)], 0.98),
        "Q": ([(box, True), ([(0.55, 0.66), (1.02, 1.0)], False)], 1.02),
        "R": (
            [
                left,
                ([(0, 0), (1, 0), (1, 0.5), (0, 0.5)], False),
                ([(0.42, 0.5), (1, 1)], False),
            ],
            1.0,
        ),
        "S": (
            [
                (
                    [
                        (1, 0.22),
                        (1, 0),
                        (0, 0),
                        (0, 0.42),
                        (1, 0.56),
                        (1, 1),
                        (0, 1),
                        (0, 0.78),
                    ],
                    False,
                )
            ],
            1.0,
        ),
        "T": ([([(0, 0), (1, 0)], False), ([(0.5, 0), (0.5, 1)], False)], 1.05),
        "U": ([([(0, 0), (0, 1), (1, 1), (1, 0)], False)], 1.0),
        "V": ([([(0, 0), (0.5, 1), (1, 0)], False)], 1.1),
        "W": (
            [([(0, 0), (v, 1), (0.5, 1 - m), (1 - v, 1), (1, 0)], False)],
            1.15,
        ),
        "X": ([([(0, 0), (1, 1)], False), ([(1, 0), (0, 1)], False)], 1.05),
        "Y": ([([(0, 0), (0.5, 0.52), (1, 0)], False), ([(0.5, 0.52), (0.5, 1)], False)], 1.1),
        "Z": ([([(0, 0), (1, 0), (0, 1), (1, 1)], False)], 1.0),
    }
    return table[letter]
