"""What the verbs of `mahalla ota` have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import UpdateError

if TYPE_CHECKING:
    from typing import TypeAlias

    Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

Run = Callable[[argparse.Namespace], int]


def verb(verbs: Verbs, name: str, run: Run, words: str, example: str) -> argparse.ArgumentParser:
    """One verb with its example."""
    parser = verbs.add_parser(
        name,
        help=words,
        description=words,
        epilog=f"example: mahalla ota {name} {example}".rstrip(),
    )
    parser.set_defaults(run=run)
    return parser


def lines(path: Path) -> list[str]:
    """Lines of a text file that say something; what follows a # does not."""
    try:
        found = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UpdateError(f"{path}: {error}") from error
    return [text for line in found if (text := line.partition("#")[0].strip())]


def content(path: Path, limit_bytes: int) -> bytes:
    """All of a file that must not be large."""
    try:
        with path.open("rb") as file:
            found = file.read(limit_bytes + 1)
    except OSError as error:
        raise UpdateError(f"{path}: {error.strerror}") from error
    if len(found) > limit_bytes:
        raise UpdateError(f"{path}: is longer than {limit_bytes} bytes")
    return found
