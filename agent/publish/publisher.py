"""One broker, one thread: connect, send what is due, fall over to the next address, again."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.clock import Clock
from agent.config.model import BrokerConfig
from agent.config.sending import wanted
from agent.errors import AgentError, LinkError
from agent.publish.backoff import LAST_S, UNREACHABLE_LAST_S, Backoff
from agent.publish.connection import Connection, HangUpError, Will
from agent.publish.dial import UnreachableError
from agent.publish.endpoint import Endpoint, certificate_trouble, parse, tls_context
from agent.publish.flow import Flow, Patience, Queue
from agent.publish.wire import command_filter, command_of, reply_topic, state_topic, want_topic
from agent.records import Command, Message

_log = logging.getLogger(__name__)

STATUS_EVERY_S = 300.0
"""Clusters may not replicate what is retained, so it is said again."""

_TAKEN_OVER = 0x8E
_TAKEN_OVER_EVERY_S = 3600.0  # two boxes on one certificate throw each other out all day

_TURN_S = 0.2
_LISTEN_AGAIN_S = 600.0
_STEADY_S = 30.0  # a connection that lived this long, or delivered, clears the back-off
_LOOK_S = 2.0  # for a certificate that was renewed
_GOODBYE_S = 1.0  # of the time to drain, kept for the last status


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """How the link to one broker stands."""

    connected: bool = False
    endpoint: str | None = None
    error: str | None = None


class Publisher:
    """Delivers one broker's rows of the outbox; `run` is the body of its thread.

    `status(up)` makes the status message, and the will from `status(False)`. `progress` is called
    at least every second, also while a name is looked up or TLS is being agreed. `obey` gives
    what a command is answered with, in order; nothing where it deserves no answer.
    `wants` is told what the office wants of the box, where it is given.
    `taken_over` is called, once an hour at the most, when the broker says that somebody else has
    come as this box (MQTT 5 only). `spent` is told of bytes on the line; while `alerts_only()`
    the rest waits.
    """

    def __init__(
        self,
        broker: BrokerConfig,
        *,
        site: str,
        box: str,
        queue: Queue,
        clock: Clock,
        status: Callable[[bool], Message],
        progress: Callable[[], None] = lambda: None,
        obey: Callable[[Command], Sequence[Message]] = lambda _: (),
        wants: Callable[[bytes], None] | None = None,
        taken_over: Callable[[], None] = lambda: None,
        spent: Callable[[int], None] = lambda _: None,
        alerts_only: Callable[[], bool] = lambda: False,
        backoff: Backoff | None = None,
        patience: Patience | None = None,
        drain_s: float = 4.0,
    ) -> None:
        self.state = LinkState()
        self._broker = broker
        self._site = site
        self._box = box
        self._clock = clock
        self._status = status
        self._progress = progress
        self._obey = obey
        self._wants = wants
        self._taken_over = taken_over
        self._spent = spent
        self._accounted = 0  # bytes of this connection
        self._connection: Connection | None = None
        self._taken_over_at_s = -_TAKEN_OVER_EVERY_S
        self._listen_at_s = 0.0
        self._at_most_s = LAST_S  # of the wait before the next try
        self._tried_at_s = 0.0  # since when the wait counts
        self._backoff = backoff or Backoff()
        self._drain_s = drain_s
        self._endpoints = [parse(url) for url in broker.urls]
        self._flow = Flow(
            *(queue, broker, site, box),
            clock=clock,
            patience=patience or Patience(),
            alerts_only=alerts_only,
        )
        self._said: dict[Endpoint, str] = {}  # what was last wrong with each
        self._lock = threading.Lock()
        self._latest: dict[str, Message] = {}
        self._unsent: set[str] = set()
        self._unsayable: set[str] = set()
        self._answers: deque[Message] = deque()

    def publish_now(self, message: Message) -> None:
        """Say `message` (status, health, about) soon; only the newest of a channel is said.

        What is retained is said again on each connection: the broker may have lost it.
        """
        if wanted(self._broker, message.channel):
            with self._lock:
                self._latest[message.channel] = message
                self._unsent.add(message.channel)

    def wake(self) -> None:
        """Something has been put into the queue; called from any thread."""
        if self._connection is not None:
            self._connection.wake()

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set, then drain, say goodbye and return within `drain_s`."""
        turn = 0
        while not stop.is_set():
            endpoint = self._endpoints[turn % len(self._endpoints)]
            began = self._tried_at_s = time.monotonic()
            delivered = self._flow.acknowledged
            self._at_most_s = LAST_S
            try:
                self._session(endpoint, stop)
            except LinkError as error:
                if isinstance(error, UnreachableError):
                    self._at_most_s = UNREACHABLE_LAST_S
                self._lost(endpoint, error)
            if self._flow.acknowledged > delivered or time.monotonic() - began > _STEADY_S:
                self._backoff.reset()
            turn += 1
            if not stop.is_set():
                self._rest(stop, last_address=turn % len(self._endpoints) == 0)

    def _session(self, endpoint: Endpoint, stop: threading.Event) -> None:
        self._accounted = 0
        self._connection = connection = Connection(
            client_id=f"{self._site}_{self._box}",
            protocol=self._broker.protocol,
            tls=tls_context(self._broker) if endpoint.tls else None,
            will=self._will(),
            retained=self._want_topic if self._wants else None,
        )
        try:
            connection.open(endpoint, self._progress, stop)
            if stop.is_set():
                return
            self._connected(endpoint)
            self._deliver(connection, stop)
        finally:
            self._account(connection)
            connection.close()

    def _deliver(self, connection: Connection, stop: threading.Event) -> None:
        self._flow.begin(connection)
        try:
            self._serve(connection, stop)
        except HangUpError as end:
            self._flow.hung_up(end)
            if end.reason == _TAKEN_OVER:
                self._tell_taken_over()
            raise

    def _tell_taken_over(self) -> None:
        now_s = time.monotonic()
        if now_s - self._taken_over_at_s >= _TAKEN_OVER_EVERY_S:
            self._taken_over_at_s = now_s
            self._taken_over()

    def _will(self) -> Will | None:
        """What the broker says for us; none where it is not to hear of the box's state at all."""
        if not wanted(self._broker, "status"):
            return None
        return Will(topic=self._state_topic("status"), body=self._status(False).body)

    def _serve(self, connection: Connection, stop: threading.Event) -> None:
        status_at = 0.0
        with self._lock:
            self._unsent = {name for name, message in self._latest.items() if message.retain}
        while not stop.is_set():
            if time.monotonic() >= status_at:
                self.publish_now(self._status(True))
                status_at = time.monotonic() + STATUS_EVERY_S
            self._say_state(connection)
            self._listen(connection)
            self._answer(connection)
            self._flow.turn()
            connection.turn(_TURN_S)
            self._account(connection)
            self._progress()
        self._drain(connection)

    def _account(self, connection: Connection) -> None:
        carried = connection.wire_bytes
        self._spent(carried - self._accounted)
        self._accounted = carried

    def _drain(self, connection: Connection) -> None:
        deadline = time.monotonic() + self._drain_s - _GOODBYE_S
        while not self._flow.idle and time.monotonic() < deadline:
            self._flow.turn()
            connection.turn(0.05)
        self.publish_now(self._status(False))
        self._say_state(connection)
        deadline = time.monotonic() + _GOODBYE_S
        while connection.unanswered and time.monotonic() < deadline:
            connection.turn(0.05)
        self.state = LinkState()
        _log.info("%s: disconnected", self._broker.broker_id)

    def _listen(self, connection: Connection) -> None:
        """Ask for commands; again only after a while where the broker gave no answer to that.

        RabbitMQ hangs up on who may not read there, and events must go on.
        """
        if connection.subscribed:
            self._listen_at_s = 0.0
        elif self._broker.commands and time.monotonic() >= self._listen_at_s:
            self._listen_at_s = time.monotonic() + _LISTEN_AGAIN_S
            connection.subscribe(command_filter(self._site, self._box))
            if self._wants is not None:
                connection.subscribe(self._want_topic)

    def _answer(self, connection: Connection) -> None:
        """Obey and answer, one packet where there is room for one; the rest comes next time."""
        while connection.room > 0:
            if self._answers:
                self._say(connection, self._answers.popleft())
            elif received := connection.take_received():
                self._hear(*received)
            else:
                return

    def _hear(self, topic: str, body: bytes) -> None:
        if self._wants is not None and topic == self._want_topic:
            self._wants(body)
        elif asked := command_of(self._site, self._box, topic):
            user, name = asked
            command = Command(broker=self._broker.broker_id, user=user, name=name, body=body)
            self._answers.extend(self._obey(command))

    def _say(self, connection: Connection, answer: Message) -> None:
        where = reply_topic(self._site, self._box, answer.channel)
        if connection.fits(where, answer.body):
            connection.publish(where, answer.body, qos=1, expiry_s=answer.expiry_s)
        else:
            self._too_large(answer)

    @property
    def _want_topic(self) -> str:
        return want_topic(self._site, self._box)

    def _say_state(self, connection: Connection) -> None:
        while self._unsent and connection.room > 0:
            with self._lock:
                message = self._latest[self._unsent.pop()]
            qos = 0 if message.channel == "health" else 1
            topic = self._state_topic(message.channel)
            if connection.fits(topic, message.body):
                connection.publish(topic, message.body, qos=qos, retain=message.retain)
            else:
                self._too_large(message)

    def _too_large(self, message: Message) -> None:
        if message.channel not in self._unsayable:
            self._unsayable.add(message.channel)  # one line, not one a connection
            _log.warning(
                "%s: %s of %d bytes is more than the broker takes; not sent",
                *(self._broker.broker_id, message.channel, len(message.body)),
            )

    def _state_topic(self, channel: str) -> str:
        return state_topic(self._broker, self._site, self._box, channel)

    def _connected(self, endpoint: Endpoint) -> None:
        self.state = LinkState(connected=True, endpoint=str(endpoint))
        _log.info("%s: connected to %s", self._broker.broker_id, endpoint)

    def _lost(self, endpoint: Endpoint, error: AgentError) -> None:
        why = str(error)
        if endpoint.tls and not self.state.connected:
            trouble = certificate_trouble(self._broker.cert, self._clock.now().utc_ms)
            why = f"{endpoint}: {trouble}" if trouble else why  # brokers word it now so, now so
        if self.state.connected:
            self._tried_at_s = time.monotonic()
        if self.state.connected or self._said.get(endpoint) != why:
            _log.warning("%s: %s; trying again", self._broker.broker_id, why)
        self._said[endpoint] = why
        self.state = LinkState(endpoint=str(endpoint), error=why)

    def _rest(self, stop: threading.Event, *, last_address: bool) -> None:
        """Back off once all addresses have been tried; go on to the next one almost at once.

        The time that the try has taken counts: a link that swallows packets is tried again at
        once. Files of the broker's entry that are put anew end the wait.
        """
        now_s, delay_s = time.monotonic(), _TURN_S
        if last_address:
            delay_s = self._backoff.next_s(self._at_most_s) - (now_s - self._tried_at_s)
        deadline, before = now_s + max(_TURN_S, delay_s), _stamps(self._broker)
        while (left_s := deadline - time.monotonic()) > 0 and not stop.wait(min(left_s, _LOOK_S)):
            self._progress()
            if _stamps(self._broker) != before:
                return


def _stamps(broker: BrokerConfig) -> list[tuple[int, int] | None]:
    """What changes when `ca`, `cert` or `key` is written anew."""
    return [_stamp(path) for path in (broker.ca, broker.cert, broker.key) if path is not None]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
