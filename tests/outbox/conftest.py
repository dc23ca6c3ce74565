"""An outbox in a folder of its own, closed at the end."""

from collections.abc import Mapping

import pytest

from agent.clock import ManualClock
from agent.config.model import OutboxConfig
from agent.outbox.outbox import Outbox

NOW_MS = 1_764_000_000_000


@pytest.fixture
def clock():
    return ManualClock(utc_ms=NOW_MS)


@pytest.fixture
def make(tmp_path, clock):
    """Opens it; `brokers` by name take all that is for them, or are given with what they want."""
    made = []

    def wants(broker):
        return lambda message: message.broker in ("", broker)

    def build(brokers=("office",), at=clock, **config):
        if not isinstance(brokers, Mapping):
            brokers = {broker: wants(broker) for broker in brokers}
        made.append(Outbox(tmp_path / "outbox.db", brokers, OutboxConfig(**config), at))
        return made[-1]

    yield build
    for outbox in made:
        outbox.close()
