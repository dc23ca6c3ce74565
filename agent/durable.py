"""Writes that a power cut leaves either done or not begun."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import IO

_PIECE_BYTES = 1 << 16


def write(path: Path, content: IO[bytes] | bytes) -> None:
    """A new file whose bytes are on the disk; its name is so after `sync_folder`."""
    with path.open("xb") as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            shutil.copyfileobj(content, file, _PIECE_BYTES)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, content: bytes) -> None:
    """The file has the old content or the new one, whatever happens."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    write(part, content)
    part.replace(path)
    sync_folder(path.parent)


def point(link: Path, to: str) -> None:
    """The link points to its old place or to the new one, whatever happens."""
    fresh = link.with_name(f"{link.name}.part")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(to)
    fresh.replace(link)
    sync_folder(link.parent)


def set_aside(path: Path) -> Path:
    """A damaged file makes room for a new one; where it is now, to be looked at."""
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    sync_folder(path.parent)
    return aside


def sync_folder(folder: Path) -> None:
    """Names that were made or changed in `folder` are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
