"""The thread that stores: whoever has a message hands it over and goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from agent.errors import StoreError
from agent.records import Message, Priority

_log = logging.getLogger(__name__)

_TIDY_EVERY = 60  # batches


class Store(Protocol):
    def put(self, messages: Sequence[Message]) -> None: ...
    def tidy(self) -> None: ...


class OutboxWriter:
    """Collects messages in memory and stores them: alerts at once, the rest each `batch_s`.

    `run` is the body of its thread. While the disk fails, up to `room` messages wait in memory;
    past that the least important is given up and counted in `refused`.
    """

    def __init__(
        self,
        store: Store,
        *,
        batch_s: float = 1.0,
        room: int = 4096,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.refused = 0
        self.error: str | None = None
        self._store = store
        self._batch_s = batch_s
        self._room = room
        self._progress = progress
        self._lock = threading.Lock()
        self._urgent = threading.Event()
        self._waiting: list[Message] = []

    def submit(self, message: Message) -> None:
        """Take a message over; never waits for the disk."""
        with self._lock:
            self._waiting.append(message)
            if len(self._waiting) > self._room:
                self._give_up_one()
        if message.priority is Priority.ALERT:
            self._urgent.set()

    def hurry(self) -> None:
        """Store what waits at once; at the end there is no time to wait for more."""
        self._urgent.set()

    def run(self, stop: threading.Event) -> None:
        """Store until `stop` is set, and what is left then."""
        batches = 0
        while not stop.is_set():
            self._urgent.wait(self._batch_s)
            self._urgent.clear()
            self._write()
            batches += 1
            if batches % _TIDY_EVERY == 0:
                self._try(self._store.tidy)
            self._progress()
        self._write()
        if self._waiting:
            _log.error("%d messages lost at the end: %s", len(self._waiting), self.error)

    def _write(self) -> None:
        with self._lock:
            batch = list(self._waiting)
        if batch and self._try(lambda: self._store.put(batch)):
            stored = {id(message) for message in batch}
            with self._lock:
                self._waiting = [left for left in self._waiting if id(left) not in stored]

    def _try(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except StoreError as error:
            if self.error is None:
                _log.warning("%s; messages wait in memory", error)
            self.error = str(error)
            return False
        if self.error is not None:
            _log.info("the outbox can be written again")
        self.error = None
        return True

    def _give_up_one(self) -> None:
        least = max(message.priority for message in self._waiting)
        index = next(i for i, message in enumerate(self._waiting) if message.priority is least)
        del self._waiting[index]
        self.refused += 1
