"""Getting to a broker: whatever hangs, the publisher goes on, and who is late touches nothing."""

import contextlib
import logging
import socket
import ssl
import threading
import time
from random import Random

import pytest
from brokers import Certificates, Mosquitto, wait_until
from letters import letter
from post import office, post

from agent.errors import LinkError
from agent.publish.backoff import Backoff
from agent.publish.connection import Connection
from agent.publish.dial import dial
from agent.publish.endpoint import Endpoint, parse

OFFICE = Endpoint(host="office.lan", port=1883, tls=False)


class Names:
    """A resolver that gives `addresses` once it is let go."""

    def __init__(self, monkeypatch, *addresses):
        self.go = threading.Event()
        self.go.set()
        self._addresses = addresses
        monkeypatch.setattr("agent.publish.dial.socket.getaddrinfo", self._look_up)

    def _look_up(self, *_, **__):
        self.go.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in self._addresses]


@pytest.fixture
def door():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        yield server


@pytest.fixture
def silent():
    """An address where connecting takes for ever: its queue is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            guest = stack.enter_context(socket.socket())
            guest.setblocking(False)
            guest.connect_ex(server.getsockname())
        yield server.getsockname()


def dialled(endpoint, within_s, *, tls=None, stop=None):
    """The socket or the error, how long it took and how often progress was told."""
    beats, began = [], time.monotonic()
    try:
        found = dial(
            endpoint,
            tls,
            deadline=began + within_s,
            progress=lambda: beats.append(1),
            stop=stop or threading.Event(),
        )
    except LinkError as error:
        found = error
    return found, time.monotonic() - began, len(beats)


def test_silent_resolver_costs_no_more_than_the_deadline(monkeypatch, door):
    names = Names(monkeypatch, door.getsockname())
    names.go.clear()
    found, took_s, beats = dialled(OFFICE, 1.0)
    assert "timed out" in str(found)
    assert took_s < 1.5
    assert beats > 5
    names.go.set()
    door.settimeout(0.5)
    with pytest.raises(TimeoutError):
        door.accept()  # too late for anything


def test_many_silent_addresses_share_one_deadline(monkeypatch, silent):
    Names(monkeypatch, *[silent] * 5)
    found, took_s, beats = dialled(OFFICE, 1.0)
    assert "timed out" in str(found)
    assert took_s < 1.5
    assert beats > 5


def test_address_that_answers_is_reached_past_a_silent_one(monkeypatch, silent, door):
    Names(monkeypatch, silent, door.getsockname())
    found, took_s, _ = dialled(OFFICE, 2.0)
    assert found.getpeername() == door.getsockname()
    assert took_s < 1.5
    found.close()


def test_silent_tls_costs_no_more_than_the_deadline(monkeypatch, door):
    Names(monkeypatch, door.getsockname())
    tls = ssl.create_default_context()
    found, took_s, beats = dialled(OFFICE, 1.0, tls=tls)
    assert "timed out" in str(found)
    assert took_s < 1.5
    assert beats > 5


def test_event_arrives_over_tls_and_a_foreign_broker_is_refused(tmp_path):
    ours = Certificates(tmp_path / "ours")
    cert, key = ours.issue("box")
    shown = {"cert": cert, "key": key}
    with Mosquitto(tmp_path, tls=ours.mosquitto_settings()) as broker:
        with post(office(broker.tls_url, protocol="3.1.1", ca=ours.ca, **shown), tmp_path) as box:
            box.outbox.put([letter(i) for i in range(50)])
            wait_until(lambda: box.counts().rows == 0, what="all acknowledged")
        foreign = Certificates(tmp_path / "foreign").ca
        with post(office(broker.tls_url, ca=foreign, **shown), tmp_path) as box:
            said = wait_until(lambda: box.publisher.state.error, what="an error")
    assert "its certificate is refused" in said


def test_name_that_is_none_is_a_link_error():
    with pytest.raises(LinkError, match=r"office\.\.lan:8883: is no name of a host"):
        Connection(client_id="x", protocol="5", tls=None, will=None).open(
            parse("mqtts://office..lan"), lambda: None, threading.Event()
        )


def test_stop_while_the_name_is_looked_up_leaves_without_a_connect(monkeypatch, door, tmp_path):
    names = Names(monkeypatch, door.getsockname())
    names.go.clear()
    with post(office("mqtt://office.lan"), tmp_path) as box:
        time.sleep(0.3)
        began = time.monotonic()
        box.end()
        assert time.monotonic() - began < 1
    names.go.set()
    late, _ = door.accept()
    with late:
        assert late.recv(100) == b""  # closed, and nothing was said


def test_stop_as_the_broker_accepts_leaves_without_a_session(monkeypatch, tmp_path):
    stop = threading.Event()

    def opened(_connection, _endpoint, _progress, asked):
        asked.set()
        stop.set()

    monkeypatch.setattr(Connection, "open", opened)
    served = []
    monkeypatch.setattr("agent.publish.publisher.Publisher._deliver", lambda *_: served.append(1))
    with post(office("mqtt://office.lan"), tmp_path):
        assert stop.wait(5)
    assert not served


def test_two_dead_addresses_are_one_warning_each(tmp_path, caplog, monkeypatch):
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as server:
            ports.append(server.getsockname()[1])
    tries = []
    monkeypatch.setattr("agent.publish.publisher.Publisher._will", lambda *_: tries.append(1))
    urls = [f"mqtt://127.0.0.1:{port}" for port in ports]
    with caplog.at_level(logging.WARNING), post(office(*urls), tmp_path):
        wait_until(lambda: len(tries) > 6, what="some tries")
    assert [caplog.text.count(f":{port}: cannot connect") for port in ports] == [1, 1]


def test_renewed_certificate_ends_the_wait(tmp_path):
    pki = Certificates(tmp_path / "pki")
    cert, key = pki.issue("box", days=-1)
    patient = Backoff(first_s=600.0, last_s=600.0)
    with Mosquitto(tmp_path, tls=pki.mosquitto_settings()) as broker:
        entry = office(broker.tls_url, ca=pki.ca, cert=cert, key=key)
        with post(entry, tmp_path, backoff=patient) as box:
            said = wait_until(lambda: box.publisher.state.error, what="it is refused")
            assert "expired on" in said
            pki.issue("box")  # over the old files
            wait_until(lambda: box.publisher.state.connected, 8, "connected")


def test_wait_counts_from_when_a_silent_link_was_tried(monkeypatch, tmp_path, silent):
    began = []
    monkeypatch.setattr("agent.publish.connection._CONNECT_TIMEOUT_S", 0.8)
    monkeypatch.setattr(
        "agent.publish.publisher.Publisher._will", lambda *_: began.append(time.monotonic())
    )
    patient = Backoff(first_s=0.8, last_s=0.8, chance=Random(1))
    with post(office(f"mqtt://127.0.0.1:{silent[1]}"), tmp_path, backoff=patient):
        wait_until(lambda: len(began) == 3, what="tried three times")
    assert began[2] - began[0] < 2 * 0.8 + 2 * 0.2 + 0.4
