"""Kinds made of other kinds: tables of named fields, lists, mappings.

A section of the file is one table; reading it and its JSON Schema come from the same rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from agent.config.place import Kind, Place
from agent.config.problems import (
    BROKER_LOGIN,
    INLINE,
    LOGIN_FILE,
    Refusal,
    Spoilt,
    nearest,
    one_of,
    quoted,
)
from agent.config.slips import lacks_space

T = TypeVar("T")

_SECRETS = frozenset({"password", "passwd", "pass", "pwd", "secret", "token", "user", "username"})


@dataclass(frozen=True, slots=True)
class Scalar(Generic[T]):
    """A single value: `parse` takes its text, or raises Refusal."""

    parse: Callable[[str], T]
    schema: Mapping[str, Any]

    def read(self, place: Place) -> T:
        return self.parse(place.text())

    def json_schema(self) -> dict[str, Any]:
        return dict(self.schema)


@dataclass(frozen=True, slots=True)
class ListOf(Generic[T]):
    """A list of things of one kind."""

    item: Kind[T]
    least: int = 0
    most: int | None = None

    def read(self, place: Place) -> tuple[T, ...]:
        items = place.items()
        if not self.least <= len(items) <= (self.most or len(items)):
            raise Refusal(counted(items), self._size)
        before = place.reading.failures
        values = tuple(value for item in items for value in item.attempt(self.item))
        if place.reading.failures != before:
            raise Spoilt
        return values

    @property
    def _size(self) -> str:
        return (
            f"at least {self.least}" if self.most is None else f"{self.least} to {self.most} items"
        )

    def json_schema(self) -> dict[str, Any]:
        most = {} if self.most is None else {"maxItems": self.most}
        schema = {"type": "array", "items": self.item.json_schema(), "minItems": self.least}
        return schema | most


def counted(items: Sequence[object]) -> str:
    return f"has {len(items)} item{'' if len(items) == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class OneOrMany(Generic[T]):
    """One thing, or a list of different ones."""

    item: Kind[T]

    def read(self, place: Place) -> tuple[T, ...]:
        if not place.is_list:
            return (self.item.read(place),)
        values = ListOf(self.item, least=1).read(place)
        for number, item in enumerate(place.items()):
            if values[number] in values[:number]:
                item.refuse(Refusal(f"{quoted(item.text())} is listed twice"))
                raise Spoilt
        return values

    def json_schema(self) -> dict[str, Any]:
        one = self.item.json_schema()
        many = ListOf(self.item, least=1).json_schema() | {"uniqueItems": True}
        return {"anyOf": [one, many]}


@dataclass(frozen=True, slots=True)
class Checked(Generic[T]):
    """A kind with one more condition on the value, which raises Refusal."""

    inner: Kind[T]
    condition: Callable[[T], None]

    def read(self, place: Place) -> T:
        value = self.inner.read(place)
        self.condition(value)
        return value

    def json_schema(self) -> dict[str, Any]:
        return dict(self.inner.json_schema())


@dataclass(frozen=True, slots=True)
class MapOf(Generic[T]):
    """Things of one kind by name; where `named` is set the name becomes that field of the thing."""

    key: Scalar[str]
    value: Kind[T]
    named: str = ""
    nothing: str = ""
    """What to say when it is empty; nothing: it may be."""

    def read(self, place: Place) -> Mapping[str, T]:
        entries = place.entries()
        if not entries and self.nothing:
            place.refuse_key(Refusal(self.nothing))
            raise Spoilt
        before = place.reading.failures
        values: dict[str, T] = {}
        for name, entry in entries.items():
            try:
                self.key.parse(name)
            except Refusal as refusal:
                entry.refuse_key(refusal)
            for value in entry.attempt(self._kind(name)):
                values[name] = value
        if place.reading.failures != before:
            raise Spoilt
        return MappingProxyType(values)

    def _kind(self, name: str) -> Kind[T]:
        if self.named and isinstance(self.value, Table):
            return self.value.with_fixed(**{self.named: name})
        return self.value

    def json_schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {
            "type": "object",
            "propertyNames": self.key.json_schema(),
            "additionalProperties": self.value.json_schema(),
        }
        return schema | ({"minProperties": 1} if self.nothing else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key of a table. An optional key without a value counts as left out."""

    name: str
    kind: Kind[Any]
    doc: str
    into: str = ""
    """The parameter of the record; nothing: the key's own name."""
    required: bool = False
    missing: str = "is missing"
    active: bool = True
    """It does something in this version; otherwise it is checked, and a warning says so."""


@dataclass(frozen=True, slots=True)
class Table(Generic[T]):
    """A mapping with known keys that becomes one record; keys left out keep its defaults."""

    make: Callable[..., T]
    fields: tuple[Field, ...]
    check: Callable[[Place], None] = lambda place: None
    """Looks at several keys together; runs whether or not each of them is right."""
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def with_fixed(self, **fixed: Any) -> Table[T]:
        return Table(self.make, self.fields, self.check, fixed)

    def read(self, place: Place) -> T:
        before = place.reading.failures
        entries = place.entries()
        self._refuse_unknown(entries)
        values: dict[str, Any] = dict(self.fixed)
        for field in self.fields:
            for value in self._value(field, entries.get(field.name), place):
                values[field.into or field.name] = value
        self.check(place)
        if place.reading.failures != before:
            raise Spoilt
        return self.make(**values)

    def _value(self, field: Field, entry: Place | None, place: Place) -> tuple[Any, ...]:
        if entry is None or entry.is_null:
            if field.required:
                path = f"{place.path}.{field.name}" if place.path else field.name
                at = Place(place.reading, place.node, path, place.key) if entry is None else entry
                at.refuse_key(Refusal(field.missing, field.doc))
            return ()
        if not field.active:
            entry.refuse_key(Refusal("not active in this version"), "warning")
        return entry.attempt(field.kind)

    def _refuse_unknown(self, entries: Mapping[str, Place]) -> None:
        known = [field.name for field in self.fields]
        for name, entry in entries.items():
            if name in known or entry.is_reported:
                continue
            if name.partition(":")[0].lower() in _SECRETS:
                entry.refuse_key(Refusal(INLINE, _place_of_secrets(known)))
            else:
                allowed = one_of(known) if known else "nothing is allowed here"
                hint = lacks_space(name) or nearest(name, known)
                entry.refuse_key(Refusal("unknown key", allowed, hint))

    def json_schema(self) -> dict[str, Any]:
        properties = {f.name: {"description": f.doc} | _field_schema(f) for f in self.fields}
        required = [field.name for field in self.fields if field.required]
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }


def _field_schema(field: Field) -> dict[str, Any]:
    """The schema of its value; an optional one may be null."""
    schema = dict(field.kind.json_schema())
    if field.required:
        return schema
    if "anyOf" in schema:
        return schema | {"anyOf": [*schema["anyOf"], {"type": "null"}]}
    if "enum" in schema:
        return schema | {"enum": [*schema["enum"], None]}
    return schema | {"type": [schema["type"], "null"]}


def _place_of_secrets(known: list[str]) -> str:
    if "auth" in known:
        return LOGIN_FILE
    if "cert" in known:
        return BROKER_LOGIN
    return "no secret belongs here; those of cameras are files named in auth"
