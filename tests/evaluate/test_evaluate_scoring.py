"""AP50 and recall against examples worked out by hand."""

import numpy as np
import pytest

from agent.evaluate.scoring import Found, average_precision, score

HERE, THERE, FAR = (0, 0, 40, 40), (100, 0, 140, 40), (300, 300, 340, 340)


def label(box, cls="car", **what):
    return Found(cls=cls, xyxy_px=box, **what)


def seen(box, of, cls="car"):
    return Found(cls=cls, xyxy_px=box, score=of)


def test_average_precision_is_the_area_under_the_monotonic_curve():
    # right, wrong, right of 3: precision 1, 1/2, 2/3 -> 1/3 * 1 + 1/3 * 2/3
    scores = np.array([0.9, 0.8, 0.7])
    assert average_precision(scores, np.array([True, False, True]), 3) == pytest.approx(5 / 9)


def test_everything_found_and_nothing_else_is_one():
    result = score([[label(HERE), label(THERE)]], [[seen(HERE, 0.5), seen(THERE, 0.4)]])
    assert (result.total.ap50, result.total.recall, result.total.recall_at_fp) == (1, 1, 1)
    assert result.threshold == 0.0


def test_nothing_found_is_zero():
    result = score([[label(HERE)]], [[]])
    assert (result.total.ap50, result.total.recall) == (0, 0)


@pytest.mark.parametrize(("shift", "hit"), [(13, 1), (14, 0)])
def test_half_overlap_is_what_counts_as_found(shift, hit):
    # 40 wide, shifted by 13: 27 shared of 53 joined, by 14: 26 of 54
    result = score([[label(HERE)]], [[seen((shift, 0, 40 + shift, 40), 0.9)]])
    assert result.total.recall == hit


def test_second_box_on_a_label_is_false():
    twice = [seen(HERE, 0.9), seen((1, 0, 41, 40), 0.95)]
    result = score([[label(HERE), label(THERE)]], [[*twice, seen(THERE, 0.5)]])
    assert result.total.recall == 1
    assert result.total.ap50 == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_box_of_another_class_is_neither_found_nor_shared():
    result = score([[label(HERE), label(THERE, "person")]], [[seen(HERE, 0.9, "person")]])
    assert result.per_class["car"].recall == 0
    assert result.per_class["person"].recall == 0


def test_class_without_a_label_is_not_scored():
    result = score([[label(HERE)]], [[seen(HERE, 0.9), seen(FAR, 0.99, "animal")]])
    assert set(result.per_class) == {"car"}
    assert result.total.ap50 == 1


def test_recall_at_a_tenth_of_a_false_one_an_image_uses_the_score_that_keeps_it():
    # Ten images, one false positive allowed; the second false one scores 0.5.
    labels = [[label(HERE)] for _ in range(10)]
    got = [[seen(HERE, 0.1 * k)] for k in range(10)]
    got[0].append(seen(FAR, 0.95))
    got[1].append(seen(FAR, 0.5))
    result = score(labels, got)
    assert result.threshold == pytest.approx(0.5)
    assert result.threshold > 0.5
    assert result.total.recall_at_fp == pytest.approx(0.4)  # 0.6, 0.7, 0.8, 0.9
    assert result.total.recall == 1


def test_crowd_is_neither_asked_for_nor_held_against_the_model():
    crowd = label((200, 200, 400, 400), crowd=True)
    result = score([[label(HERE), crowd]], [[seen(HERE, 0.5), seen(FAR, 0.9)]])
    assert (result.total.objects, result.total.ap50) == (1, 1)


@pytest.mark.parametrize(
    ("side", "size"), [(31, "small"), (32, "medium"), (95, "medium"), (96, "large")]
)
def test_size_is_that_of_the_labelled_box(side, size):
    box = (0, 0, side, side)
    result = score([[label(box)]], [[seen(box, 0.5)]])
    assert {name for name, row in result.per_size.items() if row.objects} == {size}
    assert result.per_size[size].ap50 == 1


def test_false_box_spoils_only_its_own_size():
    large = (200, 200, 400, 400)
    result = score([[label((0, 0, 20, 20))]], [[seen((0, 0, 20, 20), 0.5), seen(large, 0.9)]])
    assert result.per_size["small"].ap50 == 1
    assert result.total.ap50 == pytest.approx(0.5)


def test_no_labels_at_all_have_no_figures():
    result = score([[], []], [[seen(HERE, 0.5)], []])
    assert (result.total.objects, result.total.ap50, result.total.recall) == (0, None, None)
