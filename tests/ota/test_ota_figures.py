"""What was seen on the same frames, and what is made of it."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from agent.ota.figures import Tally, compared, verdict
from agent.ota.history import History
from agent.ota.release import Limits


def tally(frames=1000, ms=10.0, read=0, unread=0, errors=0, **found) -> Tally:
    return Tally(
        frames=frames, ms=frames * ms, found=found, read=read, unread=unread, errors=errors
    )


OLD = tally(face=400, vehicle=400, read=40, unread=10)


@pytest.mark.parametrize(
    ("new", "word"),
    [
        (OLD, None),
        (tally(face=390, vehicle=410, read=39, unread=11), None),
        (tally(face=200, vehicle=400, read=40), "fewer-seen"),  # one kind lost, the other whole
        (tally(face=400, vehicle=0, read=40), "fewer-seen"),
        (tally(face=900, vehicle=400, read=40), "more-seen"),
        (tally(face=400, vehicle=400, plate=150, read=40), "more-seen"),
        (tally(face=400, vehicle=400, read=25, unread=25), "fewer-read"),
        (tally(ms=13, face=400, vehicle=400, read=40), "slow"),
        (tally(face=400, vehicle=400, read=40, errors=3), "errors"),
    ],
)
def test_new_model_is_judged_by_what_the_old_one_saw_on_the_same_frames(new, word):
    failure = verdict(OLD, new, Limits())
    assert (failure and failure[0]) == word


def test_little_seen_condemns_nobody_and_compares_nothing():
    assert verdict(tally(face=20), tally(face=0), Limits()) is None
    assert not compared(tally(face=20), tally(face=0))
    assert not compared(tally(frames=20, face=500), tally(frames=20, face=500))
    assert compared(tally(face=200), tally(face=190))


def test_a_day_that_is_unlike_others_weighs_on_both_sides_alike():
    """A dust storm: nobody sees anything. A bazaar: everybody sees ten times as much."""
    for times in (0, 10):
        day = tally(face=4 * times, vehicle=400 * times)
        assert verdict(day, day, Limits()) is None


def test_release_may_allow_more_or_less():
    new = tally(ms=15, face=200, vehicle=900, read=40)
    assert verdict(OLD, new, Limits()) is not None
    wide = Limits(slower_percent=200, fewest_percent=40, most_percent=300)
    assert verdict(OLD, new, wide) is None


def test_figures_survive_a_power_cut():
    assert Tally.of(json.loads(json.dumps(asdict(OLD)))) == OLD


def test_history_knows_the_usual_of_an_hour(tmp_path):
    history = History(tmp_path / "history.json")
    assert not history.is_unusual(8, tally(face=1))
    for _ in range(9):
        history.add(8, tally(face=400, read=40, unread=10))
    again = History(tmp_path / "history.json")
    assert not again.is_unusual(8, tally(face=300, read=20, unread=10))
    assert not again.is_unusual(9, tally(face=1))  # another hour
    assert again.is_unusual(8, tally(face=100))
    assert again.is_unusual(8, tally(face=1000))
    assert again.is_unusual(8, tally(face=400, read=10, unread=40))
    assert again.is_unusual(8, tally(face=400, ms=25))
    (tmp_path / "history.json").write_text("{")
    assert not History(tmp_path / "history.json").is_unusual(8, tally(face=100))
