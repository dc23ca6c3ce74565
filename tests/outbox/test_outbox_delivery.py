"""Numbers, order, and what becomes of a row."""

import re

import peek
import pytest
from letters import letter

from agent.outbox import outbox as outbox_module
from agent.records import Message, Priority


def everything(_message):
    return True


def numbers(rows):
    return [int(re.search(rb'"number":(\d+)', row.body)[1]) for row in rows]


def test_put_one_message_two_brokers_stores_the_body_once(make, tmp_path):
    outbox = make({"office": everything, "city": everything})
    outbox.put([letter(1)])
    assert peek.rows(tmp_path / "outbox.db", "SELECT count(*) FROM message") == [(1,)]
    assert len(outbox.pending("office", 10)) == len(outbox.pending("city", 10)) == 1


def test_sq_of_each_broker_is_contiguous_after_its_filter(make):
    outbox = make({"office": everything, "city": lambda m: m.kind == "plate.hit"})
    kinds = ["plate.hit" if i % 3 == 0 else "face.count" for i in range(12)]
    outbox.put([letter(i, kind=kind) for i, kind in enumerate(kinds)])
    assert [row.sq for row in outbox.pending("office", 99)] == list(range(1, 13))
    assert [row.sq for row in outbox.pending("city", 99)] == [1, 2, 3, 4]
    assert numbers(outbox.pending("city", 99)) == [0, 3, 6, 9]


def test_stream_id_is_eight_characters_and_differs_by_broker(make):
    outbox = make({"office": everything, "city": everything})
    outbox.put([letter(1)])
    names = {outbox.pending(broker, 1)[0].st for broker in ("office", "city")}
    assert len(names) == 2
    assert all(re.fullmatch("[a-z0-9]{8}", name) for name in names)


def test_stream_goes_on_after_reopening(make):
    first = make()
    first.put([letter(1)])
    st = first.pending("office", 1)[0].st
    first.close()
    again = make()
    again.put([letter(2)])
    assert [(row.st, row.sq) for row in again.pending("office", 9)] == [(st, 1), (st, 2)]


def test_put_message_nobody_wants_stores_nothing(make, tmp_path):
    make({"city": lambda _: False}).put([letter(1)])
    assert peek.rows(tmp_path / "outbox.db", "SELECT count(*) FROM message") == [(0,)]


def test_put_state_message_is_refused(make):
    health = Message(
        channel="health",
        message_id="",
        n=0,
        kind="health",
        camera="_box",
        body=b"{}",
        priority=Priority.EVENT,
        expiry_s=0,
    )
    outbox = make()
    with pytest.raises(ValueError, match="only events"):
        outbox.put([letter(1), health])
    assert outbox.pending("office", 9) == []  # the whole transaction was undone


def test_pending_gives_newest_alerts_then_the_oldest_rest(make):
    outbox = make()
    alerts = {2, 5}
    outbox.put(
        [letter(i, priority=Priority.ALERT if i in alerts else Priority.COUNT) for i in range(7)]
    )
    assert numbers(outbox.pending("office", 99)) == [5, 2, 0, 1, 3, 4, 6]
    assert numbers(outbox.pending("office", 3)) == [5, 2, 0]


@pytest.mark.parametrize("query", [outbox_module._NEWEST_FIRST, outbox_module._SETTLE])
def test_row_is_found_without_a_look_at_all_that_waits(make, tmp_path, query):
    make()
    asked = f"EXPLAIN QUERY PLAN {query.replace('?', '1')}"
    plan = next(row[-1] for row in peek.rows(tmp_path / "outbox.db", asked))
    assert "state=? AND urgent=?" in plan


def test_newest_do_not_wait_behind_a_backlog_and_each_comes_once(make):
    outbox = make()
    outbox.put([letter(i) for i in range(100)])
    assert numbers(outbox.pending("office", 8)) == [99, 0, 1, 2, 98, 3, 4, 5]
    drained = []
    while rows := outbox.pending("office", 30):
        drained += numbers(rows)
        outbox.done(rows)
    assert sorted(drained) == list(range(100))


def test_done_row_is_pending_no_more_for_that_broker_only(make):
    outbox = make({"office": everything, "city": everything})
    outbox.put([letter(1), letter(2)])
    outbox.done(outbox.pending("office", 1))
    assert [row.sq for row in outbox.pending("office", 9)] == [2]
    assert [row.sq for row in outbox.pending("city", 9)] == [1, 2]


def test_refused_row_is_counted_and_tried_no_more(make):
    outbox = make()
    outbox.put([letter(1), letter(2)])
    outbox.refuse(outbox.pending("office", 1)[0], "0x87")
    assert [row.sq for row in outbox.pending("office", 9)] == [2]
    counts = outbox.counts("office")
    assert (counts.rows, counts.refused) == (1, 1)


def test_row_to_retry_is_pending_again_after_its_delay(make, clock):
    outbox = make()
    outbox.put([letter(1), letter(2)])
    outbox.retry_later(outbox.pending("office", 1)[0], 30)
    assert [row.sq for row in outbox.pending("office", 9)] == [2]
    clock.advance(30)
    first = outbox.pending("office", 9)[0]
    assert (first.sq, first.tries) == (1, 1)


def test_row_to_retry_is_due_at_once_after_a_restart(make):
    outbox = make()
    outbox.put([letter(1)])
    outbox.retry_later(outbox.pending("office", 1)[0], 3600)
    outbox.close()
    assert [row.tries for row in make().pending("office", 9)] == [1]


def test_refused_row_stays_refused_over_a_restart(make, clock):
    outbox = make()
    outbox.put([letter(1)])
    outbox.retry_later(outbox.pending("office", 1)[0], 30)
    clock.advance(30)
    outbox.refuse(outbox.pending("office", 1)[0], "0x87")
    outbox.close()
    again = make()
    assert again.pending("office", 9) == []
    assert again.counts("office").refused == 1


def test_unheard_row_waits_until_its_topic_is_heard(make):
    outbox = make()
    outbox.put([letter(1), letter(2), letter(3, kind="face.count")])
    one, two, other = outbox.pending("office", 9)
    for row in (one, other):
        outbox.unheard(row)
    assert outbox.counts("office").unheard == 2
    outbox.done([two])
    assert numbers(outbox.pending("office", 9)) == [1]  # same topic as the one heard
    assert outbox.counts("office").unheard == 1


def test_try_unheard_makes_only_the_oldest_of_each_topic_due(make):
    outbox = make({"office": everything, "city": everything})
    outbox.put([letter(i, camera=f"cam{i % 2}") for i in range(6)])
    for broker in ("office", "city"):
        for row in outbox.pending(broker, 9):
            outbox.unheard(row)
    outbox.try_unheard("office")
    assert numbers(outbox.pending("office", 9)) == [0, 1]
    assert outbox.pending("city", 9) == []


def test_counts_tell_rows_and_the_age_of_the_oldest(make, clock):
    outbox = make()
    assert outbox.counts("office").age_s == 0
    outbox.put([letter(1)])
    clock.advance(90)
    outbox.put([letter(2)])
    counts = outbox.counts("office")
    assert (counts.rows, counts.age_s) == (2, 90)
    outbox.done(outbox.pending("office", 1))
    assert outbox.counts("office").age_s == 0


def test_send_again_makes_what_is_kept_due_and_counts_what_will_come(make):
    outbox = make({"office": everything, "city": everything})
    outbox.put([letter(i) for i in range(1, 6)])
    rows = outbox.pending("office", 9)
    outbox.done(rows[:3])
    outbox.refuse(rows[4], "0x87")
    st = rows[0].st
    assert outbox.send_again("office", st, 2, 9) == 3
    assert [row.sq for row in outbox.pending("office", 9)] == [2, 3, 4]
    assert outbox.send_again("office", "zzzzzzzz", 1, 5) is None
    assert outbox.send_again("city", st, 1, 5) is None
    assert len(outbox.pending("city", 9)) == 5


def test_row_sent_again_is_done_again(make):
    outbox = make()
    outbox.put([letter(1)])
    (row,) = outbox.pending("office", 9)
    outbox.done([row])
    outbox.send_again("office", row.st, 1, 1)
    (again,) = outbox.pending("office", 9)
    assert (again.sq, again.body, again.tries) == (row.sq, row.body, 0)
    outbox.done([again])
    assert outbox.counts("office").rows == 0


def test_commits_grow_with_each_put(make):
    outbox = make()
    before = outbox.commits
    outbox.put([letter(1)])
    assert outbox.commits == before + 1


def test_what_waits_is_dated_anew_in_parts(make):
    outbox = make()
    outbox.put([letter(i) for i in range(1200)])
    outbox.done(outbox.pending("office", 100))
    dated, after, calls = [], 0, 0

    def redated(body, t_ms):
        dated.append(t_ms)
        return body

    while after is not None:
        calls, after = calls + 1, outbox.redate("", 5_000, redated, after)
    assert dated == [5_000] * 1100
    assert calls == 4
