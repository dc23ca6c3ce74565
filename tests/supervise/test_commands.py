"""Who may ask what, and when it is too late."""

import json

import pytest

from agent.clock import ManualClock
from agent.commands import (
    PER_MINUTE,
    RANGE_MOST,
    Commands,
    Outcome,
    asked_range,
    seen_number,
)
from agent.records import Command

NOW_MS = 1_764_000_000_000


class Office:
    """Asks a box that obeys `restart` alone."""

    def __init__(self, synced=True):
        self.clock = ManualClock(utc_ms=NOW_MS, synced=synced)
        self.done, self.told = [], []
        self.commands = Commands({"restart": self._act}, self.clock, self._told)
        self.number = 0

    def _act(self, command, request):
        self.done.append(request["rid"])
        return Outcome()

    def _told(self, *what):
        self.told.append(what)

    def ask(self, name="restart", user="inspector-1", exp=NOW_MS + 60_000, **body):
        self.number += 1
        body = {"rid": f"r{self.number}", "t": NOW_MS, "exp": exp} | body
        return self.say(json.dumps(body).encode(), name, user)

    def say(self, body, name="restart", user="inspector-1"):
        return self.commands.obey(Command(broker="office", user=user, name=name, body=body))


def test_command_that_is_allowed_is_done_answered_and_told():
    office = Office()
    reply = office.ask()
    assert (reply.request_id, reply.code, reply.why) == ("r1", 0, None)
    assert office.done == ["r1"]
    assert office.told == [("inspector-1", "restart", None)]


def test_command_that_is_not_listed_is_refused_and_told():
    office = Office()
    reply = office.ask("snapshot")
    assert (reply.code, reply.why, office.done) == (1, "not-allowed", [])
    assert office.told == [("inspector-1", "snapshot", "not-allowed")]


@pytest.mark.parametrize(
    ("exp", "why"), [(NOW_MS - 1, "expired"), (NOW_MS + 2 * 86_400_000, "exp-too-far")]
)
def test_command_out_of_its_time_is_refused(exp, why):
    office = Office()
    assert office.ask(exp=exp).why == why
    assert office.done == []


def test_command_to_a_box_without_a_clock_is_refused():
    office = Office(synced=False)
    assert office.ask().why == "no-clock"
    assert office.done == []


def test_command_that_comes_twice_is_done_once_and_answered_twice():
    office = Office()
    assert office.ask(rid="same") == office.ask(rid="same")
    assert (office.done, len(office.told)) == (["same"], 1)
    assert office.ask(rid="same", user="inspector-2").code == 0  # another's request


def test_commands_beyond_the_rate_are_refused_until_a_minute_has_passed():
    office = Office()
    answers = [office.ask().why for _ in range(PER_MINUTE + 3)]
    assert answers == [None] * PER_MINUTE + ["rate"] * 3
    assert len(office.told) == PER_MINUTE
    office.clock.advance(61)
    assert office.ask(exp=NOW_MS + 120_000).code == 0


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"rid":"a"}', b'{"rid":1,"exp":2}',
             b'{"rid":"a b","exp":2}', b'{"rid":"a","exp":true}', b'{"rid":"a","exp":1e400}'],
)  # fmt: skip
def test_what_is_no_command_gets_no_answer(body):
    office = Office()
    assert office.say(body) is None
    assert office.told == []


@pytest.mark.parametrize(
    ("name", "user"), [("reboot", "inspector-1"), ("restart", "x" * 25), ("restart", "a b")]
)
def test_who_is_no_user_and_what_is_no_name_gets_no_answer(name, user):
    assert Office().ask(name, user) is None


def test_range_is_whole_ordered_and_bounded():
    assert asked_range({"st": "k3f9x2ab", "from": 2, "to": 2}) == ("k3f9x2ab", 2, 2)
    for first, last in [(0, 1), (3, 2), (1, RANGE_MOST + 1), ("1", 2), (True, 2), (1, 2**70)]:
        assert asked_range({"st": "k3f9x2ab", "from": first, "to": last}) is None
    assert asked_range({"from": 1, "to": 2}) is None


def test_recorders_word_is_taken_without_a_clock_uncounted_and_untold():
    said = []
    told = []
    commands = Commands(
        {"seen": lambda command, request: said.append(request) or Outcome(count=1)},
        ManualClock(synced=False),
        lambda *what: told.append(what),
    )
    bare = Command(broker="office", user="rec", name="seen", body=b'{"st":"k3f9x2ab","sq":7}')
    for _ in range(3 * PER_MINUTE):
        assert commands.obey(bare) is None
    asked = Command(broker="office", user="rec", name="seen", body=b'{"rid":"a","st":"x","sq":7}')
    assert commands.obey(asked).count == 1
    assert (len(said), told) == (3 * PER_MINUTE + 1, [])


def test_recorders_word_where_it_is_not_listed_is_a_command_like_any_other():
    office = Office()
    assert office.ask("seen", st="k3f9x2ab", sq=7).why == "not-allowed"
    assert office.say(b'{"st":"k3f9x2ab","sq":7}', "seen") is None


@pytest.mark.parametrize(
    "said", [{}, {"st": 1, "sq": 2}, {"st": "x", "sq": True}, {"st": "x", "sq": -1}]
)
def test_word_that_names_no_number_is_none(said):
    assert seen_number(said) is None
    assert seen_number({"st": "x", "sq": 0}) == ("x", 0)
