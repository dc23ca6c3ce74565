"""`mahalla demo`: the whole agent on sample clips, with a broker of its own and a live view."""

from __future__ import annotations

import argparse
import json
import logging
import os
import queue
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import AgentError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.box import Box
    from agent.config.model import CameraConfig, Config, HotlistConfig
    from agent.records import Health

SITE, BOX = "demo", "box"
CLIPS = ("carphone_pristine.mp4", "bikes.mp4")
DRIVE_BY = Path("clips", "drive_by.mp4")  # in the folder of the models
SOUGHT = ("75A055KA", "25A464JN")
"""Two of the six plates that pass in it."""

_BROKER = "office"

_STATUS_EVERY_S = 2.0


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `demo` to the command line."""
    parser = commands.add_parser(
        "demo",
        help="sample clips, a broker and a live view of the events in this terminal",
        description="Run the agent on two real clips, a drawn scene and a drawn street whose "
        "plates it reads, two of them sought, against a real broker (mosquitto where it is "
        "installed, else the embedded one), and show what a subscriber receives: in words on a "
        "terminal, as the JSON that it is in a pipe. Ends with Ctrl-C or after --seconds.",
        epilog="example: mahalla demo --seconds 30",
    )
    parser.add_argument("--seconds", metavar="N", type=float, help="stop by itself after N seconds")
    parser.add_argument("--json", action="store_true", help="on a terminal too: events as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 1 when it ran to its end and a camera had given no event."""
    from agent.box import Box
    from agent.embedded import EmbeddedBroker
    from agent.pipeline import Eyes

    if args.seconds is not None and not args.seconds > 0:
        raise UsageError("--seconds is above 0")
    clips = _clips()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    for number in (signal.SIGTERM, signal.SIGHUP):  # whatever ends us, the broker ends with us
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mahalla-demo-")))
        broker = stack.enter_context(EmbeddedBroker())
        config = demo_config(clips, broker.url, sought_list(state))
        box = Box(config, state, Eyes(config.cameras.values(), config.infer))
        view = _View(config, sys.stdout, as_json=args.json)
        stack.enter_context(_subscriber(broker.port, view.heard))
        print(f"broker {broker.name} on {broker.url}, topics sm/1/{SITE}/{BOX}/#; Ctrl-C ends it")
        interrupted = _show(box, view, args.seconds)
    silent = view.summary()
    return 1 if silent and not interrupted else 0


def demo_config(clips: Mapping[str, Path], broker_url: str, hotlist: HotlistConfig) -> Config:
    """Four cameras, one broker."""
    from agent.config.model import BrokerConfig, Config, LineConfig
    from agent.infer.package import models_dir

    across = LineConfig(start=(0.5, 1.0), end=(0.5, 0.0), counts=("vehicle", "person", "bicycle"))
    cameras = {
        camera.camera_id: camera
        for camera in (
            _camera("gate", "face", f"clip:{clips[CLIPS[0]]}", {"face.count": {"per": 10.0}}),
            _camera(
                "street",
                "traffic",
                f"clip:{clips[CLIPS[1]]}",
                {"vehicle.count": {"per": 10.0}},
                lines={"across": across},
            ),
            _camera("drawn", "traffic", "synthetic:street?clock=1", {}, lines={"middle": across}),
            _camera("plates", "plate", f"clip:{models_dir() / DRIVE_BY}", {}),
        )
    }
    return Config(
        site=SITE,
        box=BOX,
        cameras=cameras,
        brokers={_BROKER: BrokerConfig(broker_id=_BROKER, urls=(broker_url,))},
        hotlists={hotlist.name: hotlist},
    )


def sought_list(folder: Path) -> HotlistConfig:
    """A list of the two sought plates in `folder`, with keys that nobody else ever has."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from agent.config.model import HotlistConfig
    from agent.hotlist.hotlist import DAY_MS, Entry
    from agent.hotlist.keys import load_signing_key, write_key_pair
    from agent.hotlist.sealed import Content, seal
    from agent.hotlist.slow_hash import KEY_BYTES, Cost, plate_hash

    now_ms, cost, key = time.time_ns() // 1_000_000, Cost(), os.urandom(KEY_BYTES)
    expires_ms = now_ms + DAY_MS
    entries = tuple(
        Entry(
            hash=plate_hash("UZ", text, key, cost),
            case=f"demo-{number}",
            reason="for show",
            expires_ms=expires_ms,
        )
        for number, text in enumerate(SOUGHT, start=1)
    )
    private, public = write_key_pair(folder / "signer")
    box = X25519PrivateKey.generate()
    box_key = folder / "box.key"
    box_key.touch(0o600)
    box_key.write_bytes(
        box.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    file = folder / "sought.list"
    file.write_bytes(
        seal(
            name="sought",
            version=1,
            made_ms=now_ms,
            expires_ms=expires_ms,
            cost=cost,
            content=Content(key=key, entries=entries),
            recipients=[box.public_key()],
            signing_keys=[load_signing_key(private)],
        )
    )
    return HotlistConfig(
        name="sought",
        file=file,
        signers=(public,),
        max_age_s=DAY_MS / 1000,
        send=(_BROKER,),
        keys=(box_key,),
    )


def _camera(
    name: str, role: str, source: str, overrides: Mapping[str, Mapping[str, float]], **rest: Any
) -> CameraConfig:
    from agent.config.model import CameraConfig
    from agent.config.rules import rules_in_force

    rules = rules_in_force(preset="street", roles=(role,), overrides=overrides)
    return CameraConfig(camera_id=name, roles=(role,), source=source, rules=rules, **rest)


def _clips() -> dict[str, Path]:
    """The sample clips in $MAHALLA_CLIPS, else where `make demo` puts them."""
    named = os.environ.get("MAHALLA_CLIPS")
    folder = Path(named) if named else Path(__file__).parents[1] / ".cache" / "clips"
    clips = {name: folder / name for name in CLIPS}
    for clip in clips.values():
        if not clip.is_file():
            raise AgentError(
                f"{clip} is missing; run `make demo` in a checkout, or "
                "`python3 models/fetch.py --clips FOLDER` and set MAHALLA_CLIPS=FOLDER"
            )
    return clips


@contextmanager
def _subscriber(port: int, heard: queue.SimpleQueue[tuple[str, bytes]]) -> Iterator[None]:
    """A client like an inspector's: it sees what was really published."""
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)

    def take(_client: Client, _user: Any, message: MQTTMessage) -> None:
        heard.put((message.topic, bytes(message.payload)))

    def subscribe(client: Client, *_: Any) -> None:
        client.subscribe(f"sm/1/{SITE}/{BOX}/#", qos=1)

    client.on_message = take
    client.on_connect = subscribe
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


def _show(box: Box, view: _View, seconds: float | None) -> bool:
    """Run the box until the time is over or somebody ends it; whether somebody did."""
    ending: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: ending.append(number))
    until_s = time.monotonic() + (seconds if seconds is not None else float("inf"))
    status_s = 0.0
    box.start()
    try:
        while not ending and time.monotonic() < until_s:
            view.show(0.2)
            box.tick()
            if time.monotonic() >= status_s:
                status_s = time.monotonic() + _STATUS_EVERY_S
                view.status(box)
    finally:
        box.stop("stop")
    view.show(0.5)
    return bool(ending)


class _View:
    """Events scroll by, one status line stays below them on a terminal."""

    def __init__(self, config: Config, stream: Any, *, as_json: bool) -> None:
        self.heard: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._cameras = tuple(config.cameras)
        self._stream = stream
        self._terminal = stream.isatty()
        self._as_json = as_json or not self._terminal
        self._status = ""
        self._kinds: Counter[tuple[str, str]] = Counter()
        self._bytes = 0
        self._began_s = time.monotonic()
        self._frames: dict[str, int] = {}

    def show(self, for_s: float) -> None:
        """Print what arrives within the next `for_s` seconds."""
        until_s = time.monotonic() + for_s
        while (left_s := until_s - time.monotonic()) > 0:
            try:
                topic, payload = self.heard.get(timeout=left_s)
            except queue.Empty:
                return
            self._print(topic.removeprefix(f"sm/1/{SITE}/{BOX}/"), payload)

    def status(self, box: Box) -> None:
        """The line with the vital signs."""
        self._frames = {name: camera.frames for name, camera in box.cameras.items()}
        self._status = _status_line(box, box.health())
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[K\x1b[7m{self._status[:width]}\x1b[0m")
            self._stream.flush()

    def summary(self) -> list[str]:
        """Say what was received; the cameras that gave nothing come back."""
        lasted_s = time.monotonic() - self._began_s
        number = sum(self._kinds.values())
        self._line(f"{number} events, {self._bytes} bytes in {lasted_s:.0f} s; {self._status}")
        for (camera, kind), count in sorted(self._kinds.items()):
            self._line(f"  {camera:<8}{kind:<16}{count:>5}")
        silent = [name for name in self._cameras if not any(c == name for c, _ in self._kinds)]
        for name in silent:
            frames = self._frames.get(name, 0)
            self._line(f"  {name:<8}nothing, in {frames} frames looked at")
        if self._terminal:
            self._line("The clips are short and run again and again, so the same people come back.")
        return silent

    def _print(self, topic: str, payload: bytes) -> None:
        if topic.startswith("e/"):
            _, camera, kind = topic.split("/", 2)
            kind = kind.replace("/", ".")
            self._kinds[camera, kind] += 1
            self._bytes += len(payload)
            if self._as_json:
                self._stamped(topic, payload.decode())
            else:
                words = in_words(json.loads(payload))
                self._stamped(camera, f"{kind:<15}{words:<48}{len(payload):>4} bytes")
        elif topic == "status":
            self._stamped(topic, "up" if json.loads(payload).get("up") else "down")
        else:
            self._stamped(topic, f"{len(payload)} bytes, retained")

    def _stamped(self, origin: str, text: str) -> None:
        width = 27 if self._as_json else 9
        self._line(f"{time.strftime('%H:%M:%S')} {origin:<{width}}{text}")

    def _line(self, text: str) -> None:
        if self._terminal and not self._as_json:
            text = text[: shutil.get_terminal_size().columns]
        self._stream.write(f"\r\x1b[K{text}\n" if self._terminal else f"{text}\n")
        self._stream.flush()


def in_words(event: Mapping[str, Any]) -> str:
    """What an event says, for people who see one for the first time."""
    count, phase = event.get("c", 0), event.get("s")
    thing = event.get("o") or event["k"].partition(".")[0]
    many = f"{count} {thing}{'' if count == 1 else 's'}"
    if event["k"].endswith(".count"):
        return f"{many} in {event['per']} s"
    if event["k"].endswith(".line"):
        way = "left to right" if event["dir"] == "+" else "right to left"
        return f"{thing} crosses {event['z']}, {way}, sure {event['q']}"
    if event["k"] == "plate.hit":
        ended = "end of " if phase == "end" else ""
        margin = f", margin {event['mg']}" if "mg" in event else ""
        return f"{ended}{event['p']}, on list {event['l']}, {event['m']}{margin}"
    if event["k"] == "plate.unread":
        return "a plate that could not be read"
    if event["k"] == "face.present":
        ended = f"end after {event.get('dur', 0) / 1000:.0f} s, " if phase == "end" else ""
        return f"{ended}{many} in view"
    return " ".join(str(event[key]) for key in ("s", "why") if key in event)


def _status_line(box: Box, health: Health) -> str:
    cameras = ", ".join(
        f"{name} {signs.fps:.0f} fps {box.cameras[name].detect_ms:.0f} ms"
        for name, signs in health.cameras.items()
    )
    queued = sum(each.rows for each in health.queues.values())
    return f"{cameras} | queue {queued} | {health.rss_mb:.0f} MB | cpu {health.cpu_percent:.0f} %"
