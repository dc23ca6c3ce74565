"""What people said of events is kept, the last word of each, and summed up."""

import pytest

from agent.commands import verdict_of
from agent.errors import StoreError
from agent.feedback import MOST, Feedback, Verdict
from agent.records import Moment

NOW_MS = 1_764_000_000_000
DAY_MS = 86_400_000


def verdict(event_id, right, *, kind="plate.hit", at_ms=NOW_MS):
    return Verdict(event_id=event_id, kind=kind, camera="gate-in", right=right, at_ms=at_ms)


@pytest.fixture
def opened(tmp_path):
    return lambda: Feedback(tmp_path / "feedback.json", keep_s=30 * 86_400)


def test_last_word_on_an_event_counts_and_outlives_the_agent(opened):
    feedback = opened()
    feedback.add(verdict("a", True))
    feedback.add(verdict("b", True))
    feedback.add(verdict("c", False, kind="face.present"))
    feedback.add(verdict("b", False))
    expected = {
        "gate-in": {
            "face.present": {"right": 0, "wrong": 1},
            "plate.hit": {"right": 1, "wrong": 1},
        }
    }
    assert feedback.report() == opened().report() == expected


def test_nothing_is_kept_beyond_its_retention_once_the_clock_is_set(opened):
    feedback = opened()
    feedback.add(verdict("a", True))
    feedback.add(verdict("b", True, at_ms=NOW_MS + DAY_MS))
    later_ms = NOW_MS + 30 * DAY_MS + 1
    feedback.tidy(Moment(mono_ns=0, utc_ms=later_ms, synced=False))
    assert feedback.report()["gate-in"]["plate.hit"]["right"] == 2
    feedback.tidy(Moment(mono_ns=0, utc_ms=later_ms))
    assert opened().report()["gate-in"]["plate.hit"]["right"] == 1


def test_only_the_newest_are_kept(tmp_path, opened):
    feedback = opened()
    feedback._verdicts = {str(i): verdict(str(i), True) for i in range(MOST)}
    feedback.add(verdict("new", False))
    assert opened().report()["gate-in"]["plate.hit"] == {"right": MOST - 1, "wrong": 1}


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[{"event_id": "x"}]', "[[]]"])
def test_damaged_file_begins_anew(tmp_path, opened, content):
    (tmp_path / "feedback.json").write_text(content)
    feedback = opened()
    assert feedback.report() == {}
    feedback.add(verdict("a", True))
    assert opened().report() != {}


def test_verdict_that_cannot_be_kept_is_an_error_and_does_not_count(tmp_path):
    feedback = Feedback(tmp_path / "none" / "feedback.json", keep_s=60)
    with pytest.raises(StoreError):
        feedback.add(verdict("a", True))
    assert feedback.report() == {}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"id": "a", "ok": True}, ("a", True)),
        ({"id": "a", "ok": False}, ("a", False)),
        ({"id": "a"}, None),
        ({"id": "a", "ok": 1}, None),
        ({"id": 7, "ok": True}, None),
    ],
)
def test_verdict_is_read_from_a_request(request_, said):
    assert verdict_of(request_) == said
