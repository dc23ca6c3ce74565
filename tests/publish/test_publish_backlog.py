"""What waits, and what a broker says it can take: who goes first, and how much at once."""

import socket

import pytest
from brokers import Mosquitto, wait_until
from letters import letter
from listener import Listener
from post import ROOT, office, post

from agent.publish.connection import Connection
from agent.records import Priority


def numbers(ear):
    return [heard.json["number"] for heard in ear.events()]


def test_live_event_does_not_wait_behind_the_backlog(tmp_path):
    backlog, live = 2000, 10_000
    at_ease = "autosave_on_changes false"
    with (
        Mosquitto(tmp_path, settings=at_ease) as broker,
        Listener(broker.port, f"{ROOT}/e/#") as ear,
    ):
        broker.stop()
        with post(office(broker.url), tmp_path) as box:
            box.outbox.put([letter(i) for i in range(backlog)])
            alerts = [letter(backlog + i, priority=Priority.ALERT) for i in range(5)]
            box.outbox.put(alerts)
            broker.start()
            wait_until(lambda: len(ear.heard) > 100, 20, "the backlog drains")
            box.outbox.put([letter(live)])
            wait_until(lambda: box.counts().rows == 0, 30, "all acknowledged")
            wait_until(lambda: len(ear.events()) >= backlog + 6, 20, "all heard")
        assert numbers(ear).index(live) < backlog - 500  # not with the last of the backlog
        assert numbers(ear)[:5] == [backlog + i for i in (4, 3, 2, 1, 0)]
        assert set(numbers(ear)) == {*range(backlog + 5), live}


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_is_in_flight_than_the_broker_takes(tmp_path, monkeypatch, most):
    in_flight, publish = [], Connection.publish

    def counted(connection, *words, **more):
        packet_id = publish(connection, *words, **more)
        in_flight.append(connection.unanswered)
        return packet_id

    monkeypatch.setattr(Connection, "publish", counted)
    with (
        Mosquitto(tmp_path, settings=f"max_inflight_messages {most}\nlog_type all") as broker,
        Listener(broker.port, f"{ROOT}/e/#") as ear,
        post(office(broker.url), tmp_path) as box,
    ):
        box.outbox.put([letter(i) for i in range(100)])
        wait_until(lambda: len(ear.events()) == 100, 20, "all heard")
        wait_until(lambda: box.counts().rows == 0, 20, "all acknowledged")
        assert max(in_flight) == most


@pytest.mark.parametrize(
    ("connack", "said"),
    [
        (b"\x20\x05\x00\x00\x02\x24\x00", "takes QoS 0 only"),  # accepted, maximum QoS 0
        (b"\x20\x03\x00\x87\x00", "refuses this box: Not authorized"),
    ],
)
def test_broker_that_will_not_do_is_named_with_its_reason(tmp_path, connack, said):
    # Scripted, since mosquitto 2.0 only hangs up where it wants QoS 0.
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(10)
        with post(office(f"mqtt://127.0.0.1:{door.getsockname()[1]}"), tmp_path) as box:
            box.outbox.put([letter(1)])
            caller, _ = door.accept()
            with caller:
                caller.recv(4096)
                caller.sendall(connack)
                wait_until(lambda: box.publisher.state.error, what="an error")
            assert said in box.publisher.state.error
            assert box.counts().rows == 1
