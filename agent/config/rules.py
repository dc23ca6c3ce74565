"""The rules that a camera may have: their parameters, who switches them on, and reading them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from agent.config.place import Kind, Place
from agent.config.problems import Refusal, Spoilt, meant, nearest, one_of, quoted
from agent.config.tables import Field, Scalar, Table
from agent.config.values import DAY_S, HOUR_S, IDENTIFIER, duration, whole

ROLES = ("face", "traffic", "plate")

_EVERY = frozenset(ROLES)
_FACES = frozenset({"face"})
_STREET = frozenset({"traffic", "plate"})
_PLATES = frozenset({"plate"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One number of a rule: seconds where written as a duration, else a count."""

    kind: Scalar[Any]
    doc: str
    default: float | None = None
    """None: it has to be given, or the rule does without."""
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSpec:
    """One rule: the roles whose cameras can feed it, and its parameters by name."""

    roles: frozenset[str]
    doc: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    active: bool = True
    """It runs in this version; otherwise it is checked, and a warning says so."""


def _period(default_s: float) -> Mapping[str, Parameter]:
    kind = duration(10.0, HOUR_S)
    return {"per": Parameter(kind=kind, default=default_s, doc="one total in every such period")}


def _lasting(*, required: bool = False) -> Parameter:
    return Parameter(kind=duration(1.0, DAY_S), doc="how long it has to last", required=required)


RULES: Mapping[str, RuleSpec] = MappingProxyType(
    {
        "face.present": RuleSpec(
            roles=_FACES,
            doc="faces are in view",
            parameters={
                "for": Parameter(
                    kind=duration(0.0, 60.0), default=0.5, doc="seen this long before it starts"
                ),
                "gap": Parameter(
                    kind=duration(0.5, HOUR_S), default=2.0, doc="unseen this long before it ends"
                ),
            },
        ),
        "face.count": RuleSpec(
            roles=_FACES, doc="faces that came into view", parameters=_period(60.0)
        ),
        "person.line": RuleSpec(roles=_STREET, doc="a person crosses a line"),
        "person.crowd": RuleSpec(
            roles=_STREET,
            doc="many persons together",
            parameters={
                "at": Parameter(kind=whole(2, 500), doc="so many persons", required=True),
                "for": _lasting(),
            },
            active=False,
        ),
        "person.loiter": RuleSpec(
            roles=_STREET,
            doc="a person stays in a zone",
            parameters={"for": _lasting(required=True)},
            active=False,
        ),
        "person.after-hours": RuleSpec(
            roles=_STREET,
            doc="a person outside the hours",
            parameters={"hours": Parameter(kind=IDENTIFIER, doc="a name under the camera's hours")},
            active=False,
        ),
        "vehicle.line": RuleSpec(roles=_STREET, doc="a vehicle crosses a line"),
        "vehicle.count": RuleSpec(
            roles=_STREET, doc="vehicles that passed", parameters=_period(60.0)
        ),
        "vehicle.stopped": RuleSpec(
            roles=_STREET,
            doc="a vehicle stands in a zone",
            parameters={"for": _lasting(required=True)},
            active=False,
        ),
        "vehicle.wrong-way": RuleSpec(
            roles=_STREET, doc="a vehicle goes against a line's direction", active=False
        ),
        "plate.hit": RuleSpec(roles=_PLATES, doc="a plate is on a hotlist"),
        "plate.seen": RuleSpec(
            roles=_PLATES, doc="a plate is on no list; with privacy.plates: pseudonym only"
        ),
        "plate.unread": RuleSpec(roles=_PLATES, doc="a plate could not be read"),
        "camera.lost": RuleSpec(
            roles=_EVERY,
            doc="no pictures from the camera",
            parameters={
                "after": Parameter(
                    kind=duration(2.0, HOUR_S), default=10.0, doc="without a picture for so long"
                )
            },
        ),
    }
)

_ALWAYS = ("camera.lost",)
_FACE_RULES = ("face.present", "face.count")
_STREET_RULES = ("vehicle.line", "person.line", "vehicle.count")

_PLATE_RULES = ("plate.hit", "plate.seen", "plate.unread")

_QUIET = {
    "face": _FACE_RULES,
    "traffic": _STREET_RULES,
    "plate": (*_PLATE_RULES, *_STREET_RULES),
}
# Where somebody is always in view, a presence that never ends says nothing.
_BUSY = _QUIET | {"face": ("face.count",)}

PRESETS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "entrance": _QUIET,
        "bus-stop": _QUIET,
        "school": _QUIET,
        "market": _BUSY,
        "station": _BUSY,
        "street": _QUIET,
    }
)
"""Preset -> role -> the rules it switches on, besides `camera.lost`."""


def rules_in_force(
    *, preset: str, roles: Iterable[str], overrides: Mapping[str, Mapping[str, float] | None]
) -> Mapping[str, Mapping[str, float]]:
    """Rule -> parameter -> value, from the preset and what the camera says otherwise.

    An override of None switches its rule off; rules of later versions are left out.
    """
    kinds = [*_ALWAYS, *(kind for role in roles for kind in PRESETS[preset][role]), *overrides]
    return MappingProxyType(
        {
            kind: MappingProxyType(_defaults(kind) | dict(overrides.get(kind) or {}))
            for kind in dict.fromkeys(kinds)
            if RULES[kind].active and overrides.get(kind, {}) is not None
        }
    )


def _defaults(kind: str) -> dict[str, float]:
    parameters = RULES[kind].parameters.items()
    return {name: rule.default for name, rule in parameters if rule.default is not None}


def _gathered(**values: float) -> Mapping[str, float]:
    return MappingProxyType(values)


def _rule_table(spec: RuleSpec) -> Table[Mapping[str, float]]:
    fields = (
        Field(name=name, kind=rule.kind, doc=rule.doc, required=rule.required)
        for name, rule in spec.parameters.items()
    )
    return Table(_gathered, tuple(fields))


@dataclass(frozen=True, slots=True)
class _Rule:
    """The parameters of one rule, or `off`."""

    spec: RuleSpec

    def read(self, place: Place) -> Mapping[str, float] | None:
        if place.is_single:
            if place.text() == "off":
                return None
            what = f"{quoted(place.text())} is no rule"
            raise Refusal(what, "off, or parameters: {for: 20s}", meant("off"))
        if not self.spec.active:
            place.refuse_key(Refusal("not active in this version"), "warning")
        return _rule_table(self.spec).read(place)

    def json_schema(self) -> dict[str, Any]:
        return {"anyOf": [{"enum": ["off", None]}, _rule_table(self.spec).json_schema()]}


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The `rules` of a camera: rule -> parameters, or None where it is switched off."""

    def read(self, place: Place) -> Mapping[str, Mapping[str, float] | None]:
        before = place.reading.failures
        values: dict[str, Mapping[str, float] | None] = {}
        for name, entry in place.entries().items():
            if name in RULES:
                kind: Kind[Mapping[str, float] | None] = _Rule(RULES[name])
                for value in entry.attempt(kind):
                    values[name] = value
            else:
                entry.refuse_key(Refusal("unknown rule", one_of(RULES), nearest(name, RULES)))
        if place.reading.failures != before:
            raise Spoilt
        return values

    def json_schema(self) -> dict[str, Any]:
        properties = {
            name: {"description": spec.doc} | _Rule(spec).json_schema()
            for name, spec in RULES.items()
        }
        return {"type": "object", "properties": properties, "additionalProperties": False}


def warn_of_idle_lines(camera: Place, roles: frozenset[str]) -> None:
    """Warn of lines where none of the camera's roles sees what crosses them."""
    lines, street = camera.child("lines"), RULES["vehicle.line"].roles
    if lines and lines.children() and roles and not roles & street:
        needed = f"lines need role {_any_of(street)}"
        lines.refuse_key(Refusal("nothing crosses on this camera", needed), "warning")


def warn_of_idle_rules(camera: Place, roles: frozenset[str]) -> None:
    """Warn of each rule that none of the camera's roles can feed."""
    rules = camera.child("rules")
    for name, entry in (rules.children() if rules else {}).items():
        if name in RULES and roles and not roles & RULES[name].roles:
            needed = f"it needs role {_any_of(RULES[name].roles)}"
            entry.refuse_key(Refusal("never happens on this camera", needed), "warning")


def _any_of(roles: frozenset[str]) -> str:
    return " or ".join(role for role in ROLES if role in roles)
