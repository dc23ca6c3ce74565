"""The nouns that pass between rooms, and nothing else.

Standard library and numpy only. Every record is frozen: a room answers with a
new record, it never changes the one it was handed. Times carry their unit in
the name; boxes are fractions of the full upright picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:  # else `mahalla --version` would pay for numpy
    import numpy as np
    from numpy.typing import NDArray

Image: TypeAlias = "NDArray[np.uint8]"
"""Pixels, height x width x 3, RGB (the one colour order in the house), or height x width luma."""

VEHICLES = frozenset({"car", "bus", "truck", "motorcycle", "vehicle"})
"""Kinds that are vehicles; `vehicle` is one whose type the model cannot tell."""

KINDS = frozenset({"face", "person", "bicycle", "animal", "plate"}) | VEHICLES
"""Every kind a detector may report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle in fractions 0..1 of the upright picture, x to the right, y down."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        return max(0.0, self.width) * max(0.0, self.height)

    @property
    def center(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def foot(self) -> tuple[float, float]:
        """Middle of the lower edge: where the thing touches the ground."""
        return (self.x0 + self.x1) / 2, self.y1

    def holds(self, point: tuple[float, float]) -> bool:
        x, y = point
        return self.x0 <= x <= self.x1 and self.y0 <= y <= self.y1

    def wider(self, share: float) -> Box:
        """With this share of its sides more on each side."""
        x, y = share * self.width, share * self.height
        return Box(x0=self.x0 - x, y0=self.y0 - y, x1=self.x1 + x, y1=self.y1 + y)


WHOLE = Box(x0=0.0, y0=0.0, x1=1.0, y1=1.0)


class Picture(Protocol):
    """Pixels as the decoder left them; every view is made on demand and read-only."""

    @property
    def width_px(self) -> int: ...

    @property
    def height_px(self) -> int: ...

    def luma(self, width_px: int | None = None) -> Image:
        """Brightness, H x W uint8; scaled down to `width_px` when given."""
        ...

    def rgb(self, box: Box, width_px: int, height_px: int) -> Image:
        """The part of the picture inside `box`, resized to exactly width x height, RGB uint8.

        `box` may reach over the picture's edge; what lies outside is black.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture of one camera and when it was taken."""

    camera_id: str
    seq: int
    t_mono_ns: int
    t_utc_ms: int
    clock_synced: bool
    picture: Picture
    main: Picture | None = None
    """The full-resolution picture of the same moment, where a camera has two streams."""
    still: bool = False
    """Nothing in it has moved for a while."""
    slept: bool = False
    """The camera was at rest before it: nothing has moved since the frame before this one."""

    def crop(self, box: Box, width_px: int) -> Image:
        """`box` at full resolution, RGB, `width_px` wide, aspect kept (at least 1 px high)."""
        source = self.main or self.picture
        across = max(box.width * source.width_px, 1e-9)
        height = max(1, round(width_px * box.height * source.height_px / across))
        return source.rgb(box, width_px, height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One thing seen in one frame. It has no place for who or what kind of person it is."""

    kind: str
    score: float
    box: Box


class TrackState(str, Enum):
    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    COASTING = "coasting"  # confirmed, not seen in the newest frame
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """The same thing followed through time; the number means nothing outside the box."""

    track_id: int
    kind: str
    score: float
    box: Box
    velocity: tuple[float, float]  # picture widths, heights per second
    first_mono_ns: int
    last_mono_ns: int  # when it was last really seen
    state: TrackState
    moved: bool = False
    """It has travelled, over its life, further than jitter explains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateText:
    """One string that a plate may carry."""

    country: str  # of the grammar: UZ KZ KG ..., "?" where text and picture do not tell
    text: str = field(repr=False)  # A-Z and 0-9 only; never logged
    pattern: str  # name of the form it has in that grammar
    loss: float  # natural log: how much less likely than the most likely string; 0 for that one


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateReading:
    """What all views of one track say its plate is. Stays in memory; never logged."""

    track_id: int
    kind: str  # of the vehicle, "vehicle" where none was seen around the plate
    box: Box  # of the plate, where it was last seen
    best: PlateText | None  # None: the evidence settles nothing
    others: tuple[PlateText, ...]  # the runners-up, likeliest first, as far as they are plausible
    score: float  # calibrated probability that `best` is right, 0..1
    margin: float  # natural log, from `best` to the runner-up
    votes: int  # views that were read


class Phase(str, Enum):
    START = "start"
    UPDATE = "update"
    END = "end"
    ONCE = "once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One instant on both clocks."""

    mono_ns: int
    utc_ms: int
    synced: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Numbers of one broker's stream that will never come: `count` of those in a range."""

    broker: str
    first: int
    last: int
    count: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened. Stays in memory; only `privacy` turns it into a message."""

    event_id: str  # ULID, the same from start to end of one occurrence
    n: int  # sequence inside the occurrence
    phase: Phase
    at: Moment
    camera_id: str | None  # None: the box itself
    kind: str
    count: int | None = None
    place: str | None = None  # zone or line
    object_class: str | None = None
    score: float | None = None
    box: Box | None = None
    direction: str | None = None  # "+" or "-"
    duration_ms: int | None = None
    period_s: int | None = None
    plate: PlateText | None = None  # in clear; what of it leaves is decided in `privacy`
    margin: float | None = None
    hotlist: str | None = None
    match: str | None = None  # "exact" | "alike"
    version: str | None = None
    why: str | None = None
    offset_ms: int | None = None  # UTC minus monotonic: what the clock is corrected by
    loss: Loss | None = None


class Priority(int, Enum):
    """What is sent first and evicted last: lower is more important."""

    ALERT = 0  # hits, tamper, lost cameras, audit
    EVENT = 1
    COUNT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The only thing that disk and wire ever see. Made by `privacy` alone.

    `body` is compact JSON without the envelope (`v`, `st`, `sq`); `publish` puts that on.
    """

    channel: str  # "e" for events, else "status", "about", "health", "re/..."
    message_id: str  # ULID; "" for status, about and health
    n: int
    kind: str
    camera: str  # "_box" for the box itself
    body: bytes
    priority: Priority
    expiry_s: int
    phase: Phase = Phase.ONCE
    hotlist: str = ""  # of a hit: it goes to the brokers of that list only
    broker: str = ""  # it speaks of the stream of this broker and goes to no other
    retain: bool = False
    boot_id: str = ""
    mono_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A stored message on its way to one broker: number `sq` of that broker's stream `st`."""

    broker: str
    st: str
    sq: int
    tries: int  # how often the broker has refused it
    kind: str
    camera: str
    body: bytes
    priority: Priority
    expiry_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An occurrence whose start was stored and whose end was not: the box lost its power."""

    message_id: str
    n: int  # of the last message stored
    kind: str
    camera: str
    hotlist: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    up: bool
    version: str
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraHealth:
    fps: float
    age_s: float | None  # None: no frame yet
    drops: int
    duty: float  # share of time awake, 0..1
    looks_fps: float = 0.0  # frames that were looked at
    skipped: int = 0  # frames that should have been
    gate: str | None = None  # sizes tell nothing of its stream: "keyframes" are looked at, or all


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueHealth:
    rows: int
    age_s: float
    refused: int
    unheard: int = 0  # PUBACK 0x10: nobody subscribed
    unseen: int = 0  # acknowledged, but the recorder has not confirmed them yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    at: Moment
    cameras: Mapping[str, CameraHealth] = field(default_factory=dict)
    queues: Mapping[str, QueueHealth] = field(default_factory=dict)
    cpu_percent: float | None = None
    rss_mb: float | None = None
    temp_c: float | None = None
    throttled: int | None = None
    disk_free_percent: float | None = None
    clock_offset_ms: float | None = None
    restarts: int = 0  # of threads that died of a bug
    given_up: int = 0  # messages that found no room, neither on the disk nor in memory
    step: int = 0  # what is given up for want of computing time, see `sharing`
    updates: Mapping[str, Any] = field(default_factory=dict)  # by model, plain JSON data
    line: Mapping[str, Any] | None = None  # of a metered line: what is spent and given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What somebody behind a broker asks of the box; `body` is as it came."""

    broker: str
    user: str  # a topic level, which the broker's ACL ties to the account
    name: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to one command: `code` 0 done, 1 refused because of `why`."""

    user: str
    name: str
    request_id: str
    code: int
    why: str | None = None
    count: int | None = None
    event_id: str | None = None  # under which a picture comes


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the box is and what it sends to whom; `facts` is plain JSON data."""

    at: Moment
    facts: Mapping[str, Any]
