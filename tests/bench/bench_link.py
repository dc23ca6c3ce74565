"""What the way out costs, in time and on the wire, with a real mosquitto over TLS on loopback.

    .venv/bin/python tests/bench/bench_link.py              (--rows 5000 --rounds 5)

Wire bytes are the kernel's own count for each connection (TCP_INFO), both ways, with TLS and with
52 bytes of headers a segment; Ethernet's own are not in it.
"""

from __future__ import annotations

import argparse
import json
import random
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

sys.path.insert(0, str(Path(__file__).parents[1] / "simulators"))

from brokers import Certificates, Mosquitto, wait_until
from listener import Listener
from post import BOX, ROOT, SITE, office, post

from agent.clock import SystemClock
from agent.config.model import BrokerConfig, OutboxConfig
from agent.outbox.outbox import Outbox
from agent.outbox.writer import OutboxWriter
from agent.privacy.privacy import Privacy
from agent.publish import cbor
from agent.publish.flow import Patience
from agent.publish.wire import enveloped, event_topic
from agent.records import (
    CameraHealth,
    Event,
    Health,
    Message,
    Phase,
    PlateText,
    QueueHealth,
)
from agent.ulid import UlidMaker

WINDOW = 32  # as ours
CAMERAS = 26
DAY_S = 86_400
IDS = UlidMaker(random.Random(1))
PRIVACY = Privacy(SITE, BOX, "1f0c2d7e9a4b")
PEERS = {  # ../shared notes: kB a passer-by, MB a day for each parked car, as derived from source
    "a passer-by": "Frigate 28-35 kB in 15-19 messages, ONVIF 220 bytes",
    "a parked car, a day": "Frigate 2.6 MB in 1440 messages",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3000, help="of a backlog (default 3000)")
    parser.add_argument("--rounds", type=int, default=5, help="ours and paho's (default 5)")
    parser.add_argument("--alerts", type=int, default=200, help="of the delay (default 200)")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (broker, entry, tls):
        drain(Path(folder), broker, entry, tls, rows=words.rows, rounds=words.rounds)
        delay(Path(folder), entry, alerts=words.alerts)
        sizes()
        month(Path(folder), entry)


@contextmanager
def served(folder: Path) -> Iterator[tuple[Mosquitto, BrokerConfig, ssl.SSLContext]]:
    """A mosquitto over TLS with client certificates, and the session of somebody who is away.

    So it has somebody to keep all for, and nobody takes time of this process to hear it. It saves
    its store at the end only: what is measured is not its disk.
    """
    pki = Certificates(folder / "pki")
    cert, key = pki.issue(f"{SITE}_{BOX}")
    settings = "max_queued_messages 0\nautosave_on_changes false\nautosave_interval 0"
    with Mosquitto(folder, settings=settings, tls=pki.mosquitto_settings()) as broker:
        entry = office(broker.tls_url, ca=pki.ca, cert=cert, key=key)
        with Listener(broker.port, f"{ROOT}/e/#", "ear", pki.context("ear")):
            pass
        yield broker, entry, pki.context(f"{SITE}_{BOX}")


@contextmanager
def sending(folder: Path, entry: BrokerConfig, **settings):
    with (
        tempfile.TemporaryDirectory(dir=folder) as own,
        post(entry, Path(own), patience=Patience(), **settings) as box,
    ):
        yield box


def drain(folder, broker, entry, tls, *, rows: int, rounds: int) -> None:
    """Rows a second out of a backlog, beside a bare paho client with the same window."""
    ours, bare = [], []
    for number in range(rounds):
        messages = [crossing() for _ in range(rows)]
        ours.append(rows / ours_s(folder, entry, messages))
        bare.append(rows / paho_s(broker.port, tls, entry, messages, f"bare-{number}"))
    ratio = statistics.median(each / other for each, other in zip(ours, bare, strict=True))
    print(f"drain of {rows} rows, ours          {statistics.median(ours):8.0f} rows/s")
    print(f"drain of {rows} rows, bare paho     {statistics.median(bare):8.0f} rows/s")
    print(f"ratio (goal 0.8)                 {ratio:8.2f}")


def ours_s(folder: Path, entry: BrokerConfig, messages: list[Message]) -> float:
    """From the CONNACK to the last PUBACK; the rows wait on the disk."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        wants = {"office": lambda _: True}
        outbox = Outbox(Path(own) / "outbox.db", wants, OutboxConfig(), SystemClock())
        outbox.put(messages)
        outbox.close()
        with post(entry, Path(own), patience=Patience()) as box:
            wait_until(lambda: box.publisher.state.connected, 30, "connected")
            began_s = time.perf_counter()
            while box.publisher._flow.acknowledged < len(messages):
                time.sleep(0.002)
            return time.perf_counter() - began_s


def paho_s(port, tls, entry, messages, client_id) -> float:
    """The same packets, all handed over at once, until the last PUBACK."""
    left, done = [len(messages)], threading.Event()

    def acknowledged(*_: object) -> None:
        left[0] -= 1
        if not left[0]:
            done.set()

    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5
    )
    client.max_inflight_messages_set(WINDOW)
    client.tls_set_context(tls)
    client.on_publish = acknowledged
    ready = threading.Event()
    client.on_connect = lambda *_: ready.set()
    client.connect("localhost", port)
    client.loop_start()
    ready.wait(10)
    began_s = time.perf_counter()
    for number, message in enumerate(messages, start=1):
        topic = event_topic(entry, SITE, BOX, message.camera, message.kind)
        properties = paho.Properties(paho.PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = message.expiry_s
        body = enveloped("k3f9x2ab", number, message.body)
        client.publish(topic, body, qos=1, properties=properties)
    done.wait(60)
    took_s = time.perf_counter() - began_s
    client.disconnect()
    client.loop_stop()
    return took_s


def delay(folder: Path, entry: BrokerConfig, *, alerts: int) -> None:
    """Milliseconds from a frame's stamp to the PUBACK of the alert that was seen in it."""
    took_ms, stamped = [], {}
    with sending(folder, entry) as box:
        writer = OutboxWriter(box.outbox, stored=box.publisher.wake)
        stop = threading.Event()
        thread = threading.Thread(target=writer.run, args=(stop,))
        thread.start()
        settle = box.outbox.done

        def done(deliveries):
            now_s = time.perf_counter()
            for delivery in deliveries:
                event_id = json.loads(delivery.body)["id"]
                took_ms.append((now_s - stamped[event_id]) * 1e3)
            return settle(deliveries)

        box.outbox.done = done
        wait_until(lambda: box.publisher.state.connected, 30, "connected")
        chance = random.Random(3)
        for _ in range(alerts):
            time.sleep(chance.uniform(0.02, 0.12))
            message = hit()
            stamped[message.message_id] = time.perf_counter()
            writer.submit(message)
        wait_until(lambda: len(took_ms) == alerts, 30, "all acknowledged")
        stop.set()
        writer.hurry()
        thread.join()
    took_ms.sort()
    for percent in (50, 99):
        value = took_ms[min(alerts - 1, alerts * percent // 100)]
        print(
            f"alert: stamp of the frame (without inference) to PUBACK, p{percent} {value:8.1f} ms"
        )


def sizes() -> None:
    """Bytes of what an occurrence is told in, JSON and CBOR, beside peers."""
    cases = {"a passer-by": passer_by(), "a parked car, a day": parked_car()}
    for name, messages in cases.items():
        bodies = [enveloped("k3f9x2ab", 48_211, message.body) for message in messages]
        topics = [event_topic(office("x"), SITE, BOX, each.camera, each.kind) for each in messages]
        payload, topic = sum(map(len, bodies)), sum(map(len, topics))
        print(
            f"{name:20} {len(messages)} messages, {payload} bytes of JSON{_cbor(bodies)},"
            f" {topic} of topics; peers: {PEERS[name]}"
        )
    one = [enveloped("k3f9x2ab", 48_211, hit().body)]
    print(f"{'a hit':20} 1 message, {len(one[0])} bytes of JSON{_cbor(one)}")


def _cbor(bodies: list[bytes]) -> str:
    packed = sum(len(cbor.encode(json.loads(body))) for body in bodies)
    return f", {packed} of CBOR (x {packed / sum(map(len, bodies)):.2f})"


def month(folder: Path, entry: BrokerConfig) -> None:
    """Bytes of a month on the line, put together from what each part was measured to cost.

    The load of bench_outbox.py with ten crossings an hour and camera; office and city, one
    reconnection an hour each, health to the office.
    """
    connect, quiet_s = _carried(folder, entry, []), 40.0
    quiet = (_carried(folder, entry, [], for_s=quiet_s) - connect) / quiet_s
    counts = [count(f"gate-{camera:02d}") for camera in range(CAMERAS)]
    minute = (_carried(folder, entry, counts) - connect) / 1
    single = (_carried(folder, entry, [crossing()]) - connect) / 1
    alert = (_carried(folder, entry, [hit()]) - connect) / 1
    state = (_carried(folder, entry, [], state=health()) - connect) / 1
    parts = {
        "counts of 26 cameras, a minute": (minute, 1440),
        "a crossing": (single, CAMERAS * 10 * 24),
        "a hit, to both": (2 * alert, 50),
        "health of 26 cameras": (state, 1440),
        "a connection (TLS, CONNECT, status, bye), both": (2 * connect, 24),
        "keepalive and status, a quiet second, both": (2 * quiet, DAY_S),
    }
    total = 0.0
    for name, (each, a_day) in parts.items():
        total += each * a_day
        print(f"{name:48} {each:8.0f} bytes x {a_day:6} a day {each * a_day / 1e6:7.2f} MB a day")
    print(f"{'all, two brokers':48} {total * 30 / 1e6:8.0f} MB a month, {total / 1e6:.1f} MB a day")


def _carried(folder, entry, messages, *, for_s: float = 0.0, state: Message | None = None) -> int:
    """Wire bytes of a connection that carries `messages` and ends."""
    spent: list[int] = []
    with sending(folder, entry, spent=spent.append) as box:
        wait_until(lambda: box.publisher.state.connected, 30, "connected")
        time.sleep(0.5)
        if messages:
            box.outbox.put(messages)
            wait_until(lambda: box.counts().rows == 0, 30, "sent")
        if state is not None:
            box.publisher.publish_now(state)
            time.sleep(0.5)
        time.sleep(for_s)
    return sum(spent)


def health() -> Message:
    cameras = {
        f"gate-{camera:02d}": CameraHealth(fps=9.8, age_s=0.1, drops=12, duty=0.12)
        for camera in range(CAMERAS)
    }
    queue = QueueHealth(rows=0, age_s=0.0, refused=0, unheard=0, unseen=0)
    return PRIVACY.health(
        Health(
            at=SystemClock().now(),
            cameras=cameras,
            queues={"office": queue, "city": queue},
            cpu_percent=31.0,
            rss_mb=148.0,
            temp_c=61.0,
            throttled=0,
            disk_free_percent=81.0,
            clock_offset_ms=3.0,
        )
    )


def event(kind: str, camera: str = "gate-in", *, n: int = 0, phase=Phase.ONCE, **what) -> Message:
    at = SystemClock().now()
    head = {"event_id": IDS(at.utc_ms), "n": n, "phase": phase, "at": at}
    return PRIVACY.event(Event(**head, camera_id=camera, kind=kind, **what))


def crossing(camera: str = "gate-in") -> Message:
    return event("vehicle.line", camera, place="in", direction="+", object_class="car", score=0.83)


def count(camera: str = "gate-in") -> Message:
    return event("vehicle.count", camera, object_class="car", count=12, period_s=60)


def hit() -> Message:
    plate = PlateText(country="UZ", text="75A123BC", pattern="private", loss=0.0)
    found = {"plate": plate, "score": 0.97, "margin": 4.1, "hotlist": "stolen", "match": "exact"}
    return event("plate.hit", phase=Phase.START, place="gate", **found)


def passer_by() -> list[Message]:
    """Who walks through the picture of a face camera with a line: all that is told of it."""
    return [
        event("face.present", phase=Phase.START, count=1, place="gate"),
        event("person.line", place="in", direction="+", object_class="person", score=0.71),
        event("face.present", n=1, phase=Phase.END, count=1, duration_ms=8_400),
        event("face.count", count=1, period_s=60),
    ]


def parked_car() -> list[Message]:
    """Who drives in over a line and stays: nothing more is told while it stands."""
    return [crossing(), count()]


if __name__ == "__main__":
    main()
