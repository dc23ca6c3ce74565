"""A box reduced to its way out: an outbox and one publisher in a thread."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.clock import SystemClock
from agent.config.model import BrokerConfig, OutboxConfig
from agent.config.sending import wanted
from agent.outbox.outbox import Outbox
from agent.privacy.privacy import Privacy
from agent.publish.backoff import Backoff
from agent.publish.flow import Patience
from agent.publish.publisher import Publisher
from agent.records import Status

SITE, BOX = "alpomish", "north-gate"
ROOT = f"sm/1/{SITE}/{BOX}"
QUICK = Patience(
    refusal_delays_s=(0.1, 0.1), unheard_first_s=0.3, unheard_last_s=0.6, hangups=3, look_s=0.1
)


def office(*urls: str, **settings) -> BrokerConfig:
    return BrokerConfig(broker_id="office", urls=urls, **settings)


@dataclass
class Post:
    outbox: Outbox
    publisher: Publisher
    stop: threading.Event
    thread: threading.Thread

    def counts(self):
        return self.outbox.counts("office")

    def end(self) -> None:
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


@contextmanager
def post(broker: BrokerConfig, folder: Path, **settings):
    """`broker`'s publisher running over an outbox in `folder`, with little patience."""
    clock = SystemClock()
    privacy = Privacy(SITE, BOX, "b00t1d")
    outbox = Outbox(
        folder / "outbox.db", {"office": lambda m: wanted(broker, m.kind)}, OutboxConfig(), clock
    )
    settings.setdefault("backoff", Backoff(first_s=0.1, last_s=0.4))
    settings.setdefault("patience", QUICK)
    publisher = Publisher(
        broker,
        site=SITE,
        box=BOX,
        queue=outbox,
        clock=clock,
        status=lambda up: privacy.status(Status(up=up, version="0.1", since_ms=1)),
        **settings,
    )
    stop = threading.Event()
    thread = threading.Thread(target=publisher.run, args=(stop,))
    running = Post(outbox=outbox, publisher=publisher, stop=stop, thread=thread)
    thread.start()
    try:
        yield running
    finally:
        running.end()
        outbox.close()
