"""A bare connection of a box or a person: what it is answered, hears, and when it is cut off."""

import threading

import paho.mqtt.client as paho
from brokers import wait_until
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

NOT_AUTHORIZED = 0x87


class Peer:
    """A connection of a box or of a person that comes back by itself; a context."""

    def __init__(self, port, tls=None, *, login=None, client_id="any"):
        self.acks, self.heard, self.connected = {}, [], threading.Event()
        self.lost = 0
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5
        )
        if tls is not None:
            self._client.tls_set_context(tls)
        if login:
            self._client.username_pw_set(*login)
        self._client.reconnect_delay_set(0.1, 0.3)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = lambda _c, _u, mid, reason, _p: self.acks.update(
            {mid: reason.value}
        )
        self._client.on_message = lambda _c, _u, message: self.heard.append(message.topic)
        self._subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._port = port

    def _on_connect(self, _client, _user, _flags, reason, _properties):
        if not reason.is_failure:
            self.connected.set()

    def _on_disconnect(self, *_):
        self.connected.clear()
        self.lost += 1

    def publish(self, topic, body="{}"):
        """The reason code of its PUBACK."""
        mid = self._client.publish(topic, body, qos=1).mid
        wait_until(lambda: mid in self.acks, 20, "its PUBACK")
        return self.acks[mid]

    def subscribe(self, topic):
        assert self.connected.wait(10)
        self._subscribed.clear()
        self._client.subscribe(topic, qos=1)
        assert self._subscribed.wait(10)

    def __enter__(self):
        self._client.connect_async("localhost", self._port)
        self._client.loop_start()
        return self

    def __exit__(self, *_):
        self._client.disconnect()
        self._client.loop_stop()
