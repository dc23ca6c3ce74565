"""What will never come is told: each number once, with why, to the broker it was given to."""

import json

from letters import letter

from agent.clock import ManualClock
from agent.kinds import LOST
from agent.privacy.privacy import Privacy
from agent.records import Event, Moment, Phase, Priority

NOW_MS = 1_764_000_000_000
HOUR_S, DAY_S = 3600, 86_400


def account(loss):
    """As the box makes it."""
    event = Event(
        event_id=f"{account.number:026d}",
        n=0,
        phase=Phase.ONCE,
        at=Moment(mono_ns=0, utc_ms=NOW_MS),
        camera_id=None,
        kind=LOST,
        loss=loss,
    )
    account.number += 1
    return Privacy("alpomish", "north-gate", "b00t1d").event(event)


account.number = 10**9


def told(outbox, broker="office"):
    """sq, range, how many and why of each account that waits."""
    bodies = [
        (row.sq, json.loads(row.body)) for row in outbox.pending(broker, 9999) if row.kind == LOST
    ]
    return [(sq, body["from"], body["to"], body["c"], body["why"]) for sq, body in sorted(bodies)]


def test_expired_numbers_are_told_once_as_a_range(make, clock):
    outbox = make(max_age_s=HOUR_S)
    outbox.put([letter(i) for i in range(3)])
    clock.advance(HOUR_S + 1)
    outbox.tidy()
    outbox.tell_losses(account)
    outbox.tell_losses(account)
    assert told(outbox) == [(4, 1, 3, 3, "expired")]


def test_delivered_numbers_are_not_lost_when_their_bodies_go(make, clock):
    outbox = make(max_age_s=HOUR_S)
    outbox.put([letter(1), letter(2)])
    outbox.done(outbox.pending("office", 1))
    clock.advance(HOUR_S + 1)
    outbox.tidy()
    outbox.tell_losses(account)
    assert told(outbox) == [(3, 2, 2, 1, "expired")]


def test_each_broker_hears_of_its_own_numbers_only(make, clock):
    outbox = make(("office", "city"), max_age_s=HOUR_S)
    outbox.put([letter(1), letter(2)])
    outbox.done(outbox.pending("office", 2))
    clock.advance(HOUR_S + 1)
    outbox.tidy()
    outbox.tell_losses(account)
    assert told(outbox) == []
    assert told(outbox, "city") == [(3, 1, 2, 2, "expired")]


def test_quarantined_number_is_told_and_not_again_when_it_expires(make, clock):
    outbox = make(max_age_s=HOUR_S)
    outbox.put([letter(1)])
    outbox.refuse(outbox.pending("office", 1)[0], "0x87")
    outbox.tell_losses(account)
    assert told(outbox) == [(2, 1, 1, 1, "quarantined")]
    outbox.done(outbox.pending("office", 1))
    clock.advance(HOUR_S + 1)
    outbox.tidy()
    outbox.tell_losses(account)
    assert told(outbox) == []


def test_account_that_is_refused_is_not_followed_by_another(make):
    outbox = make()
    outbox.put([letter(1)])
    outbox.refuse(outbox.pending("office", 1)[0], "0x87")
    outbox.tell_losses(account)
    outbox.refuse(outbox.pending("office", 1)[0], "0x87")
    outbox.tell_losses(account)
    assert outbox.pending("office", 9) == []


def test_account_that_expires_unheard_is_given_again(make, clock):
    outbox = make(max_age_s=HOUR_S)
    outbox.put([letter(1), letter(2)])
    for _ in range(2):
        clock.advance(HOUR_S + 1)
        outbox.tidy()
        outbox.tell_losses(account)
    assert told(outbox) == [(4, 1, 3, 3, "expired")]


def test_evicted_numbers_are_counted_and_survive_a_restart(make):
    outbox = make(max_bytes=1_000_000)
    for first in range(0, 3000, 100):
        batch = range(first, first + 100)
        outbox.put([letter(i, priority=Priority.COUNT, pad=300) for i in batch])
    evicted = outbox.evicted
    assert evicted > 500
    outbox.close()
    again = make(max_bytes=1_000_000)
    again.tell_losses(account)
    assert told(again) == [(3001, 1, evicted, evicted, "evicted")]
    waiting = {row.sq for row in again.pending("office", 9999)}
    assert waiting == set(range(evicted + 1, 3002))


def test_clock_that_leaps_ahead_and_back_expires_nothing(make, clock):
    outbox = make(max_age_s=30 * DAY_S)
    outbox.put([letter(1)])
    years_ahead = ManualClock(utc_ms=NOW_MS + 14 * 365 * DAY_S * 1000)
    outbox._clock = years_ahead
    for _ in range(20):
        years_ahead.advance(HOUR_S)
        outbox.put([letter(1000 + _)])
        outbox.tidy()
    outbox.close()
    clock.advance(DAY_S)
    again = make(max_age_s=30 * DAY_S)
    again.tidy()
    assert len(again.pending("office", 99)) == 21
    clock.advance(15 * DAY_S)
    again.tidy()
    assert len(again.pending("office", 99)) == 21
    clock.advance(30 * DAY_S)
    again.tidy()
    assert again.pending("office", 99) == []  # those stored in the future too


def test_box_that_was_off_for_long_has_a_day_to_deliver_what_is_old(make):
    outbox = make(max_age_s=30 * DAY_S)
    outbox.put([letter(1)])
    outbox.tidy()
    outbox.close()
    on_again = ManualClock(utc_ms=NOW_MS + 60 * DAY_S * 1000)
    later = make(at=on_again, max_age_s=30 * DAY_S)
    later.tidy()
    on_again.advance(20 * HOUR_S)
    later.tidy()
    assert len(later.pending("office", 9)) == 1
    on_again.advance(5 * HOUR_S)
    later.tidy()
    assert later.pending("office", 9) == []


def test_rows_of_a_boot_without_a_clock_are_known(make):
    unset = ManualClock(utc_ms=1_000, synced=False)
    outbox = make(at=unset)
    assert not outbox.has_undated("")
    outbox.put([letter(1)])
    assert outbox.has_undated("")
    assert not outbox.has_undated("another")
