"""Plates found and read, against examples worked out by hand."""

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.evaluate.plate_scoring import (
    Outcome,
    by_width,
    curve,
    edits,
    figures,
    score_plates,
    wilson,
)
from agent.evaluate.plot import curve_svg
from agent.evaluate.scoring import Found

SURE = 0.9


def label(x, text, width=60):
    return Found(cls="plate", xyxy_px=(x, 0, x + width, 15), text=text)


def seen(x, text, q=0.95, width=60, score=0.8):
    return Found(cls="plate", xyxy_px=(x, 0, x + width, 15), text=text, q=q, score=score)


def outcome(width_px=60.0, label="01A123BC", text="01A123BC", found=True, q=0.95):
    return Outcome(width_px=width_px, label=label, text=text, found=found, q=q)


def test_every_figure_of_one_picture_is_as_worked_out_by_hand():
    labels = [
        label(0, "01A123BC"),
        label(100, "40B456DE"),
        label(200, "10C789FG"),
        label(300, None),
    ]
    got = [
        seen(0, "01A123BC"),
        seen(100, "40B456OE"),  # one of eight wrong, and sure of it
        seen(300, "50D111HH"),  # nobody knows
        seen(500, "60E222KK"),  # nothing there
        seen(600, "60E222KK", q=0.5),
    ]
    scores = score_plates([labels], [got], SURE)
    row = figures(scores.outcomes, SURE)
    assert (row.plates, row.texts) == (4, 3)
    assert row.found == 3 / 4
    assert row.exact == 1 / 3
    assert row.exact_of_found == 1 / 2
    assert row.cer == 1 / 16
    assert row.confident == 1 / 3
    assert row.wrong_confident == 1
    assert (scores.elsewhere, scores.confident_elsewhere) == (2, 1)


def test_wrong_text_below_the_threshold_is_not_confident():
    assert figures([outcome(text="01A123BB", q=0.89)], SURE).wrong_confident == 0
    assert figures([outcome(text="01A123BB", q=0.90)], SURE).wrong_confident == 1


def test_found_plate_that_fits_no_form_is_wrong_and_never_confident():
    row = figures([outcome(text=None, q=0.0)], SURE)
    assert (row.exact, row.cer, row.wrong_confident) == (0, 1, 0)


def test_two_boxes_on_a_plate_are_one_find_by_the_better_one():
    near = seen(14, "40B456DE", score=0.99)  # 46 shared of 74 px: covers it, but less well
    scores = score_plates([[label(0, "01A123BC")]], [[near, seen(1, "01A123BC")]], SURE)
    (only,) = scores.outcomes
    assert only.exact
    assert (scores.elsewhere, scores.confident_elsewhere) == (1, 1)


def test_pictures_without_labels_or_without_boxes_count_too():
    scores = score_plates([[], [label(0, "01A123BC")]], [[seen(0, "01A123BC")], []], SURE)
    assert scores.elsewhere == 1
    row = figures(scores.outcomes, SURE)
    assert (row.found, row.exact, row.exact_of_found, row.cer) == (0, 0, None, None)


@pytest.mark.parametrize(
    ("width", "span"),
    [(49.9, "<50"), (50, "50-70"), (69.9, "50-70"), (70, "70-100"), (100, ">=100"), (400, ">=100")],
)
def test_width_is_that_of_the_labelled_box(width, span):
    rows = by_width([outcome(width_px=width)], SURE)
    assert [name for name, row in rows.items() if row.plates] == [span]


def test_curve_has_a_point_for_each_ten_pixels_with_a_text():
    some = [
        outcome(41),
        outcome(49, text="01A123BB"),
        outcome(50),
        outcome(75, label=None),
        outcome(180),
        outcome(400),
    ]
    points = curve(some)
    assert [(p.from_px, p.to_px, p.texts, p.exact) for p in points] == [
        (40, 50, 2, 0.5),
        (50, 60, 1, 1.0),
        (150, None, 2, 1.0),
    ]
    assert all(p.low <= p.exact <= p.high for p in points)


def test_plot_is_whole_xml_with_every_point():
    svg = curve_svg(curve([outcome(41), outcome(95)]), "1 < 2 & more")
    root = ElementTree.fromstring(svg)
    assert sum(element.tag.endswith("circle") for element in root) == 2
    assert "1 < 2 & more" in [element.text for element in root]


def test_interval_of_a_share_is_wilsons():
    # 3 of 21, as the best peer: 5 % to 35 %
    assert wilson(3, 21) == pytest.approx((0.050, 0.346), abs=0.001)
    assert wilson(0, 5)[0] == 0
    assert wilson(5, 5)[1] == 1


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [("", "", 0), ("ABC", "", 3), ("40A", "40A", 0), ("40A", "4OA", 1), ("0123", "123", 1)],
)
def test_edits_of_short_texts(a, b, expected):
    assert edits(a, b) == expected


@given(st.text("01AB", max_size=8), st.text("01AB", max_size=8))
def test_edits_are_symmetric_and_within_bounds(a, b):
    assert edits(a, b) == edits(b, a)
    assert abs(len(a) - len(b)) <= edits(a, b) <= max(len(a), len(b))


def test_outcome_does_not_show_its_texts():
    assert "01A123BC" not in repr(outcome())
