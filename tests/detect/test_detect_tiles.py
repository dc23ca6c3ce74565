"""Where to look again: small things yes, large ones no, within the budget."""

import numpy as np
import pytest

from agent.detect.tiles import Hints, Reach, TilePlan, trusted
from agent.detect.views import view_of
from agent.records import WHOLE, Box

SIZE = (192, 192)
REACH = Reach(lost_px=6, sure_px=24)
ASPECT = 16 / 9
LETTERBOX = view_of(WHOLE, picture_aspect=ASPECT, input_aspect=1.0)


def square(x, y, side_px):
    """A box of so many pixels of the input in the first look at the whole picture."""
    width, height = side_px / 192 * LETTERBOX.width, side_px / 192 * LETTERBOX.height
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def hints(*boxes, weight=1.0):
    return Hints(
        xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        weights=np.full(len(boxes), weight, np.float32),
    )


def choose(things, look_at=(), most=2):
    return TilePlan(LETTERBOX, SIZE, REACH).choose(things, look_at, most)


def holds(tile, box):
    return tile.x0 <= box[0] and tile.y0 <= box[1] and tile.x1 >= box[2] and tile.y1 >= box[3]


def test_chance_rises_from_lost_to_sure():
    sizes = np.array([3, 6, 15, 24, 90], np.float32)
    assert REACH.chance(sizes) == pytest.approx([0, 0, 0.5, 1, 1])


@pytest.mark.parametrize("place", [(0.1, 0.2), (0.5, 0.5), (0.93, 0.9)])
def test_small_thing_gets_a_tile_that_holds_it_whole(place):
    thing = square(*place, side_px=8)
    (tile,) = choose(hints(thing), most=1)
    assert holds(tile, thing)
    assert tile.width < LETTERBOX.width / 1.4


@pytest.mark.parametrize("side_px", [24, 60, 150])
def test_thing_large_enough_for_the_first_look_gets_none(side_px):
    assert choose(hints(square(0.5, 0.5, side_px))) == []


def test_nothing_to_look_for_costs_nothing():
    assert choose(hints()) == []


def test_unlikely_thing_is_not_worth_an_inference():
    assert choose(hints(square(0.5, 0.5, 8), weight=0.05)) == []
    assert len(choose(hints(square(0.5, 0.5, 8), weight=0.5))) == 1


def test_far_apart_things_get_a_tile_each_and_never_more_than_allowed():
    left, right = square(0.08, 0.5, 8), square(0.92, 0.5, 8)
    both = choose(hints(left, right), most=2)
    assert len(both) == 2
    assert all(any(holds(tile, thing) for tile in both) for thing in (left, right))
    assert len(choose(hints(left, right), most=1)) == 1


def test_tile_with_most_things_comes_first():
    crowd = [square(0.2 + 0.02 * k, 0.3, 8) for k in range(5)]
    first, *_ = choose(hints(square(0.9, 0.8, 8), *crowd))
    assert all(holds(first, thing) for thing in crowd)


def test_region_to_look_at_draws_a_tile_without_any_hint():
    moving = Box(x0=0.7, y0=0.1, x1=0.8, y1=0.2)
    (tile,) = choose(hints(), look_at=[moving], most=1)
    assert holds(tile, (0.7, 0.1, 0.8, 0.2))


def test_tiles_stay_within_the_picture():
    for place in np.random.default_rng(1).uniform(0.05, 0.95, (50, 2)):
        for tile in choose(hints(square(*place, side_px=8))):
            for low, high in ((tile.x0, tile.x1), (tile.y0, tile.y1)):
                assert (low >= -1e-6 and high <= 1 + 1e-6) or low + high == pytest.approx(1)


def test_trusted_are_boxes_that_no_cut_edge_touches():
    tile = Box(x0=0.4, y0=0.0, x1=0.8, y1=0.4)  # its upper edge is the picture's
    boxes = np.array(
        [
            [0.5, 0.1, 0.6, 0.2],  # inside
            [0.401, 0.1, 0.5, 0.2],  # at the left cut
            [0.5, 0.0, 0.6, 0.1],  # at the picture's own edge
            [0.5, 0.3, 0.6, 0.399],  # at the lower cut
        ],
        np.float32,
    )
    assert trusted(boxes, tile).tolist() == [True, False, True, False]


def test_trusted_is_nothing_that_fills_its_tile():
    tile = Box(x0=0.4, y0=0.4, x1=0.8, y1=0.8)
    assert not trusted(np.array([[0.45, 0.45, 0.75, 0.75]], np.float32), tile)[0]


def test_settled_by_a_closer_look_are_small_boxes_that_lie_whole_in_its_tile():
    plan = TilePlan(LETTERBOX, SIZE, REACH)
    (tile,) = plan.choose(hints(square(0.5, 0.5, 8)), [], 1)
    x, y = tile.center
    boxes = [
        square(x, y, 12),
        square(x, y, 30),  # large enough to be boxed well in the first look
        square(tile.x0, y, 12),  # cut by the tile's edge
        square(tile.x1 + 0.2, y, 12),
    ]
    assert plan.settled(np.array(boxes, np.float32), tile).tolist() == [True, False, False, False]
