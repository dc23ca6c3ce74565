"""Single pictures through finder, reader and grammars, with models that are none."""

import json

import cv2
import numpy as np
import pytest

from agent.cli import main
from agent.errors import AgentError
from agent.evaluate.labelled import look, read_labels, write_predictions
from agent.evaluate.plate_report import as_text, report
from agent.evaluate.plates import PlateEyes
from agent.infer.package import Calibration
from agent.plates.finder import FoundPlate
from agent.plates.kbest import BLANK, SLOTS, SYMBOLS
from agent.plates.reader import View
from agent.records import Box, Detection

CALIBRATION = Calibration(text_temperature=1.0, country_temperature=1.0, sure=0.9, min_width_px=55)
LEFT = np.array([[0.1, 0.4], [0.3, 0.4], [0.3, 0.5], [0.1, 0.5]])
RIGHT = LEFT + np.array([0.5, 0.0])


class Finder:
    """Sees the plates whose middle lies in the region."""

    smallest_px = 20

    def __init__(self, *quads):
        self.quads, self.regions = quads, []

    def tiles(self, picture):
        return [Box(x0=0, y0=0, x1=0.6, y1=1), Box(x0=0.4, y0=0, x1=1, y1=1)]

    def find(self, picture, region):
        self.regions.append(region)
        return [
            FoundPlate(corners=quad, score=0.7, width_px=40.0)
            for quad in self.quads
            if region.x0 <= quad[:, 0].mean() <= region.x1
        ]


class Reader:
    """Reads by where the plate is."""

    calibration = CALIBRATION
    smallest_px = 1

    def __init__(self, left="40A123BC", right="01123ABC", not_plate=0.0):
        self.texts, self.not_plate = {False: left, True: right}, not_plate

    def read(self, picture, corners, *, glances):
        text = self.texts[bool(corners[:, 0].mean() > 0.5)]
        logp = np.full((SLOTS, len(SYMBOLS)), -12.0, np.float32)
        for slot in range(SLOTS):
            logp[slot, SYMBOLS.index(text[slot]) if slot < len(text) else BLANK] = 0.0
        return View(
            char_logp=logp,
            country_logp={"UZ": -0.01, "?": -5.0},
            not_plate=self.not_plate,
            sharpness=0.5,
            width_px=40.0,
        )


class Cars:
    def __init__(self, *boxes):
        self.boxes = boxes

    def detect(self, frame):
        return [Detection(kind="car", score=0.9, box=box) for box in self.boxes]


@pytest.fixture
def labels(tmp_path):
    plates = [
        {"cls": "plate", "box": [20, 40, 60, 50], "text": "40 A 123 BC"},
        {"cls": "plate", "box": [120, 40, 160, 50], "text": None},
        {"cls": "car", "box": [0, 0, 9, 9]},
    ]
    line = {"file": "a.png", "w": 200, "h": 100, "objects": plates}
    (tmp_path / "labels.jsonl").write_text(json.dumps(line))
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((100, 200, 3), np.uint8))
    return tmp_path / "labels.jsonl"


def test_plate_on_a_vehicle_and_in_two_tiles_is_reported_once(labels):
    finder = Finder(LEFT, RIGHT)
    eyes = PlateEyes(Cars(Box(x0=0, y0=0, x1=0.5, y1=0.6)), finder, Reader())
    (seen,) = look(read_labels(labels, "plate"), eyes.whole, lambda done: None)
    assert {one.text for one in seen.objects} == {"40A123BC", "01123ABC"}
    assert [round(edge) for edge in seen.objects[0].xyxy_px] in (
        [20, 40, 60, 50],
        [120, 40, 160, 50],
    )
    assert all(one.q > 0.9 for one in seen.objects)
    # One look at the vehicle with room around it, two tiles, one closer look at each plate.
    assert len(finder.regions) == 1 + 2 + 2
    assert finder.regions[0].x1 == pytest.approx(0.55)


def test_vehicle_too_narrow_for_a_plate_gets_no_look(labels):
    finder = Finder()
    eyes = PlateEyes(Cars(Box(x0=0.1, y0=0.1, x1=0.2, y1=0.3)), finder, Reader())
    look(read_labels(labels, "plate"), eyes.whole, lambda done: None)
    assert finder.regions == finder.tiles(None)


def test_what_the_reader_takes_for_no_plate_is_not_reported(labels):
    eyes = PlateEyes(Cars(), Finder(LEFT), Reader(not_plate=0.8))
    (seen,) = look(read_labels(labels, "plate"), eyes.whole, lambda done: None)
    assert seen.objects == ()


def test_crops_are_read_where_they_are_labelled_and_nothing_is_looked_for(labels):
    finder = Finder(RIGHT)
    eyes = PlateEyes(Cars(), finder, Reader(not_plate=0.8))
    (seen,) = look(read_labels(labels, "plate"), eyes.crops, lambda done: None)
    assert [one.text for one in seen.objects] == ["40A123BC", "01123ABC"]
    assert seen.objects[0].xyxy_px == (20, 40, 60, 50)
    assert finder.regions == []


def test_report_compares_with_the_labels_and_is_told_by_width(labels):
    eyes = PlateEyes(Cars(), Finder(LEFT, RIGHT), Reader())
    seen = look(read_labels(labels, "plate"), eyes.whole, lambda done: None)
    result = report(seen, eyes.sure)
    assert (result["images"], result["plates"], result["texts"]) == (1, 2, 1)
    assert (result["found"], result["exact"], result["wrong_confident"]) == (1, 1, 0)
    assert result["widths"]["<50"] == {key: result[key] for key in result["widths"]["<50"]}
    assert result["widths"][">=100"]["exact"] is None
    assert [point["from_px"] for point in result["curve"]] == [40]
    lines = list(as_text({"model": "m 1", "crops": False, **result}))
    assert len({len(line) for line in lines[2:]}) == 1  # a table whose columns stand in line
    assert not any("40A123BC" in line for line in lines)


def test_predictions_of_plates_carry_text_and_q(labels, tmp_path):
    eyes = PlateEyes(Cars(), Finder(LEFT), Reader())
    with (tmp_path / "out.jsonl").open("w") as out:
        write_predictions(look(read_labels(labels, "plate"), eyes.whole, lambda done: None), out)
    (written,) = json.loads((tmp_path / "out.jsonl").read_text())["objects"]
    q = written.pop("q")
    assert written == {"cls": "plate", "box": [20, 40, 60, 50], "score": 0.7, "text": "40A123BC"}
    assert 0.9 < q <= 1


def test_label_whose_text_is_none_is_refused_by_its_line(tmp_path):
    line = {
        "file": "a.png",
        "w": 9,
        "h": 9,
        "objects": [{"cls": "plate", "box": [0, 0, 5, 5], "text": 40}],
    }
    (tmp_path / "labels.jsonl").write_text(json.dumps(line))
    with pytest.raises(AgentError, match=r"labels\.jsonl:1: not a label .* text is 40"):
        read_labels(tmp_path / "labels.jsonl", "plate")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plate", "--plot", "out.png"], "--plot out.png: a name that ends in .svg"),
        (["face", "--crops"], "--crops and --plot go with the task plate"),
        (["object", "--plot", "out.svg"], "--crops and --plot go with the task plate"),
    ],
)
def test_options_that_do_not_go_together_are_refused(labels, capsys, arguments, words):
    task, *rest = arguments
    assert main(["models", "eval", task, str(labels), *rest]) == 2
    assert words in capsys.readouterr().err
