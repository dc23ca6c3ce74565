"""Raw outputs -> boxes: each decoder against outputs written by hand."""

import numpy as np
import pytest
from eyes import model

from agent.detect.decode import Candidates, decoder_of, joined, ssd_anchors
from agent.errors import ModelError
from agent.infer.package import find_package

NO = -20.0  # a logit that is nothing


def blazeface_outputs():
    return np.zeros((1, 2304, 16), np.float32), np.full((1, 2304, 1), NO, np.float32)


def ssd_outputs():
    return np.zeros((1, 1917, 4), np.float32), np.full((1, 1917, 24), NO, np.float32)


def package(task):
    try:
        return find_package(task)
    except ModelError as error:
        pytest.skip(f"no model: {error}")


def test_blazeface_box_is_counted_from_the_middle_of_its_cell():
    boxes, logits = blazeface_outputs()
    row, column = 10, 30  # 4 px a cell: the middle lies at x 122, y 42 of 192
    boxes[0, row * 48 + column, :4] = [6, -2, 40, 20]
    logits[0, row * 48 + column] = 0.0
    found = decoder_of(package("face")).decode((boxes, logits), threshold=0.25)
    expected = np.array([[128 - 20, 40 - 10, 128 + 20, 40 + 10]]) / 192
    assert found.xyxy == pytest.approx(expected, abs=1e-6)
    assert found.scores == pytest.approx([0.5])
    assert found.kinds.tolist() == [0]


@pytest.mark.parametrize(("logit", "number"), [(-1.09, 1), (-1.11, 0)])
def test_blazeface_threshold_is_a_score(logit, number):
    boxes, logits = blazeface_outputs()
    logits[0, 7] = logit  # 0.25 is a logit of -1.0986
    assert len(decoder_of(package("face")).decode((boxes, logits), 0.25).scores) == number


@pytest.mark.parametrize("task", ["face", "object"])
def test_nothing_seen_is_an_empty_answer_of_the_right_shape(task):
    outputs = blazeface_outputs() if task == "face" else ssd_outputs()
    found = decoder_of(package(task)).decode(outputs, 0.25)
    assert (found.xyxy.shape, found.scores.shape, found.kinds.shape) == ((0, 4), (0,), (0,))


def test_ssd_box_is_scaled_and_shifted_against_its_anchor():
    boxes, logits = ssd_outputs()
    anchor = 1500
    y, x, height, width = ssd_anchors(300)[anchor]
    boxes[0, anchor] = [1.0, -2.0, 5 * np.log(2), 0.0]  # a tenth down, a fifth left, twice as high
    card = package("object")
    logits[0, anchor, card.labels.index("Car")] = np.log(3)
    decoder = decoder_of(card)
    found = decoder.decode((boxes, logits), 0.25)
    cy, cx = y + 0.1 * height, x - 0.2 * width
    expected = [cx - width / 2, cy - height, cx + width / 2, cy + height]
    assert found.xyxy[0] == pytest.approx(expected, abs=1e-6)
    assert found.scores == pytest.approx([0.75])
    assert decoder.kinds[found.kinds[0]] == "car"


def test_ssd_labels_that_are_not_used_are_never_reported():
    card = package("object")
    boxes, logits = ssd_outputs()
    unused = [k for k, label in enumerate(card.labels) if label not in card.kinds]
    assert 0 in unused
    logits[0, :, unused] = 5.0
    assert len(decoder_of(card).decode((boxes, logits), 0.25).scores) == 0


def test_ssd_anchor_of_several_labels_gives_one_candidate_each():
    card = package("object")
    boxes, logits = ssd_outputs()
    for label in ("Person", "Cattle", "Dog"):
        logits[0, 3, card.labels.index(label)] = 1.0
    decoder = decoder_of(card)
    found = decoder.decode((boxes, logits), 0.25)
    assert sorted(decoder.kinds[k] for k in found.kinds) == ["animal", "animal", "person"]


def test_ssd_anchors_are_those_of_six_layers():
    anchors = ssd_anchors(300)
    assert anchors.shape == (1917, 4)  # 19*19*3 + 6 * (10*10 + 5*5 + 3*3 + 2*2 + 1)
    assert anchors[0] == pytest.approx([0.5 / 19, 0.5 / 19, 0.1, 0.1])
    second = 19 * 19 * 3
    assert anchors[second] == pytest.approx([0.05, 0.05, 0.35, 0.35])
    wide = anchors[second + 1]
    assert wide[3] / wide[2] == pytest.approx(2)
    assert anchors[-6] == pytest.approx([0.5, 0.5, 0.95, 0.95])


def test_decoder_that_does_not_exist_is_refused():
    from dataclasses import replace

    with pytest.raises(ModelError, match="decoder yolo is none of blazeface, ssd"):
        decoder_of(replace(package("face"), decoder="yolo"))


def test_best_candidates_are_those_with_the_highest_scores():
    scores = np.linspace(0, 1, 50, dtype=np.float32)[::-1].copy()
    some = Candidates(
        xyxy=np.zeros((50, 4), np.float32), scores=scores, kinds=np.arange(50, dtype=np.intp)
    )
    assert sorted(some.best(7).kinds.tolist()) == list(range(7))
    assert some.best(50) is some
    assert len(joined([some, some.best(7)]).scores) == 57


def test_real_outputs_have_the_shapes_that_the_decoders_expect():
    for task in ("face", "object"):
        real = model(task)
        card = real.package
        outputs = real.run(np.zeros((1, card.height_px, card.width_px, 3), np.float32))
        assert [o.shape for o in outputs] == [o.shape for o in card.outputs]
