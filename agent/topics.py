"""Every topic of a box, as outside programs see it: address, quality of service, payload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from agent.kinds import KINDS_OF_EVENTS

ROOT = "sm/1/{site}/{box}"

COMMANDS = ("snapshot", "evidence", "feedback", "resend", "seen", "update", "doctor", "restart")
"""What a box may be asked; it obeys those that its configuration lists."""

OBEYED = ("snapshot", "evidence", "feedback", "resend", "seen", "update", "restart")
"""Those that this version knows how to obey."""

_PLACE = {"site": "the mahalla, [a-z0-9-]{1,31}", "box": "the box, [a-z0-9-]{1,31}"}
_WHOLE = {"type": "integer", "minimum": 0}
_NUMBER = {"type": "number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic, or a family of topics with parameters."""

    address: str
    description: str
    parameters: Mapping[str, str]
    messages: tuple[str, ...]
    payload: Mapping[str, Any] | None = None
    """JSON Schema of its one message; None: the messages are described elsewhere."""
    content_type: str = "application/json"
    qos: int = 1
    retained: bool = False
    from_box: bool = True


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _own(name: str, description: str, payload: Mapping[str, Any], **rest: Any) -> Topic:
    """A topic of the box as a whole."""
    return Topic(
        address=f"{ROOT}/{name}",
        description=description,
        parameters=_PLACE,
        messages=(name,),
        payload=payload,
        **rest,
    )


_STATUS = _object(
    ("up",),
    up={"enum": [0, 1], "description": "0: the box is away or has stopped"},
    v={"type": "string", "description": "version of the agent"},
    since=_WHOLE | {"description": "when it started, Unix ms"},
)

_CAMERA = _object(
    ("fps",),
    fps=_NUMBER | {"minimum": 0, "description": "frames a second"},
    age=_NUMBER | {"minimum": 0, "description": "age of the last frame, s"},
    drop=_WHOLE | {"description": "frames dropped"},
    duty=_NUMBER | {"minimum": 0, "maximum": 1, "description": "share of time awake"},
    look=_NUMBER | {"minimum": 0, "description": "frames looked at, a second"},
    skip=_WHOLE | {"description": "frames not looked at for want of time; absent means 0"},
    gate={
        "enum": ["keyframes", "awake"],
        "description": "the sizes of its coded pictures tell nothing (set the camera to VBR): while"
        " idle, keyframes are looked at, or all is decoded; absent where they tell, or none come",
    },
)

_QUEUE = _object(
    ("n",),
    n=_WHOLE | {"description": "rows that wait"},
    age=_NUMBER | {"minimum": 0, "description": "age of the oldest, s"},
    refused=_WHOLE | {"description": "refused by the broker"},
    unseen=_WHOLE | {"description": "not confirmed by the recorder yet; absent means 0"},
)

_OTA = {
    "type": "object",
    "description": "by model, what came or should come over the air; under `config` the fragment"
    " of the configuration, under `repository` why nothing can come",
    "additionalProperties": _object(
        ("v", "n", "state"),
        v={"type": "string", "description": "version"},
        n=_WHOLE | {"description": "serial number of the release"},
        state={"enum": ["active", "shadow", "live", "refused", "waiting"]},
        since=_WHOLE | {"description": "Unix ms"},
        why={"type": "string", "description": "reason word"},
    ),
}

_LINE = _object(
    ("saving", "spent", "budget"),
    saving={
        "enum": ["none", "merge", "digest", "alerts"],
        "description": "merge: counts by the quarter of an hour, no updates; digest: counts by the "
        "hour; alerts: all else waits on the disk (q.n)",
    },
    spent=_WHOLE | {"description": "bytes of this UTC day, both ways, TCP/IP and TLS included"},
    budget=_WHOLE | {"description": "bytes a day"},
    updates=_WHOLE | {"description": "updates left out this day; absent means 0"},
)

_HEALTH = _object(
    ("t", "cam", "q"),
    t=_WHOLE | {"description": "Unix ms"},
    cam={"type": "object", "additionalProperties": _CAMERA, "description": "by camera"},
    q={"type": "object", "additionalProperties": _QUEUE, "description": "by broker"},
    cpu=_NUMBER | {"description": "processor, %"},
    rss=_NUMBER | {"description": "memory of the agent, MB"},
    temp=_NUMBER | {"description": "board, °C"},
    thr=_WHOLE | {"description": "throttled: the board's own flags"},
    disk=_NUMBER | {"description": "free, %"},
    off=_NUMBER | {"description": "clock offset, ms"},
    unheard=_WHOLE | {"description": "PUBACKs that said that nobody subscribes"},
    restarts=_WHOLE | {"description": "threads restarted after a bug; absent means 0"},
    lost=_WHOLE | {"description": "events given up before they had a sq; absent means 0"},
    step=_WHOLE
    | {
        "maximum": 3,
        "description": "given up for want of time: 1 looks where nothing moves fast, 2 closer "
        "looks at small things too, 3 looks at all cameras too; absent means 0",
    },
    ota=_OTA,
    line=_LINE | {"description": "what a metered line has carried, and what is given up for it"},
)

_FEEDBACK = {
    "type": "object",
    "description": "by camera and kind, what people said of events; absent means nothing yet",
    "additionalProperties": {
        "type": "object",
        "additionalProperties": _object(("right", "wrong"), right=_WHOLE, wrong=_WHOLE),
    },
}

_ABOUT = _object(
    ("t",),
    t=_WHOLE | {"description": "Unix ms"},
    ota=_OTA,
    feedback=_FEEDBACK,
    certificates={
        "type": "object",
        "description": "by broker: the last day of the certificate that the box shows there",
        "additionalProperties": {"type": "string", "format": "date"},
    },
)

_WANT = _object(
    (),
    pause={"type": "array", "items": {"type": "string"}, "description": "cameras to pause"},
    until=_WHOLE | {"description": "Unix ms"},
    hold={"type": "array", "items": {"type": "string"}, "description": "updates to delay"},
)

_COMMAND = _object(
    (),
    rid={
        "type": "string",
        "description": "id of the request, comes back in the answer; all but seen need it",
    },
    t=_WHOLE | {"description": "when it was asked, Unix ms"},
    exp=_WHOLE | {"description": "refused after this time, Unix ms; all but seen need it"},
    st={"type": "string", "description": "resend, seen: the stream"},
    sq=_WHOLE | {"description": "seen: all up to this number are kept by the recorder"},
    to=_WHOLE | {"description": "resend: last number"},
    cam={"type": "string", "description": "snapshot: the camera"},
    id={"type": "string", "description": "evidence, feedback: the event"},
    ok={"type": "boolean", "description": "feedback: it was as the box told it"},
    **{"from": _WHOLE | {"description": "resend: first number"}},
)

_REPLY = _object(
    ("rid", "rc"),
    rid={"type": "string", "description": "id of the request"},
    rc={"type": "integer", "description": "0: done"},
    why={"type": "string", "description": "reason, where it was refused"},
    c=_WHOLE | {"description": "resend: how many of the numbers will come"},
    id={"type": "string", "description": "snapshot, evidence: the picture is on evidence/ID"},
)

_ASKER = {"user": "the account that asks", "name": f"one of {', '.join(COMMANDS)}"}

TOPICS: Mapping[str, Topic] = MappingProxyType(
    {
        "event": Topic(
            address=f"{ROOT}/e/{{camera}}/{{group}}/{{name}}",
            description="events; the kind group.name is two levels, no dot is ever in a topic",
            parameters=_PLACE
            | {
                "camera": "the camera, or _box for what is about the box itself",
                "group": "the kind up to its dot; a kind without one is a single level",
                "name": "the kind after its dot",
            },
            messages=tuple(KINDS_OF_EVENTS),
        ),
        "status": _own("status", "whether the box is there; its will too", _STATUS, retained=True),
        "about": _own("about", "what the box is and what it sends to whom", _ABOUT, retained=True),
        "health": _own("health", "vital signs, each minute", _HEALTH, retained=True, qos=0),
        "want": _own(
            "want", "what the office wants of the box", _WANT, retained=True, from_box=False
        ),
        "command": Topic(
            address=f"{ROOT}/cmd/{{user}}/{{name}}",
            description="commands; the box obeys only those its configuration lists",
            parameters=_PLACE | _ASKER,
            messages=("command",),
            payload=_COMMAND,
            from_box=False,
        ),
        "reply": Topic(
            address=f"{ROOT}/re/{{user}}/{{name}}",
            description="answers to commands",
            parameters=_PLACE | _ASKER,
            messages=("reply",),
            payload=_REPLY,
        ),
        "evidence": Topic(
            address=f"{ROOT}/evidence/{{event}}",
            description="a masked picture of at most 60 kB, asked for by command",
            parameters=_PLACE | {"event": "id of the event"},
            messages=("evidence",),
            payload={"type": "string", "format": "binary"},
            content_type="image/jpeg",
        ),
    }
)
