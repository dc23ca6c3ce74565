"""Which occurrences have a start on disk and no end yet."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from agent.records import Message, Phase, Unfinished


def note(db: sqlite3.Connection, message: Message) -> None:
    """Keep the list up to date, in the transaction that stores `message`."""
    if message.phase in (Phase.START, Phase.UPDATE):
        # What is taken over from a damaged store comes in any order: the highest number counts.
        db.execute(
            "INSERT INTO unfinished (message_id, n, kind, camera, hotlist) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (message_id) DO UPDATE SET n = max(n, excluded.n)",
            (message.message_id, message.n, message.kind, message.camera, message.hotlist),
        )
    elif message.phase is Phase.END:
        db.execute("DELETE FROM unfinished WHERE message_id = ?", (message.message_id,))


def forget(db: sqlite3.Connection, ended: Collection[str]) -> None:
    """Their end came before their start."""
    db.executemany(
        "DELETE FROM unfinished WHERE message_id = ?", [(message_id,) for message_id in ended]
    )


def rows(db: sqlite3.Connection) -> list[Unfinished]:
    """The list, in no order."""
    found = db.execute("SELECT message_id, n, kind, camera, hotlist FROM unfinished").fetchall()
    return [
        Unfinished(message_id=message_id, n=n, kind=kind, camera=camera, hotlist=hotlist)
        for message_id, n, kind, camera, hotlist in found
    ]
