"""Of boxes that lie on each other the best one stays; views go to the picture and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.detect.nms import suppress
from agent.detect.views import to_picture, view_of
from agent.geometry import iou_matrix
from agent.records import WHOLE, Box

CAR, NEARLY, ELSEWHERE = (0.1, 0.1, 0.4, 0.4), (0.12, 0.1, 0.42, 0.4), (0.6, 0.1, 0.9, 0.4)


def kept(boxes, scores, groups=None, iou=0.4):
    groups = groups or [0] * len(boxes)
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return suppress(xyxy, np.array(scores, np.float32), np.array(groups, np.intp), iou)


def test_suppress_lets_the_best_of_a_heap_stay_best_first():
    assert kept([CAR, NEARLY, ELSEWHERE], [0.5, 0.6, 0.9]) == [2, 1]


def test_suppress_leaves_groups_alone():
    assert kept([CAR, CAR], [0.5, 0.6], [0, 1]) == [1, 0]


def test_suppress_of_equal_boxes_and_scores_keeps_one():
    assert len(kept([CAR] * 5, [0.5] * 5)) == 1


def test_suppress_of_nothing_is_nothing():
    assert kept([], []) == []


def test_suppress_takes_boxes_that_reach_over_the_edge():
    assert kept([(-0.3, -0.2, 0.2, 0.3), (0.7, 0.8, 1.4, 1.3)], [0.5, 0.6]) == [1, 0]


@given(st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 5, st.integers(0, 2)), max_size=30))
def test_suppress_leaves_no_two_of_a_group_on_each_other(rows):
    boxes = [(x, y, x + 0.01 + w / 3, y + 0.01 + h / 3) for x, y, w, h, _, _ in rows]
    groups = [group for *_, group in rows]
    stay = kept(boxes, [0.1 + score for *_, score, _ in rows], groups)
    left = np.array([boxes[place] for place in stay]).reshape(-1, 4)
    overlap = iou_matrix(left, left)
    for a in range(len(stay)):
        for b in range(a):
            assert overlap[a, b] <= 0.4 + 1e-3 or groups[stay[a]] != groups[stay[b]]


@pytest.mark.parametrize("picture_aspect", [0.5, 1.0, 16 / 9, 3.0])
@pytest.mark.parametrize("box", [WHOLE, Box(x0=0.1, y0=0.6, x1=0.3, y1=0.7)])
def test_view_is_the_smallest_around_its_box_in_the_aspect_of_the_input(box, picture_aspect):
    view = view_of(box, picture_aspect=picture_aspect, input_aspect=1.0)
    assert view.width * picture_aspect / view.height == pytest.approx(1)
    assert view.center == pytest.approx(box.center)
    assert view.width == pytest.approx(box.width) or view.height == pytest.approx(box.height)
    assert view.width >= box.width - 1e-9
    assert view.height >= box.height - 1e-9


def test_to_picture_puts_the_corners_of_a_view_where_the_view_is():
    view = Box(x0=-0.2, y0=0.1, x1=0.6, y1=0.5)
    corners = np.array([[0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5]], np.float32)
    expected = np.array([[-0.2, 0.1, 0.6, 0.5], [0.2, 0.3, 0.2, 0.3]])
    assert to_picture(corners, view) == pytest.approx(expected)
