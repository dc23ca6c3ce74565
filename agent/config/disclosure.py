"""What a box with this configuration sends to whom, in words that need no engineer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agent.config.model import BrokerConfig, Config
from agent.config.sending import HIT, STATE_CHANNELS, wanted, wants
from agent.config.values import spelled_duration
from agent.kinds import KINDS_OF_EVENTS
from agent.topics import OBEYED

NO_PICTURES = "none leave the box"
NO_COMMANDS = "none"

_NO_PLATES = "nothing: no camera reads plates"
_FACES = "numbers only: nobody is recognised and no picture of a face leaves the box"
_NO_FACES = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """Everything that one broker is sent."""

    broker: str
    addresses: tuple[str, ...]
    encrypted: str
    events: Mapping[str, str]  # kind -> what it says
    state: tuple[str, ...]
    pictures: str
    faces: str
    plates: str
    retention: str
    commands: str

    def facts(self) -> dict[str, Any]:
        """The same as plain JSON data."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def disclose(config: Config) -> tuple[Disclosure, ...]:
    """What each broker is sent, in the order of the configuration."""
    return tuple(_disclosure(config, broker) for broker in config.brokers.values())


def _disclosure(config: Config, broker: BrokerConfig) -> Disclosure:
    events = _events(config, broker)
    outbox = config.outbox
    return Disclosure(
        broker=broker.broker_id,
        addresses=broker.urls,
        encrypted=_encryption(broker),
        events=events,
        state=tuple(name for name in sorted(STATE_CHANNELS) if wanted(broker, name)),
        pictures=_pictures(config, broker),
        faces=_FACES if any(kind.startswith("face.") for kind in events) else _NO_FACES,
        plates=_plates(config, broker, events),
        retention=(
            f"on the box until delivered, at most {spelled_duration(outbox.max_age_s)}; "
            f"{spelled_duration(outbox.keep_s)} more once delivered"
        ),
        commands=", ".join(name for name in broker.commands if name in OBEYED) or NO_COMMANDS,
    )


def _pictures(config: Config, broker: BrokerConfig) -> str:
    """Who may ask for pictures, and what can be seen in them."""
    said = []
    if "snapshot" in broker.commands:
        said.append("what a camera sees now, pixelated, when asked (snapshot)")
    kept = config.evidence
    if "evidence" in broker.commands and kept.kinds:
        said.append(
            f"of {', '.join(kept.kinds)} when asked (evidence), pixelated but for the plate of a"
            f" hit; kept {spelled_duration(kept.keep_s)} at most"
        )
    return "; ".join(said) or NO_PICTURES


def _events(config: Config, broker: BrokerConfig) -> dict[str, str]:
    """Kinds that the cameras' rules or the box itself can give and the broker is sent."""
    watched = {kind for camera in config.cameras.values() for kind in camera.rules}
    if not _lists(config, broker):
        watched.discard(HIT)
    if config.privacy.plates != "pseudonym":
        watched.discard("plate.seen")
    return {
        kind: spec.description
        for kind, spec in KINDS_OF_EVENTS.items()
        if (kind in watched or spec.of_box) and wanted(broker, kind)
    }


def _lists(config: Config, broker: BrokerConfig) -> list[str]:
    """The hotlists whose hits this broker is sent."""
    return [name for name in config.hotlists if wants(config, broker, HIT, name)]


def _plates(config: Config, broker: BrokerConfig, events: Mapping[str, str]) -> str:
    if not any("plate" in camera.roles for camera in config.cameras.values()):
        return _NO_PLATES
    lists = ", ".join(_lists(config, broker))
    hits = f"in clear those on {lists}" if HIT in events else "none in clear"
    if "plate.seen" not in events:
        return f"{hits}; of the others nothing"
    return f"{hits}; of the others a pseudonym of one day (legal ground: {config.privacy.basis})"


def _encryption(broker: BrokerConfig) -> str:
    if any(url.startswith("mqtt://") for url in broker.urls):
        return "no: the broker is on this box itself"
    if broker.cert is None:
        return "yes (TLS); the box shows no certificate of its own"
    return "yes (TLS); the box shows its own certificate"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
