"""What can still be read in a store that was set aside: the bodies lie in its pages as text."""

from __future__ import annotations

import logging
import mmap
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

_log = logging.getLogger(__name__)

# An event's body, compact JSON with the id first and no object inside. SQLite keeps so short a
# value in one piece (the row up to 477 bytes, so the body some 370: twice what is usual), and
# overwrites what was deleted (secure_delete).
_BODY = re.compile(rb'\{"id":"([0-9A-HJKMNP-TV-Z]{26})"(?:,"n":(\d{1,9}))?[^{}\x00-\x1f]{1,480}\}')
_CHUNK = 1000


def bodies(aside: Path) -> Iterator[bytes | None]:
    """Every body in the file and its log that was not known to be delivered; some come twice.

    None comes between where much was looked at in vain, so that whoever asks can do other things.

    Pages are looked through as they are, so a torn header or index costs nothing; what the tables
    still tell of deliveries only keeps what has arrived from being sent once more.
    """
    done: set[int] = set()
    yield from _delivered(aside, done)
    for part in (aside, aside.with_name(f"{aside.name}-wal")):
        with (
            suppress(OSError, ValueError),  # there is none, or it is empty
            part.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages,
        ):
            for number, found in enumerate(_BODY.finditer(pages), start=1):
                if key(found[1].decode(), int(found[2] or 0)) not in done:
                    yield found[0]
                elif number % _CHUNK == 0:
                    yield None


def _delivered(aside: Path, done: set[int]) -> Iterator[None]:
    """Adds hashes of those that no broker waits for, as far as the tables can be read."""
    try:
        with closing(sqlite3.connect(f"{aside.absolute().as_uri()}?mode=ro", uri=True)) as db:
            after = 0
            while rows := _some(db, after):
                after = rows[-1][0]
                done.update(key(message_id, n) for _, message_id, n, waits in rows if not waits)
                if len(rows) == _CHUNK:
                    yield None
    except sqlite3.Error as error:
        _log.info("%s: its tables cannot be read to the end: %s", aside.name, error)


def _some(db: sqlite3.Connection, after: int) -> list[tuple[int, str, int, bool]]:
    """The next rows by number: id, event, n, whether a broker waits. A torn page ends them all."""
    return db.execute(
        "SELECT id, message_id, n, EXISTS"
        " (SELECT 1 FROM delivery d WHERE d.message = m.id AND d.state < 3)"
        " FROM message m WHERE id > ? ORDER BY id LIMIT ?",
        (after, _CHUNK),
    ).fetchall()


def key(message_id: str, n: int) -> int:
    """Short for an event's number: there may be a million of them."""
    return hash((message_id, n))
