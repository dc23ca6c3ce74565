"""When the box's clock is believed."""

import json

import pytest

from agent import timekeeper
from agent.records import Moment
from agent.timekeeper import (
    BUILT_UTC_MS,
    INSIST_S,
    SAVE_EVERY_S,
    KernelClock,
    Timekeeper,
    kernel_clock,
)

HOUR_MS, DAY_MS, YEAR_MS = 3_600_000, 86_400_000, 365 * 86_400_000
NOW_MS = BUILT_UTC_MS + 100 * DAY_MS


class Machine:
    """A box: its file, its boots, and what the kernel says."""

    def __init__(self, folder, monkeypatch):
        self.path = folder / "clock.json"
        self.kernel = KernelClock(synced=False, offset_ms=0.0)
        self.battery = False
        monkeypatch.setattr(timekeeper, "kernel_clock", lambda: self.kernel)
        monkeypatch.setattr(timekeeper, "has_battery_clock", lambda: self.battery)
        self.boot("boot1")

    def boot(self, boot_id):
        self.mono_ms = 0
        self.keeper = Timekeeper(self.path, boot_id, 0)

    def runs(self, seconds, utc_ms):
        """So long, one look at its end."""
        self.mono_ms += round(seconds * 1000)
        self.keeper.look(Moment(mono_ns=self.mono_ms * 1_000_000, utc_ms=utc_ms))

    def trusts(self, utc_ms):
        return self.keeper.trusts(utc_ms, self.mono_ms * 1_000_000)


@pytest.fixture
def box(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def test_new_box_believes_any_time_after_its_build(box):
    assert box.trusts(NOW_MS)
    assert not box.trusts(5_000)
    assert not box.trusts(BUILT_UTC_MS - DAY_MS)


def test_floor_of_a_time_server_outlives_the_boot(box):
    box.kernel = KernelClock(synced=True, offset_ms=1.5)
    box.runs(1, NOW_MS)
    assert box.keeper.offset_ms == 1.5
    box.kernel, box.battery = KernelClock(synced=False, offset_ms=0.0), True
    box.boot("boot2")
    assert not box.trusts(NOW_MS - HOUR_MS)
    assert box.trusts(NOW_MS + HOUR_MS)
    assert box.keeper.offset_ms is None


def test_box_that_knows_a_time_server_waits_for_it_after_each_boot(box):
    box.kernel = KernelClock(synced=True, offset_ms=0.0)
    box.runs(1, NOW_MS)
    box.kernel = KernelClock(synced=False, offset_ms=0.0)
    assert box.trusts(NOW_MS)  # it was right in this boot and runs on
    box.boot("boot2")
    assert not box.trusts(NOW_MS + HOUR_MS)  # when the power went, as the system restored it
    box.runs(30, NOW_MS)
    assert not box.trusts(NOW_MS)
    box.kernel = KernelClock(synced=True, offset_ms=0.0)
    box.runs(30, NOW_MS + DAY_MS)
    assert box.trusts(NOW_MS + DAY_MS)


def test_box_that_never_had_a_time_server_goes_by_the_floor_alone(box):
    box.runs(2 * SAVE_EVERY_S, NOW_MS)
    box.boot("boot2")
    assert box.trusts(NOW_MS)


def test_clock_that_leaps_years_ahead_does_not_lift_the_floor_with_it(box):
    box.runs(2 * SAVE_EVERY_S, NOW_MS + 14 * YEAR_MS)
    assert box.trusts(NOW_MS)
    box.boot("boot2")
    assert box.trusts(NOW_MS)


def test_floor_rises_with_the_time_that_passes_and_is_saved_each_ten_minutes(box):
    box.runs(SAVE_EVERY_S - 1, NOW_MS)
    assert not box.path.exists()
    box.runs(2, NOW_MS)
    assert json.loads(box.path.read_text())["floor_ms"] >= BUILT_UTC_MS + SAVE_EVERY_S * 1000


def test_time_that_somebody_signed_is_a_floor(box):
    box.keeper.raise_to(NOW_MS, 0)
    box.keeper.raise_to(NOW_MS - DAY_MS, 0)
    assert not box.trusts(NOW_MS - HOUR_MS)
    assert box.trusts(NOW_MS)


def test_wrong_answer_of_a_time_server_is_overcome_by_one_that_insists(box):
    box.kernel = KernelClock(synced=True, offset_ms=0.0)
    box.runs(1, NOW_MS + 14 * YEAR_MS)
    assert box.trusts(NOW_MS + 14 * YEAR_MS)
    box.runs(1, NOW_MS)
    assert not box.trusts(NOW_MS)
    box.runs(INSIST_S - 1, NOW_MS + 900_000)
    assert not box.trusts(NOW_MS + 900_000)
    assert box.keeper.offset_ms is None
    box.runs(2, NOW_MS + 902_000)
    assert box.trusts(NOW_MS + 902_000)
    box.runs(SAVE_EVERY_S, NOW_MS + 902_000 + round(SAVE_EVERY_S * 1000))
    box.boot("boot2")
    box.runs(1, NOW_MS + DAY_MS)
    assert box.trusts(NOW_MS + DAY_MS)


def test_time_server_that_wavers_has_to_insist_anew(box):
    box.kernel = KernelClock(synced=True, offset_ms=0.0)
    box.runs(1, NOW_MS + YEAR_MS)
    box.runs(1, NOW_MS)
    box.runs(INSIST_S - 10, NOW_MS + YEAR_MS + DAY_MS)
    box.runs(20, NOW_MS)
    assert not box.trusts(NOW_MS)


def test_time_server_cannot_go_below_what_was_signed(box):
    box.keeper.raise_to(NOW_MS, 0)
    box.kernel = KernelClock(synced=True, offset_ms=0.0)
    box.runs(1, NOW_MS + DAY_MS)
    for _ in range(5):
        box.runs(INSIST_S, NOW_MS - DAY_MS)
    assert not box.trusts(NOW_MS - DAY_MS)


@pytest.mark.parametrize("content", ["", "[]", '{"floor_ms":"x"}', '{"floor_ms":1}'])
def test_damaged_file_leaves_the_build(box, content):
    box.path.write_text(content)
    box.boot("boot2")
    assert box.trusts(NOW_MS)


def test_kernel_of_this_machine_answers():
    said = kernel_clock()
    assert said is None or abs(said.offset_ms) < DAY_MS
