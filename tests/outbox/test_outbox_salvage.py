"""A damaged store: what can still be read in it is sent all the same."""

import json
import random
import sqlite3

import pytest
from crossings import PRIVACY, crossing
from letters import letter

from agent.errors import StoreError
from agent.records import Phase

DAY_S = 86_400


def fill(outbox, numbers):
    outbox.put([crossing(number) for number in numbers])


def overwrite(path, offset, count=4096):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(random.Random(1).randbytes(count))


def taken_over(outbox):
    """Calls it to the end; the numbers that wait now."""
    while outbox.salvage(PRIVACY.restored):
        pass
    return sorted(row.sq for row in outbox.pending("office", 9999))


def waiting(outbox):
    return {row.body for row in outbox.pending("office", 9999)}


def test_torn_header_costs_no_message_and_begins_a_stream_without_gaps(make, tmp_path):
    outbox = make()
    fill(outbox, range(700))
    before, st = waiting(outbox), outbox.pending("office", 1)[0].st
    outbox.close()
    overwrite(tmp_path / "outbox.db", 0)
    again = make()
    assert again.pending("office", 9) == []
    assert taken_over(again) == list(range(1, 701))
    assert waiting(again) == before
    assert again.pending("office", 1)[0].st != st


@pytest.mark.parametrize("page", range(20, 60, 13))
def test_torn_page_costs_at_most_what_lay_in_it(make, tmp_path, page):
    outbox = make()
    fill(outbox, range(700))
    before = waiting(outbox)
    outbox.close()
    overwrite(tmp_path / "outbox.db", page * 4096)
    again = make()
    for _ in range(3):  # the damage is met when its page is read
        try:
            rows = again.pending("office", 9999)
            again.done(rows[:1])
            again.tidy()
            taken_over(again)
        except StoreError:
            continue
    after = waiting(again) | {rows[0].body}
    assert after <= before
    assert len(after) >= 700 - 20  # of some 12 a page


def test_messages_that_were_delivered_are_not_sent_again_while_the_tables_can_be_read(
    make, tmp_path
):
    outbox = make()
    fill(outbox, range(100))
    outbox.done(outbox.pending("office", 60))
    outbox.close()
    with sqlite3.connect(tmp_path / "outbox.db") as db:
        db.execute("PRAGMA user_version = -1")
    db.close()
    assert taken_over(make()) == list(range(1, 41))


def test_messages_in_the_log_of_a_torn_store_are_found(make, tmp_path):
    outbox = make()
    fill(outbox, range(3))
    pages = (tmp_path / "outbox.db").read_bytes()
    log = (tmp_path / "outbox.db-wal").read_bytes()
    outbox.close()
    (tmp_path / "outbox.db").write_bytes(bytes(len(pages)))
    overwrite(tmp_path / "outbox.db", 0)
    (tmp_path / "outbox.db-wal").write_bytes(log)
    assert taken_over(make()) == [1, 2, 3]


def test_start_in_the_middle_begins_again_and_stores_nothing_twice(make, tmp_path):
    outbox = make()
    fill(outbox, range(50))
    outbox.close()
    overwrite(tmp_path / "outbox.db", 0)
    halfway = make()
    assert halfway.salvage(PRIVACY.restored, 20) == 20
    halfway.close()
    again = make()
    assert taken_over(again) == list(range(1, 51))
    again.close()
    assert make().salvage(PRIVACY.restored) == 0  # done is done


def test_occurrence_whose_end_is_found_before_its_start_is_over(make, tmp_path):
    start = letter(1, phase=Phase.START, pad=101)
    end, open_still = letter(1, n=1, phase=Phase.END), letter(2, phase=Phase.START)
    outbox = make()
    outbox.put([end, start, open_still])
    outbox.close()
    overwrite(tmp_path / "outbox.db", 0)
    messages = {each.body: each for each in (start, end, open_still)}
    again = make()
    while again.salvage(messages.get, 1):
        pass
    assert [each.message_id for each in again.unfinished()] == [open_still.message_id]


def test_file_set_aside_goes_with_its_age(make, tmp_path, clock):
    outbox = make(max_age_s=30 * DAY_S)
    fill(outbox, range(5))
    outbox.close()
    overwrite(tmp_path / "outbox.db", 0)
    again = make(max_age_s=30 * DAY_S)
    taken_over(again)
    clock.advance(29 * DAY_S)
    again.tidy()
    assert list(tmp_path.glob("*.corrupt-*"))
    clock.advance(2 * DAY_S)
    again.tidy()
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_body_that_is_not_this_boxs_event_is_not_restored():
    body = crossing(1).body
    assert PRIVACY.restored(body) is not None
    for bad in (
        b"",
        b"[]",
        body[:-1],
        body.replace(b"alpomish/north-gate", b"alpomish/south-gate"),
        body.replace(b"vehicle.line", b"vehicle.fly"),
        body.replace(b'"z":"in"', b'"x":"in"'),
        body.replace(b"vehicle.line", b"plate.seen"),
        letter(1).body,
    ):
        assert PRIVACY.restored(bad) is None
    again = PRIVACY.restored(body)
    assert (again.message_id, again.kind, again.camera) == (f"{1:026d}", "vehicle.line", "gate")


def test_looking_at_much_that_has_arrived_is_done_in_short_steps(make, tmp_path):
    outbox = make()
    outbox.put([crossing(number) for number in range(1, 2502)])
    while rows := outbox.pending("office", 1000):
        outbox.done(rows)
    outbox.put([crossing(2502)])
    outbox.close()
    with sqlite3.connect(tmp_path / "outbox.db") as db:
        db.execute("PRAGMA user_version = -1")
    db.close()
    again, steps = make(), []
    while step := again.salvage(PRIVACY.restored):
        steps.append(step)
    assert len(steps) >= 5  # 2502 rows of the table, then as many bodies in the pages
    assert [json.loads(row.body)["id"] for row in again.pending("office", 9)] == [f"{2502:026d}"]
