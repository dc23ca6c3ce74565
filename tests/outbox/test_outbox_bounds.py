"""What is let go of: by age, by space, and in which order."""

import peek
from letters import letter

from agent.clock import ManualClock
from agent.config.model import OutboxConfig
from agent.outbox.outbox import Outbox
from agent.records import Priority

HOUR_S = 3600


def stored(tmp_path, query="SELECT count(*) FROM message"):
    return peek.rows(tmp_path / "outbox.db", query)


def fill(outbox, count, priority=Priority.EVENT, start=0):
    for first in range(start, start + count, 100):
        batch = range(first, min(first + 100, start + count))
        outbox.put([letter(i, priority=priority, pad=300) for i in batch])


def test_acknowledged_row_is_kept_for_a_while_and_then_freed(make, clock, tmp_path):
    outbox = make(keep_s=HOUR_S)
    outbox.put([letter(1)])
    outbox.done(outbox.pending("office", 1))
    clock.advance(HOUR_S - 1)
    outbox.tidy()
    assert stored(tmp_path) == [(1,)]
    clock.advance(2)
    outbox.tidy()
    assert stored(tmp_path) == [(0,)]


def test_row_that_outlived_keep_goes_with_what_is_put(make, clock, tmp_path):
    outbox = make(keep_s=HOUR_S)
    outbox.put([letter(i) for i in range(10)])
    outbox.done(outbox.pending("office", 8))
    clock.advance(2 * HOUR_S)
    outbox.put([letter(i) for i in range(10, 18)])
    assert stored(tmp_path) == [(10,)]


def test_body_stays_while_another_broker_waits_for_it(make, clock, tmp_path):
    outbox = make(("office", "city"), keep_s=HOUR_S)
    outbox.put([letter(1)])
    outbox.done(outbox.pending("office", 1))
    clock.advance(2 * HOUR_S)
    outbox.tidy()
    assert stored(tmp_path) == [(1,)]
    assert len(outbox.pending("city", 1)) == 1


def test_old_row_expires_and_its_number_is_known_as_lost(make, clock, tmp_path):
    outbox = make(max_age_s=HOUR_S)
    outbox.put([letter(1)])
    clock.advance(HOUR_S / 2)
    outbox.put([letter(2)])
    clock.advance(HOUR_S / 2 + 1)
    outbox.tidy()
    assert [row.sq for row in outbox.pending("office", 9)] == [2]
    lost = stored(tmp_path, "SELECT broker, first, last, count, why FROM lost")
    assert lost == [("office", 1, 1, 1, "expired")]


def test_row_stored_before_the_clock_was_set_does_not_expire_by_the_jump(make, tmp_path):
    unset = ManualClock(utc_ms=1_000, synced=False)
    outbox = Outbox(
        tmp_path / "outbox.db", {"office": lambda _: True}, OutboxConfig(max_age_s=HOUR_S), unset
    )
    outbox.put([letter(1)])
    outbox.tidy()
    outbox.close()
    later = make(max_age_s=HOUR_S)
    later.tidy()
    assert len(later.pending("office", 9)) == 1


def test_row_stored_before_the_clock_was_set_ages_from_then_on(make, clock, tmp_path):
    unset = ManualClock(utc_ms=1_000, synced=False)
    outbox = Outbox(
        tmp_path / "outbox.db", {"office": lambda _: True}, OutboxConfig(max_age_s=HOUR_S), unset
    )
    outbox.put([letter(1)])
    outbox.close()
    later = make(max_age_s=HOUR_S)
    later.tidy()
    clock.advance(HOUR_S + 1)
    later.tidy()
    assert later.pending("office", 9) == []


def test_full_outbox_evicts_counts_before_events_before_alerts(make, tmp_path):
    outbox = make(max_bytes=1_000_000)
    fill(outbox, 300, Priority.ALERT)
    fill(outbox, 500, Priority.EVENT, start=1000)
    fill(outbox, 300, Priority.COUNT, start=2000)
    fill(outbox, 1500, Priority.EVENT, start=3000)
    left = dict(stored(tmp_path, "SELECT priority, count(*) FROM message GROUP BY priority"))
    assert left[int(Priority.ALERT)] == 300
    assert int(Priority.COUNT) not in left
    assert 0 < left[int(Priority.EVENT)] < 2000
    oldest = stored(tmp_path, "SELECT min(message_id) FROM message WHERE priority = 1")
    assert int(oldest[0][0]) > 1000  # the oldest events went first


def test_full_outbox_frees_what_is_delivered_before_what_is_not(make, tmp_path):
    outbox = make(max_bytes=1_000_000)
    fill(outbox, 800)
    outbox.done(outbox.pending("office", 800))
    fill(outbox, 1000, Priority.COUNT, start=1000)
    assert len(outbox.pending("office", 5000)) == 1000


def test_file_stays_within_its_bound(make, tmp_path):
    limit = 1_000_000
    outbox = make(max_bytes=limit)
    fill(outbox, 6000)
    outbox.close()  # folds the log into the file
    assert (tmp_path / "outbox.db").stat().st_size <= 1.1 * limit


def test_evicted_body_is_overwritten_in_the_file(make, clock, tmp_path):
    outbox = make(keep_s=0)
    outbox.put([letter(1, kind="secret-kind")])
    outbox.done(outbox.pending("office", 1))
    clock.advance(1)
    outbox.tidy()
    outbox.close()
    assert b"secret-kind" not in (tmp_path / "outbox.db").read_bytes()


def test_row_whose_body_is_gone_can_still_be_settled(make, clock):
    outbox = make(max_age_s=HOUR_S)
    outbox.put([letter(1)])
    rows = outbox.pending("office", 1)
    clock.advance(2 * HOUR_S)
    outbox.tidy()
    outbox.done(rows)  # its acknowledgement came late
    assert outbox.counts("office").rows == 0


def test_row_stored_by_a_clock_far_ahead_ages_from_the_day_it_is_mended(tmp_path):
    ahead = ManualClock(utc_ms=4_000_000_000_000)
    config = OutboxConfig(max_age_s=HOUR_S)
    outbox = Outbox(tmp_path / "outbox.db", {"office": lambda _: True}, config, ahead)
    outbox.put([letter(1)])
    outbox.tidy()
    ahead._utc0_ms = 1_764_000_000_000  # the time server is back, in the same run
    outbox.tidy()
    assert len(outbox.pending("office", 9)) == 1
    ahead.advance(HOUR_S + 1)
    outbox.tidy()
    assert outbox.pending("office", 9) == []
    outbox.close()


def test_row_settled_before_the_clock_was_set_is_kept_from_then_on(tmp_path):
    clock = ManualClock(utc_ms=1_000, synced=False)
    config = OutboxConfig(keep_s=HOUR_S)
    outbox = Outbox(tmp_path / "outbox.db", {"office": lambda _: True}, config, clock)
    outbox.put([letter(1), letter(2)])
    outbox.done(outbox.pending("office", 1))
    outbox.put([letter(3)])  # which writes that down
    clock._utc0_ms, clock._synced = 1_764_000_000_000, True
    outbox.tidy()
    outbox.tidy()
    st = outbox.pending("office", 1)[0].st
    assert outbox.send_again("office", st, 1, 1) == 1
    outbox.close()
