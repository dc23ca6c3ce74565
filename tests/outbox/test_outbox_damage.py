"""Broken files, full disks, and being killed while writing."""

import logging
import os
import random
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from letters import letter

from agent.clock import ManualClock
from agent.config.model import OutboxConfig
from agent.errors import StoreError
from agent.outbox.outbox import Outbox

NOW_MS = 1_764_000_000_000


def open_at(path):
    return Outbox(path, {"office": lambda _: True}, OutboxConfig(), ManualClock(utc_ms=NOW_MS))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox.db"


def fill(path, count=400):
    outbox = open_at(path)
    outbox.put([letter(i, pad=300) for i in range(count)])
    st = outbox.pending("office", 1)[0].st
    outbox.close()
    return st


def garbage(path):
    path.write_bytes(random.Random(1).randbytes(50_000))


def truncated(path):
    fill(path)
    os.truncate(path, path.stat().st_size // 2)


def another_layout(path):
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = -1")
    db.close()


@pytest.mark.parametrize("damage", [garbage, truncated, another_layout])
def test_damaged_file_is_set_aside_and_a_new_stream_begun(path, damage, caplog):
    damage(path)
    before = path.read_bytes()
    with caplog.at_level(logging.ERROR):
        outbox = open_at(path)
    (aside,) = outbox.take_set_aside()
    assert aside.name.startswith("outbox.db.corrupt-")
    assert aside.read_bytes() == before
    assert aside.name in caplog.text
    assert outbox.take_set_aside() == []
    outbox.put([letter(1)])
    assert [row.sq for row in outbox.pending("office", 9)] == [1]
    outbox.close()


def test_file_of_a_newer_layout_stays_where_it_is(path):
    fill(path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="layout 99 of a newer agent"):
        open_at(path)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.corrupt-*"))


def test_damaged_file_that_cannot_be_set_aside_is_a_store_error(path):
    garbage(path)
    path.with_name("outbox.db.corrupt-1").mkdir()  # which unlink() cannot take away
    with pytest.raises(StoreError, match="cannot be set aside"):
        open_at(path)


def test_damage_on_a_full_disk_is_a_store_error_until_a_new_file_can_be_made(path, monkeypatch):
    outbox = open_at(path)
    outbox.put([letter(1)])

    def full(_path):
        raise sqlite3.OperationalError("database or disk is full")

    def damaged(*_):
        raise sqlite3.DatabaseError("database disk image is malformed")

    with monkeypatch.context() as patch:
        patch.setattr("agent.outbox.outbox.connect", full)
        patch.setattr("agent.outbox.room.used_bytes", damaged)
        calls = (
            lambda: outbox.put([letter(2)]),
            lambda: outbox.put([letter(2)]),
            lambda: outbox.pending("office", 9),
            lambda: outbox.counts("office"),
            outbox.tidy,
            outbox.unfinished,
        )
        for call in calls:
            with pytest.raises(StoreError, match="full"):
                call()
    outbox.put([letter(2)])
    assert [row.sq for row in outbox.pending("office", 9)] == [1]
    assert len(outbox.take_set_aside()) == 1
    outbox.close()


def test_closed_outbox_is_a_store_error(path):
    outbox = open_at(path)
    outbox.close()
    outbox.close()
    with pytest.raises(StoreError, match="closed"):
        outbox.put([letter(1)])
    with pytest.raises(StoreError, match="closed"):
        outbox.counts("office")


def test_healthy_file_is_not_set_aside(path):
    st = fill(path)
    outbox = open_at(path)
    assert outbox.take_set_aside() == []
    assert outbox.pending("office", 1)[0].st == st
    outbox.close()


def test_damage_met_while_running_begins_a_new_stream(path):
    outbox = open_at(path)
    outbox.put([letter(i, pad=300) for i in range(400)])
    old = outbox.pending("office", 1)[0]
    outbox.close()
    page = path.read_bytes().index(b'"number":300') // 512
    with path.open("r+b") as file:  # a page of bodies, which opening does not read
        file.seek(page * 512)
        file.write(random.Random(2).randbytes(512))
    outbox = open_at(path)
    with pytest.raises(StoreError, match="set aside"):
        while True:
            rows = outbox.pending("office", 50)
            outbox.done(rows)
            assert rows, "the damage was not met"
    assert len(outbox.take_set_aside()) == 1
    outbox.put([letter(1000)])
    (new,) = outbox.pending("office", 9)
    assert (new.sq, new.st != old.st) == (1, True)
    outbox.done([old])  # a late acknowledgement for the old stream's number 1
    assert len(outbox.pending("office", 9)) == 1
    outbox.close()


def test_only_the_newest_damaged_file_is_kept(path):
    for _ in range(3):
        garbage(path)
        open_at(path).close()
    assert len(list(path.parent.glob("*.corrupt-*"))) == 1


def test_torn_log_gives_a_prefix_without_gaps(path, tmp_path):
    outbox = open_at(path)
    for i in range(30):
        outbox.put([letter(i)])
    log = path.with_name("outbox.db-wal").read_bytes()
    chance = random.Random(3)
    for cut in [chance.randrange(len(log)) for _ in range(8)]:
        copy = tmp_path / f"cut{cut}.db"
        copy.write_bytes(path.read_bytes())
        copy.with_name(copy.name + "-wal").write_bytes(log[:cut])
        torn = open_at(copy)
        sqs = [row.sq for row in torn.pending("office", 99)]
        assert sqs == list(range(1, len(sqs) + 1))
        assert torn.take_set_aside() == []
        torn.close()
    outbox.close()


def test_full_disk_is_a_store_error_and_writing_goes_on_later(path):
    outbox = open_at(path)
    outbox.put([letter(0)])
    (pages,) = outbox._db.execute("PRAGMA page_count").fetchone()
    outbox._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="full"):
        outbox.put([letter(i, pad=300) for i in range(1, 200)])
    assert [row.sq for row in outbox.pending("office", 999)] == [1]
    outbox._db.execute("PRAGMA max_page_count = 100000")
    outbox.put([letter(i, pad=300) for i in range(1, 200)])
    assert [row.sq for row in outbox.pending("office", 999)] == list(range(1, 201))
    assert outbox.take_set_aside() == []
    outbox.close()


def test_file_that_may_not_grow_is_a_store_error_not_damage(path):
    outbox = open_at(path)
    outbox.put([letter(0)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    log_bytes = path.with_name("outbox.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (log_bytes + 8192, hard))
    try:
        with pytest.raises(StoreError):
            outbox.put([letter(i, pad=300) for i in range(1, 200)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    outbox.put([letter(i, pad=300) for i in range(1, 200)])
    assert [row.sq for row in outbox.pending("office", 999)] == list(range(1, 201))
    assert outbox.take_set_aside() == []
    outbox.close()


def test_folder_that_cannot_be_made_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="make it writable"):
        open_at(tmp_path / "file" / "outbox.db")


def test_threads_share_the_outbox_without_losing_a_number(path):
    outbox = open_at(path)
    acknowledged = []

    def write(base):
        for i in range(50):
            outbox.put([letter(base + i)])

    def send():
        while len(acknowledged) < 150:
            rows = outbox.pending("office", 20)
            outbox.done(rows)
            acknowledged.extend(row.sq for row in rows)

    threads = [threading.Thread(target=write, args=(base,)) for base in (0, 1000, 2000)]
    threads.append(threading.Thread(target=send))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(acknowledged) == list(range(1, 151))
    outbox.close()


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from letters import letter
from agent.clock import SystemClock
from agent.config.model import OutboxConfig
from agent.outbox.outbox import Outbox

number = int(sys.argv[2])
outbox = Outbox(Path(sys.argv[1]), {"office": lambda _: True}, OutboxConfig(), SystemClock())
while True:
    outbox.put([letter(number + i) for i in range(3)])
    outbox.done(outbox.pending("office", 1))
    number += 3
    print(number, flush=True)  # all below this number are promised
"""
SIMULATORS = str(Path(__file__).parents[1] / "simulators")


def test_killed_writer_loses_nothing_committed_and_repeats_no_number(path):
    chance, promised = random.Random(4), 0
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(promised), SIMULATORS],
            stdout=subprocess.PIPE,
        )
        for _ in range(chance.randrange(20, 120)):
            line = child.stdout.readline()
            assert line, "the writer died by itself"
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split(b"\n")[:-1]
        child.wait()
        child.stdout.close()
        promised = int(rest[-1] if rest else line)
        promised = _check(path, promised)


def _check(path, promised):
    """Every promised message is there, the numbers have no gap; answers the first free one."""
    db = sqlite3.connect(path)
    rows = db.execute(
        "SELECT d.sq, m.body FROM delivery d JOIN message m ON m.id = d.message ORDER BY d.sq"
    ).fetchall()
    (next_sq,) = db.execute("SELECT next_sq FROM stream").fetchone()
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    numbers = [int(re.search(rb'"number":(\d+)', body)[1]) for _, body in rows]
    assert [sq for sq, _ in rows] == list(range(1, len(rows) + 1))
    assert next_sq == len(rows) + 1
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= promised
    return len(numbers)
