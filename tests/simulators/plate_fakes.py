"""Models of plates that are none: the cards as they will be, and outputs that a test decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from agent.infer.package import ModelPackage, read_card
from agent.plates.kbest import BLANK, SLOTS, SYMBOLS

STRIDE = 8
COUNTRIES = ("UZ", "KZ", "KG", "TJ", "TM", "AF", "RU", "?", "-")

FINDER_CARD = """
task = "plate"
title = "Plate finder"
file = "finder.tflite"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
licence = "Apache-2.0"
decoder = "centre"
training = "models/recipes/train_finder.py"
labels = ["plate"]
threshold = 0.4
smallest_px = 30
[kinds]
plate = "plate"
[input]
width_px = 320
height_px = 256
range = [-1.0, 1.0]
lost_px = 10
sure_px = 24
[[outputs]]
name = "heat"
shape = [1, 32, 40, 1]
[[outputs]]
name = "size"
shape = [1, 32, 40, 4]
[[outputs]]
name = "shape"
shape = [1, 32, 40, 8]
[source]
version = "1"
[golden]
tolerance = 0.02
[figures]
"""

READER_CARD = """
task = "plate-text"
title = "Plate reader"
file = "reader.tflite"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
licence = "Apache-2.0"
decoder = "slots"
training = "models/recipes/train_reader.py"
labels = ["UZ", "KZ", "KG", "TJ", "TM", "AF", "RU", "?", "-"]  # of the output country
threshold = 0.5
smallest_px = 40
[kinds]
[input]
width_px = 128
height_px = 40
range = [-1.0, 1.0]
lost_px = 30
sure_px = 70
[[outputs]]
name = "text"
shape = [1, 10, 37]
[[outputs]]
name = "country"
shape = [1, 9]
[calibration]
text_temperature = 1.25
country_temperature = 1.5
sure = 0.97
min_width_px = 55
[source]
version = "1"
[golden]
tolerance = 0.02
[figures]
"""


@cache
def package(card: str) -> ModelPackage:
    with TemporaryDirectory() as folder:
        Path(folder, "model.toml").write_text(card, "utf-8")
        return read_card(Path(folder))


class FakeModel:
    """Answers what `answer` makes of the input tensor."""

    def __init__(self, card: str, answer: Callable[[np.ndarray], Sequence[np.ndarray]]) -> None:
        self.package = package(card)
        self.inputs: list[np.ndarray] = []
        self._answer = answer

    def run(self, tensor: np.ndarray) -> tuple[np.ndarray, ...]:
        self.inputs.append(tensor.copy())
        return tuple(self._answer(tensor))


def finder_outputs(quads: Sequence[np.ndarray], logits: Sequence[float] = ()):
    """What a perfect finder says of plates with these corners (4, 2), px of its input."""
    rows, columns = 256 // STRIDE, 320 // STRIDE
    heat = np.full((1, rows, columns, 1), -8.0, np.float32)
    size = np.zeros((1, rows, columns, 4), np.float32)
    shape = np.zeros((1, rows, columns, 8), np.float32)
    for n, quad in enumerate(quads):
        low, high = quad.min(axis=0), quad.max(axis=0)
        middle, sides = (low + high) / 2, high - low
        column, row = np.clip(middle // STRIDE, 0, (columns - 1, rows - 1)).astype(int)
        heat[0, row, column] = logits[n] if logits else 4.0
        size[0, row, column] = (
            *(middle / STRIDE - 0.5 - (column, row)),
            *np.log(sides / 16),
        )
        box = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
        shape[0, row, column] = ((quad - box) / sides).reshape(8)
    return heat, size, shape


def char_logits(text: str, sure: float = 12.0) -> np.ndarray:
    """(10, 37): `text` and then blanks, each `sure` above everything else."""
    logits = np.zeros((SLOTS, len(SYMBOLS)), np.float32)
    for slot in range(SLOTS):
        symbol = SYMBOLS.index(text[slot]) if slot < len(text) else BLANK
        logits[slot, symbol] = sure
    return logits


def country_logits(country: str, sure: float = 8.0) -> np.ndarray:
    logits = np.zeros(len(COUNTRIES), np.float32)
    logits[COUNTRIES.index(country)] = sure
    return logits


def rectangle(x: float, y: float, width: float, height: float) -> np.ndarray:
    """Corners of an upright plate, clockwise from the upper left."""
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], float)
