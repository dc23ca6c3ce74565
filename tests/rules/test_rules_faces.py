"""`face.present`: starts when faces stay, counts the most at once, ends when they are gone."""

import itertools

from street import faces, moment, rules, track

from agent.records import Phase, TrackState
from agent.rules.occurrence import Occurrence

ON = {"face.present": {"for": 2.0, "gap": 5.0}}


def watch(machine, counts):
    """One picture a second with so many faces; all events."""
    events = []
    for second, count in enumerate(counts):
        at = moment(second)
        events += machine.update(faces(count, at), at)
    return events


def test_face_present_faces_that_stay_give_start_and_end_with_times_of_first_and_last_sight():
    events = watch(rules(ON), [0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    start, end = events
    assert (start.phase, start.n, start.at, start.count) == (Phase.START, 0, moment(1), 1)
    assert (end.phase, end.n, end.at, end.count) == (Phase.END, 1, moment(4), 1)
    assert end.duration_ms == 3000
    assert end.why is None
    assert start.event_id == end.event_id
    assert {event.kind for event in events} == {"face.present"}


def test_face_present_face_in_passing_gives_nothing():
    assert watch(rules(ON), [1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]) == []


def test_face_present_gap_shorter_than_allowed_does_not_end_it():
    events = watch(rules(ON), [1, 1, 1, 0, 0, 0, 1, 1])
    assert [event.phase for event in events] == [Phase.START]


def test_face_present_count_is_the_most_seen_at_once_and_never_falls():
    events = watch(rules(ON), [1] * 5 + [4] + [2] * 20 + [0] * 6)
    assert [(event.phase, event.count) for event in events] == [
        (Phase.START, 1),
        (Phase.UPDATE, 4),
        (Phase.END, 4),
    ]
    assert events[1].at == moment(10)  # ten seconds after the start, not at once


def test_face_present_unchanged_count_gives_no_update():
    assert len(watch(rules(ON), [3] * 500)) == 1


def test_occurrence_updates_become_rarer_with_age():
    occurrence = Occurrence("face.present", "gate", "0" * 26, moment(0))
    occurrence.start(0)
    told = [second for second in range(3 * 3600) if occurrence.update(moment(second), second)]
    gaps = list(zip(told[1:], (b - a for a, b in itertools.pairwise(told)), strict=True))
    assert len([at for at in told if at < 600]) == 59
    assert {gap for at, gap in gaps if at < 600} == {10}
    assert {gap for at, gap in gaps if 600 <= at < 7200} == {60}
    assert {gap for at, gap in gaps if at >= 7200} == {3600}


def test_face_present_ends_by_time_alone_when_pictures_stop():
    machine = rules(ON)
    watch(machine, [1, 1, 1, 1])
    assert machine.tick(moment(7)) == []
    (end,) = machine.tick(moment(8))
    assert (end.phase, end.at) == (Phase.END, moment(3))


def test_face_present_unsure_and_unseen_faces_do_not_count():
    machine = rules(ON)
    for state in (TrackState.TENTATIVE, TrackState.COASTING, TrackState.ENDED):
        for second in range(5):
            assert machine.update(faces(2, moment(second), state=state), moment(second)) == []


def test_face_present_other_kinds_do_not_count():
    machine = rules(ON)
    for second in range(5):
        assert machine.update([track(1, "person", moment(second))], moment(second)) == []


def test_face_present_closed_by_restart_ends_now_with_the_reason_and_begins_anew():
    machine = rules(ON)
    (start,) = watch(machine, [2, 2, 2, 2])
    (end,) = machine.close(moment(4), "restart")
    assert (end.phase, end.n, end.why, end.at) == (Phase.END, 1, "restart", moment(4))
    assert end.count == 2
    assert machine.close(moment(5), "restart") == []
    again = []
    for second in range(5, 9):
        again += machine.update(faces(1, moment(second)), moment(second))
    assert again[0].event_id != start.event_id
    assert (again[0].phase, again[0].n) == (Phase.START, 0)


def test_rule_that_is_not_configured_is_off():
    machine = rules({})
    assert watch(machine, [5] * 100) == []
    assert machine.lost(moment(100), "gone") + machine.tick(moment(999)) == []
    assert machine.back(moment(999)) + machine.close(moment(999), "restart") == []
