"""Which rules a camera has: its preset, its roles, and what it says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config.load import check
from agent.config.rules import PRESETS, ROLES, RULES, rules_in_force
from agent.kinds import KINDS_OF_EVENTS

Write = Callable[[str], Path]

CAMERA = """\
site: alpomish
box: north-gate
cameras:
  gate-in: {{role: {role}, source: "picamera:0", preset: {preset}, rules: {rules}}}
brokers:
  office: {{url: mqtt://localhost}}
"""


@pytest.fixture
def rules(write: Write) -> Callable[..., tuple[dict[str, dict[str, float]], list[str]]]:
    def read(
        role: str, rules: str = "{}", preset: str = "street"
    ) -> tuple[dict[str, dict[str, float]], list[str]]:
        config, problems = check(write(CAMERA.format(role=role, rules=rules, preset=preset)))
        assert config is not None, problems
        found = config.cameras["gate-in"].rules
        return {kind: dict(values) for kind, values in found.items()}, [p.what for p in problems]

    return read


Read = Callable[..., tuple[dict[str, dict[str, float]], list[str]]]


def test_face_camera_has_the_rules_of_faces(rules: Read) -> None:
    assert rules("face") == (
        {
            "camera.lost": {"after": 10.0},
            "face.present": {"for": 0.5, "gap": 2.0},
            "face.count": {"per": 60.0},
        },
        [],
    )


def test_traffic_camera_has_the_rules_of_the_street(rules: Read) -> None:
    assert rules("traffic") == (
        {
            "camera.lost": {"after": 10.0},
            "vehicle.line": {},
            "person.line": {},
            "vehicle.count": {"per": 60.0},
        },
        [],
    )


def test_camera_of_two_roles_has_the_rules_of_both(rules: Read) -> None:
    found, _ = rules("[face, traffic]")
    assert set(found) == set(rules("face")[0]) | set(rules("traffic")[0])


def test_busy_place_counts_faces_without_presence(rules: Read) -> None:
    assert "face.present" not in rules("face", preset="market")[0]
    assert "face.present" in rules("face", "{face.present: {}}", preset="market")[0]


def test_override_changes_one_parameter_and_keeps_the_others(rules: Read) -> None:
    found, _ = rules("face", "{face.present: {gap: 5s}, camera.lost: {after: 1m}}")
    assert found["face.present"] == {"for": 0.5, "gap": 5.0}
    assert found["camera.lost"] == {"after": 60.0}


def test_rule_off_is_off(rules: Read) -> None:
    found, warnings = rules("face", "{face.count: off, camera.lost: off}")
    assert set(found) == {"face.present"}
    assert warnings == []


def test_rule_without_parameters_is_as_in_the_preset(rules: Read) -> None:
    assert rules("traffic", "{vehicle.count: , vehicle.line: {}}") == rules("traffic")


@pytest.mark.parametrize(
    "rule",
    [
        "person.crowd: {at: 12, for: 20s}",
        "person.loiter: {for: 5m}",
        "person.after-hours: {}",
        "vehicle.stopped: {for: 90s}",
        "vehicle.wrong-way: {}",
    ],
)
def test_rule_of_a_later_version_is_a_warning_and_not_in_force(rule: str, rules: Read) -> None:
    found, warnings = rules("traffic", f"{{{rule}}}")
    assert warnings == ["not active in this version"]
    assert rule.partition(":")[0] not in found


def test_rule_that_the_role_cannot_feed_is_a_warning(rules: Read) -> None:
    _, warnings = rules("face", "{vehicle.line: {}}")
    assert warnings == ["never happens on this camera"]


@pytest.mark.parametrize(
    ("role", "warned"), [("face", True), ("traffic", False), ("[face, traffic]", False)]
)
def test_lines_that_the_role_cannot_feed_are_a_warning(
    role: str, warned: bool, write: Write
) -> None:
    lines = "lines: {in: {from: [0, 0], to: [1, 1], counts: [vehicle, person]}}, rules"
    text = CAMERA.format(role=role, rules="{}", preset="street").replace("rules", lines)
    _, problems = check(write(text))
    assert [str(problem).partition("agent.yaml:")[2] for problem in problems] == [
        "4:63: cameras.gate-in.lines: warning: nothing crosses on this camera; "
        "lines need role traffic or plate"
    ][: int(warned)]


def test_rules_are_kinds_of_events() -> None:
    assert set(RULES) <= set(KINDS_OF_EVENTS)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("role", ROLES)
def test_preset_switches_on_complete_rules_its_role_can_feed(preset: str, role: str) -> None:
    for kind, values in rules_in_force(preset=preset, roles=[role], overrides={}).items():
        assert role in RULES[kind].roles
        assert RULES[kind].active
        assert set(values) == set(RULES[kind].parameters)
