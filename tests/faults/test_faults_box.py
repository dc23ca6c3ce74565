"""A box that is killed, whose disk is full, whose outbox is torn: what it has stored arrives."""

import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from brokers import Mosquitto, wait_until
from daemon import MAHALLA, ROOT, Agent, agent_yaml
from faults import Receiver, Running, everything_has_come
from listener import Listener
from samples import DRAWN

SCRIPT = Path(__file__).parents[1] / "simulators" / "killed_box.py"


def stored(folder):
    """What the outbox has ever stored: nothing is old enough to go."""
    db = sqlite3.connect(folder / "outbox.db", timeout=5)
    try:
        return set(db.execute("SELECT message_id, n FROM message"))
    finally:
        db.close()


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.long)])
def test_box_killed_at_random_points_loses_nothing_that_it_has_stored(tmp_path, kills):
    chance, committed = random.Random(kills), set()
    with Mosquitto(tmp_path) as broker, Receiver(broker.port) as ear:

        def start():
            words = [sys.executable, SCRIPT, tmp_path, broker.url, str(len(committed) * 2 + 1)]
            child = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE)
            assert child.stdout.readline() == b"ready\n"
            return child

        for _ in range(kills):
            child = start()
            time.sleep(chance.uniform(0.02, 0.4))
            child.kill()
            child.wait()
            child.stdout.close()
            now = stored(tmp_path)
            assert committed <= now
            committed = now
        child = start()
        child.send_signal(signal.SIGTERM)
        assert child.wait(180) == 0
        child.stdout.close()
        committed = stored(tmp_path)
        wait_until(lambda: committed <= set(ear.ids), 60, "all that was stored has come")
        assert len(ear.ids) == len(set(ear.ids))
        assert ear.ledger.silent() == 0
        assert not ear.ledger.forks
        assert len(ear.ledger.streams) == 1


@pytest.mark.long
def test_daemon_killed_a_hundred_times_loses_nothing_that_it_has_stored(tmp_path):
    chance, cameras = random.Random(7), {"drawn": DRAWN}
    with Mosquitto(tmp_path) as broker, Receiver(broker.port) as ear:
        with Agent(tmp_path, agent_yaml(cameras, broker.url)) as agent:
            for _ in range(100):
                agent.start()
                time.sleep(chance.uniform(0.1, 3.0))
                agent.stop(signal.SIGKILL)
            agent.start()
            agent.stop()
            committed = set(agent.stored("SELECT message_id, n FROM message"))
        wait_until(lambda: committed <= set(ear.ids), 60, "all that was stored has come")
        assert ear.ledger.silent() == 0
        assert not ear.ledger.forks


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB."""
    place = tmp_path / "small"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=8m", "mahalla-test", str(place)]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("no right to mount a small file system (run as root)")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_disk_that_is_full_holds_up_what_is_to_be_stored_and_loses_none(tmp_path, small_disk):
    with (
        Mosquitto(tmp_path) as broker,
        Receiver(broker.port) as ear,
        Running(small_disk, {"office": f"{{url: '{broker.url}'}}"}) as box,
    ):
        box.produce(50)
        everything_has_come(box, ear)
        ballast = small_disk / "ballast"
        with pytest.raises(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        box.produce(1500)
        box.box.writer.hurry()
        wait_until(lambda: box.box.writer.error, 20, "the disk is full")
        ballast.unlink()
        everything_has_come(box, ear)
        ear.wait_for("/box/disk", s="start")


def test_outbox_that_is_torn_while_the_broker_is_away_is_sent_all_the_same(tmp_path):
    with Mosquitto(tmp_path) as broker, Receiver(broker.port) as ear:
        entries = {"office": f"{{url: '{broker.url}'}}"}
        broker.stop()
        with Running(tmp_path, entries) as box:
            box.produce(300)
            box.stored()
            produced = box.produced
        outbox = tmp_path / "state" / "outbox.db"
        with outbox.open("r+b") as file:
            file.write(random.Random(5).randbytes(4096))  # its header
        broker.start()
        with Running(tmp_path, entries) as again:
            again.produced = produced
            again.produce(20)
            everything_has_come(again, ear)
            ear.wait_for("/box/disk", s="start", why="damaged")


def broker_away(broker):
    broker.stop()
    broker.start()


def test_mahalla_audit_says_that_nothing_is_missing(tmp_path):
    """The command itself, once; the other tests ask the ledger that it asks."""
    with Mosquitto(tmp_path, settings="log_type all") as broker:
        words = [MAHALLA, "audit", broker.url, "--whole", "--grace", "10"]
        audit = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        wait_until(lambda: "SUBACK to audit-" in broker.log(), 60, "the audit listens")
        with (
            Running(tmp_path, {"office": f"{{url: '{broker.url}'}}"}) as box,
            Listener(broker.port, f"{ROOT}/e/#") as ear,
        ):
            box.produce(100)
            broker_away(broker)
            box.produce(100)
            wait_until(lambda: len(ear.events()) >= 200, 30, "heard")
        audit.send_signal(signal.SIGINT)
        said, _ = audit.communicate(timeout=60)
    assert audit.returncode == 0, said
    assert re.search(r"alpomish/north-gate +\w{8} +1-2\d\d ", said)
    assert said.endswith("nothing is missing\n")
