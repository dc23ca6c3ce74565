"""Whatever stands in the file, the answer is a list of problems."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.load import check

PIECES = st.sampled_from(
    ["{", "}", "[", "]", ": ", ", ", "\n", "  ", "- ", "*a", "&a ", "!!int ", "'", '"', "|", ">",
     "---", "...", "%", "@", "?", "\t", "~", "no", "0x1", "\\x", "#", "<<: ", "9" * 5000, "ÿ", "\0"]
)  # fmt: skip


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "agent.yaml"


def assert_answers(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    config, problems = check(path)
    assert (config is None) == any(problem.severity == "error" for problem in problems)
    for problem in problems:
        assert "\n" not in str(problem)
        assert problem.line >= 1
        assert problem.column >= 1
        str(problem).encode()


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=400))
def test_bytes_of_any_kind_are_answered(path: Path, content: bytes) -> None:
    assert_answers(path, content)


@settings(max_examples=300, deadline=None)
@given(content=st.lists(PIECES | st.text(max_size=8), max_size=30).map("".join))
def test_text_of_yaml_pieces_is_answered(path: Path, content: str) -> None:
    assert_answers(path, content.encode("utf-8", "surrogatepass"))


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 2000), length=st.integers(0, 40), put=PIECES | st.text(max_size=8))
def test_example_changed_anywhere_is_answered(
    path: Path, example: str, at: int, length: int, put: str
) -> None:
    changed = example[:at] + put + example[at + length :]
    assert_answers(path, changed.encode("utf-8", "surrogatepass"))
