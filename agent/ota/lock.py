"""A lock that one process at a time holds, and that ends with it however it ends."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from agent.errors import UpdateError

_AGAIN_S = 0.02


@contextmanager
def locked(file: Path, patience_s: float, busy: str) -> Iterator[None]:
    """Nobody else holds `file` meanwhile; UpdateError (`busy`) where somebody does for longer."""
    deadline = time.monotonic() + patience_s
    with file.open("w") as lock:
        while not _taken(lock):
            if time.monotonic() >= deadline:
                raise UpdateError(busy, why="busy")
            time.sleep(_AGAIN_S)
        yield


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
