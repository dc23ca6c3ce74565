"""A daemon whose clock is wrong, under Debian's faketime: it delivers, and corrects."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from brokers import wait_until
from daemon import Agent, agent_yaml
from mahalla import Mahalla, Office
from post import office
from samples import DRAWN

from agent.office.subscription import Subscription

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
YEAR_2000_MS = 946_684_800_000
WAITING = "SELECT body FROM message m JOIN delivery d ON d.message = m.id WHERE d.state < 3"

pytestmark = pytest.mark.skipif(
    LIBRARY is None,
    reason="faketime is not installed (apt install faketime)",
)


class FakeClock:
    """The wall clock of a child, so many seconds off; the monotonic clock stays true."""

    def __init__(self, folder: Path, off_s: float) -> None:
        self._file = folder / "faketime"
        self.set(off_s)

    def set(self, off_s: float) -> None:
        part = self._file.with_suffix(".part")
        part.write_text(f"{off_s:+.0f}")
        part.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


class Ear:
    """What comes to the office by the people's door. A context."""

    def __init__(self, broker: Office, mahalla: Mahalla) -> None:
        entry = office(f"mqtts://localhost:{broker.people_port}", ca=mahalla.ca)
        self.bodies: list[dict] = []
        login = mahalla.login_file("auditor")
        self._subscription = Subscription(entry, "sm/1/+/+/e/#", self._hear, login)

    def _hear(self, payload: bytes) -> None:
        self.bodies.append(json.loads(payload))

    def wait_for(self, *keys: str, **content: object) -> dict:
        """The first event with these keys and this content."""

        def match() -> dict | None:
            found = (
                body
                for body in list(self.bodies)
                if body.keys() >= set(keys) and content.items() <= body.items()
            )
            return next(found, None)

        return wait_until(match, 30, f"{keys} {content}")

    def __enter__(self) -> Ear:
        self._subscription.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._subscription.__exit__()


def test_box_in_1970_delivers_over_tls_and_corrects_once_its_clock_is_set(tmp_path):
    (tmp_path / "site").mkdir()
    mahalla = Mahalla(tmp_path / "site")
    mahalla.build()
    broker = Office(mahalla)
    clock = FakeClock(tmp_path, 86_400 - time.time())
    text = agent_yaml({"drawn": DRAWN}, "X").replace("{url: X}", mahalla.entry(broker.port))
    began_ms = time.time() * 1000
    with broker, Ear(broker, mahalla) as ear, Agent(tmp_path, text, clock.environment) as box:
        box.start()
        early = ear.wait_for("te", "bo", "mo", k="vehicle.line", tq="est")
        assert early["t"] < YEAR_2000_MS

        broker.stop()
        wait_until(lambda: box.stored(WAITING), 20, "something waits")
        clock.set(0)
        wait_until(
            lambda: not any(b'"te"' in body for (body,) in box.stored(WAITING)), 20, "redated"
        )
        waited = [json.loads(body) for (body,) in box.stored(WAITING)]
        broker.start()

        told = ear.wait_for(k="box.clock", why="set")
        assert told["bo"] == early["bo"]
        assert began_ms < told["off"] + early["mo"] < time.time() * 1000
        for body in waited:
            heard = ear.wait_for(id=body["id"])
            assert began_ms < heard["t"] < time.time() * 1000
            assert "tq" not in heard

        clock.set(3600)
        ear.wait_for(k="box.clock", why="step +3600 s")
        clock.set(0)
        back = ear.wait_for(k="box.clock", why="step -3600 s")
        assert abs(back["off"] - told["off"]) < 2000
        assert box.stop()[0] == 0
    numbers = sorted({body["sq"] for body in ear.bodies})
    assert numbers == list(range(1, len(numbers) + 1))
