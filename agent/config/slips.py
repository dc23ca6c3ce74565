"""What an installer can act on, where the YAML parser tells of its own inner state.

The commonest slips are found again in the lines around the place where the parser gave up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from agent.config.letters import NO_BREAK_SPACE
from agent.config.problems import Refusal

Slip = tuple[int, int, Refusal]
"""Line and column, from 0, and what is wrong there."""

_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_KEY_WITHOUT_SPACE = re.compile(r"\s*(?:- +)?([A-Za-z0-9_.-]+):(?=[^\s/]|/(?!/))")
_KEY_AND_VALUE = re.compile(r"(?:.*[\s{\[,]|)([^\s{\[,:]+): ")
_ODD_SPACE = re.compile(f"[^\"'#]*?(?:^ *|[:-] *)({NO_BREAK_SPACE})")

_NO_KEY_HERE = "mapping values are not allowed here"
_NO_COLON = "could not find expected ':'"
_ANOTHER_GROUP = re.compile(r"expected '?<(block end|document start)>.*'<block mapping start>'")
_ANOTHER_COLON = re.compile(r"expected ',' or '([]}])', but got ':'")


def explained(error: yaml.MarkedYAMLError, text: str) -> tuple[int, int, Refusal]:
    """Line and column, from 1, and why the parser could not go on."""
    wrong = _Wrong(error, _LINE_BREAK.split(text))
    for line, column, refusal in _slips(wrong):
        return line + 1, column + 1, refusal
    return wrong.line + 1, wrong.column + 1, _in_its_own_words(error)


def lacks_space(text: str) -> str:
    """The hint for `role:face`, which YAML takes for a single word; "" for another text."""
    found = _KEY_WITHOUT_SPACE.match(text)
    return f'write a space after "{found[1]}:"' if found else ""


class _Wrong:
    """Where the parser gave up, in the lines of the text; lines and columns from 0."""

    def __init__(self, error: yaml.MarkedYAMLError, lines: list[str]) -> None:
        mark = error.problem_mark or error.context_mark
        self.problem = str(error.problem or error.context)
        self.line, self.column = (mark.line, mark.column) if mark else (0, 0)
        self._lines = lines
        self.began = error.context_mark.line if error.context_mark else None
        self.suspect = self.began if self.problem == _NO_COLON else self.above(self.line)
        """The line that may have misled the parser: it often gives up one later."""

    def text(self, line: int) -> str:
        return self._lines[line] if line < len(self._lines) else ""  # the end is behind the last

    def indent(self, line: int) -> int:
        return len(self.text(line)) - len(self.text(line).lstrip(" "))

    def above(self, line: int) -> int | None:
        """The next line above that says anything."""
        said = (n for n in range(line - 1, -1, -1) if self.text(n).strip().partition("#")[0])
        return next(said, None)


def _slips(wrong: _Wrong) -> Iterator[Slip]:
    """What it may be; the first is the likeliest."""
    for find in (
        _tab,
        _no_break_space,
        _no_space,
        _second_colon,
        _no_comma,
        _no_colon,
        _indentation,
    ):
        yield from find(wrong)


def _tab(wrong: _Wrong) -> Iterator[Slip]:
    if "'\\t'" in wrong.problem:
        indents = not wrong.text(wrong.line)[: wrong.column].strip()
        allowed = "indent with spaces" if indents else "put a space there"
        yield wrong.line, wrong.column, Refusal("YAML: a tab", allowed)


def _no_break_space(wrong: _Wrong) -> Iterator[Slip]:
    for line in (wrong.suspect, wrong.line):
        found = _ODD_SPACE.match(wrong.text(line)) if line is not None else None
        if line is not None and found:
            yield line, found.start(1), Refusal("YAML: a no-break space", "type an ordinary one")


def _no_space(wrong: _Wrong) -> Iterator[Slip]:
    if wrong.problem in (_NO_KEY_HERE, _NO_COLON) and wrong.suspect is not None:
        found = _KEY_WITHOUT_SPACE.match(wrong.text(wrong.suspect))
        if found:
            what = f'YAML: no space after "{found[1]}:"'
            yield wrong.suspect, found.end(), Refusal(what, f"{found[1]}: value")


def _second_colon(wrong: _Wrong) -> Iterator[Slip]:
    found = _KEY_AND_VALUE.match(wrong.text(wrong.line)[: wrong.column])
    if not found:
        return
    cure = f'put the value in quotes: {found[1]}: "…"'
    if _ANOTHER_COLON.match(wrong.problem):
        cure = f"a comma is missing before it, or {cure}"
    elif wrong.problem != _NO_KEY_HERE:
        return
    yield wrong.line, wrong.column, Refusal('YAML: a second ":" in a value', cure)


def _no_comma(wrong: _Wrong) -> Iterator[Slip]:
    found, line = _ANOTHER_COLON.match(wrong.problem), wrong.suspect
    if found and line is not None:
        bracket = {"}": "{", "]": "["}[found[1]]
        opened = f"for the {bracket} in line {(wrong.began or 0) + 1}"
        what = f'YAML: a comma or "{found[1]}" is missing here'
        yield line, len(wrong.text(line).rstrip()), Refusal(what, opened)


def _no_colon(wrong: _Wrong) -> Iterator[Slip]:
    line = wrong.suspect
    if wrong.problem not in (_NO_KEY_HERE, _NO_COLON) or line is None:
        return
    aside = wrong.problem == _NO_COLON or wrong.indent(line) == wrong.indent(wrong.line)
    if aside and ":" not in wrong.text(line):
        yield line, wrong.indent(line), Refusal('YAML: no ":" in this line', "key: value")


def _indentation(wrong: _Wrong) -> Iterator[Slip]:
    if wrong.problem != _NO_KEY_HERE and not _ANOTHER_GROUP.match(wrong.problem):
        return
    own = wrong.indent(wrong.line)
    other = _meant_beside(wrong, own)
    if other is not None:
        what = (
            f"YAML: line {wrong.line + 1} is indented by {_spaces(own)}, "
            f"line {other + 1} by {wrong.indent(other)}"
        )
        refusal = Refusal(what, "keys of one group begin in the same column")
        yield wrong.line, own, refusal


def _meant_beside(wrong: _Wrong, own: int) -> int | None:
    """The line above, of a group still open, whose indentation is nearest to `own`."""
    groups: dict[int, int] = {}  # indentation: the last line that has it
    line = wrong.above(wrong.line)
    while line is not None:
        indent = wrong.indent(line)
        if not groups or indent < min(groups):
            groups[indent] = line
        line = wrong.above(line)
    near = min(groups, key=lambda indent: (abs(indent - own), -indent), default=own)
    return groups[near] if near != own else None


def _spaces(number: int) -> str:
    return f"{number} space{'' if number == 1 else 's'}"


def _in_its_own_words(error: yaml.MarkedYAMLError) -> Refusal:
    what = str(error.problem or error.context).replace("\n", " ")
    allowed = str(error.context).replace("\n", " ") if error.problem and error.context else ""
    if "but found another document" in what:
        what, allowed = "a second document begins", "one document in a file"
    elif allowed and error.context_mark:
        allowed += f" that began in line {error.context_mark.line + 1}"
    return Refusal(f"YAML: {what}", allowed)
