"""What is written into a message, and what never is."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kinds import BODY_KEYS, EVENT_LIMIT_BYTES, KINDS_OF_EVENTS, allowed_keys
from agent.privacy.privacy import CLOCK_UNKNOWN_MS, ENVELOPE_BYTES, Privacy
from agent.publish.wire import enveloped
from agent.records import (
    About,
    Box,
    CameraHealth,
    Event,
    Health,
    Moment,
    Phase,
    Priority,
    QueueHealth,
    Status,
)

AT = Moment(mono_ns=5_000_000_000, utc_ms=1_764_000_000_123)
ULID = "01JDFK8Q3ZJ7Y1X9V5T2R4M6N8"


@pytest.fixture
def privacy():
    return Privacy("alpomish", "north-gate", "b00t1d")


def line_event(**changes):
    event = Event(
        event_id=ULID,
        n=0,
        phase=Phase.ONCE,
        at=AT,
        camera_id="gate-in",
        kind="vehicle.line",
        place="in",
        object_class="car",
        direction="+",
    )
    return dataclasses.replace(event, **changes)


def test_event_body_is_compact_json_in_the_order_of_the_contract(privacy):
    event = line_event(
        n=2, score=0.96789, box=Box(x0=0.1, y0=0.2, x1=0.45, y1=0.7), duration_ms=1500, why="a-b"
    )
    assert privacy.event(event).body == (
        b'{"id":"01JDFK8Q3ZJ7Y1X9V5T2R4M6N8","n":2,"t":1764000000123,'
        b'"src":"alpomish/north-gate/gate-in","k":"vehicle.line","z":"in","o":"car",'
        b'"q":0.97,"b":[100,200,350,500],"dir":"+","dur":1500,"why":"a-b"}'
    )


def test_event_first_of_a_single_moment_omits_n_and_s(privacy):
    body = json.loads(privacy.event(line_event()).body)
    assert "n" not in body
    assert "s" not in body


def test_event_start_names_its_phase(privacy):
    event = line_event(
        kind="face.present", phase=Phase.START, count=2, direction=None, object_class=None
    )
    assert json.loads(privacy.event(event).body)["s"] == "start"


def test_event_of_a_synced_clock_tells_nothing_of_the_boot(privacy):
    assert not {"te", "tq", "bo", "mo"} & json.loads(privacy.event(line_event()).body).keys()


def test_event_of_an_unset_clock_carries_doubt_boot_and_monotonic_time(privacy):
    at = Moment(mono_ns=7_250_000_000, utc_ms=12_345, synced=False)
    body = json.loads(privacy.event(line_event(at=at)).body)
    assert (body["te"], body["bo"], body["mo"]) == (CLOCK_UNKNOWN_MS, "b00t1d", 7250)
    assert list(body)[:6] == ["id", "t", "te", "tq", "bo", "mo"]


def test_event_seen_in_doubt_is_told_without_once_the_offset_is_known(privacy):
    at = Moment(mono_ns=7_250_000_000, utc_ms=12_345, synced=False)
    privacy.correct(1_764_000_000_000)
    body = json.loads(privacy.event(line_event(at=at)).body)
    assert body["t"] == 1_764_000_007_250
    assert not {"te", "tq", "bo", "mo"} & body.keys()


def test_body_that_waits_is_dated_anew_without_its_doubt(privacy):
    at = Moment(mono_ns=7_250_000_000, utc_ms=12_345, synced=False)
    early, late = (
        line_event(at=at),
        line_event(at=Moment(mono_ns=at.mono_ns, utc_ms=1_764_000_007_250)),
    )
    assert privacy.redated(privacy.event(early).body, 1_764_000_007_250) == privacy.event(late).body


def test_event_of_the_box_itself_has_box_for_its_camera(privacy):
    event = Event(
        event_id=ULID,
        n=0,
        phase=Phase.ONCE,
        at=AT,
        camera_id=None,
        kind="model.updated",
        version="1.2",
    )
    message = privacy.event(event)
    assert message.camera == "_box"
    assert json.loads(message.body)["src"] == "alpomish/north-gate/_box"


def test_event_message_carries_what_the_outbox_needs(privacy):
    event = line_event(
        kind="camera.lost", phase=Phase.START, place=None, object_class=None, direction=None
    )
    message = privacy.event(event)
    spec = KINDS_OF_EVENTS["camera.lost"]
    assert (message.channel, message.message_id, message.kind) == ("e", ULID, "camera.lost")
    assert (message.priority, message.expiry_s) == (Priority.ALERT, spec.expiry_s)
    assert (message.boot_id, message.mono_ms, message.retain) == ("b00t1d", 5000, False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "face.identity"}, "unknown kind face.identity"),
        ({"object_class": None}, "vehicle.line lacks o"),
        ({"direction": None, "place": None}, "vehicle.line lacks z dir"),
        ({"count": 3}, "vehicle.line may not carry c"),
        ({"version": "1"}, "vehicle.line may not carry ver"),
        ({"why": "x" * 41}, "longer than 40"),
        ({"place": "z" * 600}, "over the limit"),
        ({"score": float("nan")}, "NaN|not JSON compliant|nan"),
    ],
)
def test_event_that_breaks_the_contract_is_refused(privacy, changes, said):
    with pytest.raises(ValueError, match=said):
        privacy.event(line_event(**changes))


def test_box_over_the_edge_of_the_picture_is_cut(privacy):
    box = Box(x0=-0.1, y0=0.5, x1=0.3, y1=1.2)
    assert json.loads(privacy.event(line_event(box=box)).body)["b"] == [0, 500, 300, 500]


def test_limit_counts_the_envelope(privacy):
    longest = next(
        length
        for length in range(EVENT_LIMIT_BYTES, 0, -1)
        if _accepted(privacy, line_event(place="z" * length))
    )
    body = privacy.event(line_event(place="z" * longest)).body
    assert len(enveloped("k3f9x2ab", 9_999_999_999, body)) == EVENT_LIMIT_BYTES
    assert len(body) + ENVELOPE_BYTES == EVENT_LIMIT_BYTES


def _accepted(privacy, event):
    try:
        privacy.event(event)
    except ValueError:
        return False
    return True


KEY_OF_FIELD = {
    "place": "z",
    "object_class": "o",
    "count": "c",
    "score": "q",
    "box": "b",
    "direction": "dir",
    "duration_ms": "dur",
    "period_s": "per",
    "version": "ver",
    "why": "why",
}
WRITABLE = sorted(
    kind
    for kind, spec in KINDS_OF_EVENTS.items()
    if set(spec.required) <= {"s", *KEY_OF_FIELD.values()}
)


@st.composite
def events(draw):
    kind = draw(st.sampled_from(WRITABLE))
    edges = draw(st.lists(st.floats(-0.5, 1.5), min_size=4, max_size=4).map(sorted))
    details = {
        "place": draw(st.from_regex(r"\A[a-z0-9-]{1,31}\Z")),
        "object_class": "motorcycle",
        "count": draw(st.integers(0, 10_000)),
        "score": draw(st.floats(0, 1)),
        "box": Box(x0=edges[0], y0=edges[1], x1=edges[2], y1=edges[3]),
        "direction": draw(st.sampled_from("+-")),
        "duration_ms": draw(st.integers(0, 10**9)),
        "period_s": 60,
        "version": "v" * 40,
        "why": "w" * 40,
    }
    return Event(
        event_id=ULID,
        n=draw(st.integers(0, 10_000)),
        phase=draw(st.sampled_from([Phase.START, Phase.UPDATE, Phase.END])),
        at=dataclasses.replace(AT, synced=draw(st.booleans())),
        camera_id="c" * 31,
        kind=kind,
        **{
            name: value
            for name, value in details.items()
            if KEY_OF_FIELD[name] in allowed_keys(kind)
        },
    )


@given(event=events())
def test_event_with_every_key_it_may_carry_is_within_the_contract(event):
    message = Privacy("s" * 31, "b" * 31, "b00t1d123456").event(event)
    body = json.loads(message.body)
    assert len(message.body) + ENVELOPE_BYTES <= EVENT_LIMIT_BYTES
    assert set(BODY_KEYS) <= body.keys() <= allowed_keys(event.kind)
    assert all(0 <= part <= 1000 for part in body.get("b", []))


def test_status_up_names_version_and_since(privacy):
    message = privacy.status(Status(up=True, version="0.3.0", since_ms=1_764_000_000_000))
    assert message.body == b'{"up":1,"v":"0.3.0","since":1764000000000}'
    assert (message.channel, message.retain) == ("status", True)


def test_status_down_says_only_that(privacy):
    assert privacy.status(Status(up=False, version="0.3.0", since_ms=1)).body == b'{"up":0}'


def test_health_has_the_keys_of_the_contract(privacy):
    health = Health(
        at=AT,
        cameras={
            "gate-in": CameraHealth(
                fps=9.83,
                age_s=0.12,
                drops=0,
                duty=0.123,
                looks_fps=4.21,
                skipped=7,
                gate="keyframes",
            ),
            "new": CameraHealth(fps=0.0, age_s=None, drops=0, duty=0.0),
        },
        queues={
            "office": QueueHealth(rows=3, age_s=1.7, refused=1, unheard=2),
            "city": QueueHealth(rows=0, age_s=0.0, refused=0, unheard=1),
        },
        cpu_percent=31.4,
        rss_mb=148.2,
        temp_c=61.0,
        throttled=0,
        disk_free_percent=80.6,
        clock_offset_ms=3.2,
    )
    assert json.loads(privacy.health(health).body) == {
        "t": 1_764_000_000_123,
        "cam": {
            "gate-in": {"fps": 9.8, "age": 0.1, "drop": 0, "duty": 0.12, "look": 4.2}
            | {"skip": 7, "gate": "keyframes"},
            "new": {"fps": 0.0, "drop": 0, "duty": 0.0, "look": 0.0},
        },
        "q": {
            "office": {"n": 3, "age": 2, "refused": 1},
            "city": {"n": 0, "age": 0, "refused": 0},
        },
        "cpu": 31,
        "rss": 148,
        "temp": 61,
        "thr": 0,
        "disk": 81,
        "off": 3,
        "unheard": 3,
    }


def test_health_omits_what_the_board_does_not_measure(privacy):
    assert json.loads(privacy.health(Health(at=AT)).body) == {
        "t": 1_764_000_000_123,
        "cam": {},
        "q": {},
        "unheard": 0,
    }


def test_about_keeps_names_in_their_own_letters(privacy):
    about = About(at=AT, facts={"cam": {"gate-in": {"name": {"ru": "Ворота"}}}})
    message = privacy.about(about)
    assert "Ворота".encode() in message.body
    assert (message.channel, message.retain) == ("about", True)
