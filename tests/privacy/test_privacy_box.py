"""What the box says of itself: its clock, its disk, what is lost."""

import json

import pytest

from agent.kinds import CLOCK, LOST
from agent.privacy.privacy import Privacy
from agent.records import Event, Health, Loss, Moment, Phase

AT = Moment(mono_ns=5_000_000_000, utc_ms=1_764_000_000_123)


@pytest.fixture
def privacy():
    return Privacy("alpomish", "north-gate", "b00t1d")


def event(kind, **what):
    return Event(
        event_id="01JDFK8Q3ZJ7Y1X9V5T2R4M6N8",
        n=0,
        phase=Phase.ONCE,
        at=AT,
        camera_id=None,
        kind=kind,
        **what,
    )


def test_account_of_lost_numbers_goes_to_their_broker_alone(privacy):
    loss = Loss(broker="city", first=3, last=9, count=4, why="expired")
    message = privacy.event(event(LOST, loss=loss))
    body = json.loads(message.body)
    assert message.broker == "city"
    assert {key: body[key] for key in ("from", "to", "c", "why")} == {
        "from": 3, "to": 9, "c": 4, "why": "expired",
    }  # fmt: skip
    assert "city" not in message.body.decode()


def test_clock_tells_its_boot_and_what_to_add_to_mo(privacy):
    body = json.loads(privacy.event(event(CLOCK, why="set", offset_ms=1_763_999_995_123)).body)
    assert (body["bo"], body["off"]) == ("b00t1d", 1_763_999_995_123)
    assert body["off"] + AT.mono_ns // 1_000_000 == body["t"]
    assert "te" not in body


def test_health_tells_restarts_and_losses_only_when_there_are_any(privacy):
    calm = json.loads(privacy.health(Health(at=AT)).body)
    assert not {"restarts", "lost"} & set(calm)
    troubled = json.loads(privacy.health(Health(at=AT, restarts=2, given_up=7)).body)
    assert (troubled["restarts"], troubled["lost"]) == (2, 7)
