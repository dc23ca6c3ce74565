"""Labels files: what is read, what is refused with its place, what is written back."""

import io
import json

import cv2
import numpy as np
import pytest

from agent.errors import AgentError
from agent.evaluate.labelled import (
    by_detector,
    look,
    merged,
    read_labels,
    write_predictions,
)
from agent.evaluate.scoring import Found
from agent.records import Box, Detection

GOOD = {
    "file": "a.png",
    "w": 200,
    "h": 100,
    "objects": [
        {"cls": "car", "box": [10, 20, 60, 80]},
        {"cls": "plate", "box": [1, 2, 3, 4], "text": None},
        {"cls": "person", "box": [0, 0, 5.5, 9], "crowd": True, "extra": 1},
    ],
}


@pytest.fixture
def labels(tmp_path):
    def write(*lines):
        path = tmp_path / "labels.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("\n".join(texts) + "\n")
        cv2.imwrite(str(tmp_path / "a.png"), np.zeros((100, 200, 3), np.uint8))
        return path

    return write


class OneCar:
    def detect(self, frame, look_at=()):
        assert (frame.picture.width_px, frame.picture.height_px) == (200, 100)
        return [Detection(kind="car", score=0.81234, box=Box(x0=0.05, y0=0.2, x1=0.3, y1=0.8))]


def test_labels_keep_the_classes_that_the_task_is_about(labels):
    (line,) = read_labels(labels(GOOD, ""), "object")
    assert [(found.cls, found.crowd) for found in line.objects] == [
        ("car", False),
        ("person", True),
    ]


def test_labels_of_nothing_that_the_task_is_about_are_refused(labels):
    with pytest.raises(AgentError, match="no labels of face in it"):
        read_labels(labels(GOOD), "face")


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "[]",
        "7",
        {**GOOD, "objects": [{"cls": "car"}]},
        {**GOOD, "objects": [{"cls": "car", "box": [1, 2, 3]}]},
        {**GOOD, "objects": [{"cls": "car", "box": [60, 20, 10, 80]}]},
        {**GOOD, "objects": [{"cls": "car", "box": [0, 0, "x", 80]}]},
        {**GOOD, "objects": 3},
        {**GOOD, "w": 0},
        {key: value for key, value in GOOD.items() if key != "file"},
    ],
)
def test_line_that_is_no_label_is_refused_with_its_number(labels, bad):
    with pytest.raises(AgentError, match=r"labels\.jsonl:2: not a label"):
        read_labels(labels(GOOD, bad), "object")


def test_file_without_a_line_or_without_text_is_refused(labels, tmp_path):
    with pytest.raises(AgentError, match="no labels of bicycle, bus, car"):
        read_labels(labels(""), "object")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    for name in ("binary.jsonl", "absent.jsonl"):
        with pytest.raises(AgentError, match="cannot be read"):
            read_labels(tmp_path / name, "object")


def test_picture_that_is_missing_or_none_is_named(labels, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    for name in ("absent.png", "text.png"):
        lines = read_labels(labels({**GOOD, "file": name}), "object")
        words = "cannot be read: No such file" if name == "absent.png" else "not a picture"
        with pytest.raises(AgentError, match=f"{name}: {words}"):
            look(lines, by_detector(OneCar()), lambda done: None)


def test_predictions_are_lines_like_the_labels_with_a_score(labels):
    done = []
    seen = look(read_labels(labels(GOOD), "object"), by_detector(OneCar()), done.append)
    assert done == [1]
    out = io.StringIO()
    write_predictions(seen, out)
    assert json.loads(out.getvalue()) == {
        "file": "a.png",
        "w": 200,
        "h": 100,
        "objects": [{"cls": "car", "box": [10.0, 20.0, 60.0, 80.0], "score": 0.8123}],
    }


def test_merged_calls_every_vehicle_vehicle_and_nothing_else():
    kinds = ["car", "bus", "truck", "motorcycle", "vehicle", "bicycle", "person"]
    names = [one.cls for one in merged([Found(cls=k, xyxy_px=(0, 0, 1, 1)) for k in kinds])]
    assert names == ["vehicle"] * 5 + ["bicycle", "person"]
