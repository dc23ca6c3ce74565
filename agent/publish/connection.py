"""One connection to one broker: the only module that knows paho."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.errors import LinkError
from agent.publish.dial import dial, tls_reason
from agent.publish.endpoint import Endpoint
from agent.publish.toll import wire_bytes

KEEPALIVE_S = 15
"""A broker that hangs without closing is noticed within two of these."""

SESSION_EXPIRY_S = 86_400
"""Commands wait a day for a box that is away. Must outlive the will's delay, and a broker
need not keep queues for a box that is gone for good."""

WILL_DELAY_S = 20
"""A change of endpoint or a short gap in the link is not a dead box."""

_CONNECT_TIMEOUT_S = 12.0  # from the look-up of the name to the answer to CONNECT
_WINDOW = 32  # messages in flight; at 300 ms a round this is 100 a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker says for us when we are gone."""

    topic: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the broker has announced that it can take."""

    window: int = _WINDOW
    packet_bytes: int | None = None


class HangUpError(LinkError):
    """The connection was closed: perhaps because of what the broker was sent.

    `reason` is that of its DISCONNECT packet, None where it closed without one.
    """

    def __init__(self, text: str, *, reason: int | None = None) -> None:
        super().__init__(text)
        self.reason = reason


class _Client(paho.Client):
    """A paho client on a socket that is connected already: its own way there blocks."""

    reached: socket.socket

    def wake(self) -> None:
        """End the wait of `loop`, from any thread."""
        door = self._sockpairW
        if door is not None:
            with contextlib.suppress(OSError):  # it is full of such calls, or closed by now
                door.send(b"0")

    def _create_socket(self) -> socket.socket:
        return self.reached


class Connection:
    """A paho client that lives for one connection only.

    paho keeps messages in flight in memory and sends them again by itself when the same client
    reconnects. The outbox is the only queue of this house, so each connection gets a new client:
    what was not acknowledged is still pending on disk and nobody else sends it.
    """

    def __init__(
        self,
        *,
        client_id: str,
        protocol: str,
        tls: ssl.SSLContext | None,
        will: Will | None,
        retained: str | None = None,
    ) -> None:
        """`retained` is the topic on which what was retained is heard too."""
        self.limits = Limits()
        self._v5 = protocol == "5"
        self._acks: list[tuple[int, int]] = []
        self._retained = retained
        self._received: deque[tuple[str, bytes]] = deque()
        self.subscribed = False  # the broker has answered `subscribe`
        self._unanswered_ids: set[int] = set()
        self._accepted: ReasonCode | None = None
        self._lost: HangUpError | LinkError | None = None
        self._tls_word = ""
        self._endpoint: Endpoint | None = None
        self._tls = tls
        self._socket: socket.socket | None = None
        self._client = self._make_client(client_id, will)

    def _make_client(self, client_id: str, will: Will | None) -> _Client:
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311,
            clean_session=None if self._v5 else False,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(0)  # the window is kept by the caller
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_log = self._on_log
        if will is not None:
            properties = _properties(PacketTypes.WILLMESSAGE) if self._v5 else None
            if properties is not None:
                properties.WillDelayInterval = WILL_DELAY_S
            client.will_set(will.topic, will.body, qos=1, retain=True, properties=properties)
        return client

    def open(self, endpoint: Endpoint, progress: Callable[[], None], stop: threading.Event) -> None:
        """Connect and wait until the broker has accepted us, or `stop` is set.

        Raises LinkError with one line on what is wrong.
        """
        self._endpoint = endpoint
        deadline = time.monotonic() + _CONNECT_TIMEOUT_S
        self._socket = dial(endpoint, self._tls, deadline=deadline, progress=progress, stop=stop)
        if self._socket is None or stop.is_set():
            return  # a CONNECT now would take the client id from whoever comes after us
        self._connect(endpoint, self._socket)
        while self._accepted is None and not stop.is_set():
            progress()
            self._turn(0.2)
            if self._lost is not None and self._accepted is None:
                raise self._no_answer(endpoint)
            if time.monotonic() > deadline:
                raise LinkError(f"{endpoint}: gives no answer to CONNECT; is it an MQTT broker?")
        self._client.on_log = None
        if self._accepted is None:
            return
        if self._accepted.is_failure:
            raise LinkError(f"{endpoint}: refuses this box: {self._accepted}")
        if self._lost is not None:
            raise self._lost

    def _connect(self, endpoint: Endpoint, reached: socket.socket) -> None:
        extra: dict[str, Any] = {}
        if self._v5:
            properties = _properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = SESSION_EXPIRY_S
            extra = {"clean_start": False, "properties": properties}
        self._client.reached = reached
        try:
            self._client.connect(endpoint.host, endpoint.port, keepalive=KEEPALIVE_S, **extra)
        except OSError as error:
            raise LinkError(f"{endpoint}: cannot connect: {error.strerror or error}") from error

    def _no_answer(self, endpoint: Endpoint) -> LinkError:
        if self._tls_word:
            return LinkError(f"{endpoint}: TLS failed: {tls_reason(self._tls_word)}")
        if endpoint.tls:
            return LinkError(
                f"{endpoint}: closed before it answered; it may want another client certificate"
            )
        return LinkError(f"{endpoint}: closed before it answered; does it speak this protocol?")

    def publish(
        self, topic: str, body: bytes, *, qos: int, retain: bool = False, expiry_s: int = 0
    ) -> int:
        """Hand one message to the socket; answers with its packet id, for `take_acks`."""
        properties = _expiring(expiry_s) if self._v5 and expiry_s else None
        sent = self._client.publish(topic, body, qos=qos, retain=retain, properties=properties)
        if qos:
            self._unanswered_ids.add(sent.mid)
        return sent.mid

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is published inside leaves in as few packets as hold it: each has 52 bytes more."""
        self._cork(True)
        try:
            yield
        finally:
            self._cork(False)

    def _cork(self, on: bool) -> None:
        if self._socket is not None and hasattr(socket, "TCP_CORK"):
            with contextlib.suppress(OSError):  # closed by now
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)

    def take_acks(self) -> list[tuple[int, int]]:
        """Packet id and reason code of each PUBACK since last asked (0 throughout in 3.1.1).

        Nothing else tells delivery: paho calls a refused message published.
        """
        acks, self._acks = self._acks, []
        return acks

    def subscribe(self, topic: str) -> None:
        """Ask for what comes on `topic`; the broker may let nothing of it through."""
        self._client.subscribe(topic, qos=1)

    def take_received(self) -> tuple[str, bytes] | None:
        """Topic and payload of what has come, the oldest first; None when that was all.

        What was retained is not among it but on one topic: an order given before anybody listened.
        """
        return self._received.popleft() if self._received else None

    @property
    def unanswered(self) -> int:
        """How many messages are in flight."""
        return len(self._unanswered_ids)

    @property
    def room(self) -> int:
        """How many more messages may be in flight."""
        return self.limits.window - self.unanswered

    def wake(self) -> None:
        """There is something to send: end the `turn` that waits; from any thread."""
        self._client.wake()

    def turn(self, timeout_s: float) -> None:
        """Let the network move for up to `timeout_s`; raises LinkError once it is lost."""
        self._turn(timeout_s)
        if self._lost is not None:
            raise self._lost

    def _turn(self, timeout_s: float) -> None:
        code = self._client.loop(timeout_s)
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS and self._lost is None:
            self._lost = HangUpError(
                f"{self._endpoint}: connection lost: {paho.error_string(code)}"
            )

    @property
    def wire_bytes(self) -> int:
        """What has gone over the line so far, both ways, with TLS and headers of TCP and IP."""
        return 0 if self._socket is None else wire_bytes(self._socket)

    def close(self) -> None:
        """Say goodbye, so that the broker drops the will, and let the socket go."""
        if self._client.is_connected():
            self._client.disconnect()
            self._client.loop(0.1)
        if self._socket is not None:
            self._socket.close()

    def fits(self, topic: str, body: bytes) -> bool:
        """Whether the broker takes a packet of this size."""
        most = self.limits.packet_bytes
        return most is None or len(topic.encode()) + len(body) + _PACKET_OVERHEAD_BYTES <= most

    def _on_connect(
        self, _client: Any, _user: Any, _flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        self._accepted = reason
        window = getattr(properties, "ReceiveMaximum", _WINDOW)
        self.limits = Limits(
            window=min(window, _WINDOW),
            packet_bytes=getattr(properties, "MaximumPacketSize", None),
        )
        if getattr(properties, "MaximumQoS", 1) == 0:
            self._lost = LinkError(
                f"{self._endpoint}: takes QoS 0 only and would acknowledge nothing; allow QoS 1"
            )

    def _on_disconnect(
        self, _client: Any, _user: Any, flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if self._lost is not None:
            return
        if flags.is_disconnect_packet_from_server:
            text = f"{self._endpoint}: the broker hung up: {reason}"
            self._lost = HangUpError(text, reason=reason.value)
        elif reason.value == _KEEPALIVE_TIMEOUT:
            self._lost = LinkError(f"{self._endpoint}: silent for {KEEPALIVE_S} s, given up")
        else:
            self._lost = HangUpError(f"{self._endpoint}: connection lost")

    def _on_publish(
        self, _client: Any, _user: Any, mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        if mid in self._unanswered_ids:  # not so for QoS 0, which paho reports here too
            self._unanswered_ids.discard(mid)
            self._acks.append((mid, reason.value))

    def _on_subscribe(self, *_: Any) -> None:
        self.subscribed = True

    def _on_message(self, _client: Any, _user: Any, message: paho.MQTTMessage) -> None:
        is_live = not message.retain or message.topic == self._retained
        if is_live and len(self._received) < _RECEIVED_MOST:
            self._received.append((message.topic, bytes(message.payload)))

    def _on_log(self, _client: Any, _user: Any, level: int, text: str) -> None:
        # The one place where paho tells why TLS failed after the handshake.
        if level == LogLevel.MQTT_LOG_ERR and "SSL" in text:
            self._tls_word = text


_KEEPALIVE_TIMEOUT = 0x8D
_RECEIVED_MOST = 100  # commands between two turns; nobody types so fast
_PACKET_OVERHEAD_BYTES = 16  # fixed header 5, lengths and packet id 4, properties 6 at most


def _properties(packet_type: int) -> Any:
    return Properties(packet_type)  # type: ignore[no-untyped-call]


@lru_cache(maxsize=32)  # a few kinds of messages, and a tenth of the time to send one
def _expiring(expiry_s: int) -> Any:
    properties = _properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = expiry_s
    return properties
