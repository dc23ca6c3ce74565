"""Who is sent what: the `send` list of a broker, read in one place."""

from __future__ import annotations

from agent.config.model import BrokerConfig

STATE_CHANNELS = frozenset({"status", "health", "about"})


def wanted(broker: BrokerConfig, kind: str) -> bool:
    """Whether `broker` is to have messages of `kind` (an event's kind, or a state channel).

    `all` and `group.*` speak of events. The box's own state goes to every broker on the
    default tree, and to one with a topic template only where it is listed by name.
    """
    if kind in STATE_CHANNELS:
        return broker.topic is None or kind in broker.send
    return any(_covers(entry, kind) for entry in broker.send)


def _covers(entry: str, kind: str) -> bool:
    if entry == "all":
        return True
    if entry.endswith(".*"):
        return kind.startswith(entry[:-1])
    return entry == kind
