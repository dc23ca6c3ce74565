"""From the queue to the broker: what is in flight, and what each answer means."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.clock import Clock
from agent.config.model import BrokerConfig
from agent.errors import StoreError
from agent.publish.connection import Connection, HangUpError
from agent.publish.wire import event_topic, payload
from agent.records import Delivery

_log = logging.getLogger(__name__)

NO_SUBSCRIBERS = 0x10
FAILURE = 0x80
QUOTA_EXCEEDED = 0x97

_OF_THE_MESSAGE = frozenset({0x81, 0x82, 0x83, 0x87, 0x90, 0x95, 0x99})
"""Reasons of a DISCONNECT that speak of what was sent: malformed, protocol error, implementation,
not authorised, topic, packet too large, payload. The others speak of the broker or the session."""

_AHEAD = 200  # rows that are read at once

_AT_ONCE_S = 2.0  # a broker that will not have a message closes while it reads it


class Queue(Protocol):
    """The outbox as a publisher sees it."""

    commits: int

    def pending(self, broker: str, limit: int, *, urgent: bool) -> list[Delivery]: ...
    def done(self, deliveries: Sequence[Delivery]) -> bool: ...
    def unheard(self, delivery: Delivery) -> None: ...
    def try_unheard(self, broker: str) -> None: ...
    def retry_later(self, delivery: Delivery, delay_s: float) -> None: ...
    def refuse(self, delivery: Delivery, why: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often, and how far apart, a message is tried again before it is set aside."""

    refusal_delays_s: tuple[float, ...] = (30.0, 300.0, 1800.0)
    unheard_first_s: float = 2.0  # a receiver is back soon after the broker that both lost
    unheard_last_s: float = 600.0
    hangups: int = 5
    look_s: float = 1.0  # how often to look for rows that have become due again


class Flow:
    """Keeps one broker's window full; lives through its connections.

    The window opens from one message on, by one with each acknowledgement. So when a broker
    hangs up, the first unanswered message is the suspect: it goes first and alone on the next
    connection. What speaks against it is an end while nothing else is unanswered, state messages
    neither, that comes with a DISCONNECT about a message, or without one within 2 s of sending it
    (RabbitMQ gives no other sign of what its ACL denies). After `hangups` of them it is set aside.
    Any other lost connection counts for nothing.
    """

    def __init__(
        self,
        queue: Queue,
        broker: BrokerConfig,
        site: str,
        box: str,
        *,
        clock: Clock,
        patience: Patience,
        alerts_only: Callable[[], bool] = lambda: False,
    ) -> None:
        self.acknowledged = 0
        self._queue = queue
        self._broker = broker
        self._site = site
        self._box = box
        self._clock = clock
        self._patience = patience
        self._alerts_only = alerts_only
        self._in_flight: dict[int, Delivery] = {}
        self._ahead: deque[Delivery] = deque()  # read, to be sent next
        self._answers: list[tuple[Delivery, int]] = []
        self._window = 1
        self._look_at_s = self._probe_at_s = self._sent_at_s = 0.0
        self._probe_delay_s = patience.unheard_first_s
        self._seen_commits = -1
        self._suspect: Delivery | None = None
        self._hangups = 0
        self._drained = False

    def begin(self, connection: Connection) -> None:
        """A new connection: nothing is in flight, everything unanswered is due."""
        self._drained = False
        self._connection = connection
        self._in_flight.clear()
        self._ahead.clear()
        self._answers.clear()
        self._window = 1
        self._look_at_s = 0.0
        self._probe_delay_s = self._patience.unheard_first_s
        self._probe_at_s = self._now_s() + self._probe_delay_s

    def turn(self) -> None:
        """Settle what was answered and send what there is room for."""
        answered = self._collect()
        now_s = self._now_s()
        due = now_s >= self._look_at_s or (self._seen_commits != self._queue.commits)
        if not (answered or due):
            return
        if due:
            self._look_at_s = now_s + self._patience.look_s
            self._ahead.clear()
            self._drained = False
        try:
            self._settle()
            self._probe(now_s)
            self._fill()
        except StoreError as error:
            # The broker is fine and stays connected; the answers wait for the disk.
            _log.warning("%s: %s", self._broker.broker_id, error)

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight, nothing is due and nothing has been put since."""
        looked = self._drained and self._seen_commits == self._queue.commits
        return looked and not self._in_flight and not self._answers

    def hung_up(self, end: HangUpError) -> None:
        """The connection was closed: suspect the first message that was left unanswered."""
        self._collect()
        first = next(iter(self._in_flight.values()), None)
        if first is None:
            return
        if self._suspect is None or _key(self._suspect) != _key(first):
            self._suspect, self._hangups = first, 0
        if not self._speaks_against_one(end):
            return
        self._hangups += 1
        if self._hangups >= self._patience.hangups:
            self._give_up(first)

    def _speaks_against_one(self, end: HangUpError) -> bool:
        if self._connection.unanswered != 1:
            return False
        if end.reason is None:
            return self._now_s() - self._sent_at_s <= _AT_ONCE_S
        return end.reason in _OF_THE_MESSAGE

    def _give_up(self, suspect: Delivery) -> None:
        try:
            self._set_aside(suspect, "hang-up")
        except StoreError as error:
            _log.warning("%s: %s", self._broker.broker_id, error)  # the next end tries again
        else:
            self._suspect = None

    def _collect(self) -> bool:
        acks = self._connection.take_acks()
        for packet_id, code in acks:
            delivery = self._in_flight.pop(packet_id, None)
            if delivery is not None:
                self._answers.append((delivery, code))
                if self._suspect is not None and _key(self._suspect) == _key(delivery):
                    self._suspect = None  # whatever the answer, it was one
        return bool(acks)

    def _settle(self) -> None:
        """Write down what the broker answered; what cannot be written stays in `_answers`."""
        done = [delivery for delivery, code in self._answers if _is_delivered(code)]
        if done:
            is_heard_again = self._queue.done(done)
            self.acknowledged += len(done)
            self._window += len(done)
            if is_heard_again:
                self._probe_delay_s = self._patience.unheard_first_s
            self._answers = [pair for pair in self._answers if not _is_delivered(pair[1])]
        while self._answers:
            delivery, code = self._answers[0]
            if code == NO_SUBSCRIBERS:
                self._queue.unheard(delivery)
            else:
                self._refused(delivery, code)
            self._answers.pop(0)

    def _refused(self, delivery: Delivery, code: int) -> None:
        delays_s = self._patience.refusal_delays_s
        # A full quota is the broker's trouble, not the message's: it never sets a row aside.
        if delivery.tries < len(delays_s) or code == QUOTA_EXCEEDED:
            self._queue.retry_later(delivery, delays_s[min(delivery.tries, len(delays_s) - 1)])
        else:
            self._set_aside(delivery, f"0x{code:02x}")

    def _set_aside(self, delivery: Delivery, why: str) -> None:
        _log.warning(
            "%s: message %d (%s) set aside: %s",
            *(self._broker.broker_id, delivery.sq, delivery.kind, why),
        )
        self._queue.refuse(delivery, why)

    def _probe(self, now_s: float) -> None:
        if now_s >= self._probe_at_s:
            self._queue.try_unheard(self._broker.broker_id)
            self._probe_at_s = now_s + self._probe_delay_s
            self._probe_delay_s = min(2 * self._probe_delay_s, self._patience.unheard_last_s)

    def _fill(self) -> None:
        room = min(self._window - len(self._in_flight), self._connection.room)
        self._seen_commits = self._queue.commits
        if room <= 0:
            return
        if not self._ahead and not self._drained:
            self._read_ahead()
        if self._suspect is not None:
            if not self._connection.unanswered:
                self._send(self._suspect)
            return
        with self._connection.together():
            for _ in range(min(room, len(self._ahead))):
                self._send(self._ahead.popleft())

    def _read_ahead(self) -> None:
        """Many rows at once; what is put meanwhile, or has become due, ends it."""
        held = {_key(delivery) for delivery in self._in_flight.values()}
        most, urgent = len(held) + _AHEAD, self._alerts_only()
        rows = self._queue.pending(self._broker.broker_id, most, urgent=urgent)
        self._ahead.extend(row for row in rows if _key(row) not in held)
        self._drained = not self._ahead

    def _send(self, delivery: Delivery) -> None:
        camera, kind = delivery.camera, delivery.kind
        topic = event_topic(self._broker, self._site, self._box, camera, kind)
        body = payload(self._broker, delivery.st, delivery.sq, delivery.body)
        if not self._connection.fits(topic, body):
            self._set_aside(delivery, "oversize")
            return
        packet_id = self._connection.publish(topic, body, qos=1, expiry_s=delivery.expiry_s)
        self._in_flight[packet_id] = delivery
        self._sent_at_s = self._now_s()

    def _now_s(self) -> float:
        return self._clock.now().mono_ns / 1e9


def _key(delivery: Delivery) -> tuple[str, int]:
    return delivery.st, delivery.sq


def _is_delivered(code: int) -> bool:
    return code < FAILURE and code != NO_SUBSCRIBERS
