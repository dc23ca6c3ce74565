"""`face.count` and `vehicle.count`: each thing once, in whole periods of UTC."""

import random

from street import EPOCH_MS, faces, moment, rules, track

from agent.records import Moment, Phase, TrackState
from agent.rules.counts import PeriodCount, new_face
from agent.ulid import UlidMaker

ON = {"face.count": {"per": 60.0}, "vehicle.count": {"per": 60.0}}


def test_face_count_tells_at_the_end_of_the_period_how_many_came():
    machine = rules(ON)
    for second in range(10, 50):
        at = moment(second)
        assert machine.update(faces(2 if second < 30 else 3, at), at) == []
    (event,) = machine.update([], moment(61.5))
    assert (event.kind, event.count, event.period_s) == ("face.count", 3, 60)
    assert (event.phase, event.n, event.object_class) == (Phase.ONCE, 0, None)
    assert event.at == moment(60)


def test_face_count_face_that_stays_into_the_next_period_counts_once():
    machine = rules(ON)
    events = []
    for second in range(150):
        events += machine.update(faces(1, moment(second)), moment(second))
    assert [event.count for event in events] == [1]


def test_face_count_of_empty_periods_is_not_sent():
    machine = rules(ON)
    assert [machine.tick(moment(second)) for second in range(0, 600, 5)] == [[]] * 120


def test_face_count_unsure_face_does_not_count():
    machine = rules(ON)
    machine.update(faces(3, moment(1), state=TrackState.TENTATIVE), moment(1))
    assert machine.tick(moment(61)) == []


def test_face_count_period_ends_by_time_alone_and_is_stamped_with_its_own_end():
    machine = rules(ON)
    machine.update(faces(1, moment(70)), moment(70))
    (event,) = machine.tick(moment(1000))
    assert event.at == moment(120)


def test_vehicle_count_is_per_class_and_sorted():
    machine = rules(ON)
    kinds = ["truck", "car", "car", "bus", "vehicle", "motorcycle", "bicycle", "person"]
    at = moment(5)
    tracks = [track(n, kind, at, moved=True) for n, kind in enumerate(kinds)]
    machine.update(tracks, at)
    events = machine.tick(moment(60))
    assert [(event.object_class, event.count) for event in events] == [
        ("bus", 1),
        ("car", 2),
        ("motorcycle", 1),
        ("truck", 1),
        ("vehicle", 1),
    ]
    assert len({event.event_id for event in events}) == 5


def test_vehicle_count_parked_car_counts_only_once_it_moves_and_then_never_again():
    machine = rules(ON)
    events = []
    for second in range(600):
        at = moment(second)
        events += machine.update([track(1, "car", at, moved=second >= 200)], at)
    assert [(event.at, event.count) for event in events] == [(moment(240), 1)]


def test_counts_closed_inside_a_period_leave_at_once_and_sum_up():
    machine = rules(ON)
    machine.update(faces(2, moment(10)), moment(10))
    (partial,) = machine.close(moment(20), "restart")
    assert (partial.count, partial.why, partial.at) == (2, "restart", moment(20))
    assert partial.period_s == 60
    assert machine.tick(moment(61)) == []


def test_counts_clock_set_back_loses_nothing():
    machine = rules(ON)
    machine.update(faces(2, moment(70)), moment(70))
    earlier = Moment(mono_ns=round(71e9), utc_ms=EPOCH_MS - 3_600_000)
    (event,) = machine.update([], earlier)
    assert event.count == 2
    assert event.at.mono_ns <= earlier.mono_ns


def test_counts_clock_not_synchronised_is_passed_on():
    machine = rules(ON)
    unsure = Moment(mono_ns=5, utc_ms=EPOCH_MS, synced=False)
    machine.update(faces(1, unsure), unsure)
    (event,) = machine.tick(moment(3600))
    assert not event.at.synced


def test_face_count_totals_do_not_depend_on_how_often_time_is_told():
    rng = random.Random(1)
    arrivals = sorted(rng.uniform(0, 600) for _ in range(40))

    def totals(step: float) -> list[tuple[int, int]]:
        machine, told = rules(ON), []
        for number in range(int(660 / step)):
            at = moment(number * step)
            here = [
                track(n, "face", at)
                for n, begins in enumerate(arrivals)
                if begins <= number * step < begins + 3
            ]
            told += machine.update(here, at)
        return [(event.at.utc_ms, event.count) for event in told]

    assert totals(0.04) == totals(0.04)
    assert sum(count for _, count in totals(0.5)) == 40


def test_counts_of_a_line_that_is_spared_come_seldom_and_sum_up_all_the_same():
    at_least_s, events = [0], []
    count = PeriodCount(
        *("face.count", "gate", UlidMaker(random.Random(1))),
        period_s=60,
        counts=new_face,
        at_least_s=lambda: at_least_s[0],
    )
    for second in range(0, 2000, 10):
        at_least_s[0] = 900 if 90 <= second < 1500 else 0
        seen = [track(second // 100, "face", moment(second))]
        events += count.update(seen, moment(second))
    events += count.close(moment(2000), "stop")
    assert sum(event.count for event in events) == 20
    assert [event.period_s for event in events if event.count][:3] == [60, 60, 900]
    told = {(event.at.utc_ms - EPOCH_MS) // 1000: event.period_s for event in events}
    assert told[900] == 900
    assert told[1800] == 900  # a period that has begun is not cut short
