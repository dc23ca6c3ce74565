"""`receipt: seen`: what matters is freed by the recorder's word alone."""

import pytest
from letters import letter
from test_outbox_losses import account, told

from agent.config.model import OutboxConfig
from agent.kinds import KINDS_OF_EVENTS, wants_receipt
from agent.outbox.outbox import Outbox
from agent.outbox.receipts import STUCK_MS

HOUR_S, DAY_S = 3600, 86_400


@pytest.fixture
def make_seen(make, tmp_path, clock):
    made = []

    def build(seen_at=("office",), **config):
        brokers = {"office": lambda m: m.broker in ("", "office")}
        path = tmp_path / "outbox.db"
        made.append(Outbox(path, brokers, OutboxConfig(**config), clock, seen_at=seen_at))
        return made[-1]

    yield build
    for outbox in made:
        outbox.close()


def hits(*numbers):
    return [letter(number, kind="plate.hit") for number in numbers]


def acknowledge(outbox):
    rows = outbox.pending("office", 999)
    outbox.done(rows)
    return rows


def test_alert_that_is_acknowledged_is_unseen_until_the_recorder_confirms_it(make_seen):
    outbox = make_seen()
    outbox.put([*hits(1, 2), letter(3)])
    st = acknowledge(outbox)[0].st
    health = outbox.counts("office")
    assert (health.rows, health.unseen) == (0, 2)  # the crossing needs no receipt
    assert outbox.seen("office", st, 1) == 1
    assert outbox.counts("office").unseen == 1
    assert outbox.seen("office", st, 2) == 1
    assert outbox.counts("office").unseen == 0
    assert outbox.pending("office", 9) == []


def test_unseen_alert_outlives_keep_and_is_told_when_it_expires(make_seen, clock):
    outbox = make_seen(keep_s=HOUR_S, max_age_s=30 * DAY_S)
    outbox.put(hits(1))
    st = acknowledge(outbox)[0].st
    clock.advance(10 * DAY_S)
    outbox.tidy()
    assert outbox.send_again("office", st, 1, 1) == 1
    acknowledge(outbox)
    clock.advance(21 * DAY_S)
    outbox.tidy()
    outbox.tell_losses(account)
    assert told(outbox) == [(2, 1, 1, 1, "expired")]


def test_confirmed_alert_may_be_forgotten_after_keep(make_seen, clock):
    outbox = make_seen(keep_s=HOUR_S)
    outbox.put(hits(1))
    st = acknowledge(outbox)[0].st
    outbox.seen("office", st, 1)
    clock.advance(2 * HOUR_S)
    outbox.tidy()
    assert outbox.send_again("office", st, 1, 1) == 0


def test_confirmation_before_the_acknowledgement_counts(make_seen):
    outbox = make_seen()
    outbox.put(hits(1))
    (row,) = outbox.pending("office", 9)
    outbox.seen("office", row.st, 1)
    assert len(outbox.pending("office", 9)) == 1  # never freed unsent
    outbox.done([row])
    assert outbox.counts("office").unseen == 0


def test_recorder_that_does_not_get_on_is_sent_the_rest_again(make_seen, clock):
    outbox = make_seen()
    outbox.put(hits(1, 2, 3))
    st = acknowledge(outbox)[0].st
    outbox.seen("office", st, 1)
    clock.advance(STUCK_MS / 1000 - 1)
    outbox.seen("office", st, 1)
    assert outbox.pending("office", 9) == []
    clock.advance(2)
    outbox.put(hits(4))
    acknowledge(outbox)
    outbox.seen("office", st, 1)
    assert sorted(row.sq for row in outbox.pending("office", 9)) == [2, 3]  # 4 may be on its way
    acknowledge(outbox)
    outbox.seen("office", st, 1)
    assert outbox.pending("office", 9) == []


def test_confirmation_of_another_stream_or_broker_frees_nothing(make_seen):
    outbox = make_seen()
    outbox.put(hits(1))
    st = acknowledge(outbox)[0].st
    assert outbox.seen("office", "zzzzzzzz", 1) is None
    assert outbox.seen("city", st, 1) is None
    assert outbox.counts("office").unseen == 1


def test_unseen_rows_survive_a_restart_and_are_freed_where_nobody_confirms_any_more(make_seen):
    outbox = make_seen()
    outbox.put(hits(1))
    acknowledge(outbox)
    outbox.close()
    again = make_seen()
    assert again.counts("office").unseen == 1
    assert again.pending("office", 9) == []
    again.close()
    without = make_seen(seen_at=())
    assert without.counts("office").unseen == 0


def test_what_has_to_be_confirmed_is_alerts_plates_and_cameras():
    named = {kind for kind in KINDS_OF_EVENTS if wants_receipt(kind)}
    assert {"plate.seen", "plate.unread", "camera.blind", "audit", "box.lost"} <= named
    assert not named & {"vehicle.line", "face.count", "config.changed"}


def test_what_a_recorder_asks_for_again_is_to_be_confirmed_again(make_seen):
    outbox = make_seen()
    outbox.put(hits(1, 2, 3))
    st = acknowledge(outbox)[0].st
    assert outbox.seen("office", st, 3) == 3
    assert outbox.send_again("office", st, 2, 3) == 2
    acknowledge(outbox)
    assert outbox.counts("office").unseen == 2
    assert outbox.seen("office", st, 1) == 0
    assert outbox.counts("office").unseen == 2
    assert outbox.seen("office", st, 3) == 2
