"""Boxes, polygons and lines against what a pencil says."""

import numpy as np
import pytest

from agent.geometry import (
    iou_matrix,
    point_in_polygon,
    polygon_area,
    polygon_crosses_itself,
    segments_cross,
    side_of_line,
)

SQUARE = [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)]
BOW_TIE = [(0.2, 0.2), (0.8, 0.8), (0.8, 0.2), (0.2, 0.8)]
HORSESHOE = [(0, 0), (1, 0), (1, 1), (0.7, 1), (0.7, 0.3), (0.3, 0.3), (0.3, 1), (0, 1)]


def boxes(*rows):
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def test_iou_of_every_pair_is_shared_area_over_joined_area():
    mine = boxes((0, 0, 2, 2), (10, 10, 11, 11))
    theirs = boxes((0, 0, 2, 2), (1, 1, 3, 3), (2, 0, 4, 2))
    expected = [[1, 1 / 7, 0], [0, 0, 0]]
    assert iou_matrix(mine, theirs) == pytest.approx(np.array(expected))


@pytest.mark.parametrize(("mine", "theirs"), [(0, 3), (3, 0), (0, 0)])
def test_iou_of_nothing_has_the_shape_of_nothing(mine, theirs):
    assert iou_matrix(np.zeros((mine, 4)), np.zeros((theirs, 4))).shape == (mine, theirs)


def test_iou_of_box_turned_inside_out_is_zero_and_finite():
    overlap = iou_matrix(boxes((2, 2, 0, 0), (1, 1, 1, 1)), boxes((0, 0, 2, 2), (1, 1, 1, 1)))
    assert np.isfinite(overlap).all()
    assert overlap.max() == 0


def test_side_of_line_is_positive_on_the_right_of_who_walks_it():
    down = (0.5, 0.0), (0.5, 1.0)  # towards the viewer, y grows downwards
    assert side_of_line(*down, (0.2, 0.5)) > 0
    assert side_of_line(*down, (0.8, 0.5)) < 0
    assert side_of_line(*down, (0.5, 0.3)) == 0


@pytest.mark.parametrize(
    ("other", "crosses"),
    [
        (((0, 1), (1, 0)), True),
        (((0, 0.2), (0.4, 0.1)), True),
        (((0, 0.9), (0.4, 1)), False),
        (((0, 0), (1, 0)), False),  # touches at an end
        (((0.1, 0.2), (0.9, 1.0)), False),  # parallel
    ],
)
def test_segments_cross_only_in_their_inner_parts(other, crosses):
    assert segments_cross((0, 0), (1, 1), *other) is crosses
    assert segments_cross(*other, (1, 1), (0, 0)) is crosses


@pytest.mark.parametrize(
    ("point", "inside"),
    [((0.5, 0.1), True), ((0.15, 0.9), True), ((0.5, 0.9), False), ((1.2, 0.5), False)],
)
def test_point_in_polygon_with_a_bay_is_told_from_one_in_the_bay(point, inside):
    assert point_in_polygon(point, HORSESHOE) is inside
    assert point_in_polygon(point, HORSESHOE[::-1]) is inside


@pytest.mark.parametrize(
    ("polygon", "crosses"), [(SQUARE, False), (HORSESHOE, False), (BOW_TIE, True)]
)
def test_polygon_crosses_itself_only_when_edges_do(polygon, crosses):
    assert polygon_crosses_itself(polygon) is crosses


def test_polygon_area_is_the_same_in_either_direction():
    assert polygon_area(SQUARE) == pytest.approx(0.36)
    assert polygon_area(HORSESHOE[::-1]) == pytest.approx(1 - 0.4 * 0.7)
