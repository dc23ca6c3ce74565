"""What a release says: which package, for which agents and boards, for which boxes. No files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from agent.errors import UpdateError

RELEASES = "models/releases.json"
"""The signed target that lists every release."""

HALTS = "halts/halts.json"
"""The signed target that lists the halted ones; the key that is at hand day and night signs it."""

_NAME = re.compile(r"[a-z0-9-]{1,31}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
_AGENT = re.compile(r"\d{1,6}(\.\d{1,6}){0,3}")
_BOX = re.compile(r"[a-z0-9-]{1,31}/([a-z0-9-]{1,31}|\*)")
_HARDWARE = re.compile(r"[a-z0-9][a-z0-9 ._-]{0,63}")
_MOST_RELEASES = 1000
_MOST_BOXES = 20_000
_MOST_RINGS = 16
_MOST_HARDWARE = 50
_LONGEST_S = 30 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """A group of boxes that gets a release together."""

    name: str
    percent: int = 0  # share of all boxes, chosen by hash
    boxes: tuple[str, ...] = ()  # site/box, or site/* for a whole mahalla; these in any case

    def __post_init__(self) -> None:
        _check("ring", self, {"name": _NAME.fullmatch(self.name)})
        _check(f"ring {self.name}", self, {"percent": 0 <= self.percent <= 100})
        listed = len(self.boxes) <= _MOST_BOXES and all(map(_BOX.fullmatch, self.boxes))
        _check(f"ring {self.name}", self, {"boxes": listed})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a box measures before it keeps a new model, all of it against the present one."""

    slower_percent: int = 120  # time of one inference, in one run
    heavier_mb: int = 50  # memory
    worse_points: int = 1  # accuracy on the labelled golden set, percentage points
    fewest_percent: int = 70  # things found on the same frames
    most_percent: int = 150
    shadow_s: int = 3600  # beside the present model, unheard
    live_s: int = 86_400  # in its place, with the old one beside it

    def __post_init__(self) -> None:
        checks = {
            "slower_percent": 1 <= self.slower_percent <= 1000,
            "heavier_mb": 0 <= self.heavier_mb <= 4000,
            "worse_points": 0 <= self.worse_points <= 100,
            "fewest_percent": 0 <= self.fewest_percent <= 100,
            "most_percent": 100 <= self.most_percent <= 100_000,
            "shadow_s": 0 <= self.shadow_s <= _LONGEST_S,
            "live_s": 0 <= self.live_s <= _LONGEST_S,
        }
        _check("release", self, checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of one model package and the boxes that it is meant for."""

    model: str
    version: str
    serial: int  # rises with each release; a box takes the highest that is meant for it
    agent_from: str  # lowest agent version that can use it
    agent_below: str  # first that cannot
    rings: tuple[Ring, ...]
    open_rings: int = 1  # of them, from the first; `promote` opens the next
    channel: str = "stable"
    hardware: tuple[str, ...] = ()  # words of `hardware.board()`, one has to be in it; empty: any
    fail_percent: int = 10  # of a ring that may fail or fall silent before the release halts
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """UpdateError when a name could become a path, or a number is out of its range."""
        names = [each.name for each in self.rings]
        checks = {
            "model": _NAME.fullmatch(self.model),
            "version": _VERSION.fullmatch(self.version),
            "serial": self.serial > 0,
            "agent_from": _AGENT.fullmatch(self.agent_from),
            "agent_below": _AGENT.fullmatch(self.agent_below),
            "rings": 1 <= len(names) <= _MOST_RINGS and len(names) == len(set(names)),
            "open_rings": 1 <= self.open_rings <= len(names),
            "channel": _NAME.fullmatch(self.channel),
            "hardware": len(self.hardware) <= _MOST_HARDWARE
            and all(map(_HARDWARE.fullmatch, self.hardware)),
            "fail_percent": 1 <= self.fail_percent <= 100,
        }
        _check("release", self, checks)

    @property
    def target(self) -> str:
        """Its path among the repository's targets."""
        return f"models/{self.model}/{self.version}.tar"

    def suits(self, *, agent: str, hardware: str, channel: str) -> bool:
        """Can an agent of this version on this board use it, and does it follow its channel."""
        return (
            _numbers(self.agent_from) <= _numbers(agent) < _numbers(self.agent_below)
            and (not self.hardware or any(word in hardware for word in self.hardware))
            and self.channel == channel
        )

    def is_for(self, box: str) -> bool:
        """Is `site/box` in a ring that is open."""
        return any(self._holds(ring, box) for ring in self.rings[: self.open_rings])

    def ring_of(self, box: str) -> str | None:
        """Name of the first ring, open or not, that holds `site/box`."""
        return next((ring.name for ring in self.rings if self._holds(ring, box)), None)

    def _holds(self, ring: Ring, box: str) -> bool:
        """A larger percentage keeps the boxes of a smaller one."""
        whole_site = f"{box.partition('/')[0]}/*"
        if box in ring.boxes or whole_site in ring.boxes:
            return True
        digest = hashlib.sha256(f"{self.target} {box}".encode()).digest()
        return int.from_bytes(digest[:4], "big") * 100 < ring.percent << 32


def meant_for(
    releases: Iterable[Release],
    *,
    box: str,
    agent: str,
    hardware: str = "",
    channel: str = "stable",
) -> dict[str, list[Release]]:
    """For each model what is meant for this box, newest first."""
    mine: dict[str, list[Release]] = {}
    for each in sorted(releases, key=lambda each: -each.serial):
        if each.is_for(box) and each.suits(agent=agent, hardware=hardware, channel=channel):
            mine.setdefault(each.model, []).append(each)
    return mine


def to_json(releases: Iterable[Release]) -> bytes:
    """The document that is signed."""
    rows = [asdict(each) for each in releases]
    return json.dumps({"v": 1, "releases": rows}, indent=1, sort_keys=True).encode()


def from_json(content: bytes) -> list[Release]:
    """Read it; UpdateError when it is not of this form."""
    try:
        document = json.loads(content)
        if document["v"] != 1 or len(document["releases"]) > _MOST_RELEASES:
            raise ValueError
        return [_release(row) for row in document["releases"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UpdateError(f"{RELEASES}: not a list of releases that this agent reads") from error


def halts_to_json(halts: Mapping[int, str]) -> bytes:
    """Serial numbers of halted releases and why."""
    rows = {str(serial): why for serial, why in sorted(halts.items())}
    return json.dumps({"v": 1, "halted": rows}, indent=1).encode()


def halts_from_json(content: bytes) -> dict[int, str]:
    """Read them; UpdateError when they are not of this form."""
    try:
        document = json.loads(content)
        if document["v"] != 1 or len(document["halted"]) > _MOST_RELEASES:
            raise ValueError
        return {int(serial): _text(why) for serial, why in document["halted"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UpdateError(f"{HALTS}: not a list of halts that this agent reads") from error


def _release(row: dict[str, Any]) -> Release:
    release: Release = _made(
        Release,
        row,
        rings=lambda rings: tuple(_made(Ring, ring, boxes=_texts) for ring in rings),
        hardware=_texts,
        limits=lambda limits: _made(Limits, limits),
    )
    return release


def _made(kind: Any, row: Mapping[str, Any], **inner: Any) -> Any:
    """A record of `row`; keys it does not know are of newer agents and are left alone."""
    values = {}
    for each in fields(kind):
        if each.name not in row:
            continue
        value = row[each.name]
        if each.name in inner:
            value = inner[each.name](value)
        elif type(value) is not {"str": str, "int": int}[str(each.type)]:
            raise TypeError(each.name)
        values[each.name] = value
    return kind(**values)


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError
    return tuple(map(_text, values))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _check(what: str, record: object, checks: Mapping[str, object]) -> None:
    for key, is_right in checks.items():
        if not is_right:
            raise UpdateError(f"{what}: {key} {getattr(record, key)!r:.80} is not allowed")


def _numbers(version: str) -> tuple[int, ...]:
    """(0, 1, 0) of 0.1.0; what follows the numbers does not count."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(part) for part in found[0].split(".")] if found else []
    return tuple([*parts, 0, 0, 0, 0][:4])
