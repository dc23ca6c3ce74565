"""Files that are hostile, damaged, or no configuration at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config.document import SIZE_LIMIT_BYTES
from agent.config.load import check
from agent.errors import ConfigError

Write = Callable[[str | bytes], Path]

BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "1:1: the file is empty; site, box, cameras and brokers"),
        (b"# nothing\n", "1:1: the file is empty; site, box, cameras and brokers"),
        (b"~\n", "1:1: the file is empty; site, box, cameras and brokers"),
        (b"- site\n", "1:1: is a list; a mapping: {key: value}"),
        (b"site\n", "1:1: is a single value; a mapping: {key: value}"),
        (b"site: a\nbox: \xff\n", "2:6: not UTF-8 text; save the file as UTF-8"),
        ("site: ü".encode("utf-16"), "1:1: not UTF-8 text; save the file as UTF-8"),
        (b"site: a\nbox: b\x00\n", "2:7: unprintable character U+0000"),
        (b"a: [b\n", "2:1: YAML: expected ',' or ']', but got '<stream end>'; "
         "while parsing a flow sequence that began in line 1"),
        (b"a: @b\n", "1:4: YAML: found character '@' that cannot start any token; "
         "while scanning for the next token"),
        (b'a: "\\UFFFFFFFF"\n', "1:1: an escape in a quoted text is no character"),
        (b"%YAML 9.9\n---\na: b\n", "1:1: YAML: found incompatible YAML document "
         "(version 1.* is required)"),
        (b"a: " + b"[" * 100, "1:15: YAML: nested too deeply"),
        (b"a: &x [*x]\n", "1:8: alias *x; aliases are not read: write it out"),
        (b"#" * (SIZE_LIMIT_BYTES + 1), "1:1: the file is larger than 128 kB"),
    ],
)  # fmt: skip
def test_document_unfit_is_refused(content: bytes, said: str, write: Write) -> None:
    path = write(content)
    config, problems = check(path)
    assert config is None
    assert f"{path}:{said}" in [str(problem) for problem in problems]


def test_document_with_byte_order_mark_is_accepted(write: Write, example: str) -> None:
    config, _ = check(write(b"\xef\xbb\xbf" + example.encode()))
    assert config is not None


def test_document_with_windows_line_ends_is_accepted(write: Write, example: str) -> None:
    config, _ = check(write(example.replace("\n", "\r\n")))
    assert config is not None


def test_document_with_alias_bomb_is_refused_at_each_alias(write: Write) -> None:
    _, problems = check(write(BOMB))
    assert sum("aliases are not read" in problem.allowed for problem in problems) == 4


def test_value_with_an_unprintable_escape_is_refused(write: Write, example: str) -> None:
    path = write(example.replace("gate-in.cred", '"gate\\0.cred"'))
    _, problems = check(path)
    assert f"{path}:8:11: cameras.gate-in.auth: has an unprintable character" in map(str, problems)


def test_file_absent_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^cannot read .*agent\.yaml: No such file"):
        check(tmp_path / "agent.yaml")


@pytest.mark.parametrize(
    "content",
    [
        "".join(f"k{number}:\n" for number in range(14_000)),
        "cameras:\n" + "".join(f" c{number}: {{}}\n" for number in range(10_000)),
        "cameras: {a: {zones: {z: [" + "[0.1,0.2]," * 11_000 + "]}}}",
        "cameras: {a: {role: [" + "fac," * 30_000 + "]}}",
        "[" * 120_000,
        "x" * 120_000 + ": 1",
    ],
)
def test_document_as_large_as_allowed_is_read_in_seconds(content: str, write: Write) -> None:
    begun = time.monotonic()
    config, _ = check(write(content))
    assert config is None
    assert time.monotonic() - begun < 15  # an order above what it takes
