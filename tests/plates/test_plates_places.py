"""Memory of places: bounded, forgotten in time, and who has been away is told again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.plates.places import (
    FORGOTTEN_S,
    GAP_S,
    NS,
    PAINTED,
    STOOD_S,
    Arrival,
    Passages,
    Scenery,
    overlap,
    widths_apart,
)
from agent.records import Box

HERE = Box(x0=0.40, y0=0.60, x1=0.45, y1=0.62)
THERE = Box(x0=0.80, y0=0.60, x1=0.85, y1=0.62)
BESIDE = Box(x0=0.43, y0=0.605, x1=0.48, y1=0.625)
TEXT = "01A123BC"


def ns(seconds: float) -> int:
    return round(seconds * NS)


def arrival(track: int = 2, text: str | None = TEXT, *, begun_s=0.0, first=HERE, last=None):
    return Arrival(
        track_id=track, text=text, begun_ns=ns(begun_s), first=first, last=last or first,
        standing=False,
    )  # fmt: skip


def after(first: Arrival, *, standing: bool, at_s: float = 10.0) -> Passages:
    """What is known when `first` was told, and was seen last at `at_s` where it was told."""
    passages = Passages()
    assert passages.first_time(first, ns(at_s))
    passages.follow(first.track_id, first.last, ns(at_s), standing=standing)
    return passages


@pytest.mark.parametrize(
    ("again", "standing", "told"),
    [
        # its track broke while it drove: the same text soon, wherever
        (arrival(begun_s=10 + GAP_S - 0.1, first=THERE), False, False),
        (arrival(begun_s=10 + GAP_S + 0.1, first=THERE), False, True),
        # it stands at its place for long
        (arrival(begun_s=10 + STOOD_S - 60), True, False),
        (arrival(begun_s=10 + STOOD_S - 60, first=BESIDE), True, False),
        (arrival(begun_s=10 + STOOD_S + 60), True, True),
        # it comes back to where it drove by, or to elsewhere: it has been away
        (arrival(begun_s=60), False, True),
        (arrival(begun_s=60, first=THERE), True, True),
        # another car takes its place
        (arrival(text="75B456DA", begun_s=12), True, True),
        # half a view of the same plate
        (arrival(text="01A123BG", begun_s=12), False, False),
        (arrival(text="01A123BG", begun_s=12, first=THERE), False, True),
        (arrival(text="01A12BG", begun_s=12), False, True),
        (arrival(text=None, begun_s=12), False, False),
        (arrival(text=None, begun_s=12, first=THERE), False, True),
        (arrival(text=None, begun_s=60), True, True),
    ],
)
def test_passage_is_told_again_only_when_it_is_another_one(again, standing, told):
    passages = after(arrival(1), standing=standing)
    now_ns = again.begun_ns + NS
    assert passages.first_time(again, now_ns) == told
    assert not passages.first_time(replace(again, track_id=3), now_ns)


def test_passage_that_was_seen_to_leave_its_place_is_told_when_it_is_back():
    passages = after(arrival(1), standing=True)
    passages.follow(1, THERE, ns(20), standing=False)
    assert passages.first_time(arrival(begun_s=100), ns(101))


def test_passage_read_after_it_was_not_read_is_the_same_one():
    passages = after(arrival(1, None), standing=False)
    assert not passages.first_time(arrival(2, TEXT, begun_s=11), ns(12))
    assert not passages.first_time(arrival(3, TEXT, begun_s=13, first=THERE), ns(14))


def test_passages_are_bounded_and_the_newest_stay():
    passages = Passages()
    for number in range(1000):
        assert passages.first_time(arrival(number, f"{number:04}" * 2, begun_s=number), ns(number))
    assert len(passages._known) <= 64
    assert not passages.first_time(arrival(1001, "09990999", begun_s=1000), ns(1000))


def test_passages_show_no_text():
    passages = after(arrival(1), standing=True)
    assert TEXT not in repr(passages._known) + repr(arrival(1))


def test_scenery_holds_text_that_two_vehicles_left_behind():
    scenery = Scenery()
    scenery.note(HERE, ns(1))
    assert not scenery.holds(HERE, ns(2))
    scenery.note(replace(HERE, x1=0.452), ns(3))
    assert scenery.holds(HERE, ns(4))
    assert not scenery.holds(THERE, ns(4))


def test_scenery_forgets_what_is_no_longer_there():
    scenery = Scenery()
    for _ in range(PAINTED):
        scenery.note(HERE, 0)
    assert scenery.holds(HERE, ns(FORGOTTEN_S - 1))
    assert scenery.holds(HERE, ns(2 * FORGOTTEN_S - 2))  # it was seen again
    assert not scenery.holds(HERE, ns(3 * FORGOTTEN_S))


def test_scenery_is_bounded():
    scenery = Scenery()
    for number in range(500):
        x = number / 500
        scenery.note(Box(x0=x, y0=0, x1=x + 0.001, y1=0.1), number)
    assert len(scenery._texts) <= 64


@pytest.mark.parametrize(
    ("alone", "found", "hidden", "held"),
    [
        (True, [], [], False),  # a car that stood at a barrier has left it
        (True, [HERE], [], True),
        (True, [], [replace(HERE, y0=0.3)], True),  # behind a vehicle nobody can tell
        (False, [], [], True),  # seen while vehicles drove past, perhaps smaller than a tile shows
    ],
)
def test_scenery_alone_is_let_go_once_it_is_not_where_it_was(alone, found, hidden, held):
    scenery = Scenery()
    for _ in range(PAINTED):
        scenery.note(HERE, 0, alone=alone)
    scenery.looked(THERE, [], [])  # elsewhere
    assert scenery.holds(HERE, ns(1))
    scenery.looked(Box(x0=0.3, y0=0.5, x1=0.6, y1=0.8), found, hidden)
    assert scenery.holds(HERE, ns(2)) == held


boxes = st.builds(
    lambda x, y, w, h: Box(x0=x, y0=y, x1=x + w, y1=y + h),
    st.floats(-1, 2), st.floats(-1, 2), st.floats(0.001, 1), st.floats(0.001, 1),
)  # fmt: skip


@given(boxes, boxes)
def test_overlap_and_distance_are_the_same_from_both_sides(a, b):
    assert 0 <= overlap(a, b) <= 1 + 1e-9
    assert overlap(a, b) == pytest.approx(overlap(b, a))
    assert overlap(a, a) == pytest.approx(1)
    assert widths_apart(a, b) == pytest.approx(widths_apart(b, a))
    assert widths_apart(a, a) == 0


def test_next_car_of_the_lane_is_told_though_both_left_at_one_place():
    passages = Passages()
    assert passages.first_time(arrival(1, None, begun_s=0, first=HERE, last=THERE), ns(10))
    follower = arrival(2, TEXT, begun_s=9, first=HERE, last=THERE)  # came before the first left
    assert passages.first_time(follower, ns(12))


def test_two_boxes_of_one_car_are_one_passage():
    passages = Passages()
    assert passages.first_time(arrival(1, None, begun_s=0, first=THERE, last=HERE), ns(10))
    assert not passages.first_time(arrival(2, TEXT, begun_s=9, first=THERE, last=HERE), ns(10.2))
