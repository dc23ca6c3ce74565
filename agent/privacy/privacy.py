"""The only door out: what leaves this box is made here, and nowhere else.

An event is written key by key: what has no key below cannot leave.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent.config.sending import HIT
from agent.kinds import (
    CLOCK,
    CLOCK_KEYS,
    EVENT_LIMIT_BYTES,
    KINDS_OF_EVENTS,
    LOST,
    WHY_LIMIT_CHARS,
    allowed_keys,
    missing_keys,
)
from agent.privacy.picture import PICTURE_LIMIT_BYTES
from agent.privacy.pseudonyms import Pseudonyms
from agent.records import (
    About,
    Box,
    Event,
    Health,
    Message,
    Moment,
    Phase,
    PlateText,
    Priority,
    Reply,
    Status,
)

ENVELOPE_BYTES = len('"v":1,"st":"k3f9x2ab","sq":9999999999,')
"""What `publish` will put in front of a body."""

REPLY_EXPIRY_S = 600
"""Who has not come for an answer by then has given up."""

CLOCK_UNKNOWN_MS = 10 * 365 * 86_400_000
"""Error bound of a clock that was never set: ten years, since nothing better is known."""

MARGIN_LIMIT = 99.0
"""Of a plate without any runner-up: JSON knows no infinity."""


class Privacy:
    """Turns what the box knows into messages that may be stored and sent.

    A plate leaves in clear in a hit and nowhere else. Without `pseudonyms` one that is on no list
    does not leave at all.
    """

    def __init__(
        self, site: str, box: str, boot_id: str, pseudonyms: Pseudonyms | None = None
    ) -> None:
        self._source = f"{site}/{box}"
        self._boot_id = boot_id
        self._pseudonyms = pseudonyms
        self._offset_ms: int | None = None

    def correct(self, offset_ms: int) -> None:
        """UTC minus monotonic is known by now: what was seen in doubt before is told without."""
        self._offset_ms = offset_ms

    def event(self, event: Event) -> Message:
        """One event as a message for the outbox.

        Raises ValueError for an unknown kind, a missing key or too long a body: bugs of ours.
        """
        kind = KINDS_OF_EVENTS.get(event.kind)
        if kind is None:
            raise ValueError(f"unknown kind {event.kind}")
        camera = event.camera_id or "_box"
        content = self._head(event, camera) | self._plate(event) | _details(event)
        content |= self._of_box(event)
        _check_keys(content)
        body = _compact(content)
        if len(body) + ENVELOPE_BYTES > EVENT_LIMIT_BYTES:
            raise ValueError(f"{event.kind} of {len(body)} bytes is over the limit")
        return Message(
            channel="e",
            message_id=event.event_id,
            n=event.n,
            kind=event.kind,
            camera=camera,
            body=body,
            priority=kind.priority,
            expiry_s=kind.expiry_s,
            phase=event.phase,
            hotlist=event.hotlist or "" if event.kind == HIT else "",
            broker="" if event.loss is None else event.loss.broker,
            boot_id=self._boot_id,
            mono_ms=event.at.mono_ns // 1_000_000,
        )

    def restored(self, body: bytes) -> Message | None:
        """The message whose stored body was read out of a damaged store.

        None where it is damaged too, of another box, or not to leave any more; accounts of lost
        numbers are of a stream that has ended with that store.
        """
        try:
            content = json.loads(body)
            _check_keys(content)
            source, _, camera = content["src"].rpartition("/")
            kind, phase = content["k"], Phase(content.get("s", Phase.ONCE))
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        if source != self._source or kind == LOST or len(body) + ENVELOPE_BYTES > EVENT_LIMIT_BYTES:
            return None
        if kind == "plate.seen" and self._pseudonyms is None:
            return None
        spec = KINDS_OF_EVENTS[kind]
        return Message(
            channel="e",
            message_id=content["id"],
            n=content.get("n", 0),
            kind=kind,
            camera=camera,
            body=body,
            priority=spec.priority,
            expiry_s=spec.expiry_s,
            phase=phase,
            hotlist=content.get("l", "") if kind == HIT else "",
            boot_id=content.get("bo", ""),
            mono_ms=content.get("mo", 0),
        )

    @staticmethod
    def redated(body: bytes, t_ms: int) -> bytes:
        """A stored body that has not been sent yet, with the time that is known by now."""
        content = json.loads(body)
        if content["k"] != CLOCK:  # which speaks of its boot itself
            for key in CLOCK_KEYS:
                content.pop(key, None)
        content["t"] = t_ms
        return _compact(content)

    def status(self, status: Status) -> Message:
        """Up, or the last word of a box that is down (the will)."""
        content: dict[str, Any] = {"up": int(status.up)}
        if status.up:
            content |= {"v": status.version, "since": status.since_ms}
        return self._state("status", content)

    def health(self, health: Health) -> Message:
        """The vital signs of one minute."""
        return self._state("health", _vital_signs(health))

    def about(self, about: About) -> Message:
        """What the box is and what it sends to whom."""
        content = {"t": about.at.utc_ms, **about.facts}
        return self._state("about", content)

    def _head(self, event: Event, camera: str) -> dict[str, Any]:
        content: dict[str, Any] = {"id": event.event_id}
        if event.n:
            content["n"] = event.n
        if event.phase is not Phase.ONCE:
            content["s"] = event.phase.value
        content |= self._time(event.at)
        return content | {"src": f"{self._source}/{camera}", "k": event.kind}

    def _plate(self, event: Event) -> dict[str, Any]:
        """What leaves of a plate, by the kind of the event."""
        plate = event.plate
        if event.kind == "plate.unread":
            return {"co": "?"}  # left out it would say UZ
        if event.kind == HIT:
            clear = {} if plate is None else _known(p=plate.text, co=_country(plate))
            margin = None if event.margin is None else min(event.margin, MARGIN_LIMIT)
            return clear | _known(mg=_rounded(margin, 1), m=event.match)
        if event.kind == "plate.seen" and plate is not None:
            if self._pseudonyms is None:
                raise ValueError("a plate that is on no list may not leave this box")
            return _known(pp=self._pseudonyms.of(plate, event.at), co=_country(plate))
        return {}

    def _of_box(self, event: Event) -> dict[str, Any]:
        """What only the box says of itself: its clock's correction, numbers that are lost."""
        if event.kind == CLOCK:
            return {"bo": self._boot_id} | _known(off=event.offset_ms)
        if event.loss is not None:
            loss = event.loss
            return {"from": loss.first, "to": loss.last, "c": loss.count, "why": loss.why}
        return {}

    def _time(self, at: Moment) -> dict[str, Any]:
        mono_ms = at.mono_ns // 1_000_000
        if at.synced:
            return {"t": at.utc_ms}
        if self._offset_ms is not None:
            return {"t": self._offset_ms + mono_ms}
        doubt = {"t": at.utc_ms, "te": CLOCK_UNKNOWN_MS, "tq": "est"}
        return doubt | {"bo": self._boot_id, "mo": mono_ms}

    def reply(self, reply: Reply) -> Message:
        """The answer to a command; it goes to who asked and is not kept."""
        content = {"rid": reply.request_id, "rc": reply.code}
        content |= _known(why=reply.why, c=reply.count, id=reply.event_id)
        return _answer("reply", f"re/{reply.user}/{reply.name}", _compact(content))

    def evidence(self, event_id: str, jpeg: bytes) -> Message:
        """A masked picture, for whoever has asked; not kept."""
        if len(jpeg) > PICTURE_LIMIT_BYTES:
            raise ValueError(f"a picture of {len(jpeg)} bytes is over the limit")
        return _answer("evidence", f"evidence/{event_id}", jpeg)

    @staticmethod
    def _state(channel: str, content: Mapping[str, Any]) -> Message:
        return Message(
            channel=channel,
            message_id="",
            n=0,
            kind=channel,
            camera="_box",
            body=_compact(content),
            priority=Priority.EVENT,
            expiry_s=0,  # the newest stands until the next
            retain=True,
        )


def _answer(kind: str, channel: str, body: bytes) -> Message:
    """To who asked, and not kept."""
    return Message(
        channel=channel,
        message_id="",
        n=0,
        kind=kind,
        camera="_box",
        body=body,
        priority=Priority.ALERT,
        expiry_s=REPLY_EXPIRY_S,
    )


def _check_keys(content: Mapping[str, Any]) -> None:
    kind = content["k"]
    if missing := missing_keys(content):
        raise ValueError(f"{kind} lacks {' '.join(missing)}")
    if strange := content.keys() - allowed_keys(kind):
        raise ValueError(f"{kind} may not carry {' '.join(sorted(strange))}")


def _details(event: Event) -> dict[str, Any]:
    if event.why is not None and len(event.why) > WHY_LIMIT_CHARS:
        raise ValueError(f"the reason of {event.kind} is longer than {WHY_LIMIT_CHARS} characters")
    return _known(
        z=event.place,
        o=event.object_class,
        c=event.count,
        q=_rounded(event.score, 2),
        b=None if event.box is None else _thousandths(event.box),
        dir=event.direction,
        dur=event.duration_ms,
        per=event.period_s,
        l=event.hotlist,
        ver=event.version,
        why=event.why,
    )


def _vital_signs(health: Health) -> dict[str, Any]:
    cameras = {
        camera: _known(
            fps=round(sign.fps, 1),
            age=_rounded(sign.age_s, 1),
            drop=sign.drops,
            duty=round(sign.duty, 2),
            look=round(sign.looks_fps, 1),
            skip=sign.skipped or None,
            gate=sign.gate,
        )
        for camera, sign in health.cameras.items()
    }
    queues = {
        broker: {"n": queue.rows, "age": round(queue.age_s), "refused": queue.refused}
        | _known(unseen=queue.unseen or None)
        for broker, queue in health.queues.items()
    }
    return {"t": health.at.utc_ms, "cam": cameras, "q": queues} | _known(
        cpu=_rounded(health.cpu_percent),
        rss=_rounded(health.rss_mb),
        temp=_rounded(health.temp_c),
        thr=health.throttled,
        disk=_rounded(health.disk_free_percent),
        off=_rounded(health.clock_offset_ms),
        unheard=sum(queue.unheard for queue in health.queues.values()),
        restarts=health.restarts or None,
        lost=health.given_up or None,
        step=health.step or None,
        line=None if health.line is None else dict(health.line),
        ota=dict(health.updates) or None,
    )


def _country(plate: PlateText) -> str | None:
    return None if plate.country == "UZ" else plate.country


def _known(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _rounded(value: float | None, digits: int | None = None) -> float | None:
    return None if value is None else round(value, digits)


def _thousandths(box: Box) -> list[int]:
    """[x, y, w, h] in 1/1000 of the picture; what reaches over its edge is cut off."""
    x0, y0, x1, y1 = (
        round(1000 * min(max(part, 0.0), 1.0)) for part in (box.x0, box.y0, box.x1, box.y1)
    )
    return [x0, y0, x1 - x0, y1 - y0]


def _compact(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode()
