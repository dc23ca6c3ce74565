"""A clock that is set late, and one that is set anew."""

from agent.records import Moment
from agent.rules.clock import STEP_MS, ClockWatch

UTC_MS = 1_764_000_000_000


def at(second, *, ahead_ms=0, synced=True):
    return Moment(
        mono_ns=second * 1_000_000_000, utc_ms=UTC_MS + second * 1000 + ahead_ms, synced=synced
    )


def test_clock_that_was_set_all_along_is_not_spoken_of():
    watch = ClockWatch(was_unset=False)
    assert [watch.look(at(second)) for second in range(5)] == [None] * 5


def test_clock_that_is_set_late_is_told_once():
    watch = ClockWatch(was_unset=False)
    assert watch.look(at(1, ahead_ms=-UTC_MS, synced=False)) is None
    told = watch.look(at(2))
    assert (told.offset_ms, told.why) == (UTC_MS, "set")
    assert watch.look(at(3)) is None


def test_times_left_by_the_run_before_are_corrected_by_this_one():
    assert ClockWatch(was_unset=True).look(at(1)).why == "set"


def test_step_forward_and_back_is_told_with_its_size():
    watch = ClockWatch(was_unset=False)
    watch.look(at(1))
    told = watch.look(at(2, ahead_ms=3_600_000))
    assert (told.offset_ms, told.why) == (UTC_MS + 3_600_000, "step +3600 s")
    assert watch.look(at(3, ahead_ms=3_600_000)) is None
    assert watch.look(at(4)).why == "step -3600 s"


def test_small_corrections_add_up_to_one_that_is_told():
    watch = ClockWatch(was_unset=False)
    told = [watch.look(at(second, ahead_ms=second * STEP_MS // 4)) for second in range(9)]
    assert [each.why for each in told if each] == ["step +1 s", "step +1 s"]


def test_clock_that_falls_below_the_floor_and_comes_back_is_set_anew():
    watch = ClockWatch(was_unset=False)
    watch.look(at(1))
    assert watch.look(at(2, ahead_ms=-UTC_MS, synced=False)) is None
    assert watch.look(at(3)).why == "set"
