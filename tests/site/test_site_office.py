"""The office's broker as it is installed: who may what, who is shut out, what waits."""

import json
import signal
import socket
import ssl
import subprocess

import pytest
from brokers import wait_until
from daemon import MAHALLA
from faults import Receiver, Running, everything_has_come
from listener import Listener
from mahalla import Mahalla, Office
from peer import NOT_AUTHORIZED, Peer

ROOT = "sm/1/alpomish"


@pytest.fixture(scope="module")
def mahalla(tmp_path_factory):
    made = Mahalla(tmp_path_factory.mktemp("mahalla"))
    made.build()
    return made


@pytest.fixture(scope="module")
def office(mahalla):
    with Office(mahalla) as broker:
        yield broker


def box(office, mahalla, name, **more):
    return Peer(office.port, mahalla.context(name, **more))


def person(office, mahalla, name):
    return Peer(office.people_port, mahalla.context(), login=mahalla.login(name))


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("north-gate/e/gate/plate/hit", True),
        ("north-gate/health", True),
        ("north-gate/re/rec/resend", True),
        ("north-gate/cmd/rec/seen", False),
        ("north-gate/want", False),
        ("bazaar/e/gate/plate/hit", False),
        ("bazaar/status", False),
        ("bazaar/cmd/north-gate/restart", False),
    ],
)
def test_box_writes_its_own_topics_and_no_other(mahalla, office, topic, allowed):
    # Somebody listens, else a broker says that nobody does.
    with person(office, mahalla, "rec") as ear, box(office, mahalla, "north-gate") as peer:
        ear.subscribe("sm/#")
        code = peer.publish(f"{ROOT}/{topic}")
    assert (code != NOT_AUTHORIZED) is allowed


def test_box_hears_its_own_commands_and_nothing_else(mahalla, office):
    with (
        box(office, mahalla, "bazaar") as other,
        box(office, mahalla, "north-gate") as peer,
        person(office, mahalla, "inspector-1") as inspector,
    ):
        peer.subscribe("#")
        other.publish(f"{ROOT}/bazaar/e/gate/plate/hit")
        inspector.publish(f"{ROOT}/bazaar/cmd/inspector-1/evidence")
        inspector.publish(f"{ROOT}/north-gate/cmd/inspector-1/evidence")
        wait_until(lambda: peer.heard, what="the command comes")
    assert peer.heard == [f"{ROOT}/north-gate/cmd/inspector-1/evidence"]


@pytest.mark.parametrize(
    "topic",
    [
        "north-gate/cmd/rec/resend",  # in another's name
        "north-gate/cmd/inspector-1/restart",  # not among what it may
        "north-gate/e/gate/plate/hit",
        "north-gate/want",
    ],
)
def test_person_asks_under_its_own_name_and_what_it_may(mahalla, office, topic):
    with person(office, mahalla, "inspector-1") as inspector:
        assert inspector.publish(f"{ROOT}/north-gate/cmd/inspector-1/evidence") != NOT_AUTHORIZED
        assert inspector.publish(f"{ROOT}/{topic}") == NOT_AUTHORIZED


def test_person_who_may_not_ask_for_pictures_sees_none(mahalla, office):
    with (
        person(office, mahalla, "rec") as recorder,
        person(office, mahalla, "inspector-1") as inspector,
        box(office, mahalla, "north-gate") as peer,
    ):
        recorder.subscribe("sm/#")
        inspector.subscribe("sm/#")
        peer.publish(f"{ROOT}/north-gate/evidence/1")
        peer.publish(f"{ROOT}/north-gate/e/gate/camera/lost")
        wait_until(lambda: recorder.heard and len(inspector.heard) == 2, what="the event")
    assert recorder.heard == [f"{ROOT}/north-gate/e/gate/camera/lost"]


def test_client_id_of_another_takes_nobodys_session(mahalla, office):
    with (
        box(office, mahalla, "north-gate") as victim,
        Peer(office.port, mahalla.context("bazaar"), client_id="alpomish_north-gate") as thief,
        Peer(
            office.people_port,
            mahalla.context(),
            login=mahalla.login("rec"),
            client_id="alpomish_north-gate",
        ) as person,
    ):
        assert thief.publish(f"{ROOT}/bazaar/health") != NOT_AUTHORIZED
        person.subscribe("sm/#")
        assert victim.publish(f"{ROOT}/north-gate/health") == 0
        assert victim.lost == 0


def test_stranger_is_let_in_by_neither_door(mahalla, office):
    wrong = ("rec", "password")
    with (
        Peer(office.port, mahalla.context(), login=mahalla.login("rec")) as no_certificate,
        Peer(office.people_port, mahalla.context()) as nobody,
        Peer(office.people_port, mahalla.context(), login=wrong) as guesser,
    ):
        wait_until(lambda: min(p.lost for p in (no_certificate, nobody, guesser)), what="refused")
        for peer in (no_certificate, nobody, guesser):
            assert not peer.connected.is_set()


@pytest.fixture
def own(tmp_path):
    """A mahalla that a test may change."""
    made = Mahalla(tmp_path)
    made.build()
    return made


def test_revoked_box_is_shut_out_at_once_and_another_takes_its_place(own):
    with Office(own) as broker, box(broker, own, "bazaar") as neighbour:
        stolen = own.context("north-gate")
        with Peer(broker.port, stolen) as thief:
            assert thief.publish(f"{ROOT}/north-gate/health") != NOT_AUTHORIZED
            assert own.do("revoke", "north-gate") == 0
            assert broker.apply() == "restart"
            wait_until(lambda: thief.lost, 60, "its session ends")
            wait_until(lambda: neighbour.connected.is_set(), what="the neighbour is back")
            wait_until(lambda: thief.lost > 2, what="it tries again")
            assert not thief.connected.is_set()

            own.request("north-gate", "new")
            assert own.do("build", "--requests", own.requests) == 1  # it is no new box
            assert own.do("replace", "north-gate", "--requests", own.requests) == 0
            assert broker.apply() == "reload"  # its rights are back, no serial is new
            with box(broker, own, "north-gate", key="new") as fresh:
                assert fresh.publish(f"{ROOT}/north-gate/health") != NOT_AUTHORIZED
                wait_until(lambda: thief.lost > 4, what="it still tries")
                assert not thief.connected.is_set()
                assert fresh.lost == 0


def answered(port, context, session=None):
    """The first byte of the answer to a CONNECT over a TLS session, and the session, to resume."""
    name = b"alpomish_north-gate"
    connect = b"\x00\x04MQTT\x05\x02\x00\x3c\x00" + len(name).to_bytes(2, "big") + name
    with (
        socket.create_connection(("localhost", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as door,
    ):
        door.sendall(bytes([0x10, len(connect)]) + connect)
        return door.recv(100)[:1], door.session, door.session_reused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_revoked_box_does_not_come_back_by_a_tls_session_of_before(own, version):
    """OpenSSL asks for no certificate where a session is resumed; a new list alone would not do."""
    with Office(own) as broker:
        context = own.context("north-gate")
        context.minimum_version = context.maximum_version = version
        _, session, _ = answered(broker.port, context)
        answer, session, resumed = answered(broker.port, context, session)
        assert (answer, resumed) == (b"\x20", True)
        assert own.do("revoke", "north-gate") == 0
        assert broker.apply() == "restart"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            answered(broker.port, context, session)


def test_list_of_the_revoked_that_is_older_is_refused(own):
    older = (own.out / "office" / "crl.pem").read_bytes()
    with Office(own) as broker:
        assert own.do("revoke", "bazaar") == 0
        broker.install()
        (own.out / "office" / "crl.pem").write_bytes(older)
        with pytest.raises(subprocess.CalledProcessError) as refused:
            broker.install()
        assert "older than the list that is here" in refused.value.stderr


def test_renewed_box_is_let_in_by_its_old_certificate_until_it_has_the_new_one(own):
    old = own.cert("north-gate").read_bytes()
    with Office(own) as broker:
        assert own.do("renew", "north-gate") == 0
        assert own.cert("north-gate").read_bytes() != old
        assert broker.apply() == "nothing"
        (own.folder / "old.pem").write_bytes(old)
        for context in (
            own.context("north-gate", cert=own.folder / "old.pem"),
            own.context("north-gate"),
        ):
            with Peer(broker.port, context) as peer:
                assert peer.publish(f"{ROOT}/north-gate/health") != NOT_AUTHORIZED


def test_what_waits_for_an_absent_recorder_outlives_a_killed_broker(own):
    with Office(own) as broker:
        door, tls = broker.people_port, own.context()
        with Receiver(door, tls, own.login("rec")):
            pass  # so that its session is there
        with Running(own.folder, {"office": own.entry(broker.port)}) as running:
            running.produce(300)
            wait_until(lambda: running.waiting() == 0, 20, "the broker has them")
            broker.save()
            running.produce(40)
            running.box.writer.hurry()
            wait_until(lambda: running.waiting() == 0, 20, "and these too")
            broker.kill()
            broker.start()
            with Receiver(door, tls, own.login("rec")) as recorder:
                wait_until(lambda: recorder.has(range(1, 301)), 20, "what was saved has come")
                running.produce(1)  # its number shows what is missing
                wait_until(lambda: recorder.has([341]), 20, "it is heard")
                ask_for_what_is_missing(recorder)
                everything_has_come(running, recorder)


def ask_for_what_is_missing(recorder):
    """What a broker had acknowledged after it last saved is sent again when it is asked for."""
    ((_, st), stream), *others = recorder.ledger.streams.items()
    assert not others
    now_ms = stream.heard and max(event.json["t"] for event in recorder.events())
    for number, (start, end) in enumerate(gaps(stream)):
        body = {"rid": f"r{number}", "t": now_ms, "exp": now_ms + 60_000}
        words = json.dumps(body | {"st": st, "from": start, "to": end})
        recorder._client.publish(f"{ROOT}/north-gate/cmd/rec/resend", words, qos=1)


def gaps(stream):
    missing = sorted(set(range(1, max(stream.heard) + 1)) - set(stream.heard))
    return [(missing[0], missing[-1])] if missing else []


def test_audit_by_the_peoples_door_says_that_nothing_is_missing(own):
    with Office(own) as broker:
        url = f"mqtts://localhost:{broker.people_port}"
        words = [MAHALLA, "audit", url, "--ca", own.ca, "--login", own.login_file("auditor")]
        audit = subprocess.Popen(
            [*map(str, words), "--whole", "--grace", "5"], stdout=subprocess.PIPE, text=True
        )
        wait_until(lambda: " as auditor " in broker.log(), 60, "the audit is there")
        with (
            Running(own.folder, {"office": own.entry(broker.port)}) as running,
            Listener(broker.people_port, "sm/#", "x", own.context(), own.login("rec")) as ear,
        ):
            running.produce(50)
            wait_until(lambda: len(ear.events()) >= 50, 30, "heard")
        audit.send_signal(signal.SIGINT)
        said, _ = audit.communicate(timeout=60)
    assert audit.returncode == 0, said
    assert said.endswith("nothing is missing\n")
