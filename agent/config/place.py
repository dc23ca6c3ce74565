"""A node of the document together with its path: where values are read and problems reported."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import yaml

from agent.config.document import REPORTED_TAG
from agent.config.problems import Problem, Refusal, Spoilt, quoted
from agent.config.slips import lacks_space

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class Kind(Protocol[T_co]):
    """What a value must be: reads it, and describes it as JSON Schema."""

    def read(self, place: Place) -> T_co:
        """The value at `place`; raises Refusal, or Spoilt when all is reported already."""
        ...

    def json_schema(self) -> dict[str, Any]: ...


@dataclass(slots=True, kw_only=True)
class Reading:
    """One pass over one file: what paths in it are relative to, and what was found wrong."""

    file: str
    folder: Path
    credentials: Path | None
    problems: list[Problem] = field(default_factory=list)
    failures: int = 0
    """How often something was refused, or spoilt by what was refused inside it."""

    def report(self, line: int, column: int, refusal: Refusal, file: str = "") -> None:
        self._add(file or self.file, line, column, "", refusal, "error")

    def add(self, mark: yaml.Mark, path: str, why: Refusal, severity: str) -> None:
        """Report a problem at a place in the text, which knows its file."""
        self._add(mark.name, mark.line + 1, mark.column + 1, path, why, severity)

    def _add(
        self, file: str, line: int, column: int, path: str, why: Refusal, severity: str
    ) -> None:
        problem = Problem(
            file=file,
            line=line,
            column=column,
            path=path,
            what=why.what,
            allowed=why.allowed,
            hint=why.hint,
            severity=severity,
        )
        self.problems.append(problem)
        self.failures += severity == "error"


@dataclass(frozen=True, slots=True)
class Place:
    """A node, its path, and the pass it is read in."""

    reading: Reading
    node: yaml.Node
    path: str = ""
    key: yaml.Node | None = None
    """The key before the node, where it has one."""

    def refuse(self, refusal: Refusal, severity: str = "error") -> None:
        """Report a problem with the value here."""
        mark = (self.key if self.key and self.is_null else self.node).start_mark
        self.reading.add(mark, self.path, refusal, severity)

    def refuse_key(self, refusal: Refusal, severity: str = "error") -> None:
        """Report a problem with the key here, or with what is missing under it."""
        mark = (self.key or self.node).start_mark
        self.reading.add(mark, self.path, refusal, severity)

    def warn(self, what: str, allowed: str = "") -> None:
        self.refuse(Refusal(what, allowed), "warning")

    def attempt(self, kind: Kind[T]) -> tuple[T, ...]:
        """The value in a tuple of one; none where it was refused, which is then reported."""
        try:
            return (kind.read(self),)
        except Refusal as refusal:
            self.refuse(refusal)
        except Spoilt:
            self.reading.failures += 1
        return ()

    @property
    def is_null(self) -> bool:
        node = self.node
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return plain and node.value in _NULLS and not self.is_reported

    @property
    def is_reported(self) -> bool:
        """The document itself is at fault here, and that is reported already."""
        return bool(self.node.tag == REPORTED_TAG)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def is_single(self) -> bool:
        return isinstance(self.node, yaml.ScalarNode) and not self.is_null

    def text(self) -> str:
        """The text of a single value, whatever YAML would take it for."""
        if self.is_reported:
            raise Spoilt
        if not isinstance(self.node, yaml.ScalarNode):
            raise Refusal(f"is a {self._shape}", "a single value")
        if self.is_null:
            raise Refusal("is empty")
        text = self.node.value.strip()
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
            raise Refusal("has a tab" if "\t" in text else "has an unprintable character")
        return str(text)

    def items(self) -> list[Place]:
        """The items of a list."""
        if self.is_reported:
            raise Spoilt
        if not isinstance(self.node, yaml.SequenceNode):
            raise Refusal(f"is a {self._shape}", "a list: [one, two]")
        return [self._item(number, node) for number, node in enumerate(self.node.value)]

    def entries(self) -> dict[str, Place]:
        """The values of a mapping by their keys; keys that are no plain word are reported."""
        if self.is_reported:
            raise Spoilt
        if self.is_null:
            return {}
        if not isinstance(self.node, yaml.MappingNode):
            hint = lacks_space(self.node.value) if self.is_single else ""
            raise Refusal(f"is a {self._shape}", "a mapping: {key: value}", hint)
        found: dict[str, Place] = {}
        for key, place in self._pairs():
            if not isinstance(key, yaml.ScalarNode):
                place.refuse_key(Refusal("a key that is a list or a mapping", "a single word"))
            elif key.value in found:
                line = found[key.value].key_line
                place.refuse_key(Refusal("the same key twice", f"the first is in line {line}"))
            elif key.tag != REPORTED_TAG:
                found[key.value] = place
        return found

    def children(self) -> Mapping[str, Place]:
        """The values of a mapping without any complaint: for checks across places."""
        if not isinstance(self.node, yaml.MappingNode):
            return {}
        return {k.value: p for k, p in self._pairs() if isinstance(k, yaml.ScalarNode)}

    def child(self, *names: str) -> Place | None:
        """The value under these keys, one inside the other, without any complaint."""
        place: Place | None = self
        for name in names:
            place = place.children().get(name) if place else None
        return place

    def texts(self) -> Iterator[tuple[str, Place]]:
        """The single value here, or the single values of the list here, without any complaint."""
        many = self.items() if self.is_list else [self]
        for place in many:
            if place.is_single:
                yield place.node.value.strip(), place

    @property
    def key_line(self) -> int:
        return int((self.key or self.node).start_mark.line) + 1

    @property
    def _shape(self) -> str:
        if isinstance(self.node, yaml.SequenceNode):
            return "list"
        if isinstance(self.node, yaml.MappingNode):
            return "mapping"
        return "single value"

    def _pairs(self) -> Iterator[tuple[yaml.Node, Place]]:
        for key, node in self.node.value:
            name = _shown(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            path = f"{self.path}.{name}" if self.path else name
            yield key, replace(self, node=node, path=path, key=key)

    def _item(self, number: int, node: yaml.Node) -> Place:
        return replace(self, node=node, path=f"{self.path}[{number}]", key=None)


def _shown(name: str) -> str:
    """A key inside a path: on one line, short, and without what a lost space made part of it."""
    key = name.partition(":")[0]
    clean = "".join(c if c.isprintable() else "?" for c in key)
    return quoted(clean)[1:-1]
