"""Who gets how many looks of how many cores, in which order looks are given up, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.sharing import (
    CALM_FPS,
    FPS,
    LATE_FPS,
    LEAST_FPS,
    Demand,
    Need,
    Pace,
    Sharing,
    Step,
    heat,
    shares,
)

MS = 1_000_000


def demand(need, closer_s=0.1, plain_s=0.04):
    return Demand(need=need, closer_s=closer_s, plain_s=plain_s)


TWO = {"road": demand(Need.URGENT), "yard": demand(Need.CALM)}


@pytest.mark.parametrize(
    ("cores", "road", "yard", "closer", "step"),
    [
        (4.0, FPS, CALM_FPS, True, Step.NOTHING),
        (1.5, FPS, CALM_FPS, True, Step.NOTHING),
        (1.35, FPS, 3.5, True, Step.SLOW_LOOKS),
        (1.2, FPS, 2.0, True, Step.SLOW_LOOKS),
        (1.1, FPS, CALM_FPS, False, Step.CLOSER_LOOKS),
        (0.5, FPS, 2.5, False, Step.CLOSER_LOOKS),
        (0.24, 5.0, 1.0, False, Step.LOOKS),
        (0.001, LEAST_FPS, LEAST_FPS, False, Step.LOOKS),
    ],
)
def test_looks_are_given_up_in_their_order(cores, road, yard, closer, step):
    given, found = shares(TWO, cores)
    assert found is step
    assert (given["road"].fps, given["yard"].fps) == pytest.approx((road, yard))
    assert {share.closer for share in given.values()} == {closer}


@pytest.mark.parametrize(
    ("cores", "road", "yard", "step"),
    [(4.0, 4.0, CALM_FPS, Step.NOTHING), (0.7, 4.0, 3.0, Step.SLOW_LOOKS)],
)
def test_camera_with_a_pace_is_looked_at_no_more_often(cores, road, yard, step):
    given, found = shares(TWO | {"road": replace(TWO["road"], most_fps=4.0)}, cores)
    assert found is step
    assert (given["road"].fps, given["yard"].fps) == pytest.approx((road, yard))


def test_looks_beyond_the_pace_are_not_missed():
    seat = Sharing(cores=1).seat("road", 2.0)
    looks = sum(seat.due(k * 40 * MS) for k in range(100))  # 4 s
    assert (looks, seat.skipped) == (8, 0)


@pytest.mark.parametrize("cores", [0.1, 0.3, 0.5, 0.9, 1.2, 1.4, 3.0])
@pytest.mark.parametrize("cameras", [1, 4, 8])
def test_shares_never_cost_more_than_there_is(cores, cameras):
    needs = [Need.URGENT, Need.CALM, Need.CALM, Need.REST]
    demands = {str(k): demand(needs[k % 4], 0.02 * (k + 1), 0.01 * (k + 1)) for k in range(cameras)}
    given, _ = shares(demands, cores)
    least = LEAST_FPS * sum(each.plain_s for each in demands.values())
    cost = sum(
        given[name].fps * (each.closer_s if given[name].closer else each.plain_s)
        for name, each in demands.items()
        if each.need is not Need.REST
    )
    assert cost <= max(cores, least) + 1e-9


def test_camera_at_rest_costs_nothing_and_is_looked_at_at_once_when_something_comes():
    given, step = shares(TWO | {"door": demand(Need.REST)}, 1.5)
    assert (given["door"].fps, step) == (FPS, Step.NOTHING)


def test_cost_of_a_plain_look_is_guessed_until_it_is_known():
    given, step = shares({"road": demand(Need.URGENT, plain_s=0.0)}, 0.6)
    assert (given["road"].fps, given["road"].closer, step) == (FPS, False, Step.CLOSER_LOOKS)


@pytest.mark.parametrize(
    ("before", "degrees", "slowed", "after"),
    [
        (0, None, False, 0),
        (0, 74.9, False, 0),
        (0, 75.0, False, 1),
        (1, 71.0, False, 1),
        (1, 69.9, False, 0),
        (0, 82.0, False, 2),
        (2, 76.0, False, 2),
        (2, 74.0, False, 1),
        (2, 60.0, False, 0),
        (0, 50.0, True, 2),
        (2, None, False, 0),
    ],
)
def test_heat_comes_at_once_and_goes_once_it_has_cooled_down(before, degrees, slowed, after):
    assert heat(before, degrees, slowed=slowed) == after


def looked_at(seat, *, seconds, fps=25, first_s=0.0, **how):
    """How many frames of a camera at `fps` are due."""
    first_ns, count = round(first_s * 1e9), round(seconds * fps)
    return sum(seat.due(first_ns + k * 1000 * MS // fps, **how) for k in range(count))


def test_pace_follows_a_rate_that_changes():
    pace = Pace()
    slow = sum(pace.due(k * 40 * MS, 1.0) for k in range(50))
    fast = sum(pace.due(2000 * MS + k * 40 * MS, FPS) for k in range(50))
    assert (slow, fast) == (2, 20)


def test_seat_is_looked_at_as_its_need_and_its_share_say():
    sharing = Sharing(cores=1)
    seat = sharing.seat("road")
    assert looked_at(seat, seconds=4) == 40
    seat.looked(Need.CALM, 0.02)
    assert looked_at(seat, seconds=4, first_s=4) == 20
    assert seat.skipped == 0
    seat.looked(Need.URGENT, 0.4)  # 0.096 on the average: the guess for a plain look is 0.048
    for _ in range(50):
        seat.looked(Need.URGENT, 0.18)
    assert sharing.step is Step.LOOKS
    got = looked_at(seat, seconds=4, first_s=8)
    assert got == pytest.approx(4 * 0.9 / 0.18, abs=2)
    assert seat.skipped == 40 - got


def test_late_frames_are_hardly_looked_at_and_told_as_skipped():
    seat = Sharing(cores=1).seat("road")
    assert looked_at(seat, seconds=5, age_s=3.0) == 5 * LATE_FPS
    assert seat.skipped == 45
    assert looked_at(seat, seconds=5, first_s=5) >= 49


def test_frames_that_came_while_a_look_took_too_long_count_as_skipped():
    seat = Sharing(cores=1).seat("road")
    assert all(seat.due(k * 500 * MS, drops=k * 12) for k in range(10))
    assert seat.skipped == 9 * 4
    slow = Sharing(cores=1).seat("a camera of 2 frames a second")
    assert all(slow.due(k * 500 * MS) for k in range(10))
    assert slow.skipped == 0


def test_what_decoding_takes_is_not_there_for_looks():
    sharing = Sharing(cores=2)
    seat = sharing.seat("road")
    for second in range(60):
        seat.looked(Need.URGENT, 0.05 if seat.share.closer else 0.025)
        sharing.tick(second, cpu_s=1.5 * second)  # 0.05 of it at most for the look
    assert sharing.step is Step.CLOSER_LOOKS  # of 1.8 cores 0.35 are left
    sharing.forget("road")
    other = sharing.seat("yard")
    other.looked(Need.URGENT, 0.02)
    assert sharing.step is Step.NOTHING


def test_hot_box_looks_less_and_says_so():
    sharing = Sharing(cores=1)
    seat = sharing.seat("road")
    seat.looked(Need.URGENT, 0.08)
    assert (sharing.step, sharing.trouble) == (Step.NOTHING, None)
    sharing.tick(1.0, 0.0, 81.0)
    seat.looked(Need.URGENT, 0.08)
    assert (sharing.step, sharing.trouble) == (Step.LOOKS, "hot")
    sharing.tick(2.0, 0.0, 60.0)
    seat.looked(Need.URGENT, 0.04)
    assert (sharing.step, sharing.trouble) == (Step.NOTHING, None)


def test_box_that_gets_less_than_half_of_its_looks_for_a_minute_says_so():
    sharing = Sharing(cores=4)
    seat = sharing.seat("road")
    trouble = []
    for second in range(240):
        busy = second < 120
        for k in range(10):  # each look takes 300 ms, or none
            at_ms = second * 1000 + k * 100
            if not busy or k % 3 == 0:
                seat.due(at_ms * MS, drops=at_ms)
                seat.looked(Need.URGENT, 0.01)
        sharing.tick(second, 0.0)
        trouble.append(sharing.trouble)
    assert trouble[40] is None
    assert trouble[115] == "overload"
    assert trouble[-1] is None
