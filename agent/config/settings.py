"""The sections beside cameras and brokers, and the file as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agent.config.brokers import BROKERS, check_one_broker_an_address
from agent.config.cameras import CAMERAS, check_one_camera_a_source
from agent.config.files import NamedFile, holds_certificate, holds_key, holds_signer
from agent.config.model import (
    Config,
    EvidenceConfig,
    HotlistConfig,
    InferConfig,
    LinkConfig,
    ModelsConfig,
    OutboxConfig,
    PrivacyConfig,
)
from agent.config.place import Place
from agent.config.problems import Refusal, Spoilt, nearest, one_of
from agent.config.sending import HIT, covers
from agent.config.tables import Checked, Field, MapOf, OneOrMany, Table
from agent.config.values import (
    BOOLEAN,
    BYTES_PER_DAY,
    DAY_S,
    DELEGATE,
    EVENT_KIND,
    HOUR_S,
    HTTPS_URL,
    IDENTIFIER,
    TIMEZONE,
    choice,
    duration,
    size,
    spelled_duration,
    whole,
    words,
)

_MB = 1_000_000
_GB = 1000 * _MB
_RETENTION_S = 30 * DAY_S
_AGE = duration(HOUR_S, 365 * DAY_S)


def _one_or_two(signers: tuple[Path, ...]) -> None:
    if len(signers) > 2:
        raise Refusal(f"has {len(signers)} signers", "one, or a list of two")


def _hotlist(*, key: Path | None = None, **rest: Any) -> HotlistConfig:
    return HotlistConfig(keys=() if key is None else (key,), **rest)


_HOTLIST = Table(
    _hotlist,
    (
        Field(name="file", kind=NamedFile(may_come_later=True), required=True, doc="sealed list"),
        Field(
            name="signer",
            into="signers",
            kind=Checked(OneOrMany(NamedFile(content=holds_signer)), _one_or_two),
            required=True,
            doc="public key of who signs it, or a list of two: both have to",
        ),
        Field(
            name="key",
            kind=NamedFile(content=holds_key, private=True),
            doc="private key of this box that opens it; left out: those of the brokers are tried",
        ),
        Field(
            name="max_age",
            into="max_age_s",
            kind=duration(HOUR_S, 30 * DAY_S),
            required=True,
            doc="an older list is not used; at most 30d",
        ),
        Field(
            name="send",
            kind=OneOrMany(IDENTIFIER),
            required=True,
            doc="names of the brokers that hear of hits",
        ),
    ),
)

_INFER = Table(
    InferConfig,
    (
        Field(name="threads", kind=whole(1, 8), doc="threads of one model, 1 to 8"),
        Field(name="delegate", kind=DELEGATE, doc="library of an accelerator: libedgetpu.so.1"),
    ),
)

_MODELS = Table(
    ModelsConfig,
    (
        Field(name="channel", kind=IDENTIFIER, doc="which updates it follows"),
        Field(name="url", kind=HTTPS_URL, doc="where updates are"),
        Field(
            name="ca",
            kind=NamedFile(content=holds_certificate),
            doc="who vouches for that server; left out: whom the system trusts",
        ),
    ),
)

_OUTBOX = Table(
    OutboxConfig,
    (
        Field(
            name="max",
            into="max_bytes",
            kind=size(_MB, 100 * _GB),
            doc="most it takes on the disk: 500MB",
        ),
        Field(
            name="max_age",
            into="max_age_s",
            kind=_AGE,
            doc="an event that nobody took is given up after: 30d",
        ),
        Field(
            name="keep",
            into="keep_s",
            kind=duration(0.0, 365 * DAY_S),
            doc="a delivered event is kept, to send it again, for: 72h",
        ),
    ),
)

_EVIDENCE = Table(
    EvidenceConfig,
    (
        Field(name="kinds", kind=OneOrMany(EVENT_KIND), doc="events with a picture"),
        Field(
            name="keep",
            into="keep_s",
            kind=duration(60.0, 30 * DAY_S),
            doc="pictures are kept for: 72h",
        ),
        Field(
            name="max",
            into="max_bytes",
            kind=size(_MB, 100 * _GB),
            doc="most they take on the disk: 200MB",
        ),
    ),
)


def _check_privacy(privacy: Place) -> None:
    plates, basis = privacy.child("plates"), privacy.child("basis")
    asked = plates is not None and [text for text, _ in plates.texts()] == ["pseudonym"]
    if plates and asked and (basis is None or basis.is_null):
        plates.refuse(Refusal("pseudonym needs a legal ground", 'basis: "…" beside it'))


_PRIVACY = Table(
    PrivacyConfig,
    (
        Field(
            name="plates",
            kind=choice("hits-only", "pseudonym"),
            doc="what leaves of a plate that is on no list; hits-only: nothing",
        ),
        Field(name="basis", kind=words(200), doc="the legal ground of pseudonyms"),
    ),
    _check_privacy,
)


def _events_age(*, events: float = _RETENTION_S) -> float:
    return events


_RETENTION = Table(
    _events_age,
    (Field(name="events", kind=_AGE, doc="nothing is kept longer: 30d"),),
)

_LINK = Table(
    LinkConfig,
    (
        Field(name="metered", kind=BOOLEAN, doc="whether bytes cost money"),
        Field(
            name="budget",
            into="budget_bytes_per_day",
            kind=BYTES_PER_DAY,
            doc="most that is sent: 20MB/d",
        ),
    ),
)


def _config(*, retention_s: float = _RETENTION_S, **rest: Any) -> Config:
    """The whole; the outbox never outlives the retention, the brokers' keys open lists."""
    config = Config(retention_s=retention_s, **rest)
    keys = tuple(dict.fromkeys(b.key for b in config.brokers.values() if b.key is not None))
    hotlists = {
        name: hotlist if hotlist.keys else replace(hotlist, keys=keys)
        for name, hotlist in config.hotlists.items()
    }
    outbox = replace(
        config.outbox,
        max_age_s=min(config.outbox.max_age_s, retention_s),
        keep_s=min(config.outbox.keep_s, retention_s),
    )
    return replace(config, outbox=outbox, hotlists=MappingProxyType(hotlists))


def _check_whole(root: Place) -> None:
    check_one_camera_a_source(root)
    check_one_broker_an_address(root)
    _check_hotlists(root)
    _check_outbox_against_retention(root)


def _check_hotlists(root: Place) -> None:
    brokers, hotlists = root.child("brokers"), root.child("hotlists")
    known = brokers.children() if brokers else {}
    has_key = any(broker.child("key") for broker in known.values())
    for hotlist in (hotlists.children() if hotlists else {}).values():
        _check_receivers(hotlist, known)
        if not has_key and hotlist.children() and not hotlist.child("key"):
            allowed = "a private key of this box, here or with a broker, opens the list"
            hotlist.refuse_key(Refusal("key is missing", allowed))
    roles = [place for camera in _cameras(root) if (place := camera.child("role"))]
    if hotlists and not any(text == "plate" for role in roles for text, _ in role.texts()):
        what = "no camera has role plate: nothing is compared with them"
        hotlists.refuse_key(Refusal(what), "warning")


def _cameras(root: Place) -> list[Place]:
    cameras = root.child("cameras")
    return list(cameras.children().values()) if cameras else []


def _check_receivers(hotlist: Place, brokers: Mapping[str, Place]) -> None:
    send = hotlist.child("send")
    for text, place in send.texts() if send else ():
        if text not in brokers:
            allowed = one_of(brokers) if brokers else ""
            place.refuse(Refusal("no such broker", allowed, nearest(text, brokers)))
        elif (taken := brokers[text].child("send")) and not any(
            covers(entry, HIT) for entry, _ in taken.texts()
        ):
            place.warn(f"broker {text} is sent no {HIT}", f"name {HIT} in its send")


def _check_outbox_against_retention(root: Place) -> None:
    """Warn where the outbox would keep events that retention drops before."""
    most_s = _seconds(root.child("retention", "events"), otherwise=_RETENTION_S)
    for key in ("max_age", "keep"):
        place = root.child("outbox", key)
        if place and _seconds(place, otherwise=0.0) > most_s:
            place.warn("longer than retention.events", f"{spelled_duration(most_s)} is in force")


def _seconds(place: Place | None, *, otherwise: float) -> float:
    try:
        return _AGE.parse(place.text()) if place else otherwise
    except (Refusal, Spoilt):
        return otherwise  # reported where it was read


CONFIG = Table(
    _config,
    (
        Field(name="site", kind=IDENTIFIER, required=True, doc="the mahalla: a-z, 0-9 and -"),
        Field(name="box", kind=IDENTIFIER, required=True, doc="this box: a-z, 0-9 and -"),
        Field(
            name="cameras",
            kind=CAMERAS,
            required=True,
            missing="no cameras",
            doc="at least one, with role and source",
        ),
        Field(
            name="brokers",
            kind=BROKERS,
            required=True,
            missing="no brokers",
            doc="at least one, with url",
        ),
        Field(
            name="hotlists",
            kind=MapOf(IDENTIFIER, _HOTLIST, named="name"),
            doc="lists of sought plates",
        ),
        Field(name="infer", kind=_INFER, doc="how models run"),
        Field(name="models", kind=_MODELS, doc="where newer models come from"),
        Field(name="outbox", kind=_OUTBOX, doc="events that wait"),
        Field(
            name="evidence",
            kind=_EVIDENCE,
            doc="pictures kept for those who may ask",
        ),
        Field(name="privacy", kind=_PRIVACY, doc="what leaves of plates"),
        Field(
            name="retention", into="retention_s", kind=_RETENTION, doc="how long anything is kept"
        ),
        Field(name="link", kind=_LINK, doc="what the line may cost"),
        Field(name="timezone", kind=TIMEZONE, doc="an IANA name: Asia/Samarkand"),
    ),
    _check_whole,
)
"""The whole file. `mahalla schema config` is its JSON Schema."""
