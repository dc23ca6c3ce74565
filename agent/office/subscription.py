"""A receiver's end of a broker: everything on one topic filter, through lost connections too."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.config.login import split_login
from agent.config.model import BrokerConfig
from agent.config.problems import Refusal
from agent.errors import LinkError
from agent.publish.endpoint import parse, tls_context

_ANSWER_S = 12.0
_SESSION_S = 3600  # the broker keeps what comes while we are away


class Subscription:
    """A context: `hear(payload)` is called for each message from the time it is entered,
    or `hear_on(topic, payload, retained)` where it is given.

    `broker` says where and with which certificate; `login` is a file with one line
    user:password. Raises LinkError where the broker cannot be had.
    """

    def __init__(
        self,
        broker: BrokerConfig,
        topic: str,
        hear: Callable[[bytes], None],
        login: Path | None,
        *,
        hear_on: Callable[[str, bytes, bool], None] | None = None,
    ) -> None:
        self.sessions_lost = 0  # after each of these, what is missing may be missing here only
        try:
            self._endpoint = parse(broker.urls[0])
        except ValueError as error:
            raise LinkError(f"no broker address: {error}; write mqtts://host:8883") from error
        self._topic = topic
        self._hear = hear
        self._answered = threading.Event()
        self._refused = ""
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            f"audit-{secrets.token_hex(4)}",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        hear_it = hear_on or (lambda _topic, payload, _retained: self._hear(payload))
        self._client.on_message = lambda _client, _user, message: hear_it(
            message.topic, bytes(message.payload), message.retain
        )
        self._client.reconnect_delay_set(1, 20)
        if self._endpoint.tls:
            self._client.tls_set_context(tls_context(broker))
        if login is not None:
            self._client.username_pw_set(*_login(login))

    def __enter__(self) -> Subscription:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = _SESSION_S
        where = self._endpoint
        try:
            self._client.connect(where.host, where.port, keepalive=15, properties=properties)
        except OSError as error:
            raise LinkError(f"{where}: cannot connect: {error.strerror or error}") from error
        self._client.loop_start()
        answered = self._answered.wait(_ANSWER_S)
        if self._refused or not answered:
            self._end()
            raise LinkError(f"{where}: {self._refused or 'gives no answer; is it MQTT 5?'}")
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0  # nobody comes back for it
        self._client.disconnect(properties=properties)
        self._client.loop_stop()

    def _on_connect(
        self, client: paho.Client, _user: Any, flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._refused = f"refuses us: {reason}"
            self._answered.set()
            return
        if self._answered.is_set() and not flags.session_present:
            self.sessions_lost += 1
        client.subscribe(self._topic, qos=1)

    def _on_subscribe(
        self, _client: Any, _user: Any, _mid: int, reasons: list[Any], _properties: Any
    ) -> None:
        if reasons[0].is_failure:
            self._refused = f"does not let us hear {self._topic}: {reasons[0]}"
        self._answered.set()


def _login(path: Path) -> tuple[str, str]:
    try:
        return split_login(path.read_bytes())
    except OSError as error:
        raise LinkError(f"{path}: cannot be read: {error.strerror}") from error
    except Refusal as error:
        raise LinkError(f"{path}: {error}") from error
