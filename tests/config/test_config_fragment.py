"""What came over the air may say how cameras look, and nothing else of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from agent.config.fragment import WITHIN_REACH
from agent.config.load import check, load

SETTINGS = """\
cameras:
  gate-in:
    zones: {yard: [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8]]}
    lines: {out: {from: [0, 0.5], to: [1, 0.5], counts: bus}}
    hours: {night: "Mon-Sun 22:00-06:00"}
    rules: {camera.lost: {after: 40s}}
    preset: market
    pace: 4
"""


@pytest.fixture
def base(write, example) -> Path:
    return write(example)


@pytest.fixture
def over(base):
    """What `check` says with a fragment of this text over the example."""

    def read(text: str):
        (base.parent / "fragment.yaml").write_text(text)
        config, problems = check(base, base.parent / "fragment.yaml")
        return config, [str(each) for each in problems if each.severity == "error"]

    return read


def test_fragment_takes_the_place_of_what_it_names(base, over):
    config, errors = over(SETTINGS)
    assert errors == []
    camera, before = config.cameras["gate-in"], load(base).cameras["gate-in"]
    assert (list(camera.zones), list(camera.lines), camera.preset) == (["yard"], ["out"], "market")
    assert (camera.most_fps, before.most_fps) == (4, None)
    assert camera.rules["camera.lost"] == {"after": 40}
    assert (camera.source, camera.auth) == (before.source, before.auth)
    assert config.brokers == load(base).brokers


@pytest.mark.parametrize("text", ["", "cameras: {}\n", "cameras:\n  gate-in: {}\n"])
def test_fragment_that_names_nothing_changes_nothing(base, over, text):
    assert over(text) == (load(base), [])


ELSEWHERE = (
    *("box", "brokers", "evidence", "hotlists", "infer", "link", "models", "outbox", "privacy"),
    *("retention", "site", "timezone"),
)
WHERE_FROM = ("at", "auth", "detect_source", "name", "role", "source")


def test_every_section_and_key_is_tried(example):
    whole = yaml.safe_load(example)
    assert sorted(whole) == sorted([*ELSEWHERE, "cameras"])
    assert sorted(whole["cameras"]["gate-in"].keys() - set(WITHIN_REACH)) == sorted(WHERE_FROM)


@pytest.mark.parametrize("section", ELSEWHERE)
def test_fragment_that_reaches_for_another_section_is_refused(over, example, section):
    """Brokers, privacy, hotlists and their keys, updates, evidence: one after the other."""
    stolen = yaml.safe_dump({section: yaml.safe_load(example)[section]})
    config, (error,) = over(SETTINGS + stolen)
    assert config is None
    assert error.endswith(f"fragment.yaml:9:1: {section}: is out of reach of a fragment; cameras")


@pytest.mark.parametrize("key", WHERE_FROM)
def test_fragment_that_reaches_for_another_key_of_a_camera_is_refused(over, example, key):
    value = yaml.safe_load(example)["cameras"]["gate-in"][key]
    text = yaml.safe_dump({"cameras": {"gate-in": {key: value}}})
    config, (error,) = over(text)
    assert config is None
    assert f"cameras.gate-in.{key}: is out of reach" in error


def test_every_problem_of_a_fragment_is_told_at_once(over):
    config, errors = over("cameras: {gate-in: {preset: markt, source: x}}\nbrokers: {}\n")
    assert config is None
    assert [error.split(": ")[1] for error in errors] == [
        "cameras.gate-in.preset",
        "cameras.gate-in.source",
        "brokers",
    ]


HIDDEN = {
    "merge": "cameras:\n  gate-in:\n    <<: {source: 'rtsp://6.6.6.6/1'}\n",
    "alias": "cameras:\n  gate-in: &a {preset: market}\n  other: *a\n",
    "tag": "cameras:\n  gate-in: !!python/object:os.system {preset: market}\n",
    "twice": "cameras:\n  gate-in: {preset: market}\ncameras:\n  gate-in: {source: 'clip:x'}\n",
    "key-twice": "cameras:\n  gate-in:\n    preset: market\n    preset: school\n",
    "two-documents": "cameras: {}\n---\nbrokers: {}\n",
    "key-of-several": "? [cameras, brokers]\n: {gate-in: {preset: market}}\n",
    "list": "[cameras]\n",
    "word": "cameras\n",
    "camera-list": "cameras: {gate-in: [preset]}\n",
    "other-camera": "cameras: {gate-out: {preset: market}}\n",
    "deep": "cameras: " + "[" * 50 + "]" * 50,
    "long": "# " + "x" * 200_000,
    "binary": "\x00\x01",
    "escaped": 'cameras: {gate-in: {"\\u0073ource": "clip:x"}}\n',
}


@pytest.mark.parametrize("hidden", HIDDEN)
def test_fragment_that_hides_what_it_reaches_for_is_refused(over, hidden):
    config, errors = over(HIDDEN[hidden])
    assert config is None
    assert all("fragment.yaml:" in error for error in errors), errors


def test_fragment_is_checked_like_the_file_and_told_by_its_own_place(over):
    config, (error,) = over(SETTINGS.replace("0.8, 0.8", "0.8, 8"))
    assert config is None
    assert "fragment.yaml:3:50: cameras.gate-in.zones.yard[2][1]: 8 is out of range" in error


def test_hours_that_a_rule_of_the_file_needs_cannot_be_taken_away(write, example):
    base = write(
        example.replace("person.crowd: {at: 12, for: 20s}", "person.after-hours: {hours: school}")
    )
    (base.parent / "fragment.yaml").write_text("cameras: {gate-in: {hours: {}}}\n")
    assert check(base)[0] is not None
    config, problems = check(base, base.parent / "fragment.yaml")
    assert config is None
    assert any("no such hours" in str(each) for each in problems)
