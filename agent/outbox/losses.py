"""Numbers that will never come, kept until the broker that they were given to is told."""

from __future__ import annotations

import json
import sqlite3

from agent.kinds import LOST
from agent.records import Loss

EVICTED, EXPIRED, QUARANTINED = "evicted", "expired", "quarantined"

# One row a broker and reason, however much is lost: what is told is a range and how many of it.
TABLE = """
CREATE TABLE IF NOT EXISTS lost (
    broker TEXT NOT NULL,
    why TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (broker, why)
) WITHOUT ROWID;
"""


def note(db: sqlite3.Connection, loss: Loss) -> None:
    """Add `loss` to what is to be told."""
    db.execute(
        "INSERT INTO lost (broker, why, first, last, count) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (broker, why) DO UPDATE SET first = min(first, excluded.first),"
        " last = max(last, excluded.last), count = count + excluded.count",
        (loss.broker, loss.why, loss.first, loss.last, loss.count),
    )


def note_undelivered(db: sqlite3.Connection, message: int, why: str) -> None:
    """The body `message` goes: note the number of each broker that still waits for it."""
    waiting = db.execute(
        "SELECT d.broker, d.sq, m.kind, m.body FROM delivery d JOIN message m ON m.id = d.message"
        " WHERE d.message = ? AND d.state < 2",
        (message,),
    ).fetchall()
    for broker, sq, kind, body in waiting:
        note(db, one(broker, sq, why))
        if kind == LOST:  # an account that nobody heard: what it told is to be told again
            told = json.loads(body)
            note(
                db,
                Loss(
                    broker=broker,
                    first=told["from"],
                    last=told["to"],
                    count=told["c"],
                    why=told["why"],
                ),
            )


def one(broker: str, sq: int, why: str) -> Loss:
    """The loss of a single number."""
    return Loss(broker=broker, first=sq, last=sq, count=1, why=why)


def any_to_tell(db: sqlite3.Connection) -> bool:
    """Whether `take` would give something."""
    return db.execute("SELECT 1 FROM lost LIMIT 1").fetchone() is not None


def take(db: sqlite3.Connection) -> list[Loss]:
    """What is to be told; the caller stores the accounts in the same transaction."""
    rows = db.execute("SELECT broker, first, last, count, why FROM lost").fetchall()
    if rows:
        db.execute("DELETE FROM lost")
    return [
        Loss(broker=broker, first=first, last=last, count=count, why=why)
        for broker, first, last, count, why in rows
    ]
