"""Whose fault it is when a connection ends: the link's, or one message's."""

from contextlib import nullcontext

import pytest
from brokers import Mosquitto, wait_until
from letters import letter
from listener import Listener
from post import BOX, QUICK, SITE, office, post

from agent.clock import ManualClock, SystemClock
from agent.config.model import OutboxConfig
from agent.errors import StoreError
from agent.outbox.outbox import Outbox
from agent.privacy.privacy import Privacy
from agent.publish.connection import HangUpError
from agent.publish.flow import Flow
from agent.records import About

PACKET_TOO_LARGE, SHUTTING_DOWN = 0x95, 0x8B


class FakeConnection:
    """Takes everything, answers when told to; `others` are state messages without an answer."""

    def __init__(self):
        self.sent = {}
        self.others = 0
        self.room = 32
        self._acks = []

    def together(self):
        return nullcontext()

    @property
    def unanswered(self):
        return len(self.sent) + self.others

    def fits(self, topic, body):
        return True

    def publish(self, topic, body, **_):
        self.sent[len(self.sent) + 1] = topic
        return len(self.sent)

    def answer(self):
        self._acks += [(packet_id, 0) for packet_id in self.sent]
        self.sent.clear()

    def take_acks(self):
        acks, self._acks = self._acks, []
        return acks


class Bench:
    def __init__(self, folder):
        self.clock = ManualClock(utc_ms=1_764_000_000_000)
        self.outbox = Outbox(
            folder / "outbox.db", {"office": lambda _: True}, OutboxConfig(), self.clock
        )
        self.outbox.put([letter(1), letter(2)])
        self.flow = Flow(
            self.outbox, office("mqtt://x"), SITE, BOX, clock=self.clock, patience=QUICK
        )

    def connection_ends(self, *, after_s=0.1, reason=None, others=0):
        connection = FakeConnection()
        self.flow.begin(connection)
        self.flow.turn()
        assert len(connection.sent) == 1
        connection.others = others
        self.clock.advance(after_s)
        self.flow.hung_up(HangUpError("gone", reason=reason))

    @property
    def refused(self):
        return self.outbox.counts("office").refused


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.outbox.close()


@pytest.mark.parametrize(
    "end",
    [
        {"after_s": 2.5},
        {"others": 1},
        {"others": 1, "reason": PACKET_TOO_LARGE},
        {"reason": SHUTTING_DOWN},
    ],
    ids=["link lost", "state unanswered", "state too large", "broker shut down"],
)
def test_connections_that_end_for_another_reason_set_nothing_aside(bench, end):
    for _ in range(20):
        bench.connection_ends(**end)
    assert bench.refused == 0


@pytest.mark.parametrize(
    "end",
    [{}, {"after_s": 10, "reason": PACKET_TOO_LARGE}],
    ids=["closed at once", "said so"],
)
def test_message_that_ends_each_connection_is_set_aside(bench, end):
    for _ in range(QUICK.hangups):
        assert bench.refused == 0
        bench.connection_ends(**end)
    assert bench.refused == 1
    assert [row.sq for row in bench.outbox.pending("office", 9)] == [2]


def test_message_answered_just_before_the_end_is_not_suspected(bench):
    for _ in range(20):
        connection = FakeConnection()
        bench.flow.begin(connection)
        bench.flow.turn()
        connection.answer()
        bench.flow.hung_up(HangUpError("gone"))
    assert bench.refused == 0


def test_suspect_waits_until_what_was_said_before_it_is_answered(bench):
    bench.connection_ends()
    connection = FakeConnection()
    connection.others = 1
    bench.flow.begin(connection)
    bench.flow.turn()
    assert not connection.sent
    connection.others = 0
    bench.clock.advance(1)
    bench.flow.turn()
    assert len(connection.sent) == 1


def test_disk_that_fails_while_a_message_is_set_aside_is_survived(bench, monkeypatch):
    def full(*_):
        raise StoreError("outbox.db: disk is full; free some space")

    with monkeypatch.context() as patch:
        patch.setattr(bench.outbox, "refuse", full)
        for _ in range(QUICK.hangups):
            bench.connection_ends()
    bench.connection_ends()
    assert bench.refused == 1


def test_about_larger_than_the_broker_takes_is_left_out_and_said_once(tmp_path, caplog):
    about = Privacy(SITE, BOX, "b").about(
        About(at=SystemClock().now(), facts={"cameras": "x" * 3800})
    )
    with (
        Mosquitto(tmp_path, settings="max_packet_size 2000") as broker,
        Listener(broker.port) as ear,
        post(office(broker.url), tmp_path) as box,
    ):
        box.publisher.publish_now(about)
        box.outbox.put([letter(i) for i in range(6)])
        wait_until(lambda: len(ear.events()) == 6, what="all heard")
        box.publisher.publish_now(about)
        box.outbox.put([letter(7)])
        ear.wait_for("/vehicle/line", number=7)
        assert box.counts().refused == 0
    assert caplog.text.count("more than the broker takes") == 1


def test_message_that_a_silent_broker_refuses_does_not_stop_the_rest(tmp_path):
    # MQTT 3.1.1 has no word for why, nor for how much a broker takes.
    with (
        Mosquitto(tmp_path, settings="max_packet_size 2000") as broker,
        Listener(broker.port) as ear,
        post(office(broker.url, protocol="3.1.1"), tmp_path) as box,
    ):
        box.outbox.put([letter(1), letter(2, pad=3800), letter(3)])
        ear.wait_for("/vehicle/line", number=3)
        wait_until(lambda: box.counts().refused == 1, what="set aside")
        wait_until(lambda: box.counts().rows == 0, what="all settled")
