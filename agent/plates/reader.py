"""What one view of a plate says: log probabilities of its characters and of its country."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.errors import ModelError
from agent.infer.model import Model
from agent.infer.package import Calibration
from agent.plates.kbest import SLOTS, SYMBOLS
from agent.plates.straighten import Corners, one_line_px, sharpness, straighten
from agent.records import Image, Picture

NO_PLATE = "-"
"""The country of what is no plate: adverts, clocks, grilles."""

_NONE = 0.9  # no finder is as sure that it is one

GLANCES = ((0.0, 0.0), (0.012, 0.05), (-0.012, -0.05), (0.012, -0.05), (-0.012, 0.05))
"""Shifts of the corners, in parts of the plate's width and height, by as much as they are found
wrongly: what one glance takes for a 0, the next takes for an 8. Of 1,000 drawn plates from 55 px
one glance of reader 0.2 read 0.81, three 0.84, five 0.855. For pictures that stand alone: over a
track every picture is another glance, and more of them read no plate more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """One reading of one picture, calibrated; all logarithms are natural."""

    char_logp: NDArray[np.float32] = field(repr=False)  # (SLOTS, 37); a plate's text, never logged
    country_logp: Mapping[str, float]  # if it is a plate
    not_plate: float  # probability, 0..1
    sharpness: float
    width_px: float  # of the plate were it on one line, in the full-resolution picture

    def agrees(self, score: float) -> bool:
        """Whether what was found with that score is a plate.

        Finder and reader know little of each other's errors, so their odds multiply: it is one
        where the finder is surer that it is than the reader that it is not.
        """
        return self.not_plate < score

    @property
    def quality(self) -> float:
        """What makes one view of a plate better than another of the same: sharp pixels across."""
        return self.sharpness * self.width_px


class PlateReader:
    """Reads for one camera; not thread-safe, the model behind it is."""

    def __init__(self, model: Model) -> None:
        """ModelError where the model is none of this kind."""
        package = model.package
        shapes = [(output.name, output.shape) for output in package.outputs]
        countries = package.labels
        if shapes != [("text", (1, SLOTS, len(SYMBOLS))), ("country", (1, len(countries)))]:
            raise ModelError(
                f"{package.directory}: a reader of plates has the outputs text (1, {SLOTS}, "
                f"{len(SYMBOLS)}) and country (1, labels), this model has {shapes}"
            )
        if NO_PLATE not in countries or package.calibration is None:
            raise ModelError(
                f"{package.directory}: a reader of plates needs {NO_PLATE!r} among its labels and "
                "the table calibration"
            )
        self.inferences = 0
        """How often the model was asked so far."""
        self.calibration: Calibration = package.calibration
        self._model = model
        self._countries = countries
        self._no_plate = countries.index(NO_PLATE)
        self._size_px = (package.width_px, package.height_px)
        self._levels = package.levels
        self._tensor = np.empty((1, package.height_px, package.width_px, 3), dtype=np.float32)

    @property
    def smallest_px(self) -> int:
        """Width of the narrowest plate that is ever read, in the full-resolution picture."""
        return self._model.package.smallest_px

    def read(self, picture: Picture, corners: Corners, *, glances: int = 1) -> View:
        """The plate inside `corners`; at most `glances` inferences, one if it is surely none.

        Glances err alike: they count as one view, their mean log probabilities.
        """
        flat, text, country = self._glance(picture, corners)
        shifts = GLANCES[1:glances] if country[self._no_plate] < np.log(_NONE) else ()
        for x, y in shifts:
            _, chars, countries = self._glance(picture, _shifted(corners, x, y))
            text, country = text + chars, country + countries
        count = np.float32(1 + len(shifts))
        char_logp, of_country = _log_softmax(text / count), _log_softmax(country / count)
        logp = dict(zip(self._countries, of_country.astype(float).tolist(), strict=True))
        not_plate = float(np.exp(logp.pop(NO_PLATE)))
        plate_logp = float(np.logaddexp.reduce(list(logp.values())))
        return View(
            char_logp=char_logp,
            country_logp={code: value - plate_logp for code, value in logp.items()},
            not_plate=not_plate,
            sharpness=sharpness(np.asarray(cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY), np.uint8)),
            width_px=one_line_px(corners, picture),
        )

    def _glance(
        self, picture: Picture, corners: Corners
    ) -> tuple[Image, NDArray[np.float32], NDArray[np.float32]]:
        """The straightened plate, log probabilities of its characters and of its country."""
        flat = straighten(picture, corners, self._size_px)
        cv2.LUT(flat, self._levels, dst=self._tensor[0])
        self.inferences += 1
        text, country = self._model.run(self._tensor)
        card = self.calibration
        return (
            flat,
            _log_softmax(text[0] / np.float32(card.text_temperature)),
            _log_softmax(country[0] / np.float32(card.country_temperature)),
        )


def _shifted(corners: Corners, x: float, y: float) -> Corners:
    """`corners` moved by these parts of the plate's own width and height."""
    upper_left, upper_right, lower_right, lower_left = corners
    across = (upper_right - upper_left + lower_right - lower_left) / 2
    down = (lower_left - upper_left + lower_right - upper_right) / 2
    moved: Corners = corners + x * across + y * down
    return moved


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logp: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logp
