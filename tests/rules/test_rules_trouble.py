"""One occurrence while there is trouble."""

import random

from agent.kinds import DISK
from agent.records import Moment, Phase
from agent.rules.trouble import CALM_S, Trouble
from agent.ulid import UlidMaker


def at(second):
    return Moment(mono_ns=round(second * 1e9), utc_ms=1_764_000_000_000 + round(second * 1e3))


def rule():
    return Trouble(DISK, UlidMaker(random.Random(1)))


def test_trouble_starts_tells_what_was_given_up_and_ends_when_calm():
    disk = rule()
    assert disk.look(at(0), None, 5) == []
    (start,) = disk.look(at(1), "outbox-full", 12)
    assert (start.phase, start.camera_id, start.why) == (Phase.START, None, "outbox-full")
    assert start.count == 7
    assert disk.look(at(2), "outbox-full", 13) == []  # an update each 10 s at most
    (update,) = disk.look(at(12), "failing", 20)
    assert (update.phase, update.why, update.n, update.count) == (Phase.UPDATE, "failing", 1, 15)
    assert disk.look(at(12 + CALM_S), None, 20) == []
    (end,) = disk.look(at(13 + CALM_S), None, 20)
    assert (end.phase, end.event_id, end.count) == (Phase.END, start.event_id, update.count)
    (again,) = disk.look(at(200), "disk-full", 20)
    assert (again.event_id != start.event_id, again.count) == (True, None)


def test_open_trouble_ends_with_the_box():
    disk = rule()
    assert disk.close(at(0), "stop") == []
    disk.look(at(1), "damaged", 0)
    (end,) = disk.close(at(3), "stop")
    assert (end.phase, end.why, end.duration_ms) == (Phase.END, "stop", 2000)
