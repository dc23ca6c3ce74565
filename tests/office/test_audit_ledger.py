"""What the counters tell a receiver."""

import json
import sys

import pytest

from agent.office.ledger import Ledger, ranges
from agent.publish import cbor

NOW_MS = 1_764_000_000_000


class Box:
    """Sends what a box would, in any order, with any loss."""

    def __init__(self, ledger, st="k3f9x2ab", box="north-gate", write=None):
        self.write = write or (lambda body: json.dumps(body).encode())
        self.ledger, self.st, self.src = ledger, st, f"alpomish/{box}/gate-in"

    def send(self, *numbers, late_ms=100, **more):
        for sq in numbers:
            body = {"v": 1, "st": self.st, "sq": sq, "id": f"{self.st}{sq}", "t": NOW_MS}
            body |= {"src": self.src, "k": "vehicle.line"} | more
            self.ledger.hear(self.write(body), NOW_MS + late_ms)

    def tell(self, sq, first, last, why="expired", **more):
        self.send(sq, k="box.lost", why=why, **{"from": first, "to": last}, **more)


def verdict(ledger, st="k3f9x2ab", box="alpomish/north-gate"):
    stream = ledger.streams[box, st]
    return stream.explained(stream.missing())


def test_numbers_in_any_order_without_a_gap_are_all_there():
    ledger = Ledger()
    Box(ledger).send(7, 5, 6, 8)
    assert verdict(ledger) == ({}, [])
    assert (ledger.silent(), ledger.heard) == (0, 4)


def test_gap_is_missing_until_it_is_filled():
    ledger = Ledger()
    box = Box(ledger)
    box.send(1, 2, 5)
    assert verdict(ledger) == ({}, [3, 4])
    box.send(4, 3)
    assert ledger.silent() == 0


def test_start_of_a_stream_is_judged_only_when_asked_or_seen():
    ledger, whole = Ledger(), Ledger(whole=True)
    for each in (ledger, whole):
        Box(each).send(3, 4)
    assert verdict(ledger) == ({}, [])
    assert verdict(whole) == ({}, [1, 2])
    Box(ledger, st="zzzzzzzz").send(2)  # a new outbox, begun while we listen
    assert verdict(ledger, "zzzzzzzz") == ({}, [1])


def test_numbers_that_the_box_gave_up_are_not_missing_without_a_word():
    ledger = Ledger()
    box = Box(ledger)
    box.send(1, 6)
    box.tell(7, 2, 4)
    assert verdict(ledger) == ({"expired": 3}, [5])


def test_account_covers_no_more_numbers_than_it_counts():
    ledger = Ledger()
    box = Box(ledger)
    box.send(1, 11)
    box.tell(12, 2, 10, "evicted", c=5)
    box.tell(13, 2, 6, "quarantined", c=2)
    told, silent = verdict(ledger)
    assert told == {"evicted": 5, "quarantined": 2}
    assert len(silent) == 2


def test_account_that_comes_twice_counts_once():
    ledger = Ledger()
    box = Box(ledger)
    box.send(1, 4)
    for _ in range(2):
        box.tell(5, 2, 3, c=1)
    assert verdict(ledger) == ({"expired": 1}, [3])


def test_repeat_is_counted_and_is_no_fault():
    ledger = Ledger()
    box = Box(ledger)
    box.send(1, 2, 2, 1)
    assert ledger.streams["alpomish/north-gate", box.st].again == 2
    assert (ledger.forks, ledger.heard, len(ledger.late_s)) == ({}, 2, 2)


def test_one_number_with_two_contents_is_a_clone():
    ledger = Ledger()
    box = Box(ledger)
    box.send(1, 2)
    box.send(2, id="another")
    assert "number 2" in ledger.forks["alpomish/north-gate"]


def test_streams_that_take_turns_are_a_clone_and_one_after_the_other_are_not():
    ledger = Ledger()
    old, new = Box(ledger, st="aaaaaaaa"), Box(ledger, st="bbbbbbbb")
    old.send(1)
    new.send(1)
    new.send(2)
    assert ledger.forks == {}
    old.send(2)
    assert "take turns" in ledger.forks["alpomish/north-gate"]


def test_boxes_do_not_mix():
    ledger = Ledger()
    Box(ledger).send(1, 2)
    Box(ledger, box="south").send(5, 7)
    assert verdict(ledger, box="alpomish/south") == ({}, [6])
    assert verdict(ledger) == ({}, [])


def test_lateness_is_of_events_whose_time_is_known():
    ledger = Ledger()
    box = Box(ledger)
    box.send(1, late_ms=1500)
    box.send(2, late_ms=10**9, te=315_360_000_000)
    assert list(ledger.late_s) == [1.5]


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"[]", b"\xff", b'{"src":1}', b'{"src":"a/b/c","st":"x","sq":"1","id":"i","t":1}'],
)
def test_what_is_no_event_is_counted_as_unreadable(payload):
    ledger = Ledger()
    ledger.hear(payload, NOW_MS)
    assert (ledger.unreadable, ledger.heard) == (1, 0)


def test_events_in_cbor_count_as_those_in_json():
    ledger = Ledger()
    box = Box(ledger, write=cbor.encode)
    box.send(1, 2, 4)
    box.tell(5, 3, 3)
    assert verdict(ledger) == ({"expired": 1}, [])
    assert (ledger.heard, ledger.unreadable, list(ledger.late_s)) == (4, 0, [0.1] * 4)


@pytest.mark.parametrize("payload", [b"\xbf", b"\xa1\x61", b"\xa0", b"\xa1\x01\x02"])
def test_broken_cbor_is_counted_as_unreadable(payload):
    ledger = Ledger()
    ledger.hear(payload, NOW_MS)
    assert (ledger.unreadable, ledger.in_cbor, ledger.heard) == (1, 0, 0)


def test_cbor_that_nothing_here_reads_is_counted_apart(monkeypatch):
    monkeypatch.setitem(sys.modules, "cbor2", None)
    ledger = Ledger()
    Box(ledger, write=cbor.encode).send(1)
    assert (ledger.unreadable, ledger.in_cbor, ledger.heard) == (0, 1, 0)


def test_ranges_draw_runs_together():
    assert ranges([]) == []
    assert ranges([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]


@pytest.mark.parametrize("sq", [10**15, 10**400])
def test_a_number_out_of_this_world_is_unreadable(sq):
    ledger = Ledger(whole=True)
    Box(ledger).send(1, sq)
    assert (ledger.unreadable, ledger.silent()) == (1, 0)


def test_box_that_says_its_session_was_taken_over_is_a_clone():
    ledger = Ledger()
    Box(ledger).send(1, k="audit", why="session taken over at office")
    Box(ledger, box="south-gate").send(1, k="audit", why="loaded")
    assert list(ledger.forks) == ["alpomish/north-gate"]
    assert "taken over" in ledger.forks["alpomish/north-gate"]
