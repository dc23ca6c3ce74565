"""The passphrase of a key on a maintainer's machine: typed at the terminal, or out of a file."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from agent.errors import UsageError

LEAST_CHARS = 8
_LIMIT_BYTES = 1000


def add_argument(parser: argparse.ArgumentParser) -> None:
    """`--passphrase FILE`."""
    parser.add_argument(
        "--passphrase",
        metavar="FILE",
        type=Path,
        help="read it there instead of asking; one for all keys named",
    )


def given(file: Path | None, of: Path | str, *, twice: bool = False) -> str:
    """The first line of `file`, or what is typed; `twice` for a new one."""
    if file is not None:
        try:
            with file.open("rb") as stream:
                text = stream.read(_LIMIT_BYTES).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file}: {getattr(error, 'strerror', 'is no UTF-8 text')}") from error
        return next(iter(text.splitlines()), "").strip()
    if not sys.stdin.isatty():
        raise UsageError("no terminal to ask for the passphrase; give --passphrase FILE")
    typed = getpass.getpass(f"passphrase of {of}: ")
    if twice and getpass.getpass("once more: ") != typed:
        raise UsageError("the two passphrases differ")
    return typed
