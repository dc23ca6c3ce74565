"""What is movement in a picture and what is only light, weather, leaves and a clock."""

import cv2
import numpy as np
import pytest
from idle_street import NS, Street

from agent.capture.pictures import YuvPicture
from agent.capture.stillness import Stillness

SIZE = (480, 270)
FPS = 10


def moving_s(change, *, seconds=60, noise=2.0, passers=(), clock=False, found=False):
    """At which seconds something moves, from the 20th on."""
    street, stillness, moving = Street(SIZE, noise=noise, passers=passers, clock=clock), None, []
    stillness = Stillness()
    for number in range(seconds * FPS):
        luma = change(street.luma(number), number / FPS)
        picture = YuvPicture(np.ascontiguousarray(luma), [], full_range=False)
        if not stillness.look(picture, number * NS // FPS, found=found) and number >= 20 * FPS:
            moving.append(number / FPS)
    return moving


def same(luma, t_s):
    return luma


def scaled(luma, gain, offset=0.0):
    return np.clip(luma * gain + offset, 0, 255).astype(np.uint8)


def test_picture_at_rest_is_still_whatever_its_noise():
    for noise in (0.0, 2.0, 8.0):
        assert moving_s(same, noise=noise, seconds=30) == []


def test_ticking_clock_is_still_over_its_minutes():
    assert moving_s(same, seconds=150, clock=True) == []


def test_dusk_is_no_movement():
    assert moving_s(lambda luma, t_s: scaled(luma, 1 - 0.01 * t_s)) == []


def test_lamp_is_no_movement():
    assert moving_s(lambda luma, t_s: scaled(luma, 0.5, 60 if t_s > 40 else 0)) == []


def test_rain_is_hardly_ever_movement():
    rng = np.random.default_rng(0)

    def rain(luma, t_s):
        wet = luma.copy()
        for _ in range(40):
            x, y = int(rng.integers(SIZE[0])), int(rng.integers(SIZE[1]))
            cv2.line(wet, (x, y), (x + 1, y + int(rng.integers(5, 15))), 190, 1)
        return cv2.addWeighted(luma, 0.75, wet, 0.25, 0)

    assert len(moving_s(rain, seconds=120)) < 0.1 * 100 * FPS


def test_leaves_that_always_sway_are_no_movement():
    def leaves(luma, t_s):
        swaying = luma.copy()
        shift = round(3 * np.sin(2.1 * t_s) + 2 * np.sin(5.3 * t_s))
        for number in range(8):
            cv2.circle(swaying, (350 + 12 * number + shift, 25 + 4 * number), 6, 40, -1)
        return swaying

    assert [at_s for at_s in moving_s(leaves, seconds=90) if at_s > 45] == []


@pytest.mark.parametrize("height_px", [45, 22, 12])
def test_passer_is_movement_from_the_first_step_to_the_last(height_px):
    seen = moving_s(same, seconds=50, passers=[(30, height_px, 0.08)])
    assert 30 <= seen[0] <= 30 + 1.5
    gone_s = 30 + (SIZE[0] + height_px) / (0.08 * SIZE[0])
    there = [at_s for at_s in seen if at_s < gone_s]
    assert len(there) >= (gone_s - 30) * FPS * 0.9


def test_passer_in_one_look_after_a_long_pause_is_movement():
    street, stillness = Street(SIZE, passers=[(30, 30, 0.08)]), Stillness()
    for number in [*range(100), 350]:
        picture = YuvPicture(street.luma(number), [], full_range=False)
        still = stillness.look(picture, number * NS // FPS, found=False)
        if number in (90, 350):
            assert still == (number == 90)


def test_parked_car_is_usual_after_two_minutes():
    def parked(luma, t_s):
        luma = luma.copy()
        if t_s > 30:
            luma[150:200, 200:290] = 30
        return luma

    seen = moving_s(parked, seconds=180)
    assert seen[0] <= 30.5
    assert seen[-1] <= 150


def test_place_where_a_detector_finds_things_never_becomes_restless():
    passers = [(30 + 4 * number, 30, 0.15) for number in range(40)]
    seen = moving_s(same, seconds=180, passers=passers, found=True)
    assert len([at_s for at_s in seen if at_s > 40]) > 0.95 * 140 * FPS
