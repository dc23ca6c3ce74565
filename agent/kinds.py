"""Every kind of event and every key an event may carry: the one table of what leaves the box.

`privacy` builds messages by it, `rules` and `config` name kinds by it, and
`mahalla schema` prints it. A kind that is not here does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from agent.records import Phase, Priority

FORMAT_VERSION = 1
"""Value of the key `v`."""

EVENT_LIMIT_BYTES = 512
"""No event is longer than this on the wire, envelope included."""

WHY_LIMIT_CHARS = 40

LOST = "box.lost"
CLOCK = "box.clock"
DISK = "box.disk"
HOT = "box.hot"
POWER = "box.power"

TAKEN_OVER = "session taken over"
"""Begins the `why` of an `audit`: somebody else has connected to the broker as this box."""

_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySpec:
    """One short key: its JSON Schema without the description, and what it means."""

    schema: Mapping[str, Any]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSpec:
    """One kind of event.

    `required` binds every phase except `end`: the end of an occurrence that a
    restart cut short may know nothing but that it is over.
    """

    description: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    priority: Priority = Priority.EVENT
    expiry_s: int = 7 * _DAY_S
    phased: bool = False
    """It has a start, updates and an end; otherwise it happens once."""
    of_box: bool = False
    """It is about the box itself: its camera topic level is `_box`."""


def _text(description: str, **limits: Any) -> KeySpec:
    return KeySpec(schema={"type": "string", **limits}, description=description)


def _whole(description: str, **limits: Any) -> KeySpec:
    return KeySpec(schema={"type": "integer", **limits}, description=description)


KEYS: Mapping[str, KeySpec] = MappingProxyType(
    {
        "v": KeySpec(schema={"const": FORMAT_VERSION}, description="format version"),
        "st": _text("stream id, new with each new outbox, one per broker", pattern="^[0-9a-z]{8}$"),
        "sq": _whole("contiguous counter inside the stream; a gap that stays is a loss", minimum=1),
        "id": _text(
            "ULID, the same for the whole life of one occurrence",
            pattern="^[0-9A-HJKMNP-TV-Z]{26}$",
        ),
        "n": _whole("sequence inside the occurrence; absent means 0", minimum=0),
        "s": KeySpec(
            schema={"enum": [phase.value for phase in Phase]},
            description="phase of the occurrence; absent means once",
        ),
        "t": _whole("when it happened, Unix ms, UTC", minimum=0),
        "te": _whole("error bound of t in ms, while the clock is not synchronised", minimum=0),
        "tq": KeySpec(
            schema={"const": "est"},
            description="t is a guess, while the clock is not synchronised; box.clock corrects it",
        ),
        "bo": _text("boot id, while the clock is not synchronised", minLength=1, maxLength=12),
        "mo": _whole("monotonic ms of that boot, while the clock is not synchronised", minimum=0),
        "src": _text("site/box/camera", pattern="^[a-z0-9-]+/[a-z0-9-]+/([a-z0-9-]+|_box)$"),
        "k": _text("kind"),
        "z": _text("zone or line", pattern="^[a-z0-9-]{1,31}$"),
        "o": _text("object class", maxLength=20),
        "c": _whole("count; cumulative in updates", minimum=0),
        "q": KeySpec(
            schema={"type": "number", "minimum": 0, "maximum": 1}, description="confidence"
        ),
        "b": KeySpec(
            schema={
                "type": "array",
                "items": {"type": "integer", "minimum": 0, "maximum": 1000},
                "minItems": 4,
                "maxItems": 4,
            },
            description="box x, y, width, height in 1/1000 of the picture",
        ),
        "dir": KeySpec(
            schema={"enum": ["+", "-"]},
            description="+ when the line is crossed from left to right, seen along from -> to",
        ),
        "dur": _whole("duration in ms", minimum=0),
        "per": _whole("counting period in s", minimum=1),
        "p": _text("plate text, hits only", maxLength=12),
        "co": _text("country of the plate's grammar; absent means UZ", pattern="^([A-Z]{2}|\\?)$"),
        "mg": KeySpec(
            schema={"type": "number"},
            description="margin to the runner-up, natural log; below 0 for a look-alike: so far "
            "it lies behind the likeliest text",
        ),
        "l": _text("hotlist", pattern="^[a-z0-9-]{1,31}$"),
        "m": KeySpec(schema={"enum": ["exact", "alike"]}, description="how the plate matched"),
        "pp": _text("pseudonym of a plate, a 96-bit keyed hash", maxLength=24),
        "off": _whole("clock correction: t = off + mo for every event of boot bo, ms"),
        "from": _whole("first sq of a range", minimum=1),
        "to": _whole("last sq of a range", minimum=1),
        "ver": _text("version", maxLength=40),
        "why": _text("reason word", maxLength=WHY_LIMIT_CHARS),
    }
)

ENVELOPE_KEYS = ("v", "st", "sq")
"""Put on by the publisher, per broker."""

BODY_KEYS = ("id", "t", "src", "k")
"""Every body carries these."""

CLOCK_KEYS = ("te", "tq", "bo", "mo")
"""Only while the clock is not synchronised."""

ANY_KEYS = ("n", "s", *CLOCK_KEYS, "dur", "why")
"""Any kind may carry these."""

_SEEN = ("z", "q", "b")

KINDS_OF_EVENTS: Mapping[str, KindSpec] = MappingProxyType(
    {
        "face.present": KindSpec(
            description="faces in view: how many, never who",
            required=("s", "c"),
            optional=_SEEN,
            phased=True,
        ),
        "face.count": KindSpec(
            description="faces that came into view during the period",
            required=("c", "per"),
            optional=("z",),
            priority=Priority.COUNT,
        ),
        "person.loiter": KindSpec(
            description="a person stays in a zone", required=("s",), optional=_SEEN, phased=True
        ),
        "person.crowd": KindSpec(
            description="many persons together", required=("s", "c"), optional=_SEEN, phased=True
        ),
        "person.after-hours": KindSpec(
            description="a person where and when nobody should be",
            required=("s",),
            optional=("c", *_SEEN),
            phased=True,
        ),
        "person.line": KindSpec(
            description="a person crossed a line", required=("z", "dir"), optional=("o", "q", "b")
        ),
        "vehicle.line": KindSpec(
            description="a vehicle crossed a line", required=("z", "dir", "o"), optional=("q", "b")
        ),
        "vehicle.stopped": KindSpec(
            description="a vehicle stands where it should not",
            required=("s", "o"),
            optional=_SEEN,
            phased=True,
        ),
        "vehicle.wrong-way": KindSpec(
            description="a vehicle goes against the line's direction",
            required=("z", "dir", "o"),
            optional=("q", "b"),
        ),
        "vehicle.count": KindSpec(
            description="vehicles that passed during the period",
            required=("c", "per"),
            optional=("z", "o", "dir"),
            priority=Priority.COUNT,
        ),
        "plate.hit": KindSpec(
            description="a plate on a hotlist, in clear; verify it by eye before anything is done",
            required=("s", "p", "q", "l", "m"),
            optional=("co", "mg", "z", "o", "b", "dir"),
            priority=Priority.ALERT,
            expiry_s=14 * _DAY_S,
            phased=True,
        ),
        "plate.seen": KindSpec(
            description="a plate that is on no list, as a pseudonym of one day",
            required=("pp",),
            optional=("co", "q", "z", "o", "dir"),
            expiry_s=_DAY_S,
        ),
        "plate.unread": KindSpec(
            description="a plate that no reading settled",
            optional=("co", "q", "z", "o"),
            priority=Priority.COUNT,
        ),
        "camera.lost": KindSpec(
            description="no pictures from a camera; its end says that it is back",
            required=("s",),
            priority=Priority.ALERT,
            expiry_s=14 * _DAY_S,
            phased=True,
        ),
        "camera.blind": KindSpec(
            description="a camera is covered, defocused, moved or dazzled",
            required=("s", "why"),
            optional=("q",),
            priority=Priority.ALERT,
            expiry_s=14 * _DAY_S,
            phased=True,
        ),
        "camera.paused": KindSpec(
            description="a camera is paused on request",
            required=("s",),
            priority=Priority.ALERT,
            expiry_s=14 * _DAY_S,
            phased=True,
        ),
        CLOCK: KindSpec(
            description="the clock is right again: the correction for all events of one boot",
            required=("bo", "off"),
            priority=Priority.ALERT,
            expiry_s=14 * _DAY_S,
            of_box=True,
        ),
        DISK: KindSpec(
            description="the disk is nearly full or failing; c is how many events were given up",
            required=("s",),
            optional=("c",),
            priority=Priority.ALERT,
            phased=True,
            of_box=True,
        ),
        HOT: KindSpec(
            description="the board is too hot, or has too much to look at, and looks less",
            required=("s",),
            phased=True,
            of_box=True,
        ),
        POWER: KindSpec(
            description="the supply voltage is too low",
            required=("s",),
            priority=Priority.ALERT,
            phased=True,
            of_box=True,
        ),
        LOST: KindSpec(
            description="numbers of this stream that will never come, and why: c of those in a "
            "range (evicted, expired, quarantined)",
            required=("from", "to", "c", "why"),
            priority=Priority.ALERT,
            expiry_s=14 * _DAY_S,
            of_box=True,
        ),
        "model.updated": KindSpec(
            description="a model was replaced", required=("ver",), of_box=True
        ),
        "model.rolled-back": KindSpec(
            description="a new model failed its trial and the old one is back",
            required=("ver", "why"),
            priority=Priority.ALERT,
            of_box=True,
        ),
        "config.changed": KindSpec(
            description="another configuration is in force", optional=("ver",), of_box=True
        ),
        "audit": KindSpec(
            description="somebody asked the box for something, or changed what it looks for",
            required=("why",),
            optional=("ver", "c", "l"),
            priority=Priority.ALERT,
            expiry_s=14 * _DAY_S,
            of_box=True,
        ),
    }
)


def wants_receipt(kind: str) -> bool:
    """Whether a broker's `receipt: seen` asks for the recorder's word about events of `kind`."""
    is_alert = KINDS_OF_EVENTS[kind].priority is Priority.ALERT
    return is_alert or kind.startswith(("plate.", "camera."))


def allowed_keys(kind: str) -> frozenset[str]:
    """Every key the body of an event of `kind` may carry."""
    spec = KINDS_OF_EVENTS[kind]
    return frozenset({*BODY_KEYS, *ANY_KEYS, *spec.required, *spec.optional})


def missing_keys(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys that the body of an event lacks; its kind must be known."""
    missing = [key for key in BODY_KEYS if key not in body]
    if body.get("s") != Phase.END.value:
        missing += [key for key in KINDS_OF_EVENTS[body["k"]].required if key not in body]
    return tuple(missing)
