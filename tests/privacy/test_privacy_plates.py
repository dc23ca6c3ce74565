"""What of a plate leaves the box, and what never does."""

import dataclasses
import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.kinds import EVENT_LIMIT_BYTES, KINDS_OF_EVENTS
from agent.privacy.privacy import ENVELOPE_BYTES, Privacy
from agent.privacy.pseudonyms import Pseudonyms
from agent.records import Box, Event, Moment, Phase, PlateText

TASHKENT = "Asia/Tashkent"  # UTC+5 all the year
NOON_MS = 1_763_967_600_000  # 2025-11-24 12:00 there
HOUR_MS = 3_600_000
ULID = "01JDFK8Q3ZJ7Y1X9V5T2R4M6N8"
HIT = "plate.hit"


def plate(text="75A123BC", country="UZ"):
    return PlateText(country=country, text=text, pattern="private", loss=0.0)


def at(hours=0.0):
    return Moment(mono_ns=round((100 + hours) * 3600e9), utc_ms=NOON_MS + round(hours * HOUR_MS))


def event(kind, **what):
    fields = {"n": 0, "phase": Phase.ONCE, "at": at(), "camera_id": "gate-in"}
    return Event(event_id=ULID, kind=kind, **(fields | {"plate": plate(), "score": 0.97} | what))


def hit(**what):
    fields = {"phase": Phase.START, "hotlist": "stolen", "match": "exact", "margin": 4.123}
    return event(HIT, **(fields | what))


def privacy(pseudonyms=True):
    return Privacy("alpomish", "north-gate", "b", Pseudonyms(TASHKENT) if pseudonyms else None)


def body(event, door=None):
    return json.loads((door or privacy()).event(event).body)


def test_hit_carries_the_plate_in_clear_and_goes_by_its_list():
    message = privacy().event(hit(place="gate"))
    assert message.hotlist == "stolen"
    assert json.loads(message.body) == {
        "id": ULID,
        "s": "start",
        "t": NOON_MS,
        "src": "alpomish/north-gate/gate-in",
        "k": HIT,
        "p": "75A123BC",
        "mg": 4.1,
        "m": "exact",
        "z": "gate",
        "q": 0.97,
        "l": "stolen",
    }


@pytest.mark.parametrize(("country", "co"), [("UZ", None), ("KG", "KG"), ("?", "?")])
def test_country_is_left_out_for_uzbekistan_only(country, co):
    assert body(hit(plate=plate(country=country))).get("co") == co
    assert body(event("plate.seen", plate=plate(country=country))).get("co") == co


def test_margin_of_a_plate_without_runner_up_is_a_number():
    assert body(hit(margin=float("inf")))["mg"] == 99
    assert body(hit(margin=-1.25, match="alike"))["mg"] == -1.2


@pytest.mark.parametrize("lacking", ["plate", "hotlist", "match", "score"])
def test_hit_without_what_it_is_about_is_refused(lacking):
    with pytest.raises(ValueError, match=r"plate\.hit lacks"):
        privacy().event(hit(**{lacking: None}))


def test_end_of_a_hit_after_a_crash_names_its_list_and_no_plate():
    end = Event(
        event_id=ULID,
        n=3,
        phase=Phase.END,
        at=at(),
        camera_id="gate-in",
        kind=HIT,
        hotlist="stolen",
        why="restart",
    )
    message = privacy().event(end)
    assert message.hotlist == "stolen"
    assert json.loads(message.body) | {"id": 0, "t": 0} == {
        "id": 0,
        "n": 3,
        "s": "end",
        "t": 0,
        "src": "alpomish/north-gate/gate-in",
        "k": HIT,
        "l": "stolen",
        "why": "restart",
    }


def test_plate_on_no_list_leaves_under_a_pseudonym_of_96_bits():
    content = body(event("plate.seen"))
    assert len(bytes.fromhex(content["pp"])) == 12
    assert "p" not in content


def test_plate_on_no_list_does_not_leave_where_pseudonyms_are_not_wanted():
    with pytest.raises(ValueError, match="may not leave this box"):
        privacy(pseudonyms=False).event(event("plate.seen"))


def test_plate_that_was_not_read_claims_no_country():
    content = body(event("plate.unread", plate=None))
    assert (content["co"], content["q"]) == ("?", 0.97)


def test_audit_of_a_list_goes_to_whoever_is_sent_audits():
    loaded = event(
        "audit", plate=None, score=None, camera_id=None, hotlist="stolen", why="loaded", count=2
    )
    message = privacy().event(loaded)
    assert message.hotlist == ""
    assert json.loads(message.body)["l"] == "stolen"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(sorted(set(KINDS_OF_EVENTS) - {HIT})),
    phase=st.sampled_from(list(Phase)),
    pseudonyms=st.booleans(),
)
def test_text_of_a_plate_leaves_in_a_hit_alone(kind, phase, pseudonyms):
    """Whatever else an event of any other kind was given, by mistake too."""
    given_all = event(
        kind, phase=phase, count=1, period_s=60, place="in", direction="+", object_class="car",
        version="1", why="x", hotlist="stolen", match="exact", margin=1.0,
    )  # fmt: skip
    for wrong in (given_all, dataclasses.replace(given_all, hotlist=None, match=None)):
        try:
            message = privacy(pseudonyms).event(wrong)
        except ValueError as error:
            assert "75A123BC" not in str(error)
        else:
            assert b"75A123BC" not in message.body


WHERE = {
    "place": "z" * 31,
    "object_class": "motorcycle",
    "box": Box(x0=0.1234, y0=0.1234, x1=0.9999, y1=0.9999),
}


@pytest.mark.parametrize(
    "told",
    [
        {"phase": Phase.START} | WHERE,
        {"phase": Phase.END, "n": 10**6, "duration_ms": 10**9, "why": "w" * 40},
    ],
)
def test_longest_hit_is_within_the_limit(told):
    longest = hit(
        at=Moment(mono_ns=10**18, utc_ms=10**13, synced=False),
        camera_id="c" * 31,
        plate=plate("W" * 12, "KZ"),
        hotlist="l" * 31,
        match="alike",
        margin=-12.3,
        **told,
    )
    message = Privacy("s" * 31, "b" * 31, "b00t1d123456").event(longest)
    assert len(message.body) + ENVELOPE_BYTES <= EVENT_LIMIT_BYTES


def test_pseudonym_is_the_same_all_day_and_another_tomorrow():
    pseudonyms = Pseudonyms(TASHKENT)
    names = [pseudonyms.of(plate(), at(hours)) for hours in (-11.9, 0, 11.9, 12.1, 35.9, 36.1)]
    assert names[0] == names[1] == names[2]
    assert names[3] == names[4]
    assert len({*names}) == 3


def test_pseudonym_day_is_that_of_the_box_s_time_zone():
    here, elsewhere = Pseudonyms(TASHKENT), Pseudonyms("UTC")
    assert here.of(plate(), at(11.9)) != here.of(plate(), at(12.1))
    assert elsewhere.of(plate(), at(11.9)) == elsewhere.of(plate(), at(12.1))


def test_pseudonym_of_a_moment_just_before_midnight_told_after_it_changes_no_key():
    pseudonyms = Pseudonyms(TASHKENT)
    today = pseudonyms.of(plate(), at(12.01))
    pseudonyms.of(plate("01B777AA"), at(11.99))
    assert pseudonyms.of(plate(), at(12.02)) == today


def test_pseudonym_key_of_a_clock_that_ran_ahead_does_not_last():
    pseudonyms = Pseudonyms(TASHKENT)
    ahead = dataclasses.replace(at(), utc_ms=NOON_MS + 400 * 24 * HOUR_MS)
    first = pseudonyms.of(plate(), ahead)
    next_day = pseudonyms.of(plate(), at(25))
    assert next_day != first
    assert pseudonyms.of(plate(), at(37)) != next_day  # by midnights again


def test_pseudonym_differs_by_box_by_start_by_text_and_by_country():
    pseudonyms = Pseudonyms(TASHKENT)
    names = {
        pseudonyms.of(plate(), at()),
        pseudonyms.of(plate("75A123BD"), at()),
        pseudonyms.of(plate(country="KG"), at()),
        Pseudonyms(TASHKENT).of(plate(), at()),
    }
    assert len(names) == 4


def test_pseudonyms_of_a_replay_are_those_of_its_seed():
    def names(seed):
        pseudonyms = Pseudonyms(TASHKENT, random.Random(seed).randbytes)
        return [pseudonyms.of(plate(), at(hours)) for hours in (0, 24, 48)]

    assert names(1) == names(1)
    assert names(1) != names(2)
