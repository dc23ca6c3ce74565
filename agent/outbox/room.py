"""What leaves the outbox without having been asked for: the old, and the least important."""

from __future__ import annotations

import logging
import sqlite3

from agent.outbox import losses
from agent.records import Moment, Priority

_log = logging.getLogger(__name__)

_CHUNK = 500  # rows a step: a step is short, and the lock is held for one call
_HEADROOM = 0.95  # evict down to here, so that not every put evicts
_AHEAD_MS = 86_400_000  # a row this far in the future was stored by a clock that was wrong


def used_bytes(db: sqlite3.Connection) -> int:
    """Bytes of the file that hold something; free pages are used again, not given back."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (size,) = db.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


def make(db: sqlite3.Connection, max_bytes: int) -> int:
    """Evict until the file's content is below `max_bytes`.

    First what is delivered, then the least important, the oldest of it first. Answers with how
    many messages were evicted that somebody may have waited for.
    """
    if used_bytes(db) <= max_bytes:
        return 0
    target, evicted = max_bytes * _HEADROOM, 0
    while used_bytes(db) > target and _forget(db, "state = 3", ()):
        pass
    while used_bytes(db) > target:
        ids = _least_important(db)
        if not ids:
            break
        _drop(db, ids, losses.EVICTED)
        evicted += len(ids)
    if evicted:
        _log.warning("the outbox is full: %d of the least important messages evicted", evicted)
    return evicted


def _least_important(db: sqlite3.Connection) -> list[int]:
    """The oldest of the least important kind; without an index, which each commit would write."""
    for priority in sorted(Priority, reverse=True):
        found = db.execute(
            "SELECT id FROM message WHERE priority = ? ORDER BY id LIMIT ?", (int(priority), _CHUNK)
        ).fetchall()
        if found:
            return [message for (message,) in found]
    return []


def date(db: sqlite3.Connection, now: Moment) -> None:
    """Rows from before the clock was set count their age from now."""
    db.execute("UPDATE message SET stored_ms = ? WHERE stored_ms = 0", (now.utc_ms,))
    db.execute(
        "UPDATE delivery SET settled_ms = ? WHERE state >= 3 AND settled_ms = 0", (now.utc_ms,)
    )


def date_back(db: sqlite3.Connection, now: Moment) -> None:
    """So do those that were stored while the clock was far ahead; looks at every row."""
    values = (now.utc_ms, now.utc_ms + _AHEAD_MS)
    db.execute("UPDATE message SET stored_ms = ?1 WHERE stored_ms > ?2", values)
    db.execute("UPDATE delivery SET settled_ms = ?1 WHERE state >= 3 AND settled_ms > ?2", values)


def forget_settled(db: sqlite3.Connection, before_ms: int) -> None:
    """Free deliveries settled before `before_ms`, and the bodies that no broker needs then."""
    while _forget(db, "settled_ms < ?", (before_ms,)):
        pass


def forget_oldest(db: sqlite3.Connection, before_ms: int, most: int) -> None:
    """The same of the oldest `most`, in the transaction that stores others.

    What is stored then takes the very pages that are freed, which are written once for both.
    """
    _delete(
        db,
        db.execute(
            "SELECT broker, message FROM (SELECT * FROM delivery ORDER BY message LIMIT ?)"
            " WHERE state >= 3 AND settled_ms > 0 AND settled_ms < ?",
            (most, before_ms),
        ).fetchall(),
    )


def expire(db: sqlite3.Connection, before_ms: int) -> None:
    """Drop what was stored before `before_ms`, delivered or not.

    Rows lie in the order in which they were stored, so no index by age has to be written for each.
    """
    while True:
        rows = db.execute(
            "SELECT id, stored_ms FROM message ORDER BY id LIMIT ?", (_CHUNK,)
        ).fetchall()
        ids = [message for message, stored_ms in rows if stored_ms < before_ms]
        if not ids:
            return
        _drop(db, ids, losses.EXPIRED)


def _forget(db: sqlite3.Connection, condition: str, values: tuple[int, ...]) -> int:
    settled = db.execute(
        "SELECT broker, message FROM delivery"  # noqa: S608 - the condition is ours
        f" WHERE state >= 3 AND {condition} LIMIT {_CHUNK}",
        values,
    ).fetchall()
    _delete(db, settled)
    return len(settled)


def _delete(db: sqlite3.Connection, settled: list[tuple[str, int]]) -> None:
    """Deliveries by broker and message; and the bodies that no broker needs then."""
    for broker, message in settled:
        db.execute("DELETE FROM delivery WHERE message = ? AND broker = ?", (message, broker))
        db.execute(
            "DELETE FROM message WHERE id = ?"
            " AND NOT EXISTS (SELECT 1 FROM delivery WHERE message = ?)",
            (message, message),
        )


def _drop(db: sqlite3.Connection, ids: list[int], why: str) -> None:
    """Delete bodies with their deliveries; the numbers of those still open are noted as lost."""
    for message in ids:
        losses.note_undelivered(db, message, why)
        db.execute("DELETE FROM delivery WHERE message = ?", (message,))
        db.execute("DELETE FROM message WHERE id = ?", (message,))
