"""The office's broker: a recorder that is away for a week, a box that is revoked.

    .venv/bin/python tests/bench/bench_office.py [--messages 259000]

The broker is deploy/office's, over TLS; the week is the minute counts of 26 cameras, seven days.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import sys
import tempfile
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

sys.path.insert(0, str(Path(__file__).parents[1] / "simulators"))

from brokers import accepts, wait_until
from faults import Running
from mahalla import Mahalla, Office
from peer import Peer

TOPIC = "sm/1/alpomish/bazaar/e/gate/vehicle/count"
WINDOW = 100


def body(number: int) -> str:
    """As long as a count on the wire."""
    keys = {"v": 1, "st": "k3f9x2ab", "sq": number, "id": f"{number:026d}", "t": 1764000000123}
    more = {"src": "alpomish/bazaar/gate", "k": "vehicle.count", "z": "in", "o": "car", "c": 3}
    return json.dumps(keys | more | {"per": 60}, separators=(",", ":"))


class Recorder:
    """A persistent session by the people's door that counts what it is sent."""

    def __init__(self, mahalla: Mahalla, office: Office) -> None:
        self.heard, self.there = 0, False
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "rec", clean_session=False)
        self._client.tls_set_context(mahalla.context())
        self._client.username_pw_set(*mahalla.login("rec"))
        self._client.on_connect = lambda client, *_: client.subscribe("sm/#", qos=1)
        self._client.on_subscribe = lambda *_: setattr(self, "there", True)
        self._client.on_message = self._hear
        self._client.connect("localhost", office.people_port)

    def _hear(self, *_: object) -> None:
        self.heard += 1

    def __enter__(self) -> Recorder:
        self._client.loop_start()
        wait_until(lambda: self.there, what="subscribed")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def week(mahalla: Mahalla, office: Office, count: int) -> None:
    """Publish to a recorder that is away; kill the broker; have the recorder fetch it."""
    with Recorder(mahalla, office):
        pass
    box = Peer(office.port, mahalla.context("bazaar"))
    box._client.max_inflight_messages_set(WINDOW)
    done = 0

    def acknowledged(*_: object) -> None:
        nonlocal done
        done += 1

    box._client.on_publish = acknowledged
    with box:
        assert box.connected.wait(10)
        for number in range(count):
            box._client.publish(TOPIC, body(number), qos=1)
            while number - done > WINDOW:
                time.sleep(0.002)
        wait_until(lambda: done >= count, 60, "all acknowledged")
    status = Path(f"/proc/{office._process.pid}/status").read_text()
    memory_mb = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000
    began = time.monotonic()
    office.save()
    saved_s = time.monotonic() - began
    store = office._store / "mosquitto.db"
    print(f"{count} messages of {len(body(count))} bytes wait: {memory_mb:.0f} MB of memory,")
    print(f"{store.stat().st_size / 1e6:.0f} MB on the disk, written in {saved_s:.1f} s")
    office.kill()
    began = time.monotonic()
    with contextlib.suppress(pytest.fail.Exception):  # it may take longer than a test would wait
        office.start()
    wait_until(lambda: accepts(office.people_port), 120, "up again")
    print(f"killed with -9: up again after {time.monotonic() - began:.1f} s")
    began = time.monotonic()
    with Recorder(mahalla, office) as recorder:
        wait_until(lambda: recorder.heard >= count, 600, "all has come")
        print(f"the recorder had {recorder.heard} after {time.monotonic() - began:.0f} s more")


def revoked(mahalla: Mahalla, office: Office, folder: Path) -> None:
    """From the installer's call to the end of the stolen box, and to the neighbour's next event."""
    with (
        Recorder(mahalla, office) as recorder,
        Running(folder, {"office": mahalla.entry(office.port)}, patient=True) as neighbour,
        Peer(office.port, mahalla.context("bazaar")) as stolen,
    ):
        assert stolen.connected.wait(10)
        neighbour.produce(1)
        wait_until(lambda: recorder.heard and not neighbour.waiting(), what="it flows")
        with contextlib.redirect_stdout(io.StringIO()):
            assert mahalla.do("revoke", "bazaar") == 0
        began = time.monotonic()
        assert office.apply() == "restart"
        wait_until(lambda: stolen.lost, 60, "cut off")
        print(
            f"a revoked box is cut off {time.monotonic() - began:.1f} s after install.sh is called,"
        )
        heard = recorder.heard
        neighbour.produce(1)
        neighbour.stored()
        wait_until(lambda: recorder.heard > heard, 120, "the neighbour is back")
        print(f"an event of its neighbour arrives after {time.monotonic() - began:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=259_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        with contextlib.redirect_stdout(io.StringIO()):
            mahalla = Mahalla(Path(name))
            mahalla.build()
        with Office(mahalla) as office:
            week(mahalla, office, args.messages)
            revoked(mahalla, office, Path(name))


if __name__ == "__main__":
    main()
