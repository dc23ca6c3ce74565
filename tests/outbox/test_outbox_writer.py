"""The writer's thread: never in the way, alerts at once, patient with a failing disk."""

import logging
import threading
from contextlib import contextmanager

import pytest
from brokers import wait_until
from letters import letter

from agent.errors import StoreError
from agent.outbox import writer as writer_module
from agent.outbox.batch import WAIT_S, Batch
from agent.outbox.writer import OutboxWriter
from agent.records import Priority


class FakeStore:
    """Remembers each transaction; fails while `full`; holds still while `gate` is closed."""

    def __init__(self):
        self.batches = []
        self.full = False
        self.failed = 0
        self.tidied = 0
        self.gate = threading.Event()
        self.gate.set()

    def put(self, messages):
        self.gate.wait(10)
        if self.full:
            self.failed += 1
            raise StoreError("outbox.db: disk is full; free some space")
        self.batches.append(list(messages))

    def tidy(self):
        self.tidied += 1

    @property
    def stored(self):
        return [int(message.message_id) for batch in self.batches for message in batch]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(writer_module, "_TURN_S", 0.05)


def waits(event_s, count_s=60.0):
    return {Priority.ALERT: 0.0, Priority.EVENT: event_s, Priority.COUNT: count_s}


@contextmanager
def running(store, **settings):
    writer, stop = OutboxWriter(store, **settings), threading.Event()
    thread = threading.Thread(target=writer.run, args=(stop,))
    thread.start()
    try:
        yield writer
    finally:
        stop.set()
        store.gate.set()
        thread.join(10)
        assert not thread.is_alive()


def test_alert_is_stored_at_once_with_all_that_waited():
    store = FakeStore()
    with running(store, wait_s=waits(60)) as writer:
        try:
            writer.submit(letter(1))
            writer.submit(letter(2, priority=Priority.ALERT))
            wait_until(lambda: store.stored, 5, "the alert stored")
            assert store.stored == [1, 2]
        finally:
            writer.submit(letter(3, priority=Priority.ALERT))  # wakes it, to stop


def test_others_are_stored_in_batches():
    store = FakeStore()
    with running(store, wait_s=waits(0.3)) as writer:
        for i in range(50):
            writer.submit(letter(i))
        wait_until(lambda: len(store.stored) == 50, 5, "all stored")
    assert store.stored == list(range(50))
    assert len(store.batches) <= 3


def test_submit_returns_while_the_disk_hangs():
    store = FakeStore()
    store.gate.clear()
    with running(store, wait_s=waits(0.01)) as writer:
        for i in range(2000):
            writer.submit(letter(i, pad=0))
        store.gate.set()
        wait_until(lambda: len(store.stored) == 2000, 5, "all stored")
    assert store.stored == list(range(2000))


def test_messages_wait_in_memory_while_the_disk_is_full(caplog):
    store = FakeStore()
    store.full = True
    with caplog.at_level(logging.INFO), running(store, wait_s=waits(0.01)) as writer:
        writer.submit(letter(1))
        wait_until(lambda: store.failed >= 3, 5, "three attempts")
        assert "full" in writer.error
        writer.submit(letter(2))
        store.full = False
        wait_until(lambda: len(store.stored) == 2, 5, "both stored")
        wait_until(lambda: writer.error is None, 5, "recovered")
    assert store.stored == [1, 2]
    assert caplog.text.count("wait in memory") == 1  # one line a change, not one an attempt
    assert caplog.text.count("can be written again") == 1


def test_full_memory_gives_up_the_least_important_and_counts_it():
    store = FakeStore()
    store.full = True
    with running(store, wait_s=waits(0.01), room=4) as writer:
        for i, priority in enumerate(
            [Priority.COUNT, Priority.EVENT, Priority.ALERT, Priority.COUNT, Priority.ALERT]
        ):
            writer.submit(letter(i, priority=priority))
        assert writer.refused == 1
        writer.submit(letter(5, priority=Priority.ALERT))
        assert writer.refused == 2
        store.full = False
        wait_until(lambda: store.stored, 5, "stored")
    assert store.stored == [1, 2, 4, 5]


def test_stop_stores_what_is_left():
    store = FakeStore()
    with running(store, wait_s=waits(0.05)) as writer:
        store.gate.clear()
        writer.submit(letter(1))
        writer.submit(letter(2))
    assert store.stored == [1, 2]


def test_hurried_writer_stores_at_once_and_ends_when_asked_to():
    store, stop = FakeStore(), threading.Event()
    writer = OutboxWriter(store, wait_s=waits(60))
    thread = threading.Thread(target=writer.run, args=(stop,))
    thread.start()
    writer.submit(letter(1))
    writer.hurry()
    wait_until(lambda: store.stored == [1], 5, "it is stored")
    writer.submit(letter(2))
    stop.set()
    writer.hurry()
    thread.join(5)
    assert not thread.is_alive()
    assert store.stored == [1, 2]


def test_progress_is_told_while_the_disk_is_full():
    store, beats = FakeStore(), []
    store.full = True
    with running(store, wait_s=waits(0.01), progress=lambda: beats.append(1)) as writer:
        writer.submit(letter(1))
        wait_until(lambda: len(beats) > 3, 5, "progress")
        store.full = False


def test_tidies_from_time_to_time():
    store = FakeStore()
    with running(store, tidy_every_s=0.01) as writer:
        writer.submit(letter(1, priority=Priority.ALERT))
        wait_until(lambda: store.tidied >= 2, 5, "tidied")


def test_count_waits_for_company_and_goes_with_what_is_due_first():
    store = FakeStore()
    with running(store, wait_s=waits(0.3)) as writer:
        writer.submit(letter(1, priority=Priority.COUNT))
        writer.submit(letter(2))
        wait_until(lambda: store.stored, 5, "the event stored")
    assert store.batches[0] == store.batches[-1]
    assert store.stored == [1, 2]


def test_count_alone_is_stored_when_it_has_waited_long_enough():
    store = FakeStore()
    with running(store, wait_s=waits(60, count_s=0.3)) as writer:
        writer.submit(letter(1, priority=Priority.COUNT))
        wait_until(lambda: store.stored == [1], 5, "the count stored")


def test_what_is_shipped_stores_alerts_at_once_and_counts_within_30_s():
    assert WAIT_S[Priority.ALERT] == 0
    assert WAIT_S[Priority.EVENT] <= WAIT_S[Priority.COUNT] <= 30


def test_what_comes_while_the_disk_is_busy_is_due_when_it_would_have_been():
    batch = Batch(room=10, wait_s=waits(2))
    batch.add(letter(1), 100.0)
    stored = batch.messages()
    batch.add(letter(2, priority=Priority.COUNT), 101.0)
    batch.forget(stored)
    assert batch.due_s == 161.0


def test_who_sends_is_told_as_soon_as_something_is_stored():
    store, told = FakeStore(), []
    with running(store, wait_s=waits(60), stored=lambda: told.append(list(store.stored))) as writer:
        writer.submit(letter(1, priority=Priority.ALERT))
        wait_until(lambda: told, 5, "it is told")
    assert told == [[1]]
