"""From a heat map to corners: constructed tensors, picture edges, views and closer looks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plate_fakes import FINDER_CARD, FakeModel, finder_outputs, rectangle

from agent.capture.pictures import RgbPicture
from agent.errors import ModelError
from agent.plates.finder import PlateFinder, around, decode
from agent.records import WHOLE, Box

SIZE = (320, 256)
TILTED = np.array([[100.0, 80.0], [160.0, 90.0], [158.0, 108.0], [98.0, 98.0]])


def picture(width: int = 640, height: int = 512) -> RgbPicture:
    return RgbPicture(np.full((height, width, 3), 90, np.uint8))


def in_picture(found, shot: RgbPicture) -> np.ndarray:
    return found.corners * (shot.width_px, shot.height_px)


def test_decode_tilted_plate_gives_its_own_corners():
    peaks = decode(finder_outputs([TILTED]), SIZE, 0.4)
    assert np.allclose(peaks.corners, [TILTED], atol=1e-3)
    assert peaks.scores == pytest.approx([1 / (1 + np.exp(-4))])


@given(
    x=st.floats(0, 250), y=st.floats(0, 220), width=st.floats(12, 150), height=st.floats(8, 60),
    lean=st.floats(-0.3, 0.3),
)  # fmt: skip
def test_decode_any_plate_wherever_it_is_comes_back_as_it_was(x, y, width, height, lean):
    quad = rectangle(x, y, width, height)
    quad[1:3, 1] += lean * width
    if not (quad.mean(axis=0) < SIZE).all() or not (quad.mean(axis=0) > 0).all():
        return
    (found,) = decode(finder_outputs([quad]), SIZE, 0.4).corners
    assert np.allclose(found, quad, atol=1e-2)


def test_decode_plates_in_the_corners_of_the_picture_are_found():
    quads = [
        rectangle(-20, -5, 50, 12),
        rectangle(290, -5, 50, 12),
        rectangle(-20, 248, 50, 12),
        rectangle(290, 248, 50, 12),
    ]
    peaks = decode(finder_outputs(quads), SIZE, 0.4)
    found = sorted(map(tuple, np.round(peaks.corners[:, 0], 3).tolist()))
    assert found == sorted(map(tuple, np.array(quads)[:, 0].tolist()))


def test_decode_takes_the_highest_of_neighbours_and_of_equals_one():
    heat, size, shape = finder_outputs([TILTED])
    row, column = np.argwhere(heat[0, ..., 0] > 0)[0]
    for near in (-1, 1):  # a lower neighbour, and a plateau as int8 makes it
        heat[0, row, column + near] = 3.0 if near < 0 else 4.0
        size[0, row, column + near] = size[0, row, column]
        size[0, row, column + near, 0] -= near
        shape[0, row, column + near] = shape[0, row, column]
    peaks = decode((heat, size, shape), SIZE, 0.4)
    assert np.allclose(peaks.corners, [TILTED], atol=1e-3)


def test_decode_leaves_out_what_is_below_the_threshold():
    quads = [rectangle(20, 20, 60, 14), rectangle(200, 200, 60, 14)]
    outputs = finder_outputs(quads, logits=[-0.3, -0.5])  # 0.43 and 0.38
    (found,) = decode(outputs, SIZE, 0.4).corners
    assert np.allclose(found, quads[0], atol=1e-3)


@pytest.mark.parametrize("harm", ["crossed", "mirrored", "flat", "nan"])
def test_decode_corners_that_are_no_plate_are_dropped(harm):
    heat, size, shape = finder_outputs([TILTED, rectangle(200, 200, 60, 14)])
    row, column = np.argwhere(heat[0, ..., 0] > 0)[0]
    mine = shape[0, row, column].reshape(4, 2)
    unit = rectangle(0, 0, 1, 1)
    if harm == "crossed":
        mine[:] = unit[[0, 2, 1, 3]] - unit
    elif harm == "mirrored":
        mine[:] = unit[[1, 0, 3, 2]] - unit
    elif harm == "flat":
        mine[:] = 0.5 - unit
    else:
        mine[:] = np.nan
    assert len(decode((heat, size, shape), SIZE, 0.4).scores) == 1


def test_decode_best_first():
    quads = [rectangle(20, 20, 60, 14), rectangle(200, 200, 60, 14)]
    scores = decode(finder_outputs(quads, logits=[1.0, 2.0]), SIZE, 0.4).scores
    assert scores[0] > scores[1]


@pytest.mark.parametrize(
    "region",
    [
        WHOLE,
        Box(x0=0.2, y0=0.3, x1=0.55, y1=0.61),
        Box(x0=0.9, y0=0.9, x1=1.0, y1=1.0),
        Box(x0=-0.05, y0=0.0, x1=0.1, y1=0.07),
    ],
)
@pytest.mark.parametrize("size", [(1920, 1080), (640, 480), (703, 577)])
def test_find_maps_corners_back_to_where_the_pixels_were(region, size):
    """A red spot in the picture comes back at its place, whatever the region's view is."""
    pixels = np.full((size[1], size[0], 3), 60, np.uint8)
    x, y = np.clip(np.array(region.center), 0.03, 0.97) * size
    spot = (slice(int(y) - 8, int(y) + 8), slice(int(x) - 8, int(x) + 8))
    pixels[spot] = (250, 0, 0)

    def see(tensor):
        red = (tensor[0, ..., 0] - tensor[0, ..., 1] + 2) / 2
        red = np.where(red > 1.2, red - 1, 0)
        grid_y, grid_x = np.mgrid[0:256, 0:320] + 0.5
        middle = np.array([(grid_x * red).sum(), (grid_y * red).sum()]) / red.sum()
        return finder_outputs([rectangle(*(middle - (15, 4)), 30, 8)])

    finder = PlateFinder(FakeModel(FINDER_CARD, see))
    (found,) = finder.find(RgbPicture(pixels), region)
    view_px = max(region.width * size[0], region.height * size[1] * 1.25)
    assert np.allclose(
        found.box.center * np.array(size), (int(x), int(y)), atol=0.5 + view_px / 320
    )
    assert finder.inferences == 1


def test_find_view_near_the_edge_stays_inside_the_picture():
    model = FakeModel(FINDER_CARD, lambda _: finder_outputs([]))
    assert PlateFinder(model).find(picture(), Box(x0=0.9, y0=0.9, x1=1.0, y1=1.0)) == []
    (tensor,) = model.inputs
    assert tensor.min() == tensor.max()  # no black rim


def test_find_leaves_out_what_the_views_edge_cuts_but_not_what_the_pictures_does():
    shot = picture(1280, 1024)
    quads = [rectangle(-9, 50, 40, 10), rectangle(289, 80, 40, 10), rectangle(100, 100, 40, 10)]

    def found_in(region):
        finder = PlateFinder(FakeModel(FINDER_CARD, lambda _: finder_outputs(quads)))
        return len(finder.find(shot, region))

    assert found_in(Box(x0=0.3, y0=0.3, x1=0.6, y1=0.6)) == 1
    assert found_in(Box(x0=0.0, y0=0.3, x1=0.4, y1=0.6)) == 2
    assert found_in(WHOLE) == 3


def test_find_looks_closer_at_narrow_plates_as_often_as_it_may():
    shot = picture(1280, 1024)  # the input sees a quarter
    plates = [rectangle(80, 80, 30, 8), rectangle(200, 80, 30, 8), rectangle(40, 200, 60, 15)]
    better = rectangle(121, 118, 78, 20)  # in the closer view; 80 px is what four widths give

    def see(tensor):
        return finder_outputs(plates if len(model.inputs) == 1 else [better])

    model = FakeModel(FINDER_CARD, see)
    finder = PlateFinder(model)
    found = finder.find(shot, closer=1)
    assert (len(found), finder.inferences) == (3, 2)
    assert sorted(round(plate.width_px) for plate in found) == [117, 120, 240]
    model.inputs.clear()
    assert (len(finder.find(shot)), len(model.inputs)) == (3, 1)


def test_find_closer_look_that_sees_nothing_keeps_the_first():
    def see(tensor):
        return finder_outputs([rectangle(40, 40, 30, 8)] if len(model.inputs) == 1 else [])

    model = FakeModel(FINDER_CARD, see)
    (found,) = PlateFinder(model).find(picture(), closer=3)
    assert np.allclose(in_picture(found, picture()), rectangle(80, 80, 60, 16), atol=0.1)
    assert found.width_px == pytest.approx(60, abs=0.1)


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (3840, 2160), (640, 480), (320, 240)])
def test_tiles_cover_every_plate_whole(size):
    shot = RgbPicture(np.zeros((size[1], size[0], 3), np.uint8))
    first, *others = PlateFinder(FakeModel(FINDER_CARD, lambda _: ())).tiles(shot)
    assert first == WHOLE
    if not others:
        assert size[0] <= 640
        return
    assert len(others) <= 16
    wide, high = 110 / 1920, 40 / 1080
    for x in np.linspace(0, 1 - wide, 40):
        for y in np.linspace(0, 1 - high, 40):
            assert any(
                t.x0 <= x + 1e-9 and t.y0 <= y + 1e-9
                and t.x1 >= x + wide - 1e-9 and t.y1 >= y + high - 1e-9
                for t in others
            )  # fmt: skip


def test_around_is_four_plates_wide():
    plate = Box(x0=0.5, y0=0.5, x1=0.55, y1=0.52)
    assert around(plate).width == pytest.approx(0.2)
    assert around(plate).center == pytest.approx(plate.center)


def test_finder_of_another_model_is_refused():
    model = FakeModel(FINDER_CARD, lambda _: ())
    model.package = replace(model.package, outputs=model.package.outputs[:2])
    with pytest.raises(ModelError, match="has the outputs heat"):
        PlateFinder(model)
