"""`mahalla check` as people and programs use it."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from agent import check

Write = Callable[[str], Path]

FACES = """\
site: alpomish
box: north-gate
cameras:
  gate-in: {role: face, source: "picamera:0"}
brokers:
  office: {url: mqtts://office.lan, ca: ca.pem, cert: box.pem, key: box.key}
  panel: {url: mqtt://localhost, send: camera.lost, topic: "panel/{site}/{box}/{kind}"}
outbox: {max_age: 7d, keep: 1h}
"""


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    check.register(parser.add_subparsers())
    args = parser.parse_args(["check", *arguments])
    code: int = args.run(args)
    return code


def test_check_of_a_good_file_prints_what_is_sent(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(write(FACES))) == 0
    out = capsys.readouterr().out
    office, panel = out.split("\nto panel\n")
    assert office.startswith(
        "Cameras of alpomish/north-gate\n\n  gate-in  face; preset street\n\n"
        "What alpomish/north-gate sends\n\nto office\n"
    )
    assert "address           mqtts://office.lan:8883" in office
    assert "encrypted         yes (TLS); the box shows its own certificate" in office
    assert "face.present       faces in view: how many, never who" in office
    assert "vehicle.line" not in office
    assert "state of the box  about, health, status (whatever send lists: " in office
    assert "pictures          none leave the box" in office
    assert "nobody is recognised" in office
    assert "at most 7d; 1h more once delivered" in office
    assert "encrypted         no: the broker is on this box itself" in panel
    assert "events            camera.lost  no pictures from a camera" in panel
    assert "face" not in panel.replace("faces             nothing", "")
    assert "state of the box  nothing (under a topic of its own: what send lists by name)" in panel


@pytest.mark.parametrize(
    ("broker", "state"),
    [
        ("send: vehicle.*", "about, health, status (whatever send lists: receivers need them)"),
        ("send: [vehicle.*, status]", "about, health, status (whatever send lists: receivers"),
        ("send: all, topic: '{site}/{box}/{kind}'", "nothing (under a topic of its own: "),
        ("send: [vehicle.*, status], topic: '{site}/{box}/{kind}'", "status (under a topic of "),
        ("send: [about, health, status], topic: '{site}/{box}/{kind}'", "about, health, status\n"),
    ],
)
def test_check_says_which_state_a_broker_is_sent_and_why(
    broker: str, state: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    text = FACES[: FACES.index("  office:")] + f"  city: {{url: mqtt://localhost, {broker}}}\n"
    assert run(str(write(text))) == 0
    assert f"  state of the box  {state}" in capsys.readouterr().out


def test_check_shows_each_camera_in_one_line(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (
        "  road: {role: traffic, source: 'picamera:2'}\n"
        "  gate-in:\n    {role: [face, traffic], source: 'picamera:1', preset: entrance, lines: {\n"
        "     in: {from: [0, 0], to: [1, 1], counts: [car, person]},\n"
        "     out: {from: [0, 1], to: [1, 0], counts: bus}}}\n"
    )
    path = write(FACES.replace("gate-in:", "yard:").replace("brokers:", f"{more}brokers:"))
    assert run(str(path)) == 0
    assert capsys.readouterr().out.splitlines()[:6] == [
        "Cameras of alpomish/north-gate",
        "",
        "  yard     face; preset street",
        "  road     traffic; preset street; no lines",
        "  gate-in  face, traffic; preset entrance; line in counts car, person; "
        "line out counts bus",
        "",
    ]


def test_check_of_a_wrong_file_prints_problems_only(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(FACES.replace("role: face", "role: fase").replace("1h", "1 h"))
    assert run(str(path)) == 1
    assert capsys.readouterr().out.splitlines() == [
        f'{path}:4:19: cameras.gate-in.role: "fase" is not known; allowed: face, traffic, plate; '
        "did you mean face",
        f'{path}:8:29: outbox.keep: "1 h" is no duration; a duration: 500ms, 20s, 5m, 72h, 7d; '
        "did you mean 1h",
    ]


def test_check_of_a_plate_camera_without_a_list_says_that_nothing_is_told(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    plates = FACES.replace("role: face", "role: plate")
    assert run(str(write(plates))) == 0
    assert "cameras.gate-in.role: warning: there are no hotlists to look" in capsys.readouterr().out
    assert run(str(write(f"{plates}privacy: {{plates: pseudonym, basis: 'order 7'}}\n"))) == 0
    assert "no hotlists" not in capsys.readouterr().out


def test_check_of_warnings_only_exits_0(
    write: Write, example: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(write(example))) == 0
    out = capsys.readouterr().out
    assert out.count(": warning: ") == 5  # two of them: no list of the example is one
    assert re.search(r":\d+:\d+: hotlists\.stolen\.file: warning: not in force: ", out)
    assert "\n\nCameras of alpomish/north-gate\n" in out


def test_check_json_is_the_same_for_a_program(
    write: Write, example: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--json", str(write(example))) == 0
    content = json.loads(capsys.readouterr().out)
    assert len(content["problems"]) == 5
    assert content["problems"][0] | {"file": ""} == {
        "file": "",
        "line": 14,
        "column": 5,
        "path": "cameras.gate-in.hours",
        "what": "not active in this version",
        "allowed": "",
        "hint": "",
        "severity": "warning",
    }
    assert content["cameras"] == [
        {
            "camera": "gate-in",
            "role": ["plate"],
            "preset": "entrance",
            "lines": {"in": ["car", "person"]},
        }
    ]
    assert [sent["broker"] for sent in content["sends"]] == ["office", "city"]
    assert [sent["commands"] for sent in content["sends"]] == [
        "evidence, feedback, resend, seen",
        "none",
    ]
    assert list(content["sends"][1]["events"]) == ["plate.hit", "camera.lost"]
    assert content["sends"][1]["plates"] == "in clear those on stolen; of the others nothing"
    assert content["sends"][0]["plates"] == "in clear those on stolen, local; of the others nothing"
    assert [(each["hotlist"], each["ok"]) for each in content["hotlists"]] == [
        ("stolen", False),
        ("local", False),
    ]
    assert content["hotlists"][0]["state"].endswith(
        "stolen.list: is no hotlist; make one with `mahalla hotlist make`"
    )


def test_check_json_of_a_wrong_file_says_nothing_of_sending(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--json", str(write("site: A"))) == 1
    content = json.loads(capsys.readouterr().out)
    assert {problem["path"] for problem in content["problems"]} == {
        "site",
        "box",
        "cameras",
        "brokers",
    }
    assert content["cameras"] == content["sends"] == []


def test_check_of_no_file_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(tmp_path / "agent.yaml")) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mahalla check: cannot read ")
    assert err.count("\n") == 1


def test_check_of_a_folder_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(tmp_path)) == 2
    assert "Is a directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("euid", "users", "told"),
    [(0, {"mahalla"}, True), (0, set(), False), (1000, {"mahalla"}, False)],
)
def test_check_tells_root_that_the_service_is_another_user(
    euid: int,
    users: set[str],
    told: bool,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: euid)
    monkeypatch.setattr("pwd.getpwnam", {user: object() for user in users}.__getitem__)
    assert run(str(write(FACES))) == 0
    line = (
        "mahalla check: you are root; the agent runs as user mahalla: "
        "sudo -u mahalla … check sees what it sees\n"
    )
    assert capsys.readouterr().err == (line if told else "")


def test_check_help_shows_one_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--help")
    assert capsys.readouterr().out.count("example: ") == 1
