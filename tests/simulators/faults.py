"""A real box in this process, a receiver, and the question whether all has come."""

from __future__ import annotations

import functools
import json
import ssl
import threading
from pathlib import Path

from brokers import wait_until
from crossings import crossing
from daemon import agent_yaml
from listener import Listener
from post import QUICK, ROOT
from samples import DRAWN

import agent.box
from agent.config.load import load
from agent.office.ledger import Ledger
from agent.pipeline import Eyes
from agent.publish.backoff import Backoff
from agent.publish.publisher import Publisher

_TICK_S = 0.05


class Receiver(Listener):
    """A persistent subscriber that follows the numbers, and may confirm them as a recorder."""

    def __init__(
        self,
        port: int,
        tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
        topic: str = f"{ROOT}/e/#",
    ) -> None:
        super().__init__(port, topic, "receiver", tls, login)
        self.ledger = Ledger(whole=True)
        self.ids: list[tuple[str, int]] = []  # each (id, n) once, as a receiver keeps them
        self._known: set[tuple[str, int]] = set()
        self._contiguous: dict[str, int] = {}

    def _on_message(self, client, user, message) -> None:
        super()._on_message(client, user, message)
        body = json.loads(message.payload)
        self.ledger.hear(message.payload, body["t"])
        key = body["id"], body.get("n", 0)
        if key not in self._known:
            self._known.add(key)
            self.ids.append(key)

    def confirm(self) -> None:
        """Say up to where nothing is missing, and ask for what is."""
        for (_, st), stream in list(self.ledger.streams.items()):
            to = self._contiguous.get(st, 0)
            while to + 1 in stream.heard:
                to += 1
            self._contiguous[st] = to
            self._client.publish(f"{ROOT}/cmd/rec/seen", json.dumps({"st": st, "sq": to}), qos=1)

    def has(self, numbers) -> bool:
        return {(f"{number:026d}", 0) for number in numbers} <= self._known


class Running:
    """A box of one drawn camera with its brokers, its threads and its ticks. A context."""

    def __init__(self, folder: Path, brokers: dict[str, str], *, patient: bool = False) -> None:
        path = folder / "agent.yaml"
        lines = "\n".join(f"  {name}: {entry}" for name, entry in brokers.items())
        head = agent_yaml({"drawn": DRAWN}, "X").rpartition("brokers:")[0]
        path.write_text(f"{head}brokers:\n{lines}\n")
        self._config = load(path)
        self._patient = patient  # as it is shipped; otherwise its waits suit a test
        self._state = folder / "state"
        self._ended = threading.Event()
        self.produced: list[int] = []

    def produce(self, count: int, *, kind: str = "vehicle.line") -> None:
        """So many events go the way that those of a camera go."""
        for _ in range(count):
            number = len(self.produced) + 1
            self.produced.append(number)
            self.box.writer.submit(crossing(number, kind=kind))

    def stored(self) -> None:
        """Returns once all that was produced is on the disk."""
        self.box.writer.hurry()
        wait_until(lambda: self.box.writer.idle, 20, "all is stored")

    def waiting(self, broker: str = "office") -> int:
        return self.box.outbox.counts(broker).rows

    def _tick(self) -> None:
        while not self._ended.wait(_TICK_S):
            self.box._losses_due_s = 0.0  # each minute is too long for a test
            self.box.tick()

    def __enter__(self) -> Running:
        if not self._patient:
            agent.box.Publisher = functools.partial(
                Publisher, patience=QUICK, backoff=Backoff(first_s=0.1, last_s=0.4)
            )
        try:
            self.box = agent.box.Box(
                self._config, self._state, Eyes(self._config.cameras.values(), self._config.infer)
            )
        finally:
            agent.box.Publisher = Publisher
        self.box.start()
        self._ticker = threading.Thread(target=self._tick)
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._ticker.join(10)
        self.box.stop("stop")


def everything_has_come(box: Running, receiver: Receiver, *, lost: int = 0) -> None:
    """Each event at least once, none twice by (id, n), and the numbers say so.

    `lost` events were given up by the box, which has to have told it.
    """
    produced = set(box.produced)

    def arrived() -> bool:
        return sum(receiver.has([number]) for number in produced) >= len(produced) - lost

    wait_until(arrived, 30, "every event has come")
    wait_until(lambda: box.waiting() == 0, 20, "everything is acknowledged")
    assert len(receiver.ids) == len(set(receiver.ids))
    assert not receiver.ledger.forks
    wait_until(lambda: receiver.ledger.silent() == 0, 20, "no number is missing without a word")
    told = [account for stream in receiver.ledger.streams.values() for account in stream.told]
    assert sum(account.count for account in told) == lost
