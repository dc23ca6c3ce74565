"""The city's broker as deploy/city has it: three nodes on one machine, killed under load."""

import os
import signal
import time
from pathlib import Path

import pytest
from brokers import wait_until
from faults import Receiver, Running, everything_has_come
from mahalla import Mahalla
from peer import NOT_AUTHORIZED, Peer
from rabbit import Cluster

pytestmark = pytest.mark.city

DEBIAN = Path(__file__).parents[2] / ".cache" / "city" / "root"
OWN = "sm/1/alpomish/north-gate/health"
PLATFORM = ("receiver", "a-password-of-this-test")
# As deploy/city/README.md gives a service of the platform what it needs, and no more.
_ADD_PLATFORM = """
set -e
rabbitmqctl -q add_user {0} {1}
own='^mqtt-subscription-{0}'
rabbitmqctl -q set_permissions {0} "$own" "$own|^amq.topic$" "$own|^amq.topic$"
rabbitmqctl -q set_topic_permissions {0} amq.topic '^$' '^safecity\\..*'
""".format(*PLATFORM)
TEMPLATE = "safecity/{site}/{box}/{camera}/{kind}"


@pytest.fixture(scope="module")
def mahalla(tmp_path_factory):
    made = Mahalla(tmp_path_factory.mktemp("mahalla"))
    made.build("north-gate", "bazaar", "office", "city")
    return made


@pytest.fixture(scope="module")
def city(mahalla):
    if os.geteuid() != 0 or not (DEBIAN / "usr/sbin/rabbitmqctl").exists():
        pytest.skip("needs root and the Debian 13 that `make test-city` makes")
    cluster = Cluster(DEBIAN, mahalla)
    try:
        with cluster:
            cluster.apply()
            cluster.control(_ADD_PLATFORM)
            yield cluster
    finally:
        cluster.forget()


def entry(mahalla, city):
    key = mahalla.folder / "keys" / "north-gate.key"
    urls = ", ".join(f"mqtts://localhost:{node.box_port}" for node in city.nodes)
    where = f"url: [{urls}], ca: {mahalla.ca}, topic: '{TEMPLATE}'"
    return f"{{{where}, cert: {mahalla.cert('north-gate')}, key: {key}}}"


def box(node, mahalla, name, **more):
    return Peer(node.box_port, mahalla.context(name, **more), client_id=f"alpomish_{name}")


def test_box_writes_its_own_topics_and_is_cut_off_at_any_other(mahalla, city):
    with box(city.nodes[0], mahalla, "north-gate") as peer:
        assert peer.publish(OWN) != NOT_AUTHORIZED
        assert peer.publish("safecity/alpomish/north-gate/gate/plate/hit") != NOT_AUTHORIZED
        assert peer.lost == 0
        peer._client.publish("safecity/alpomish/bazaar/gate/plate/hit", "{}", qos=1)
        wait_until(lambda: peer.lost, 20, "it is cut off")


def test_client_id_of_another_is_refused(mahalla, city):
    thief = Peer(city.nodes[1].box_port, mahalla.context("bazaar"), client_id="alpomish_north-gate")
    with box(city.nodes[0], mahalla, "north-gate") as victim, thief:
        wait_until(lambda: thief.lost, 20, "refused")
        assert victim.publish(OWN) != NOT_AUTHORIZED
        assert (victim.lost, thief.connected.is_set()) == (0, False)


class Load:
    """Events at a steady rate, and faults in between."""

    def __init__(self, running, receiver, *, a_second=40):
        self._running, self._receiver = running, receiver
        self._every_s = 1 / a_second

    def run(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._running.produce(1)
            time.sleep(self._every_s)

    def back_after(self):
        """Seconds until what is produced from now on has been heard."""
        began = time.monotonic()
        self._running.produce(1)
        number = self._running.produced[-1]
        while not self._receiver.has([number]):
            assert time.monotonic() - began < 180, "nothing comes any more"
            self.run(0.1)
        return time.monotonic() - began


def test_nodes_killed_under_load_lose_no_event(mahalla, city, tmp_path):
    first, second, third = city.nodes
    topic = "safecity/alpomish/north-gate/#"
    with (
        Receiver(third.people_port, login=PLATFORM, topic=topic) as receiver,
        Running(tmp_path, {"office": entry(mahalla, city)}) as running,
    ):
        load = Load(running, receiver)
        load.back_after()

        first.kill()  # the box's
        print(f"the box's node killed: events flow again after {load.back_after():.1f} s")
        load.run(5)
        city.start(first)
        city.wait_up(first)

        third.kill()  # the receiver's
        load.run(5)
        city.start(third)
        city.wait_up(third)
        print(f"the receiver's node killed and back: {load.back_after():.1f} s")

        second.pause(signal.SIGSTOP)
        print(f"a node hangs: events flow again after {load.back_after():.1f} s")
        load.run(5)
        second.pause(signal.SIGCONT)

        for node in city.nodes:
            node.kill()
        load.run(3)
        city.start(*city.nodes)
        print(f"all three killed: they are back after {city.wait_up(*city.nodes):.1f} s,")
        print(f"events flow {load.back_after():.1f} s after that")

        everything_has_come(running, receiver)
        twice = len(receiver.heard) - len(receiver.ids)
        print(f"{len(running.produced)} events, none lost, {twice} came twice")


def test_revoked_box_is_cut_off_and_another_takes_its_place(mahalla, city):
    with (
        box(city.nodes[0], mahalla, "bazaar") as neighbour,
        box(city.nodes[1], mahalla, "north-gate") as thief,
    ):
        assert neighbour.publish("sm/1/alpomish/bazaar/health") != NOT_AUTHORIZED
        assert thief.publish(OWN) != NOT_AUTHORIZED
        mahalla.request("north-gate", "new")
        assert mahalla.do("replace", "north-gate", "--requests", mahalla.requests) == 0
        began = time.monotonic()
        city.apply()
        wait_until(lambda: thief.lost > 1, 60, "it is cut off")
        print(
            f"three nodes brought up to date, the old one cut off: {time.monotonic() - began:.1f} s"
        )
        with box(city.nodes[2], mahalla, "north-gate", key="new") as fresh:
            assert fresh.publish(OWN) != NOT_AUTHORIZED
            tries = thief.lost
            wait_until(lambda: thief.lost > tries + 3, 60, "it still tries")
            assert not thief.connected.is_set()
            assert fresh.lost == 0
        assert neighbour.lost == 0


def test_list_of_the_revoked_that_is_older_is_refused(mahalla, city):
    older = mahalla.out / "city" / "crl"
    (name,) = [file.name for file in older.iterdir()]
    kept = (older / name).read_bytes()
    assert mahalla.do("revoke", "bazaar") == 0
    city.apply()
    (older / name).write_bytes(kept)
    with pytest.raises(AssertionError, match="older than the list that is here"):
        city.apply()
