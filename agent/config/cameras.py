"""The `cameras` section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from agent.config.files import NamedFile, holds_login
from agent.config.hours import HOURS
from agent.config.model import CameraConfig, LineConfig, Point
from agent.config.place import Place
from agent.config.problems import Refusal, Spoilt, nearest, one_of
from agent.config.rules import (
    PRESETS,
    ROLES,
    RuleBook,
    rules_in_force,
    warn_of_idle_lines,
    warn_of_idle_rules,
)
from agent.config.sources import Source, canonical
from agent.config.tables import Checked, Field, ListOf, MapOf, OneOrMany, Table, counted
from agent.config.values import IDENTIFIER, LANGUAGE, choice, number, words
from agent.geometry import polygon_area, polygon_crosses_itself

COUNTED = ("person", "bicycle", "car", "bus", "truck", "motorcycle", "vehicle")
"""What a line may count."""

_SMALLEST_AREA = 1e-6
_MOST_CORNERS = 64


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two numbers of one range each."""

    first: tuple[float, float]
    second: tuple[float, float]

    def read(self, place: Place) -> Point:
        items = place.items()
        if len(items) != 2:
            raise Refusal(counted(items), "exactly 2 numbers: [x, y]")
        x = items[0].attempt(number(*self.first))
        y = items[1].attempt(number(*self.second))
        if not x or not y:
            raise Spoilt
        return x[0], y[0]

    def json_schema(self) -> dict[str, Any]:
        sides = [number(*self.first).json_schema(), number(*self.second).json_schema()]
        return {"type": "array", "prefixItems": sides, "items": False, "minItems": 2}


_POINT = _Pair((0.0, 1.0), (0.0, 1.0))
_PLACE_ON_EARTH = _Pair((-90.0, 90.0), (-180.0, 180.0))


def _simple_polygon(points: tuple[Point, ...]) -> None:
    if polygon_crosses_itself(points):
        raise Refusal("the outline crosses itself", "corners in their order around the zone")
    if polygon_area(points) < _SMALLEST_AREA:
        raise Refusal("the zone has no area", "at least 3 corners that are not on one line")


def _two_ends(line: LineConfig) -> None:
    if line.start == line.end:
        raise Refusal("from and to are the same point", "a line has two ends")


_LINE = Table(
    LineConfig,
    (
        Field(
            name="from",
            into="start",
            kind=_POINT,
            required=True,
            doc="[x, y] in fractions of the picture",
        ),
        Field(
            name="to",
            into="end",
            kind=_POINT,
            required=True,
            doc="[x, y] in fractions of the picture",
        ),
        Field(
            name="counts",
            kind=OneOrMany(choice(*COUNTED)),
            required=True,
            doc=f"what is counted: {', '.join(COUNTED)}",
        ),
    ),
)


def _camera(
    *,
    roles: tuple[str, ...],
    rules: Mapping[str, Mapping[str, float] | None] = MappingProxyType({}),
    preset: str = "street",
    **rest: Any,
) -> CameraConfig:
    in_force = rules_in_force(preset=preset, roles=roles, overrides=rules)
    return CameraConfig(roles=roles, preset=preset, rules=in_force, **rest)


def _check_camera(camera: Place) -> None:
    role = camera.child("role")
    roles = frozenset(text for text, _ in role.texts()) if role else frozenset()
    roles &= frozenset(ROLES)
    warn_of_idle_rules(camera, roles)
    warn_of_idle_lines(camera, roles)
    zones = camera.child("zones")
    if zones and not zones.is_null and roles and "plate" not in roles:
        zones.refuse_key(Refusal("not active in this version", "of plates only"), "warning")
    _check_hours_of_rules(camera)
    source, detect = camera.child("source"), camera.child("detect_source")
    if source and detect and list(_texts(source)) == list(_texts(detect)):
        detect.refuse(Refusal("is the same as source", "another stream, or leave it out"))


def _texts(place: Place) -> list[str]:
    return [text for text, _ in place.texts()]


def _check_hours_of_rules(camera: Place) -> None:
    """A rule may name hours of its own camera only."""
    rules, hours = camera.child("rules"), camera.child("hours")
    known = list(hours.children()) if hours else []
    for rule in (rules.children() if rules else {}).values():
        named = rule.child("hours")
        for text, place in named.texts() if named else ():
            if text not in known:
                what = "no such hours under this camera"
                place.refuse(Refusal(what, one_of(known) if known else "", nearest(text, known)))


CAMERA = Table(
    _camera,
    (
        Field(
            name="role",
            into="roles",
            kind=OneOrMany(choice(*ROLES)),
            required=True,
            doc=f"one or several of {', '.join(ROLES)}",
        ),
        Field(name="source", kind=Source(), required=True, doc="where its pictures come from"),
        Field(name="detect_source", kind=Source(), doc="a stream of lower resolution to detect in"),
        Field(
            name="auth",
            kind=NamedFile(content=holds_login, private=True),
            doc="file of mode 0600 with user:password",
        ),
        Field(name="preset", kind=choice(*PRESETS), doc="the rules to begin with"),
        Field(name="name", kind=MapOf(LANGUAGE, words(80)), doc="what people call it, by language"),
        Field(name="at", kind=_PLACE_ON_EARTH, doc="[latitude, longitude] in degrees"),
        Field(
            name="zones",
            kind=MapOf(
                IDENTIFIER, Checked(ListOf(_POINT, least=3, most=_MOST_CORNERS), _simple_polygon)
            ),
            doc="areas of the picture: corners [x, y] in fractions of it",
        ),
        Field(
            name="lines",
            kind=MapOf(IDENTIFIER, Checked(_LINE, _two_ends)),
            doc="lines that things cross",
        ),
        Field(
            name="hours",
            kind=MapOf(IDENTIFIER, HOURS),
            doc="named spans of the week",
            active=False,
        ),
        Field(
            name="pace",
            into="most_fps",
            kind=number(1, 10),
            doc="looks a second at most, 1 to 10; left out: 10 where something moves",
        ),
        Field(name="rules", kind=RuleBook(), doc="what differs from the preset; off drops a rule"),
    ),
    _check_camera,
)

CAMERAS = MapOf(IDENTIFIER, CAMERA, named="camera_id", nothing="no cameras")


def check_one_camera_a_source(root: Place) -> None:
    """Two cameras must not read one source: it would be counted twice."""
    first_user: dict[str, str] = {}
    cameras = root.child("cameras")
    for camera_id, camera in (cameras.children() if cameras else {}).items():
        for key in ("source", "detect_source"):
            place = camera.child(key)
            for text, at in place.texts() if place else ():
                user = first_user.setdefault(canonical(text), camera_id)
                if user != camera_id:
                    at.refuse(Refusal(f"camera {user} reads the same source", "one camera each"))
