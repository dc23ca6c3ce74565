"""How a message looks on the wire: its topic and its envelope."""

from __future__ import annotations

import json

from agent.config.model import BrokerConfig
from agent.kinds import FORMAT_VERSION
from agent.publish import cbor
from agent.topics import ROOT


def event_topic(broker: BrokerConfig, site: str, box: str, camera: str, kind: str) -> str:
    """Where an event goes: the default tree, or the broker's own template filled in."""
    if broker.topic is None:
        return f"{_root(site, box)}/e/{camera}/{_path(kind)}"
    return _filled(broker.topic, site, box, camera, kind)


def state_topic(broker: BrokerConfig, site: str, box: str, channel: str) -> str:
    """Where `status`, `health` and `about` go."""
    if broker.topic is None:
        return f"{_root(site, box)}/{channel}"
    return _filled(broker.topic, site, box, "_box", channel)


def command_filter(site: str, box: str) -> str:
    """Where commands come from; on every broker that has any, whatever its topic template."""
    return f"{_root(site, box)}/cmd/+/+"


def command_of(site: str, box: str, topic: str) -> tuple[str, str] | None:
    """Who asks, and what; None for a topic that `command_filter` does not ask for."""
    levels, place = topic.split("/"), f"{_root(site, box)}/cmd".split("/")
    if len(levels) != len(place) + 2 or levels[:-2] != place:
        return None
    return levels[-2], levels[-1]


def want_topic(site: str, box: str) -> str:
    """Where the office says what it wants of the box; retained."""
    return f"{_root(site, box)}/want"


def reply_topic(site: str, box: str, channel: str) -> str:
    """Where the answer goes; `channel` is that of the reply."""
    return f"{_root(site, box)}/{channel}"


def _root(site: str, box: str) -> str:
    return ROOT.format(site=site, box=box)


def payload(broker: BrokerConfig, st: str, sq: int, body: bytes) -> bytes:
    """The event as it goes to `broker`."""
    text = enveloped(st, sq, body)
    return cbor.encode(json.loads(text)) if broker.encoding == "cbor" else text


def enveloped(st: str, sq: int, body: bytes) -> bytes:
    """`body` (a compact JSON object) with the envelope put in front of its keys."""
    return f'{{"v":{FORMAT_VERSION},"st":"{st}","sq":{sq},'.encode() + body[1:]


def _path(kind: str) -> str:
    return kind.replace(".", "/")  # no dot ever: RabbitMQ turns dots into slashes


def _filled(template: str, site: str, box: str, camera: str, kind: str) -> str:
    parts = {"site": site, "box": box, "camera": camera, "kind": _path(kind)}
    for name, value in parts.items():
        template = template.replace(f"{{{name}}}", value)
    return template
