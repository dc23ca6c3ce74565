"""Text -> YAML nodes with their places. Nothing is typed here and no object is ever built.

Refused, because a configuration gains nothing from them: aliases (`*name`, and with them merge
keys and alias bombs), tags (`!name`), several documents in one file. An anchor alone is harmless.
"""

from __future__ import annotations

from collections.abc import Callable

import yaml

from agent.config.problems import Refusal
from agent.config.slips import explained

SIZE_LIMIT_BYTES = 128 * 1024
DEPTH_LIMIT = 12

Report = Callable[[int, int, Refusal], None]
"""Takes line and column (from 1) and what is wrong there."""

REPORTED_TAG = "!reported"
"""Tag of the node that stands where something was refused already."""


def compose(raw: bytes, report: Report, file: str = "") -> yaml.Node | None:
    """The root node of a document, or None when it cannot be read; problems go to `report`.

    The marks of all nodes have `file` for their name.
    """
    if len(raw) > SIZE_LIMIT_BYTES:
        report(1, 1, Refusal(f"the file is larger than {SIZE_LIMIT_BYTES // 1024} kB"))
        return None
    text = _decoded(raw, report)
    return None if text is None else _composed(text, report, file)


def _decoded(raw: bytes, report: Report) -> str | None:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        report(*_position(before), Refusal("not UTF-8 text", "save the file as UTF-8"))
        return None


def _composed(text: str, report: Report, file: str) -> yaml.Node | None:
    try:
        loader = _Composer(text, report, file)
        return loader.get_single_node()
    except yaml.reader.ReaderError as error:
        refusal = Refusal(f"unprintable character U+{ord(text[error.position]):04X}")
        report(*_position(text[: error.position]), refusal)
    except yaml.MarkedYAMLError as error:
        report(*explained(error, text))
    except (ValueError, OverflowError):  # PyYAML's chr() of an escape beyond Unicode
        report(1, 1, Refusal("an escape in a quoted text is no character"))
    return None


def _position(before: str) -> tuple[int, int]:
    """Line and column, from 1, of the character that follows `before`."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


class _Composer(yaml.SafeLoader):
    """Composes nodes; reports aliases and tags where they stand, stops at too deep a nesting."""

    def __init__(self, text: str, report: Report, file: str) -> None:
        super().__init__(text)
        self.name = file
        self._report = report
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            refusal = Refusal(f"alias *{event.anchor}", "aliases are not read: write it out")
            return self._reported(mark, refusal)
        if self._depth >= DEPTH_LIMIT:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
        tag = getattr(event, "tag", None)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if tag not in (None, "!"):
            refusal = Refusal("a tag", "tags (!name) are not read: leave it out")
            return self._reported(mark, refusal)
        return node

    def _reported(self, mark: yaml.Mark, refusal: Refusal) -> yaml.Node:
        self._report(mark.line + 1, mark.column + 1, refusal)
        return yaml.ScalarNode(REPORTED_TAG, "", mark, mark)
