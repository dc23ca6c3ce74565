"""The drawn scene: what it says is there is where it is drawn."""

import itertools
import threading
import time

import numpy as np
import pytest

from agent.capture.synthetic import SyntheticScene, SyntheticSource
from agent.clock import ManualClock, SystemClock
from agent.errors import CaptureError
from agent.records import WHOLE

COLOURS = {"car": (176, 32, 38), "person": (24, 60, 150)}
UTC_MS = 1_764_000_000_000


def pixels(scene, t_s):
    return scene.picture(t_s, UTC_MS).rgb(WHOLE, scene.width_px, scene.height_px)


@pytest.mark.parametrize("name", ["street", "parked", "blank"])
@pytest.mark.parametrize("size", ["640x360", "333x217"])
def test_truth_is_what_is_drawn(name, size):
    scene = SyntheticScene(f"{name}?noise=0&size={size}")
    width, height = scene.width_px, scene.height_px
    kinds = set()
    for t_s in np.arange(0, 25, 0.7):
        drawn = pixels(scene, t_s)
        coloured = {kind: np.all(drawn == colour, axis=-1) for kind, colour in COLOURS.items()}
        expected = {kind: np.zeros((height, width), bool) for kind in COLOURS}
        border = np.zeros((height, width), bool)
        for thing in scene.truth(t_s):
            kinds.add(thing.kind)
            box = thing.box
            x0, x1 = round(box.x0 * width), round(box.x1 * width)
            y0, y1 = round(box.y0 * height), round(box.y1 * height)
            expected[thing.kind][y0 : y1 + 1, x0 : x1 + 1] = True
            border[max(0, y0 - 1) : y1 + 2, max(0, x0 - 1) : x1 + 2] = True
            border[y0 + 1 : y1, x0 + 1 : x1] = False
        for kind in COLOURS:
            other = expected["person" if kind == "car" else "car"]
            assert not (coloured[kind] & ~expected[kind]).any()
            assert not (expected[kind] & ~coloured[kind] & ~border & ~other).any()
    assert kinds == {"street": {"car", "person"}, "parked": {"car"}, "blank": set()}[name]


def test_truth_stays_in_the_picture_and_has_no_empty_boxes():
    scene = SyntheticScene("street")
    for t_s in np.arange(0, 60, 0.1):
        for thing in scene.truth(t_s):
            box = thing.box
            assert 0 <= box.x0 < box.x1 <= 1
            assert 0 <= box.y0 < box.y1 <= 1


def test_cars_pass_both_ways():
    scene = SyntheticScene("street")
    moves = set()
    for t_s in np.arange(0, 20, 0.1):
        before, after = scene.truth(t_s), scene.truth(t_s + 0.1)
        for one, other in itertools.product(before, after):
            if one.kind == other.kind == "car" and one.box.y1 == other.box.y1:
                moves.add(np.sign(round(other.box.x0 - one.box.x0, 6)))
    assert {-1.0, 1.0} <= moves


def test_parked_car_never_changes():
    scene = SyntheticScene("parked")
    assert scene.truth(0) == scene.truth(77.7)


def test_same_time_and_seed_give_the_same_picture():
    first, second = SyntheticScene("street?seed=3"), SyntheticScene("street?seed=3")
    for t_s in (0, 1.3, 7.7):
        assert np.array_equal(pixels(first, t_s), pixels(second, t_s))
        assert first.truth(t_s) == second.truth(t_s)


def test_another_seed_is_other_noise_over_the_same_truth():
    first, second = SyntheticScene("street?seed=3"), SyntheticScene("street?seed=4")
    assert not np.array_equal(pixels(first, 1), pixels(second, 1))
    assert first.truth(1) == second.truth(1)


@pytest.mark.parametrize("sigma", [1, 5, 30])
def test_noise_has_the_deviation_asked_for_and_is_new_in_each_picture(sigma):
    scene = SyntheticScene(f"blank?noise={sigma}")
    first, second = (pixels(scene, t_s).astype(float) for t_s in (0, 0.1))
    assert first.std() == pytest.approx(sigma, rel=0.15, abs=0.3)
    assert first.mean() == pytest.approx(128, abs=0.6)
    assert (first - second).std() == pytest.approx(sigma * 2**0.5, rel=0.2, abs=0.3)


def test_clock_ticks_in_the_picture_and_is_in_no_truth():
    scene = SyntheticScene("parked?noise=0&clock=1")
    pictures = [scene.picture(0, UTC_MS + late_ms).luma().astype(int) for late_ms in (0, 500, 1000)]
    assert np.array_equal(pictures[0], pictures[1])
    changed = np.argwhere(pictures[0] != pictures[2])
    assert 0 < len(changed) < 500
    assert changed[:, 0].max() < 0.15 * scene.height_px
    assert [thing.kind for thing in scene.truth(0)] == ["car"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nowhere", "is no scene; allowed: street, parked, blank"),
        ("", "is no scene"),
        ("Street", "did you mean street"),
        ("street?colour=red", 'no key "colour"'),
        ("street?fps=0", "fps of a scene is a number from 1 to 60"),
        ("street?fps=nan", "fps of a scene is a number"),
        ("street?fps=1e999", "fps of a scene is a number"),
        ("street?fps=", "fps of a scene is a number"),
        ("street?noise=31", "noise of a scene is a number from 0 to 30"),
        ("street?seconds=-1", "seconds of a scene is a number"),
        ("street?size=640", "size of a scene is like 640x360"),
        ("street?size=8x8", "size of a scene is like 640x360"),
        ("street?size=99999x99999", "size of a scene is like 640x360"),
        ("street?size=64x48x3", "size of a scene is like 640x360"),
    ],
)
def test_scene_that_is_none_says_what_there_is(text, words):
    with pytest.raises(CaptureError, match=words) as caught:
        SyntheticScene(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", ["16x16", "17x4000", "4096x16"])
def test_extreme_sizes_are_drawn(size):
    scene = SyntheticScene(f"street?size={size}&clock=1&fps=1&seconds=1")
    assert f"{scene.width_px}x{scene.height_px}" == size
    assert pixels(scene, 2).shape == (scene.height_px, scene.width_px, 3)


def test_source_replayed_is_in_media_time_and_ends():
    clock = ManualClock(utc_ms=UTC_MS, mono_ns=10**9)
    source = SyntheticSource("c", "street?fps=5&seconds=4", clock, realtime=False)
    frames = list(source.frames())
    assert len(frames) == 20
    assert [frame.t_mono_ns for frame in frames[:3]] == [10**9, 12 * 10**8, 14 * 10**8]
    assert frames[-1].t_utc_ms == UTC_MS + 3800


def test_source_shows_the_scene_of_each_frames_time():
    source = SyntheticSource("c", "street?noise=0&fps=5&seconds=3", ManualClock(), realtime=False)
    for frame in source.frames():
        expected = pixels(source.scene, (frame.seq - 1) / 5)
        assert np.array_equal(frame.picture.rgb(WHOLE, 640, 360), expected)


def test_source_in_realtime_is_paced():
    source = SyntheticSource("c", "blank?fps=50&seconds=0.4", SystemClock(), realtime=True)
    started_s = time.monotonic()
    frames = list(source.frames())
    assert len(frames) == 20
    assert 0.37 < time.monotonic() - started_s < 2


def test_source_closed_between_two_pictures_ends_at_once():
    source = SyntheticSource("c", "blank?fps=1", SystemClock(), realtime=True)
    frames = source.frames()
    next(frames)
    threading.Timer(0.05, source.close).start()
    started_s = time.monotonic()
    assert list(frames) == []
    assert time.monotonic() - started_s < 0.8
