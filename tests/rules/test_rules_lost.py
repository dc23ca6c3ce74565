"""`camera.lost`: from when pictures stopped to when they come again."""

from street import moment, rules

from agent.records import Phase

ON = {"camera.lost": {"after": 10.0}}


def test_camera_lost_starts_after_a_while_and_is_stamped_with_when_it_went():
    machine = rules(ON)
    assert machine.lost(moment(5), "refused") == []
    assert machine.lost(moment(14), "refused") == []
    (start,) = machine.lost(moment(15), "refused")
    assert (start.kind, start.phase, start.n) == ("camera.lost", Phase.START, 0)
    assert (start.at, start.why) == (moment(5), "refused")


def test_camera_lost_starts_by_time_alone():
    machine = rules(ON)
    machine.lost(moment(5), "no frames")
    assert machine.tick(moment(14)) == []
    assert len(machine.tick(moment(15))) == 1


def test_camera_lost_short_absence_gives_nothing():
    machine = rules(ON)
    machine.lost(moment(0), "refused")
    assert machine.back(moment(9)) == []
    assert machine.lost(moment(10), "refused") == []
    assert machine.tick(moment(19)) == []


def test_camera_lost_ends_when_it_is_back_with_its_duration():
    machine = rules(ON)
    machine.lost(moment(0), "refused")
    machine.tick(moment(10))
    (end,) = machine.back(moment(100))
    assert (end.phase, end.n, end.duration_ms, end.at) == (Phase.END, 1, 100_000, moment(100))
    assert end.why is None
    assert machine.back(moment(101)) == []


def test_camera_lost_a_picture_says_that_it_is_back():
    machine = rules(ON)
    machine.lost(moment(0), "refused")
    machine.tick(moment(10))
    assert [event.phase for event in machine.update([], moment(20))] == [Phase.END]


def test_camera_lost_another_reason_is_an_update_on_schedule():
    machine = rules(ON)
    events = []
    for second in range(100):
        events += machine.lost(moment(second), "refused" if second < 12 else "timed out")
    assert [(event.phase, event.why) for event in events] == [
        (Phase.START, "refused"),
        (Phase.UPDATE, "timed out"),
    ]


def test_camera_lost_for_a_day_with_changing_reasons_stays_quiet():
    machine = rules(ON)
    events = []
    for second in range(0, 86_400, 5):
        events += machine.lost(moment(second), "refused" if second % 10 else "no route")
    updates = [event for event in events if event.phase is Phase.UPDATE]
    assert len(updates) <= 60 + 110 + 22


def test_camera_lost_open_at_restart_ends_with_the_reason():
    machine = rules(ON)
    machine.lost(moment(0), "refused")
    machine.tick(moment(10))
    (end,) = machine.close(moment(30), "restart")
    assert (end.phase, end.why, end.duration_ms) == (Phase.END, "restart", 30_000)
