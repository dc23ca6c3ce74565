"""What leaves the outbox without having been asked for: the old, and the least important."""

from __future__ import annotations

import logging
import sqlite3

from agent.outbox.schema import State
from agent.records import Moment

_log = logging.getLogger(__name__)

_CHUNK = 500  # rows a step: a step is short, and the lock is held for one call
_HEADROOM = 0.95  # evict down to here, so that not every put evicts


def used_bytes(db: sqlite3.Connection) -> int:
    """Bytes of the file that hold something; free pages are used again, not given back."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (size,) = db.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


def make(db: sqlite3.Connection, max_bytes: int, now: Moment) -> None:
    """Evict until the file's content is below `max_bytes`.

    First what is delivered, then the least important, the oldest of it first.
    """
    if used_bytes(db) <= max_bytes:
        return
    target, evicted = max_bytes * _HEADROOM, 0
    while used_bytes(db) > target and _forget(db, "state = 3", ()):
        pass
    while used_bytes(db) > target:
        ids = [
            row[0]
            for row in db.execute(
                "SELECT id FROM message ORDER BY priority DESC, id LIMIT ?", (_CHUNK,)
            )
        ]
        if not ids:
            break
        _drop(db, ids, "evicted", now)
        evicted += len(ids)
    if evicted:
        _log.warning("the outbox is full: %d of the least important messages evicted", evicted)


def date(db: sqlite3.Connection, now: Moment) -> None:
    """Rows from before the clock was set count their age from now."""
    db.execute("UPDATE message SET stored_ms = ? WHERE stored_ms = 0", (now.utc_ms,))
    db.execute(
        "UPDATE delivery SET settled_ms = ? WHERE settled_ms = 0 AND state >= 3", (now.utc_ms,)
    )


def forget_settled(db: sqlite3.Connection, before_ms: int) -> None:
    """Free deliveries settled before `before_ms`, and the bodies that no broker needs then."""
    while _forget(db, "settled_ms < ?", (before_ms,)):
        pass


def expire(db: sqlite3.Connection, before_ms: int, now: Moment) -> None:
    """Drop what was stored before `before_ms`, delivered or not."""
    while True:
        ids = [
            row[0]
            for row in db.execute(
                "SELECT id FROM message WHERE stored_ms < ? LIMIT ?", (before_ms, _CHUNK)
            )
        ]
        if not ids:
            return
        _drop(db, ids, "expired", now)


def _forget(db: sqlite3.Connection, condition: str, values: tuple[int, ...]) -> int:
    settled = db.execute(
        "SELECT broker, sq, message FROM delivery"  # noqa: S608 - the condition is ours
        f" WHERE state >= 3 AND {condition} ORDER BY settled_ms LIMIT {_CHUNK}",
        values,
    ).fetchall()
    for broker, sq, message in settled:
        db.execute("DELETE FROM delivery WHERE broker = ? AND sq = ?", (broker, sq))
        db.execute(
            "DELETE FROM message WHERE id = ?"
            " AND NOT EXISTS (SELECT 1 FROM delivery WHERE message = ?)",
            (message, message),
        )
    return len(settled)


def _drop(db: sqlite3.Connection, ids: list[int], why: str, now: Moment) -> None:
    """Delete bodies; a delivery that was still open stays as LOST, so that the gap is known."""
    settled_ms = now.utc_ms if now.synced else 0
    for message in ids:
        db.execute("DELETE FROM delivery WHERE message = ? AND state >= 3", (message,))
        db.execute(
            "UPDATE delivery SET state = ?, message = NULL, settled_ms = ?, why = ?"
            " WHERE message = ?",
            (int(State.LOST), settled_ms, why, message),
        )
        db.execute("DELETE FROM message WHERE id = ?", (message,))
