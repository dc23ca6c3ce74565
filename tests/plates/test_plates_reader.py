"""Straightening is what the reader was trained with; a view is calibrated and keeps its text."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plate_fakes import READER_CARD, FakeModel, char_logits, country_logits, rectangle

from agent.capture.pictures import RgbPicture, YuvPicture
from agent.errors import ModelError
from agent.plates.kbest import SYMBOLS
from agent.plates.reader import PlateReader
from agent.plates.straighten import MARGIN, one_line_px, plate_width_px, sharpness, straighten

RECIPES = Path(__file__).parents[2] / "models" / "recipes"
READER_PX = (128, 40)


@pytest.fixture(scope="module")
def recipe():
    """The recipe's own straightening, with which the reader was trained."""
    sys.path.insert(0, str(RECIPES))
    try:
        return import_module("degrade").straightened
    finally:
        sys.path.remove(str(RECIPES))


def scene(width: int, height: int) -> np.ndarray:
    """Blobs of some pixels' size: what a lens makes of a street."""
    noise = np.random.default_rng(width).normal(110, 260, (height, width, 3))
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 1.3), 0, 255).astype(np.uint8)


QUADS = {
    "upright": rectangle(200, 150, 90, 20),
    "tilted": np.array([[200.3, 150.2], [281.7, 171.9], [279.1, 195.0], [198.8, 172.4]]),
    "seen-from-the-side": np.array([[200, 150], [250, 138], [250, 168], [200, 170.5]]),
    "small": rectangle(301.4, 77.7, 35, 9),
    "as-wide-as-trained": rectangle(40, 40, 240, 60),
    "over-the-upper-left": rectangle(-8, -3, 70, 16),
    "over-the-lower-right": rectangle(590, 470, 70, 16),
}


@pytest.mark.parametrize("name", QUADS)
def test_straighten_is_the_mathematics_of_the_recipe(recipe, name):
    image, quad = scene(641, 481), QUADS[name]
    theirs = recipe(image, quad, READER_PX, MARGIN)
    ours = straighten(RgbPicture(image), quad / (641, 481), READER_PX)
    difference = np.abs(theirs.astype(int) - ours.astype(int))
    assert ours.shape == (40, 128, 3)
    # OpenCV places pixels to 1/32: a rounding the other way is that share of a slope.
    assert difference.mean() < 0.05
    assert difference.max() < 8


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.floats(20, 560), st.floats(20, 420)),
    st.floats(26, 200),
    st.floats(-0.36, 0.36),
    st.floats(0.6, 1.6),
)
def test_straighten_any_plate_is_the_mathematics_of_the_recipe(recipe, at, width, roll, high):
    image = scene(641, 481)
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    quad = rectangle(0, 0, width, 0.22 * width * high) @ turn + np.array(at)
    theirs = recipe(image, quad, READER_PX, MARGIN).astype(int)
    ours = straighten(RgbPicture(image), quad / (641, 481), READER_PX).astype(int)
    assert np.abs(theirs - ours).mean() < 0.05


def test_straighten_puts_the_corners_at_the_margin():
    image = np.zeros((200, 400, 3), np.uint8)
    image[80:120, 100:260] = 255
    flat = straighten(RgbPicture(image), rectangle(100, 80, 160, 40) / (400, 200), READER_PX)
    lit = np.argwhere(flat[..., 0] > 127)
    low, high = lit.min(axis=0), lit.max(axis=0) + 1
    assert np.allclose(low, (40 * MARGIN, 128 * MARGIN), atol=1)
    assert np.allclose(high, (40 * (1 - MARGIN), 128 * (1 - MARGIN)), atol=1)


def test_straighten_wider_than_trained_is_reduced_first():
    """Stripes a pixel wide, eight to a pixel of the reader, are grey and no moire."""
    image = np.zeros((600, 1100, 3), np.uint8)
    image[:, ::2] = 255
    flat = straighten(RgbPicture(image), rectangle(20, 100, 1024, 250) / (1100, 600), READER_PX)
    assert flat.std() < 12


def test_straighten_outside_the_picture_is_no_error():
    image = scene(641, 481)
    for x, y in ((-300, 10), (700, 10), (10, -200), (10, 900), (-900, -900)):
        flat = straighten(RgbPicture(image), rectangle(x, y, 80, 20) / (641, 481), READER_PX)
        assert flat.shape == (40, 128, 3)


def test_straighten_of_planes_is_as_of_rgb():
    grey = cv2.cvtColor(scene(640, 480), cv2.COLOR_RGB2GRAY)
    flat_colour = np.full((240, 320), 128, np.uint8)
    planes = YuvPicture(grey, [flat_colour, flat_colour], full_range=True)
    quad = QUADS["tilted"] / (640, 480)
    rgb = straighten(RgbPicture(cv2.merge([grey] * 3)), quad, READER_PX)
    assert np.abs(straighten(planes, quad, READER_PX).astype(int) - rgb).max() <= 2


def test_width_is_of_the_long_edges_in_pixels():
    shot = RgbPicture(scene(641, 481))
    assert plate_width_px(QUADS["tilted"] / (641, 481), shot) == pytest.approx(84, abs=1)


@pytest.mark.parametrize(
    ("wide", "high", "as_on_one_line"), [(100, 22, 100), (56, 40, 104), (40, 16, 40), (70, 32, 130)]
)
def test_square_plate_counts_as_wide_as_its_letters_on_one_line(wide, high, as_on_one_line):
    shot = RgbPicture(np.zeros((480, 640, 3), np.uint8))
    corners = np.array([[0, 0], [wide, 0], [wide, high], [0, high]]) / (640, 480)
    assert one_line_px(corners, shot) == pytest.approx(as_on_one_line)


def test_sharpness_falls_with_blur_and_not_with_light():
    sharp = cv2.cvtColor(scene(256, 80), cv2.COLOR_RGB2GRAY)
    values = [
        sharpness(sharp),
        *(sharpness(cv2.GaussianBlur(sharp, (0, 0), sigma)) for sigma in (1, 2, 4)),
    ]
    assert values == sorted(values, reverse=True)
    assert sharpness((sharp // 2 + 30).astype(np.uint8)) == pytest.approx(values[0], rel=0.05)
    assert sharpness(np.full((40, 128), 7, np.uint8)) == 0


def reader(text: str, country: str) -> PlateReader:
    answer = [char_logits(text)[None], country_logits(country)[None]]
    return PlateReader(FakeModel(READER_CARD, lambda _: answer))


def test_read_gives_calibrated_log_probabilities():
    view = reader("01A123BC", "UZ").read(RgbPicture(scene(641, 481)), QUADS["tilted"] / (641, 481))
    assert view.char_logp.shape == (10, 37)
    assert np.exp(view.char_logp).sum(axis=1) == pytest.approx(np.ones(10), abs=1e-5)
    top = np.exp(12 / 1.25)
    assert np.exp(view.char_logp[0, SYMBOLS.index("0")]) == pytest.approx(top / (top + 36))
    likely = np.exp(8 / 1.5)
    assert view.not_plate == pytest.approx(1 / (likely + 8), rel=1e-4)
    assert set(view.country_logp) == {"UZ", "KZ", "KG", "TJ", "TM", "AF", "RU", "?"}
    assert sum(map(np.exp, view.country_logp.values())) == pytest.approx(1)
    assert np.exp(view.country_logp["UZ"]) == pytest.approx(likely / (likely + 7), rel=1e-4)
    assert view.width_px == pytest.approx(84, abs=1)
    assert view.sharpness > 0


def test_read_what_is_no_plate_says_so():
    view = reader("12345678", "-").read(RgbPicture(scene(641, 481)), QUADS["small"] / (641, 481))
    assert view.not_plate > 0.95
    assert np.exp(view.country_logp["UZ"]) == pytest.approx(1 / 8)


@pytest.mark.parametrize(("country", "inferences"), [("UZ", 5), ("-", 1)])
def test_read_with_glances_takes_their_mean_unless_it_is_surely_no_plate(country, inferences):
    picture, corners = RgbPicture(scene(641, 481)), QUADS["tilted"] / (641, 481)
    texts = iter(["81A123BC", *["01A123BC"] * 4])
    model = FakeModel(
        READER_CARD, lambda _: [char_logits(next(texts))[None], country_logits(country)[None]]
    )
    eyes = PlateReader(model)
    view = eyes.read(picture, corners, glances=5)
    assert eyes.inferences == inferences
    flats = [flat.copy() for flat in model.inputs]
    assert all(not np.array_equal(flats[0], flat) for flat in flats[1:])
    best = SYMBOLS[int(view.char_logp[0].argmax())]
    assert best == ("0" if country == "UZ" else "8")
    assert np.exp(view.char_logp).sum(axis=1) == pytest.approx(np.ones(10), abs=1e-5)
    if country == "UZ":  # four of five: not as sure as one that was never contradicted
        apart = view.char_logp[0, SYMBOLS.index("0")] - view.char_logp[0, SYMBOLS.index("8")]
        assert apart == pytest.approx(0.6 * 12 / 1.25, rel=1e-3)


def test_view_agrees_where_the_finder_is_surer_than_the_reader_that_it_is_none():
    view = reader("01A123BC", "UZ").read(RgbPicture(scene(641, 481)), QUADS["small"] / (641, 481))
    doubtful = replace(view, not_plate=0.6)
    assert doubtful.agrees(0.7)
    assert not doubtful.agrees(0.5)


def test_view_shows_no_characters_when_it_is_printed():
    view = reader("01A123BC", "UZ").read(RgbPicture(scene(641, 481)), QUADS["small"] / (641, 481))
    assert "char_logp" not in repr(view)


def test_reader_of_another_model_is_refused():
    model = FakeModel(READER_CARD, lambda _: ())
    good = model.package
    for harm in (
        {"outputs": good.outputs[:1]},
        {"labels": good.labels[:-1]},
        {"labels": ("x", *good.labels[1:-1], "y")},
        {"calibration": None},
    ):
        model.package = replace(good, **harm)
        with pytest.raises(ModelError, match="a reader of plates"):
            PlateReader(model)
