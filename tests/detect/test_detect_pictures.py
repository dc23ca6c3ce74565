"""The detector with its real models on real pictures, and what it asks of them."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from eyes import (
    FACE_CLIP,
    STREET_CLIP,
    CountingModel,
    clip_frames,
    frame_of,
    model,
    on_canvas,
    pixels,
)

from agent.detect.detector import Detector
from agent.geometry import iou_matrix
from agent.records import WHOLE, Box

SHARED = Path(__file__).parents[3] / "shared" / "data"


def overlap(one: Box, other: Box) -> float:
    rows = [np.array([[b.x0, b.y0, b.x1, b.y1]]) for b in (one, other)]
    return float(iou_matrix(*rows)[0, 0])


def test_face_is_found_in_every_picture_of_the_face_clip():
    detector = Detector(model("face"), budget=1)
    boxes = []
    for frame in clip_frames(FACE_CLIP):
        (best, *others) = detector.detect(frame)
        assert best.kind == "face" and best.score > 0.5
        assert not others
        boxes.append(best.box)
    assert len(boxes) == 120
    # One head in one car: it moves, but from picture to picture it is about where it was.
    assert min(overlap(a, b) for a, b in itertools.pairwise(boxes)) > 0.5


def test_small_face_is_lost_in_the_first_look_and_found_in_a_tile():
    face = pixels(clip_frames(FACE_CLIP)[0])
    small = frame_of(on_canvas(face, width_px=90, at=(900, 420)))
    there = Box(x0=900 / 1280, y0=420 / 720, x1=990 / 1280, y1=495 / 720)
    assert Detector(model("face"), budget=1).detect(small) == []
    (found,) = Detector(model("face"), budget=3).detect(small, look_at=[there])
    assert there.x0 < found.box.x0 < found.box.x1 < there.x1
    assert there.y0 < found.box.y0 < found.box.y1 < there.y1


def test_face_seen_in_the_first_look_and_in_a_tile_is_reported_once():
    face = pixels(clip_frames(FACE_CLIP)[0])
    frame = frame_of(on_canvas(face, width_px=280, at=(500, 200)))
    assert len(Detector(model("face"), budget=3).detect(frame, look_at=[WHOLE])) == 1


def test_picture_of_a_main_stream_is_what_tiles_are_cut_from():
    face = pixels(clip_frames(FACE_CLIP)[0])
    large = frame_of(on_canvas(face, width_px=90, at=(900, 420)))
    there = Box(x0=900 / 1280, y0=420 / 720, x1=990 / 1280, y1=495 / 720)
    small = frame_of(cv2.resize(pixels(large), (160, 90), interpolation=cv2.INTER_AREA))
    detector = Detector(model("face"), budget=3)
    blurred = detector.detect(small, look_at=[there])
    (sharp,) = detector.detect(replace(small, main=large.picture), look_at=[there])
    assert all(seen.score < sharp.score for seen in blurred)


def test_street_clip_has_cars_persons_and_bicycles():
    detector = Detector(model("object"), budget=1)
    seen = {
        found.kind for frame in clip_frames(STREET_CLIP)[::10] for found in detector.detect(frame)
    }
    assert {"car", "person", "bicycle"} <= seen


def test_one_vehicle_is_never_both_car_and_vehicle():
    detector = Detector(model("object"), budget=3)
    for frame in clip_frames(STREET_CLIP)[::15]:
        vehicles = [f.box for f in detector.detect(frame) if f.kind in ("car", "vehicle")]
        for k, one in enumerate(vehicles):
            assert all(overlap(one, other) <= 0.41 for other in vehicles[:k])


@pytest.mark.parametrize("budget", [1, 2, 3])
def test_inferences_stay_within_the_budget_and_are_used_when_something_small_is_there(budget):
    counting = CountingModel(model("face"))
    face = pixels(clip_frames(FACE_CLIP)[0])
    canvas = on_canvas(face, width_px=90, at=(60, 60))
    canvas[400:475, 1100:1190] = cv2.resize(face, (90, 75), interpolation=cv2.INTER_AREA)
    places = [Box(x0=0.05, y0=0.08, x1=0.12, y1=0.19), Box(x0=0.86, y0=0.55, x1=0.93, y1=0.66)]
    Detector(counting, budget=budget).detect(frame_of(canvas), look_at=places)
    assert counting.runs == budget


def test_empty_street_at_rest_costs_one_inference():
    counting = CountingModel(model("face"))
    night = frame_of(np.zeros((720, 1280, 3)))
    assert Detector(counting, budget=3).detect(night, look_at=[]) == []
    assert counting.runs == 1


@pytest.mark.parametrize("size", [(1, 1), (16, 2000), (2000, 16), (4096, 2304)])
def test_picture_of_any_shape_is_looked_at(size):
    width, height = size
    frame = frame_of(np.full((height, width, 3), 90, np.uint8))
    for task in ("face", "object"):
        for found in Detector(model(task), budget=3).detect(frame):
            box = found.box
            assert 0 <= box.x0 <= box.x1 <= 1 and 0 <= box.y0 <= box.y1 <= 1


def test_colours_go_in_as_red_green_blue_in_the_range_of_the_card():
    real, tensors = model("face"), []

    class Listening:
        package = real.package

        def run(self, tensor):
            tensors.append(tensor.copy())
            return real.run(tensor)

    red_over_blue = np.zeros((192, 192, 3), np.uint8)
    red_over_blue[:96, :, 0] = red_over_blue[96:, :, 2] = 255
    Detector(Listening(), budget=1).detect(frame_of(red_over_blue))
    (tensor,) = tensors
    assert tensor[0, 10, 10] == pytest.approx([1, -1, -1])
    assert tensor[0, 180, 10] == pytest.approx([-1, -1, 1])


def test_tiles_find_most_of_the_small_faces_that_one_look_misses():
    """On development pictures; the figures themselves come from `mahalla models eval`."""
    folder = SHARED / "face_mask_photos"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/face_mask_photos, which is not here")
    lines = (folder / "labels.jsonl").read_text().splitlines()[:60]
    found = {1: 0, 3: 0}
    total = 0
    for line in map(json.loads, lines):
        picture = cv2.cvtColor(cv2.imread(str(folder / line["file"])), cv2.COLOR_BGR2RGB)
        small = [box for box in _faces(line) if (box.x1 - box.x0) * (box.y1 - box.y0) < 32 * 32]
        scale = [1 / line["w"], 1 / line["h"]] * 2
        wanted = [_scaled(box, scale) for box in small]
        total += len(wanted)
        for budget in found:
            seen = Detector(model("face"), budget=budget).detect(frame_of(picture))
            found[budget] += sum(
                any(overlap(box, one.box) >= 0.5 for one in seen) for box in wanted
            )
    assert total > 200
    assert found[3] > 1.5 * found[1], found


def _faces(line):
    return [
        Box(x0=x0, y0=y0, x1=x1, y1=y1)
        for x0, y0, x1, y1 in (o["box"] for o in line["objects"] if o["cls"] == "face")
    ]


def _scaled(box, scale):
    edges = [edge * by for edge, by in zip((box.x0, box.y0, box.x1, box.y1), scale, strict=True)]
    return Box(x0=edges[0], y0=edges[1], x1=edges[2], y1=edges[3])
