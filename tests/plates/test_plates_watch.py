"""One reading a passage: who is looked at, when it is enough, what is no passage at all."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from plate_street import FPS, Street, Thing, standing, straight

from agent.plates.vehicle import MOST_LOOKS
from agent.plates.watch import BUDGET

TEXTS = {1: ("01A123BC", "UZ"), 2: ("75B456DA", "UZ"), 3: ("01123ABC", "KG"), 9: ("", "-")}
LEFT_TO_RIGHT = straight((-300, 300), (400, 0))


def street(*things: Thing, **options) -> Street:
    return Street(list(things), TEXTS, **options)


def test_watch_car_that_drives_by_is_read_once_and_early():
    scene = street(Thing(number=1, path=LEFT_TO_RIGHT))
    assert scene.play(8) == ["01A123BC"]
    (at_s, reading) = scene.readings[0]
    assert at_s < 1.5  # its plate comes into the picture at half a second
    assert reading.kind == "car"
    assert reading.best.country == "UZ"
    assert reading.score > 0.97
    assert reading.votes >= 2
    x, y = reading.box.center
    assert (x * 1280, y * 720) == pytest.approx((-300 + 400 * at_s + 130, 459), abs=40)
    assert scene.close() == ["01A123BC"]


def test_watch_stops_looking_when_it_is_sure():
    scene = street(Thing(number=1, path=straight((100, 300), (60, 0))))
    scene.play(12)
    assert scene.said == ["01A123BC"]
    assert scene.reader.inputs and len(scene.reader.inputs) <= 6
    settled = round(scene.readings[0][0] * FPS)
    assert sum(scene.costs[settled + 1 :]) <= 12  # the tiles of an idle camera, one a second


def test_watch_standing_car_is_read_once_however_its_detection_blinks():
    parked = Thing(
        number=1, path=standing((400, 300)), detected=lambda t: not (20 < t < 35 or 60 < t < 90)
    )
    scene = street(parked)
    assert scene.play(120) == ["01A123BC"]
    assert scene.close() == ["01A123BC"]


def test_watch_plate_without_a_vehicle_around_it_is_read_once():
    scene = street(Thing(number=2, path=standing((700, 300)), size=(0, 0)))
    assert scene.play(60) == ["75B456DA"]
    assert scene.readings[0][1].kind == "vehicle"


def test_watch_slow_plate_without_a_vehicle_is_followed_and_read_once():
    path = straight((100, 200), (60, 8))
    scene = street(Thing(number=2, path=path, size=(0, 0), plate=(0, 0, 90, 24)))
    assert scene.play(12) == ["75B456DA"]


def test_watch_car_that_drives_by_twice_is_read_twice():
    there, again = LEFT_TO_RIGHT, straight((-300, 300), (400, 0), begin=20)

    def twice(t):
        return there(t) if t < 10 else again(t)

    scene = street(Thing(number=1, path=twice))
    assert scene.play(30) == ["01A123BC", "01A123BC"]
    assert len({reading.track_id for _, reading in scene.readings}) == 2


def test_watch_car_that_parks_leaves_and_comes_back_to_its_place_is_read_again():
    def path(t):
        if t < 10:
            return 400.0, 300.0
        if t < 20:
            return 400.0 + 300 * (t - 10), 300.0
        return max(400.0, 1300 - 300 * (t - 20)), 300.0

    scene = street(Thing(number=1, path=path))
    assert scene.play(40) == ["01A123BC", "01A123BC"]


def test_watch_track_that_breaks_is_one_passage():
    scene = street(
        Thing(number=1, path=straight((-200, 300), (150, 0)), detected=lambda t: not 2.5 < t < 5)
    )
    assert scene.play(15) == ["01A123BC"]


def test_watch_car_boxed_twice_is_one_passage():
    car = Thing(number=1, path=straight((0, 250), (120, 0)))
    around_it = straight((-60, 200), (120, 0))
    scene = street(Thing(number=0, path=around_it, size=(380, 300), kind="truck"), car)
    scene.play(9)
    assert scene.close() == ["01A123BC"]
    assert scene.readings[0][1].kind == "car"


def test_watch_two_cars_at_once_are_each_read():
    scene = street(
        Thing(number=1, path=straight((-300, 80), (300, 0))),
        Thing(number=3, path=straight((1300, 400), (-300, 0))),
    )
    assert sorted(scene.play(8)) == ["01123ABC", "01A123BC"]
    kyrgyz = next(r for _, r in scene.readings if r.best.text == "01123ABC")
    assert kyrgyz.best.country == "KG"


def test_watch_sign_that_cars_drive_past_is_not_theirs():
    """A painted text like a plate; three cars without a plate of their own pass behind it."""
    sign = Thing(number=2, path=standing((600, 460)), size=(0, 0), plate=(0, 0, 80, 20))
    cars = [
        Thing(number=0, path=straight((-300, 300), (250, 0), begin=10 * n, end=10 * n + 8))
        for n in range(5)
    ]
    scene = street(*cars, sign)
    scene.play(60)
    scene.close()
    kinds = [reading.kind for _, reading in scene.readings]
    assert "car" not in kinds
    assert len(kinds) <= 1  # of itself, once: it may be a parked car's


def test_watch_text_that_is_no_plate_is_never_told_and_soon_left_alone():
    clock = Thing(number=9, path=standing((40, 20)), size=(0, 0), plate=(0, 0, 200, 30))
    scene = street(clock)
    scene.play(60)
    scene.costs.clear()
    scene.reader.inputs.clear()
    scene.play(60, begin=60)
    assert scene.close() == []
    assert len(scene.reader.inputs) == 0
    assert sum(scene.costs) <= 66  # one tile a second


def test_watch_plate_where_one_stood_that_said_nothing_is_read():
    """A barrier: both cars wait at one place, and the detector sees neither."""

    def path(begin, end):
        return lambda t: (700.0, 300.0) if begin <= t < end else None

    scene = street(
        Thing(number=9, path=path(0, 30), size=(0, 0)),
        Thing(number=2, path=path(60, 90), size=(0, 0)),
    )
    scene.play(120)
    assert scene.close() == ["75B456DA"]


def test_watch_clock_in_the_picture_is_no_plate_though_it_reads_like_one():
    """Its digits change each second, and cars drive past behind it."""

    def shown(odd):
        return lambda t: (300.0, 120.0) if int(t) % 2 == odd else None

    clock = [
        Thing(number=1 + odd, path=shown(odd), size=(0, 0), plate=(0, 0, 120, 24)) for odd in (0, 1)
    ]
    cars = [
        Thing(number=0, path=straight((-300, 20), (200, 0), begin=9 * n, end=9 * n + 9))
        for n in range(4)
    ]
    scene = street(*cars, *clock)
    scene.play(60)
    assert scene.close() == []


def test_watch_plate_that_is_wide_enough_and_unreadable_is_told_as_unread():
    scene = street(Thing(number=1, path=LEFT_TO_RIGHT), sure=1.5, noise=2.0)
    assert scene.play(8) == [None]
    (_, reading) = scene.readings[0]
    assert (reading.best, reading.others, reading.score) == (None, (), 0)
    assert reading.votes >= 2


def test_watch_plate_too_narrow_to_be_read_is_not_told_as_unread():
    car = Thing(number=1, path=LEFT_TO_RIGHT, plate=(100, 150, 40, 11))
    assert street(car, sure=1.5, noise=2.0).play(8) == []


def test_watch_car_without_a_plate_is_not_told_and_costs_little():
    scene = street(Thing(number=0, path=straight((-300, 300), (150, 0))))
    scene.play(15)
    assert scene.close() == []
    assert len(scene.finder.inputs) <= 8 + 15 + 13  # its own looks, and tiles
    assert len(scene.reader.inputs) == 0


def test_watch_standing_car_that_is_never_sure_is_not_read_for_ever():
    scene = street(Thing(number=1, path=standing((400, 300))), sure=2.0, noise=1.5)
    scene.play(60)
    assert len(scene.reader.inputs) <= MOST_LOOKS + 3
    assert len(scene.close()) <= 1


def test_watch_keeps_its_budget_in_every_frame():
    crowd = [
        Thing(number=1 + n % 3, path=straight((-250 + 230 * (n % 4), 20 + 170 * (n // 4)), (40, 0)),
              size=(220, 160), plate=(70, 120, 70, 18))
        for n in range(16)
    ]  # fmt: skip
    for budget in (2, 3, BUDGET):
        scene = street(*crowd, budget=budget, sure=3.0, noise=2.0)
        scene.play(4)
        assert max(scene.costs) <= budget
        assert sum(scene.costs) > len(scene.costs)


def test_watch_reads_every_car_of_a_full_street():
    texts = {n: (f"01A{100 + n}BC", "UZ") for n in range(1, 13)}
    cars = [
        Thing(number=n, path=straight((-300, 40 + 220 * (n % 3)), (260, 0), begin=0.9 * n))
        for n in texts
    ]
    scene = Street(cars, texts)
    scene.play(20)
    assert sorted(scene.close()) == sorted(text for text, _ in texts.values())
    assert scene.watch.inferences / len(texts) < 16


def test_watch_is_deterministic():
    def said():
        scene = street(Thing(number=1, path=LEFT_TO_RIGHT), sure=4.0, noise=1.0)
        scene.play(8)
        return scene.readings, scene.costs

    assert said() == said()


def test_watch_reads_the_main_stream_where_there_is_one():
    scene = street(Thing(number=1, path=LEFT_TO_RIGHT))
    frames = [scene.frame(t / FPS, t) for t in range(30)]
    dark = street().frame(0, 0).picture
    for t, frame in enumerate(frames):
        split = replace(frame, picture=dark, main=frame.picture)
        tracks = scene.tracker.update(scene.detections(t / FPS), frame.t_mono_ns)
        scene.readings += [(t / FPS, each) for each in scene.watch.update(split, tracks)]
    assert scene.said == ["01A123BC"]


def test_watch_says_no_text_in_any_log(caplog):
    with caplog.at_level(logging.DEBUG):
        scene = street(Thing(number=1, path=LEFT_TO_RIGHT))
        scene.play(4)
    assert scene.said == ["01A123BC"]
    assert "01A123BC" not in caplog.text
