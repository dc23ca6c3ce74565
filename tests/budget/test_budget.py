"""What a metered line may carry, and what is given up first."""

import pytest
from crossings import crossing
from letters import letter

from agent.budget import COUNTS_S, HEALTH_S, Budget, Saving, Sparing, saving
from agent.records import Moment, Phase, Priority

DAY_MS = 86_400_000
NOON_MS = 20_000 * DAY_MS + DAY_MS // 2
MB = 1_000_000


def at(utc_ms):
    return Moment(mono_ns=utc_ms * 1_000_000, utc_ms=utc_ms)


@pytest.mark.parametrize(
    ("spent_mb", "day_share", "expected"),
    [
        (0, 0.0, Saving.NONE),
        (4.9, 0.0, Saving.NONE),  # a quarter of 20 MB is there at once
        (5, 0.0, Saving.MERGE),
        (6, 0.0, Saving.DIGEST),
        (7.5, 0.0, Saving.ALERTS),
        (7.5, 0.5, Saving.NONE),  # the rest is earned over the day
        (12.5, 0.5, Saving.MERGE),
        (15, 0.5, Saving.DIGEST),
        (18.75, 0.5, Saving.ALERTS),
        (19.9, 1.0, Saving.NONE),
        (20, 1.0, Saving.ALERTS),  # and never more than all of it
        (20, 0.9, Saving.ALERTS),
    ],
)
def test_saving_begins_when_more_is_spent_than_the_day_has_earned(spent_mb, day_share, expected):
    assert saving(round(spent_mb * MB), 20 * MB, day_share) is expected


def test_each_step_saves_more_than_the_one_before():
    for table in (COUNTS_S, HEALTH_S):
        values = [table[step] for step in Saving]
        assert values == sorted(values)
    steps = [saving(spent * MB, 20 * MB, 0.3) for spent in range(25)]
    assert steps == sorted(steps)


def test_line_without_a_limit_saves_nothing_and_says_nothing(tmp_path):
    budget = Budget(tmp_path / "line.json", None)
    budget.spend(10**12)
    budget.look(at(NOON_MS))
    budget.save()
    assert (budget.saving, budget.report(), budget.counts_s) == (Saving.NONE, None, 0)
    assert not (tmp_path / "line.json").exists()


def test_what_is_spent_outlives_the_agent_but_not_the_day(tmp_path):
    budget = Budget(tmp_path / "line.json", 20 * MB)
    budget.look(at(NOON_MS))
    budget.spend(20 * MB)
    budget.look(at(NOON_MS))
    assert budget.report() == {"saving": "alerts", "spent": 20 * MB, "budget": 20 * MB}
    budget.save()
    again = Budget(tmp_path / "line.json", 20 * MB)
    again.look(at(NOON_MS + 1000))
    assert again.saving is Saving.ALERTS
    again.look(at(NOON_MS + DAY_MS // 2))
    assert again.report() == {"saving": "none", "spent": 0, "budget": 20 * MB}


@pytest.mark.parametrize("content", ["", "[]", '{"day": 1}', "null"])
def test_damaged_account_begins_anew(tmp_path, content):
    (tmp_path / "line.json").write_text(content)
    assert Budget(tmp_path / "line.json", 20 * MB).report()["spent"] == 0


class Kept:
    def __init__(self):
        self.messages = []

    def submit(self, message):
        self.messages.append(message)


def test_updates_are_left_out_and_counted_while_the_line_is_spared(tmp_path):
    budget, kept = Budget(tmp_path / "line.json", 20 * MB), Kept()
    sparing = Sparing(kept, budget)
    update = letter(1, n=1, phase=Phase.UPDATE)
    sparing.submit(update)
    budget.spend(20 * MB)
    budget.look(at(NOON_MS))
    budget.spend(20 * MB)
    budget.look(at(NOON_MS))
    end = letter(1, n=3, phase=Phase.END)
    hit = letter(2, n=1, phase=Phase.UPDATE, priority=Priority.ALERT)
    for message in (letter(1, n=2, phase=Phase.UPDATE), end, hit, crossing(9)):
        sparing.submit(message)
    assert kept.messages[:3] == [update, end, hit]
    assert len(kept.messages) == 4
    assert budget.report()["updates"] == 1
