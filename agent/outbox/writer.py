"""The thread that stores: whoever has a message hands it over and goes on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from agent.errors import StoreError
from agent.outbox.batch import WAIT_S, Batch
from agent.records import Message, Priority

_log = logging.getLogger(__name__)

_TURN_S = 1.0  # of its thread; the watchdog wants to see it more often than counts are due


class Store(Protocol):
    def put(self, messages: Sequence[Message]) -> None: ...
    def tidy(self) -> None: ...


class OutboxWriter:
    """Collects messages in memory and stores them when they have waited for `wait_s`.

    `run` is the body of its thread. While the disk fails, up to `room` messages wait in memory;
    past that the least important is given up and counted in `refused`. `stored` is called when
    something has been stored.
    """

    def __init__(
        self,
        store: Store,
        *,
        wait_s: Mapping[Priority, float] = WAIT_S,
        tidy_every_s: float = 3600.0,
        room: int = 4096,
        progress: Callable[[], None] = lambda: None,
        stored: Callable[[], None] = lambda: None,
    ) -> None:
        self.refused = 0
        self.error: str | None = None
        self._store = store
        self._tidy_every_s = tidy_every_s
        self._progress = progress
        self._stored = stored
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._hurried = False
        self._batch = Batch(room, wait_s)

    def submit(self, message: Message) -> None:
        """Take a message over; never waits for the disk."""
        with self._lock:
            if not self._batch.add(message, time.monotonic()):
                self.refused += 1
        if message.priority is Priority.ALERT:
            self._wake.set()

    def hurry(self) -> None:
        """Store what waits at once; at the end there is no time to wait for more."""
        self._hurried = True
        self._wake.set()

    @property
    def idle(self) -> bool:
        """Whether nothing waits in memory."""
        with self._lock:
            return self._batch.due_s is None

    def run(self, stop: threading.Event) -> None:
        """Store until `stop` is set, and what is left then."""
        tidy_at_s = time.monotonic()
        while not stop.is_set():
            self._wake.wait(self._pause_s())
            self._wake.clear()
            now_s = time.monotonic()
            if self._hurried or self._is_due(now_s):
                self._hurried = False
                self._write()
            if now_s >= tidy_at_s:
                tidy_at_s = now_s + self._tidy_every_s
                self._tidy()
            self._progress()
        self._write()
        if not self.idle:
            left = len(self._batch.messages())
            _log.error("%d messages lost at the end: %s", left, self.error)

    def _pause_s(self) -> float:
        with self._lock:
            due_s = self._batch.due_s
        if due_s is None or self.error is not None:
            return _TURN_S
        return min(_TURN_S, max(0.0, due_s - time.monotonic()))

    def _is_due(self, now_s: float) -> bool:
        with self._lock:
            return self._batch.due_s is not None and now_s >= self._batch.due_s

    def _write(self) -> None:
        with self._lock:
            messages = self._batch.messages()
        if not messages:
            return
        try:
            self._store.put(messages)
        except StoreError as error:
            self._failed(error)
            return
        self._stored()
        with self._lock:
            self._batch.forget(messages)
        if self.error is not None:
            _log.info("the outbox can be written again")
        self.error = None

    def _tidy(self) -> None:
        try:
            self._store.tidy()
        except StoreError as error:
            self._failed(error)

    def _failed(self, error: StoreError) -> None:
        if self.error is None:
            _log.warning("%s; messages wait in memory", error)
        self.error = str(error)
