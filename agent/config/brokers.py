"""The `brokers` section."""

from __future__ import annotations

import ipaddress
import re
import ssl
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from agent.config.certificates import dates_trouble, pair_trouble
from agent.config.files import NamedFile, holds_certificate, holds_key
from agent.config.model import BrokerConfig
from agent.config.place import Place
from agent.config.problems import BROKER_LOGIN, INLINE, Refusal, meant, nearest, one_of, quoted
from agent.config.sending import STATE_CHANNELS
from agent.config.sources import split_url
from agent.config.tables import Field, MapOf, OneOrMany, Scalar, Table
from agent.config.values import IDENTIFIER, choice
from agent.kinds import KINDS_OF_EVENTS
from agent.topics import COMMANDS, OBEYED

DEFAULT_PORTS = {"mqtts": 8883, "mqtt": 1883}

_GROUPS = tuple(dict.fromkeys(f"{kind.partition('.')[0]}.*" for kind in KINDS_OF_EVENTS))
SENDABLE = ("all", *KINDS_OF_EVENTS, *_GROUPS, *sorted(STATE_CHANNELS))

PLACEHOLDERS = ("{site}", "{box}", "{camera}", "{kind}")
_TOPIC_LIMIT_CHARS = 128
_LITERAL = re.compile(r"[A-Za-z0-9_-]+")

_RENEW_AHEAD_MS = 14 * 86_400_000

_PUBLIC_CA = "/etc/ssl/certs/ca-certificates.crt will do for a broker with a public certificate"

_ADDRESS = "mqtts://HOST[:PORT]"


def _url(text: str) -> str:
    scheme, slashes, rest = text.partition("://")
    if "@" in rest:
        raise Refusal(INLINE, BROKER_LOGIN)
    if not slashes or scheme not in DEFAULT_PORTS:
        hint = meant("mqtts://…") if slashes or re.match(r"[A-Za-z0-9.-]+(:\d+)?$", text) else ""
        raise Refusal(f"{quoted(text)} is no broker address", _ADDRESS, hint)
    url, port = split_url(text)
    if url.path.strip("/") or url.query or url.fragment:
        raise Refusal("an address of a broker has no path", f"{_ADDRESS} and nothing after it")
    host = url.hostname or ""
    if scheme == "mqtt" and not is_loopback(host):
        hint = meant(f"mqtts://{host}")
        raise Refusal("mqtt:// is not encrypted", "mqtt:// to this box itself only", hint)
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port or DEFAULT_PORTS[scheme]}"


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine itself, by name or number."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


URL = Scalar(_url, {"type": "string", "pattern": "^mqtts?://[^/@]+$"})


def _sendable(text: str) -> str:
    if text in SENDABLE:
        return text
    hint = meant("all") if text in ("*", "any", "everything") else nearest(text, SENDABLE)
    allowed = "all, kinds like vehicle.line, groups like camera.*, status, health, about"
    raise Refusal(f"{quoted(text)} is no kind of event", allowed, hint)


def _topic(text: str) -> str:
    """A template for the topics of events, in levels."""
    if len(text) > _TOPIC_LIMIT_CHARS:
        raise Refusal(f"the topic has {len(text)} characters", f"at most {_TOPIC_LIMIT_CHARS}")
    if text.startswith("$"):
        raise Refusal("the topic begins with $", "topics under $ belong to the broker")
    levels = text.split("/")
    if "" in levels:
        raise Refusal("the topic has an empty level", "no / at the ends, no //")
    for level in levels:
        _check_level(level)
    if ("{site}", "{box}") not in pairwise(levels):
        allowed = "{site}/{box} side by side, so that the broker can tell boxes apart"
        raise Refusal("the topic lacks {site}/{box}", allowed)
    return text


TOPIC = Scalar(_topic, {"type": "string", "pattern": r"\{site\}/\{box\}"})


def _check_level(level: str) -> None:
    for part in re.split(r"(\{[^{}]*\})", level):
        if part.startswith("{") and part not in PLACEHOLDERS:
            hint = nearest(part, PLACEHOLDERS)
            raise Refusal(f"{quoted(part)} is no placeholder", one_of(PLACEHOLDERS), hint)
        if part and not part.startswith("{") and not _LITERAL.fullmatch(part):
            allowed = "letters, digits, _ and - between slashes, and {placeholders}"
            raise Refusal(f"{quoted(part)} cannot be in a topic", allowed)


@dataclass(frozen=True, slots=True)
class _Protocol:
    """5 or 3.1.1."""

    def read(self, place: Place) -> str:
        text = place.text()
        if text not in ("5", "3.1.1"):
            hint = {"5.0": "5", "3.1": "3.1.1", "3": "3.1.1", "4": "3.1.1", "v5": "5"}.get(text)
            allowed = one_of(("5", "3.1.1"))
            raise Refusal(f"{quoted(text)} is not known", allowed, meant(hint) if hint else "")
        return text

    def json_schema(self) -> dict[str, Any]:
        return {"enum": [5, "5", "3.1.1"]}


def _broker(
    *, commands: tuple[str, ...] = (), receipt: str = "puback", **rest: Any
) -> BrokerConfig:
    if receipt == "seen" and "seen" not in commands:
        commands = (*commands, "seen")
    return BrokerConfig(commands=commands, receipt=receipt, **rest)


_CERT = NamedFile(content=holds_certificate)
_KEY = NamedFile(content=holds_key, private=True)


def _check_certificate(broker: Place) -> None:
    """Refuse a key of another certificate; warn of one that is, or soon will be, out of date."""
    at_cert, at_key = broker.child("cert"), broker.child("key")
    cert, key = _CERT.sound(at_cert), _KEY.sound(at_key)
    if not at_cert or not cert:
        return
    try:
        if at_key and key and pair_trouble(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert, key):
            at_key.refuse(Refusal("does not fit the certificate in cert", "renew them together"))
        trouble = dates_trouble(cert, round(time.time() * 1000), _RENEW_AHEAD_MS)
    except (OSError, ValueError, IndexError):
        return  # no certificate at all, so that no key fits it, or gone this moment
    if trouble:
        at_cert.warn(f"the certificate {trouble}")


def _check_broker(broker: Place) -> None:
    said = {key: [text for text, _ in place.texts()] for key, place in broker.children().items()}
    encrypted = any(url.startswith("mqtts://") for url in said.get("url", ()))
    if encrypted and not said.get("ca"):
        allowed = "the certificate that vouches for the broker"
        broker.refuse_key(Refusal("ca is missing", allowed, _PUBLIC_CA))
    for one, other in (("cert", "key"), ("key", "cert")):
        if said.get(one) and not said.get(other):
            broker.refuse_key(Refusal(f"{other} is missing", f"{one} and {other} go together"))
    _check_certificate(broker)
    receipt = (said.get("receipt") or ["puback"])[0]
    if said.get("protocol") == ["3.1.1"] and receipt == "puback":
        what = "a PUBACK of MQTT 3.1.1 carries no reason"
        broker.children()["protocol"].warn(what, "what the broker refuses counts as delivered")
    commands = broker.child("commands")
    for text, place in commands.texts() if commands else ():
        if text in COMMANDS and text not in OBEYED:
            place.warn(f"{text} is not active in this version")
    if said.get("encoding") == ["cbor"]:
        broker.children()["encoding"].warn("mahalla audit reads JSON only", "json")


BROKER = Table(
    _broker,
    (
        Field(
            name="url",
            into="urls",
            kind=OneOrMany(URL),
            required=True,
            doc=f"{_ADDRESS}, or a list: the next one is tried when one is away",
        ),
        Field(name="protocol", kind=_Protocol(), doc="MQTT version, 5 or 3.1.1; 5 when left out"),
        Field(
            name="ca",
            kind=NamedFile(content=holds_certificate),
            doc="certificate that vouches for the broker",
        ),
        Field(
            name="cert",
            kind=_CERT,
            doc="certificate of this box",
        ),
        Field(
            name="key",
            kind=_KEY,
            doc="private key of this box, file of mode 0600",
        ),
        Field(
            name="send",
            kind=OneOrMany(Scalar(_sendable, {"enum": list(SENDABLE)})),
            doc="what goes to this broker; all when left out",
        ),
        Field(
            name="topic",
            kind=TOPIC,
            doc="template for the topics of events; left out: sm/1/…",
        ),
        Field(name="encoding", kind=choice("json", "cbor"), doc="json when left out"),
        Field(
            name="receipt",
            kind=choice("puback", "seen"),
            doc="who says that it is delivered: the broker (puback) or the recorder (seen)",
        ),
        Field(
            name="commands",
            kind=OneOrMany(choice(*COMMANDS)),
            doc="what people behind this broker may ask of the box; none when left out",
        ),
    ),
    _check_broker,
)

BROKERS = MapOf(IDENTIFIER, BROKER, named="broker_id", nothing="no brokers")


def check_one_broker_an_address(root: Place) -> None:
    """One address under two names would send everything twice."""
    first_user: dict[str, str] = {}
    brokers = root.child("brokers")
    for broker_id, broker in (brokers.children() if brokers else {}).items():
        place = broker.child("url")
        for text, at in place.texts() if place else ():
            try:
                user = first_user.setdefault(_url(text), broker_id)
            except Refusal:
                continue  # reported where it was read
            if user != broker_id:
                at.refuse(Refusal(f"broker {user} has the same address", "one broker each"))
