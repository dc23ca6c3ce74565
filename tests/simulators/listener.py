"""A subscriber that writes down what it hears."""

from __future__ import annotations

import json
import ssl
import threading
from dataclasses import dataclass

import paho.mqtt.client as paho
from brokers import wait_until
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion


@dataclass(frozen=True)
class Heard:
    topic: str
    payload: bytes
    retain: bool
    qos: int
    expiry_s: int | None

    @property
    def json(self):
        return json.loads(self.payload)


class Listener:
    """A persistent MQTT 5 session on `topic`; reconnects by itself. A context."""

    def __init__(
        self,
        port: int,
        topic: str = "#",
        client_id: str = "listener",
        tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.heard: list[Heard] = []
        self._topic = topic
        self._ready = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.reconnect_delay_set(0.1, 0.5)
        self._client.on_connect = lambda client, *_: client.subscribe(self._topic, qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message
        properties = paho.Properties(paho.PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        if tls is not None:
            self._client.tls_set_context(tls)
        if login is not None:
            self._client.username_pw_set(*login)
        self._client.connect("localhost", port, clean_start=False, properties=properties)

    def _on_message(self, _client, _user, message) -> None:
        self.heard.append(
            Heard(
                topic=message.topic,
                payload=message.payload,
                retain=message.retain,
                qos=message.qos,
                expiry_s=getattr(message.properties, "MessageExpiryInterval", None),
            )
        )

    def events(self) -> list[Heard]:
        return [heard for heard in self.heard if "/e/" in heard.topic]

    def wait_for(self, topic_end: str, **content) -> Heard:
        """The first message so far or to come on such a topic with such content."""

        def match():
            return next(
                (
                    heard
                    for heard in list(self.heard)
                    if heard.topic.endswith(topic_end) and content.items() <= heard.json.items()
                ),
                None,
            )

        return wait_until(match, 15, f"{topic_end} {content}")

    def __enter__(self) -> Listener:
        self._client.loop_start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
