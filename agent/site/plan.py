"""`site.yaml`: the boxes, brokers and people of one mahalla."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.config.brokers import TOPIC
from agent.config.document import SIZE_LIMIT_BYTES, compose
from agent.config.letters import look_alike
from agent.config.place import Place, Reading
from agent.config.problems import InvalidConfig, Problem, Refusal, quoted
from agent.config.tables import Field, MapOf, OneOrMany, Scalar, Table
from agent.config.values import IDENTIFIER, choice, number
from agent.errors import ConfigError
from agent.topics import COMMANDS

WANT = "want"
"""The right to say what is wanted of boxes, beside the right to give commands."""

_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*")
_LIFE_DAYS = 1825.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """A broker as the boxes reach it."""

    hosts: tuple[str, ...] = ()
    topic: str | None = None  # template of events; None: the sm/1 tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """An account at the office's broker: somebody, or a service."""

    name: str
    may: tuple[str, ...] = ()  # commands, or WANT


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What one `site.yaml` says."""

    site: str
    authority: Path
    office: Broker
    boxes: Mapping[str, Mapping[str, Any]]
    people: Mapping[str, Person]
    city: Broker | None = None
    life_days: int = round(_LIFE_DAYS)

    def names(self) -> dict[str, str]:
        """By box: what its certificate, its account and its client id are called."""
        return {box: f"{self.site}_{box}" for box in self.boxes}

    def brokers(self) -> dict[str, Broker]:
        """By the name of its certificate: each broker that is to have one from us."""
        all_of_them = {"office": self.office, "city": self.city}
        return {
            broker_name(self.site, kind): broker
            for kind, broker in all_of_them.items()
            if broker is not None and broker.hosts
        }


def broker_name(site: str, kind: str) -> str:
    """How the certificate of a broker is called; never as that of a box, which has a _."""
    return f"{site}.{kind}"


def load(path: Path) -> tuple[Site, list[Problem]]:
    """The site and what is to be warned of; InvalidConfig with all that is wrong."""
    reading = Reading(file=str(path), folder=path.absolute().parent, credentials=None)
    root = compose(_bytes(path), reading.report, reading.file)
    if root is None and not reading.failures:
        reading.report(1, 1, Refusal("the file is empty", "site, authority, office and boxes"))
    made = () if root is None else Place(reading, root).attempt(_SITE)
    problems = sorted(reading.problems, key=lambda problem: (problem.line, problem.column))
    if not made or reading.failures:
        raise InvalidConfig(problems)
    return made[0], problems


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


def _host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    if not _HOST.fullmatch(text):
        allowed = "a name like office.lan or an address like 10.0.0.2"
        raise Refusal(f"{quoted(text)} is no host", allowed, look_alike(text))
    return text.lower()


@dataclass(frozen=True, slots=True)
class _Folder:
    """A path relative to the file; becomes absolute."""

    def read(self, place: Place) -> Path:
        return Path(os.path.normpath(place.reading.folder / place.text()))

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


def _site(
    *, people: Mapping[str, Person] | None = None, life: float = _LIFE_DAYS, **rest: Any
) -> Site:
    return Site(people=people or {}, life_days=round(life), **rest)


def _check_site(place: Place) -> None:
    """The verbs of `mahalla site` name boxes and brokers by one word each."""
    for kind in ("office", "city"):
        box = place.child("boxes", kind)
        if box:
            box.refuse_key(Refusal(f"{kind} is what a broker is called", "another name"))


_HOSTS = OneOrMany(Scalar(_host, {"type": "string"}))
_PEOPLE = MapOf(
    IDENTIFIER,
    Table(
        Person,
        (
            Field(
                name="may",
                kind=OneOrMany(choice(*COMMANDS, WANT)),
                doc="commands that this account may give; none when left out",
            ),
        ),
    ),
    named="name",
)

_SITE = Table(
    _site,
    (
        Field(name="site", kind=IDENTIFIER, required=True, doc="the mahalla: a-z, 0-9 and -"),
        Field(name="authority", kind=_Folder(), required=True, doc="folder of who signs"),
        Field(
            name="office",
            kind=Table(
                Broker,
                (Field(name="hosts", kind=_HOSTS, required=True, doc="how boxes reach it"),),
            ),
            required=True,
            doc="the inspector's broker: hosts",
        ),
        Field(
            name="city",
            kind=Table(
                Broker,
                (
                    Field(name="hosts", kind=_HOSTS, doc="only where we sign its certificate"),
                    Field(name="topic", kind=TOPIC, doc="template of events, as in agent.yaml"),
                ),
            ),
            doc="the city platform's broker",
        ),
        Field(
            name="boxes",
            kind=MapOf(IDENTIFIER, Table(dict, ()), nothing="no boxes"),
            required=True,
            doc="each box by its name",
        ),
        Field(name="people", kind=_PEOPLE, doc="accounts at the office, with what they may ask"),
        Field(
            name="life_days",
            into="life",
            kind=number(1, 7300),
            doc="how long a certificate of a box is good for: 1825",
        ),
    ),
    _check_site,
)
