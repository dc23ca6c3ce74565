"""What can be wrong with a configuration, and where."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from agent.config.letters import look_alike
from agent.errors import ConfigError

INLINE = "secret written inline"
LOGIN_FILE = "put user:password into a file of mode 0600 and name it in auth"
BROKER_LOGIN = "a broker knows the box by cert and key files, not by user and password"

_ECHO_LIMIT_CHARS = 40

_CLOSE_ENOUGH = 0.75
"""Of 4 letters one may be wrong. With less, maktab (a school in Uzbek) would be a market."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, with its place in the text (line and column from 1)."""

    file: str
    line: int
    column: int
    path: str  # "cameras.gate-in.role"; empty: the file as a whole
    what: str
    allowed: str = ""
    hint: str = ""
    severity: str = "error"  # error | warning

    def __str__(self) -> str:
        return self._told("" if self.severity == "error" else f"{self.severity}: ")

    def logged(self) -> str:
        """The same for a log, whose lines say by themselves how grave they are."""
        return self._told("")

    def _told(self, severity: str) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        path = f"{self.path}: " if self.path else ""
        parts = (self.what, self.allowed, self.hint)
        return where + path + severity + "; ".join(part for part in parts if part)


class InvalidConfig(ConfigError):  # noqa: N818 - named for what it tells
    """A configuration that does not check; `problems` has all of them, in the order of the text."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        errors = [problem for problem in self.problems if problem.severity == "error"]
        more = f" (and {len(errors) - 1} more: see `mahalla check`)" if len(errors) > 1 else ""
        super().__init__(f"{errors[0]}{more}")


class Refusal(Exception):  # noqa: N818 - not an error of the program: the answer of a check
    """Why one value is refused; whoever knows its place turns it into a `Problem`."""

    def __init__(self, what: str, allowed: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.allowed = allowed
        self.hint = hint


class Spoilt(Exception):  # noqa: N818 - as above
    """Something inside was refused, and is reported already."""


def quoted(text: str) -> str:
    """A value as a message shows it: short."""
    clipped = text if len(text) <= _ECHO_LIMIT_CHARS else text[: _ECHO_LIMIT_CHARS - 1] + "…"
    return f'"{clipped}"'


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean …` with the closest of the known words, or nothing.

    A letter that only looks right comes first: the word is often right as far as one can see.
    """
    near = closest(word, known)
    return look_alike(word) or (meant(near) if near else "")


def closest(word: str, known: Iterable[str], close_enough: float = _CLOSE_ENOUGH) -> str:
    """The known word that is almost, or is part of, this one; nothing where none is."""
    lowered, words = word.lower(), list(known)
    close = difflib.get_close_matches(lowered, words, n=1, cutoff=close_enough)
    parts = re.split(r"[^a-z0-9]+", lowered)
    return next(iter(close), "") or next((each for each in words if each in parts), "")


def meant(word: str) -> str:
    return f"did you mean {word}"


def one_of(known: Iterable[str]) -> str:
    return "allowed: " + ", ".join(known)
