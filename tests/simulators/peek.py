"""What an outbox holds, asked from outside while its agent may be at work."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any


def rows(outbox: Path, query: str) -> list[tuple[Any, ...]]:
    """The answer of a copy: the agent alone may open the file, log and all, that it works with."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / outbox.name
        for suffix in ("-wal", ""):  # a log that is folded in meanwhile leaves the older state
            part = outbox.with_name(outbox.name + suffix)
            if part.exists():
                shutil.copyfile(part, copy.with_name(copy.name + suffix))
        with closing(sqlite3.connect(copy)) as db:
            return db.execute(query).fetchall()
