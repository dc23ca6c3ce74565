"""Who is sent what: the `send` list of a broker, read in one place."""

from __future__ import annotations

from agent.config.model import BrokerConfig, Config

HIT = "plate.hit"
STATE_CHANNELS = frozenset({"status", "health", "about"})


def wanted(broker: BrokerConfig, kind: str) -> bool:
    """Whether `broker` is to have messages of `kind` (an event's kind, or a state channel).

    `all` and `group.*` speak of events. The box's own state goes to every broker on the
    default tree, and to one with a topic template only where it is listed by name.
    """
    if kind in STATE_CHANNELS:
        return broker.topic is None or kind in broker.send
    return any(covers(entry, kind) for entry in broker.send)


def wants(config: Config, broker: BrokerConfig, kind: str, hotlist: str = "") -> bool:
    """The same for one event; a hit goes to the brokers that its `hotlist` names and no other."""
    if kind == HIT:
        listed = config.hotlists.get(hotlist)
        if listed is None or broker.broker_id not in listed.send:
            return False
    return wanted(broker, kind)


def covers(entry: str, kind: str) -> bool:
    """Whether this entry of a `send` list speaks of events of `kind`."""
    if entry == "all":
        return True
    if entry.endswith(".*"):
        return kind.startswith(entry[:-1])
    return entry == kind
