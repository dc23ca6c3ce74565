"""Motion: what moves is boxed; a lamp, the infrared filter and noise are not."""

import numpy as np
import pytest
from eyes import frame_of

from agent.detect.motion import MotionFinder

RNG = np.random.default_rng(7)
STREET = np.repeat(RNG.integers(40, 160, (9, 16, 3)), 40, axis=0).repeat(40, axis=1)  # 360 x 640


def scene(*cars, light=0, noise=0.0, seed=0):
    picture = STREET.astype(np.float32) + light
    for x, y in cars:
        picture[y : y + 40, x : x + 80] = 250
    picture += np.random.default_rng(seed).normal(0, noise, picture.shape) if noise else 0
    return frame_of(np.clip(picture, 0, 255))


def seen(*frames):
    finder = MotionFinder()
    return [finder.find(frame) for frame in frames][-1]


def test_first_picture_moves_nothing():
    assert seen(scene((100, 100))) == []


def test_still_picture_with_sensor_noise_moves_nothing():
    assert seen(scene((100, 100), noise=6, seed=1), scene((100, 100), noise=6, seed=2)) == []


def test_moving_car_is_boxed_where_it_was_and_where_it_is():
    boxes = seen(scene((100, 100)), scene((120, 100)))
    assert min(box.x0 for box in boxes) <= 100 / 640
    assert max(box.x1 for box in boxes) >= 200 / 640
    for box in boxes:
        assert 0.2 < box.y0 < box.y1 < 0.45
    assert sum(box.area for box in boxes) < 0.1


def test_two_cars_that_appear_have_a_box_each_the_larger_change_first():
    half_outside = (600, 300)
    boxes = seen(scene(), scene(half_outside, (180, 100)))
    assert [round(box.center[0], 2) for box in boxes] == pytest.approx([0.34, 0.97], abs=0.03)


@pytest.mark.parametrize("light", [-40, 40])
def test_light_that_jumps_moves_nothing(light):
    assert seen(scene((100, 100)), scene((120, 100), light=light)) == []


def test_never_more_than_four_boxes():
    cars = [(20 + 190 * k, 60 + 110 * row) for k in range(3) for row in range(2)]
    assert len(seen(scene(), scene(*cars))) == 4


def test_camera_that_changes_its_picture_size_begins_anew():
    small = frame_of(np.zeros((180, 640, 3)))
    assert seen(scene((100, 100)), small) == []
