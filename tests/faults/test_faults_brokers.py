"""Brokers that are away, full, deaf or cross: what a box has to say arrives all the same."""

import time

import pytest
from brokers import Certificates, Mosquitto, wait_until
from faults import Receiver, Running, everything_has_come
from link import Link
from post import BOX, SITE

from agent.outbox import outbox as outbox_module
from agent.outbox import receipts


def entry(url, more=""):
    return f"{{url: '{url}'{more}}}"


def test_broker_down_for_long(tmp_path):
    with Mosquitto(tmp_path) as broker, Receiver(broker.port) as ear:
        broker.stop()
        with Running(tmp_path, {"office": entry(broker.url)}) as box:
            box.produce(500)
            box.stored()
            wait_until(lambda: box.waiting() >= 500, what="they wait")
            broker.start()
            everything_has_come(box, ear)


def resumed_s(ear, mend):
    """Seconds from when `mend` has mended it to the first event."""
    before = len(ear.ids)
    mend()
    began_s = time.monotonic()
    wait_until(lambda: len(ear.ids) > before, 30, "the first event")
    took_s = time.monotonic() - began_s
    print(f"resumed within {took_s:.1f} s")
    return took_s


@pytest.mark.long
@pytest.mark.parametrize("away_s", [3, 30, 90])
def test_broker_that_is_back_is_found_within_five_seconds(tmp_path, away_s):
    with (
        Mosquitto(tmp_path) as broker,
        Receiver(broker.port) as ear,
        Running(tmp_path, {"office": entry(broker.url)}, patient=True) as box,
    ):
        box.produce(10)
        everything_has_come(box, ear)
        broker.kill()
        box.produce(100)
        time.sleep(away_s)
        assert resumed_s(ear, broker.start) < 6  # 5 s, and a busy machine
        everything_has_come(box, ear)


@pytest.mark.long
@pytest.mark.parametrize("how", ["cut", "freeze"])
@pytest.mark.parametrize("away_s", [10, 47])
def test_link_that_is_back_is_found_within_five_seconds(tmp_path, how, away_s):
    with (
        Mosquitto(tmp_path) as broker,
        Receiver(broker.port) as ear,
        Link(broker.port) as link,
        Running(tmp_path, {"office": entry(link.url)}, patient=True) as box,
    ):
        box.produce(10)
        everything_has_come(box, ear)
        getattr(link, how)()
        box.produce(100)
        time.sleep(away_s)
        assert resumed_s(ear, link.mend) < 6
        everything_has_come(box, ear)


@pytest.mark.long
def test_certificate_that_is_put_anew_is_shown_within_five_seconds(tmp_path):
    pki = Certificates(tmp_path / "pki")
    name = f"{SITE}_{BOX}"
    cert, key = pki.issue(name, days=-1)
    with (
        Mosquitto(tmp_path, tls=pki.mosquitto_settings()) as broker,
        Receiver(broker.port, pki.context("ear")) as ear,
    ):
        more = f", ca: '{pki.ca}', cert: '{cert}', key: '{key}'"
        with Running(tmp_path, {"office": entry(broker.tls_url, more)}, patient=True) as box:
            box.produce(100)
            time.sleep(30)
            assert resumed_s(ear, lambda: pki.issue(name)) < 6
            everything_has_come(box, ear)


def test_nobody_subscribed_yet(tmp_path):
    with Mosquitto(tmp_path) as broker, Running(tmp_path, {"office": entry(broker.url)}) as box:
        box.produce(200)
        box.stored()
        wait_until(lambda: box.box.outbox.counts("office").unheard >= 200, 20, "nobody hears")
        with Receiver(broker.port) as ear:
            everything_has_come(box, ear)


def test_recorder_away_behind_a_full_queue(tmp_path, monkeypatch):
    for module in (receipts, outbox_module):
        monkeypatch.setattr(module, "STUCK_MS", 500)
        monkeypatch.setattr(module, "AGAIN_MOST", 20)
    more = ", receipt: seen"
    settings = "max_queued_messages 20\nmax_inflight_messages 5"
    with Mosquitto(tmp_path, settings=settings) as broker:
        with Receiver(broker.port):
            pass  # its session stays: the broker is friendly, and overflows
        with Running(tmp_path, {"office": entry(broker.url, more)}) as box:
            box.produce(300, kind="audit")
            box.stored()
            wait_until(lambda: box.box.outbox.counts("office").unseen >= 300, 20, "all taken")
            with Receiver(broker.port) as ear:

                def confirmed():
                    ear.confirm()
                    # What is sent again is not unseen, but waits.
                    return box.box.outbox.counts("office").unseen == 0 and box.waiting() == 0

                wait_until(confirmed, 30, "the recorder has them all")
                everything_has_come(box, ear)


def test_both_brokers_down_and_one_down_while_the_other_lives(tmp_path):
    places = {name: tmp_path / name for name in ("office", "city")}
    for place in places.values():
        place.mkdir()
    brokers = {name: Mosquitto(place) for name, place in places.items()}
    with brokers["office"], brokers["city"]:
        ears = {name: Receiver(broker.port) for name, broker in brokers.items()}
        with ears["office"], ears["city"]:
            for broker in brokers.values():
                broker.stop()
            entries = {name: entry(broker.url) for name, broker in brokers.items()}
            with Running(tmp_path, entries) as box:
                box.produce(200)
                box.stored()
                brokers["office"].start()
                everything_has_come(box, ears["office"])
                assert box.waiting("city") >= 200
                box.produce(50)
                everything_has_come(box, ears["office"])
                brokers["city"].start()
                wait_until(lambda: box.waiting("city") == 0, 20, "the city has them")
                everything_has_come(box, ears["city"])


def test_broker_that_refuses_in_its_connack_is_passed_over_for_the_next_address(tmp_path):
    for name in ("cross", "kind"):
        (tmp_path / name).mkdir()
    cross = Mosquitto(tmp_path / "cross", tls="allow_anonymous false")
    with cross, Mosquitto(tmp_path / "kind") as kind, Receiver(kind.port) as ear:
        both = f"{{url: ['{cross.url}', '{kind.url}']}}"
        with Running(tmp_path, {"office": both}) as box:
            box.produce(100)
            everything_has_come(box, ear)
            assert box.box.publishers["office"].state.endpoint == f"127.0.0.1:{kind.port}"


def test_connection_that_is_half_open_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("agent.publish.connection.KEEPALIVE_S", 1)
    with (
        Mosquitto(tmp_path) as broker,
        Receiver(broker.port) as ear,
        Link(broker.port) as link,
        Running(tmp_path, {"office": entry(link.url)}) as box,
    ):
        box.produce(50)
        everything_has_come(box, ear)
        link.freeze()
        box.produce(100)
        state = box.box.publishers["office"]
        wait_until(lambda: not state.state.connected, 15, "the silence is noticed")
        link.cut()
        link.mend()
        everything_has_come(box, ear)


def test_event_that_the_acl_denies_is_told_as_lost_and_holds_up_nothing(tmp_path):
    acl = "topic deny sm/1/+/+/e/_box/audit\ntopic readwrite #\n"
    with (
        Mosquitto(tmp_path, acl=acl) as broker,
        Receiver(broker.port) as ear,
        Running(tmp_path, {"office": entry(broker.url)}) as box,
    ):
        box.produce(50)
        box.produce(3, kind="audit")
        box.produce(50)
        everything_has_come(box, ear, lost=3)
        assert box.box.outbox.counts("office").refused == 3


def test_event_larger_than_the_broker_takes_is_told_as_lost_and_holds_up_nothing(tmp_path):
    with (
        Mosquitto(tmp_path, settings="max_packet_size 270") as broker,
        Receiver(broker.port) as ear,
        Running(tmp_path, {"office": entry(broker.url)}) as box,
    ):
        box.produce(20)
        box.produce(1, kind="model.updated")
        box.produce(20)
        everything_has_come(box, ear, lost=1)


@pytest.mark.parametrize("trouble", ["expired", "revoked"])
def test_certificate_that_is_no_good_any_more_is_replaced_without_a_restart(tmp_path, trouble):
    pki = Certificates(tmp_path / "pki")
    name = f"{SITE}_{BOX}"
    cert, key = pki.issue(name, days=-1 if trouble == "expired" else 30)
    revoked = pki.revoke(cert) if trouble == "revoked" else pki.revoke()
    tls = f"{pki.mosquitto_settings()}\ncrlfile {revoked}"
    with Mosquitto(tmp_path, tls=tls) as broker, Receiver(broker.port, pki.context("ear")) as ear:
        more = f", ca: '{pki.ca}', cert: '{cert}', key: '{key}'"
        with Running(tmp_path, {"office": entry(broker.tls_url, more)}) as box:
            box.produce(100)
            box.stored()
            state = box.box.publishers["office"]
            wait_until(lambda: state.state.error, what="it is refused")
            pki.issue(name)  # over the old files
            everything_has_come(box, ear)
