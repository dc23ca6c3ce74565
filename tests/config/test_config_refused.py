"""What is refused, and in which words: the cases are in refused.txt, to be read by eye."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.config.load import check, load
from agent.config.problems import InvalidConfig

SMALL = """\
site: alpomish
box: north-gate
cameras:
  gate-in:
    role: traffic
    source: rtsp://10.0.0.21/1
brokers:
  office: {url: mqtt://localhost}
"""
CAMERA_LINE = "    source: rtsp://10.0.0.21/1\n"

Write = Callable[[str], Path]


@dataclass(frozen=True)
class Case:
    name: str
    out: str
    put: str
    said: tuple[str, ...]

    def text(self) -> str:
        if self.out == "@camera":
            return SMALL.replace(CAMERA_LINE, f"{CAMERA_LINE}    {self.put}\n")
        if self.out == "@end":
            return f"{SMALL}{self.put}\n"
        assert self.out in SMALL
        return SMALL.replace(self.out, self.put, 1)


def read_cases() -> list[Case]:
    text = (Path(__file__).parent / "refused.txt").read_text(encoding="utf-8")
    return [read_case(block) for block in re.split(r"(?m)^== ", text)[1:]]


def read_case(block: str) -> Case:
    block = block.replace("<nbsp>", "\N{NO-BREAK SPACE}").replace("<tab>", "\t")
    name, *lines = block.rstrip("\n").split("\n")
    parts = {sign: [line[2:] for line in lines if line[:1] == sign] for sign in "-+>"}
    return Case(name, "\n".join(parts["-"]), "\n".join(parts["+"]), tuple(parts[">"]))


CASES = read_cases()


def test_small_configuration_is_accepted(write: Write) -> None:
    config, problems = check(write(SMALL))
    assert config is not None
    assert problems == []


def test_refused_cases_are_many_and_different() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 100
    assert all(case.said for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_configuration_wrong_is_refused_in_these_words(case: Case, write: Write) -> None:
    path = write(case.text())
    config, problems = check(path)
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    assert config is None
    assert errors == [f"{path}:{line}" for line in case.said]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_configuration_wrong_never_shows_a_password(case: Case, write: Write) -> None:
    _, problems = check(write(case.text()))
    assert not any("hunter2" in str(problem) for problem in problems)


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (
            "auth: gate-in.cred",
            '7:11: cameras.gate-in.auth: file "gate-in.cred" cannot be read: Permission denied; '
            "give it to the user that runs the agent: chown kim gate-in.cred, "
            "then chmod 600 gate-in.cred",
        ),
        (
            "source: clip:street.mp4",
            '7:13: cameras.gate-in.source: file "street.mp4" cannot be read: Permission denied; '
            "give it to the user that runs the agent: chown kim street.mp4",
        ),
    ],
)
def test_file_of_another_user_is_refused_with_the_cure(
    put: str, said: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("agent.config.files._head", denied)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: SimpleNamespace(pw_name="kim"))
    line = "" if put.startswith("source") else CAMERA_LINE
    path = write(SMALL.replace(CAMERA_LINE, f"{line or chr(10)}    {put}\n"))
    _, problems = check(path)
    assert [str(problem) for problem in problems] == [f"{path}:{said}"]


def test_configuration_with_many_errors_tells_all_in_order(write: Write) -> None:
    text = SMALL.replace("alpomish", "A").replace("traffic", "trafic").replace("mqtt:", "tcp:")
    _, problems = check(write(text))
    assert [problem.path for problem in problems] == [
        "site",
        "cameras.gate-in.role",
        "brokers.office.url",
    ]


def test_errors_across_cameras_are_told_beside_errors_inside(write: Write) -> None:
    other = "  gate-out: {role: fase, source: rtsp://10.0.0.21/1}\n"
    _, problems = check(write(SMALL.replace("brokers:", f"{other}brokers:")))
    assert [problem.path for problem in problems] == [
        "cameras.gate-out.role",
        "cameras.gate-out.source",
    ]


def test_load_wrong_raises_one_line_with_all_problems(write: Write) -> None:
    path = write(SMALL.replace("alpomish", "A").replace("traffic", "trafic"))
    with pytest.raises(InvalidConfig) as caught:
        load(path)
    assert len(caught.value.problems) == 2
    assert str(caught.value) == (
        f'{path}:1:7: site: "A" is no id; 1 to 31 of a-z, 0-9 and -; did you mean a '
        "(and 1 more: see `mahalla check`)"
    )
