"""`plate.hit`, `plate.seen`, `plate.unread`: one passage, one word, however long it lasts."""

import itertools
import random
from dataclasses import dataclass, field, replace

import pytest
from readings import plate, reading
from street import moment, track

from agent.config.model import CameraConfig
from agent.hotlist.hotlist import Entry
from agent.records import Box, Phase, TrackState
from agent.rules.camera import CameraRules
from agent.rules.plates import TOO_MANY, HitShare, PlatePolicy
from agent.ulid import UlidMaker

ON = {kind: {} for kind in ("plate.hit", "plate.seen", "plate.unread")}
GATE = ((0.1, 0.4), (0.9, 0.4), (0.9, 1.0), (0.1, 1.0))


@dataclass
class Listed:
    """A hotlist in the clear, which counts how often it is asked."""

    name: str
    plates: set[tuple[str, str]]
    asked: list[str] = field(default_factory=list)

    def find(self, country, text, utc_ms):
        self.asked.append(text)
        entry = Entry(hash=b"", case="1", reason="x", expires_ms=utc_ms + 1)
        return entry if (country, text) in self.plates else None


def listed(*texts, name="stolen"):
    return Listed(name, {("UZ", text) for text in texts})


def rules(*lists, on=ON, pseudonyms=False, share=None, zones=None):
    camera = CameraConfig(
        camera_id="gate",
        roles=("plate",),
        source="synthetic:x",
        rules=on,
        zones={"gate": GATE} if zones is None else zones,
    )
    policy = PlatePolicy(
        in_force=lambda utc_ms: lists, pseudonyms=pseudonyms, share=share or HitShare()
    )
    return CameraRules(camera, UlidMaker(random.Random(1)), policy)


def cars(*numbers, at):
    return [track(number, "car", at) for number in numbers]


def drive(machine, seconds, *, present, read):
    """One picture a second; `present` and `read` give tracks' numbers and readings by second."""
    events = []
    for second in range(seconds):
        at = moment(second)
        events += machine.update(cars(*present(second), at=at), at, read.get(second, ()))
    return events


def passage(machine, *readings, gone=3, seconds=20):
    """A car that is read in second 1 and gone in second `gone`."""
    return drive(
        machine, seconds, present=lambda s: [1] if s < gone else [], read={1: list(readings)}
    )


def told(events):
    return [(event.kind, event.phase.value, event.hotlist, event.match) for event in events]


def test_hit_starts_with_the_reading_and_ends_with_the_track():
    start, end = passage(rules(listed("01A123BC")), reading("01A123BC"), gone=9)
    assert (start.kind, start.phase, start.n, start.at) == ("plate.hit", Phase.START, 0, moment(1))
    assert (start.plate.text, start.hotlist, start.match) == ("01A123BC", "stolen", "exact")
    assert (start.score, start.margin, start.object_class) == (0.97, 4.1, "car")
    assert (start.place, start.box) == ("gate", reading("X").box)
    assert start.direction is None
    assert (end.phase, end.n, end.at, end.duration_ms) == (Phase.END, 1, moment(9), 8000)
    assert end.event_id == start.event_id
    assert (end.plate, end.hotlist, end.match, end.why) == (
        start.plate,
        "stolen",
        "exact",
        None,
    )


def test_hit_whose_track_is_still_there_does_not_end():
    assert [e.phase for e in passage(rules(listed("01A123BC")), reading("01A123BC"), gone=99)] == [
        Phase.START
    ]


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_hit_of_a_car_that_has_gone_already_starts_and_ends(gone):
    start, end = passage(rules(listed("01A123BC")), reading("01A123BC"), gone=gone)
    assert (start.phase, end.phase) == (Phase.START, Phase.END)
    assert end.duration_ms == max(0, gone - 1) * 1000


def test_hit_of_a_track_that_is_told_as_ended_ends():
    machine = rules(listed("01A123BC"))
    machine.update(cars(1, at=moment(0)), moment(0), [reading("01A123BC")])
    ended = [replace(each, state=TrackState.ENDED) for each in cars(1, at=moment(1))]
    (end,) = machine.update(ended, moment(1))
    assert end.phase is Phase.END


def test_look_alike_is_told_as_such_with_the_listed_text():
    seen = reading("01A123BC", plate("01A128BC", loss=1.0))
    start, _ = passage(rules(listed("01A128BC")), seen)
    assert (start.match, start.plate.text, start.margin) == ("alike", "01A128BC", -1.0)


def test_plate_on_two_lists_gives_two_occurrences_of_their_own():
    events = passage(rules(listed("01A123BC"), listed("01A123BC", name="local")),
                     reading("01A123BC"))  # fmt: skip
    assert told(events) == [
        ("plate.hit", "start", "stolen", "exact"),
        ("plate.hit", "start", "local", "exact"),
        ("plate.hit", "end", "stolen", "exact"),
        ("plate.hit", "end", "local", "exact"),
    ]
    assert len({event.event_id for event in events}) == 2


def test_plate_on_no_list_gives_nothing_unless_pseudonyms_are_wanted():
    assert passage(rules(listed("01A128BC")), reading("01A123BC")) == []
    (seen,) = passage(rules(listed("01A128BC"), pseudonyms=True), reading("01A123BC"))
    assert (seen.kind, seen.phase, seen.at) == ("plate.seen", Phase.ONCE, moment(1))
    assert (seen.plate.text, seen.place, seen.object_class) == ("01A123BC", "gate", "car")
    assert (seen.box, seen.margin, seen.hotlist) == (None, None, None)


def test_hit_is_not_told_as_seen_too():
    events = passage(rules(listed("01A123BC"), pseudonyms=True), reading("01A123BC"))
    assert {event.kind for event in events} == {"plate.hit"}


def test_plate_that_was_not_read_is_told_without_a_text():
    (unread,) = passage(rules(listed("01A123BC")), reading(None, plate("01A123BC"), score=0.3))
    assert (unread.kind, unread.phase, unread.plate) == ("plate.unread", Phase.ONCE, None)
    assert (unread.score, unread.place) == (0.3, "gate")


@pytest.mark.parametrize("kind", ON)
def test_kind_that_is_not_on_is_silent(kind):
    on = {other: {} for other in ON if other != kind}
    machine = rules(listed("01A123BC"), on=on, pseudonyms=True)
    readings = [reading("01A123BC"), reading("75B777AA", track_id=2), reading(None, track_id=3)]
    events = passage(machine, *readings)
    assert kind not in {event.kind for event in events}


def test_second_reading_of_the_same_passage_is_ignored():
    machine = rules(listed("01A123BC"), pseudonyms=True)
    read = {1: [reading("01A123BC")], 2: [reading("75B777AA")], 3: [reading("01A123BC")]}
    events = drive(machine, 9, present=lambda _: [1], read=read)
    assert told(events) == [("plate.hit", "start", "stolen", "exact")]


def test_zone_is_left_out_where_none_holds_the_plate():
    outside = reading("01A123BC", box=Box(x0=0.0, y0=0.0, x1=0.05, y1=0.02))
    start, _ = passage(rules(listed("01A123BC")), outside)
    assert start.place is None


def test_each_picture_asks_for_one_text_on_one_list_while_little_waits():
    lists = [listed(), listed(name="local")]
    others = [plate(f"01A12{number}BC", loss=0.1) for number in range(4)]
    machine = rules(*lists, pseudonyms=True)
    machine.update(cars(1, at=moment(0)), moment(0), [reading("01A123XX", *others)])
    asked = [sum(len(each.asked) for each in lists)]
    events = []
    for second in range(1, 12):
        at = moment(second)
        events.append(machine.update(cars(1, at=at), at))
        asked.append(sum(len(each.asked) for each in lists))
    assert [after - before for before, after in itertools.pairwise(asked)][:8] == [1] * 8
    assert asked[-1] == 10
    assert lists[0].asked[0] == lists[1].asked[0] == "01A123XX"  # the reading itself first
    (seen,) = [event for told in events for event in told]  # once the search is done
    assert (seen.kind, seen.at) == ("plate.seen", moment(0))


def test_search_goes_on_without_pictures():
    machine = rules(listed("01A125BC"))
    others = [plate(f"01A12{number}BC", loss=0.1) for number in (4, 5)]
    machine.update(cars(1, at=moment(0)), moment(0), [reading("01A123BC", *others)])
    assert machine.tick(moment(1)) == []
    (start,) = machine.tick(moment(2))
    assert (start.match, start.plate.text) == ("alike", "01A125BC")


def test_search_keeps_up_with_a_busy_street():
    """Two cars a picture with eight texts on two lists each: the backlog stays bounded."""
    lists = [listed(), listed(name="local")]
    machine = rules(*lists)
    for second in range(200):
        others = [plate(f"{second:03d}{number}", loss=0.1) for number in range(9)]
        at = moment(second)
        readings = [reading(f"A{second}", *others, track_id=2 * second + n) for n in (0, 1)]
        machine.update([], at, readings)
    asked = sum(len(each.asked) for each in lists)
    assert 200 * 2 * 8 * 2 - asked < 400


def test_close_ends_open_hits_with_the_reason_and_looks_at_what_is_likeliest():
    machine = rules(listed("01A123BC", "75B777AA"))
    at = moment(0)
    machine.update(cars(1, 2, at=at), at, [reading("01A123BC"), reading("75B777AA", track_id=2)])
    events = machine.close(moment(5), "restart")
    assert [(e.phase.value, e.why) for e in events] == [
        ("start", None),
        ("end", "restart"),
        ("end", "restart"),
    ]
    assert machine.close(moment(6), "restart") == []


def test_hits_above_one_passage_in_a_hundred_warn_once_a_day_and_name_the_list():
    share = HitShare()
    machine = rules(listed(*(f"H{n}" for n in range(99))), share=share, on={"plate.hit": {}})
    warnings = []
    for second in range(1200):  # one passage a second, one in fifty listed
        text = f"H{second // 50}" if second % 50 == 0 else f"N{second}"
        at = moment(second)
        events = machine.update([], at, [reading(text, track_id=second)])
        warnings += [event for event in events if event.kind == "audit"]
    (warning,) = warnings
    assert (warning.hotlist, warning.why, warning.camera_id) == ("stolen", TOO_MANY, None)
    assert warning.count == 4  # of the first 151; the least is what 300 would allow
    later = moment(90_000)
    events = []
    for number in range(5):
        again = reading(f"H{number}", track_id=5000 + number)
        events += machine.update([], later, [again]) + machine.tick(later)
    assert [event.kind for event in events].count("audit") == 1


def test_hits_of_a_few_cars_in_a_quiet_place_do_not_warn():
    machine = rules(listed("H0", "H1", "H2"))
    events = drive(
        machine,
        30,
        present=lambda _: [],
        read={s: [reading(f"H{s}", track_id=s)] for s in range(3)},
    )
    assert [event.kind for event in events].count("plate.hit") == 6
    assert "audit" not in {event.kind for event in events}


def test_share_counts_the_passages_of_all_cameras_of_a_box():
    share = HitShare()
    one, other = (rules(listed("H0", "H1", "H2", "H3"), share=share) for _ in range(2))
    for second in range(400):
        other.update([], moment(second), [reading(f"N{second}", track_id=second)])
    events = [
        event
        for n in range(4)
        for event in one.update([], moment(400 + n), [reading(f"H{n}", track_id=n)])
    ]
    assert "audit" not in {event.kind for event in events}


def test_rules_log_no_plate(caplog):
    with caplog.at_level("DEBUG"):
        passage(rules(listed("01A123BC"), pseudonyms=True), reading("01A123BC"))
        passage(rules(listed(), pseudonyms=True), reading("01A123BC"))
    assert caplog.messages == []
