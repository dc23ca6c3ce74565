"""The outbox's tables, and opening a file that may be damaged."""

from __future__ import annotations

import logging
import sqlite3
from enum import IntEnum
from pathlib import Path

from agent.errors import StoreError
from agent.outbox import ages, losses

_log = logging.getLogger(__name__)

VERSION = 1

# A commit writes whole pages, of each table and index that it touches: small ones. A log that is
# folded into the file less often takes along what was written twice.
_PAGE_BYTES = 512
_LOG_BYTES = 16_000_000


class State(IntEnum):
    """Where a delivery stands; below DONE the broker still waits for it."""

    UNSEEN = -1  # the broker has it; the recorder behind it has not said so yet
    WAITING = 0
    UNHEARD = 1  # accepted, but nobody had subscribed
    REFUSED = 2  # the broker will not have it: kept, counted, no longer tried
    DONE = 3  # kept for a while, to be sent again when asked for


# No index is written for each row that is needed now and then only: of (message_id, n), since
# receivers drop what comes twice; of (broker, sq), since rows that are still open have one, and
# what is asked for again is looked for in all. A store made before has them and may keep them.
# Moments are Unix ms; 0 stands for "stored while the clock was not set".
TABLES = """
CREATE TABLE stream (
    broker TEXT PRIMARY KEY,
    st TEXT NOT NULL,
    next_sq INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL,
    n INTEGER NOT NULL,
    kind TEXT NOT NULL,
    camera TEXT NOT NULL,
    body BLOB NOT NULL,
    priority INTEGER NOT NULL,
    expiry_s INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    mono_ms INTEGER NOT NULL,
    stored_ms INTEGER NOT NULL
);
CREATE INDEX message_undated ON message (id) WHERE stored_ms = 0;
CREATE TABLE unfinished (
    message_id TEXT PRIMARY KEY,
    n INTEGER NOT NULL,
    kind TEXT NOT NULL,
    camera TEXT NOT NULL,
    hotlist TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE delivery (
    broker TEXT NOT NULL REFERENCES stream (broker),
    sq INTEGER NOT NULL,
    message INTEGER NOT NULL REFERENCES message (id),
    urgent INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    not_before_ms INTEGER NOT NULL DEFAULT 0,  -- monotonic, so of this run only
    settled_ms INTEGER,
    why TEXT,
    PRIMARY KEY (message, broker)
) WITHOUT ROWID;
"""
# "state != 3", not "< 3": SQLite would look for that range and then sort all that is open.
INDEX = """
CREATE INDEX IF NOT EXISTS delivery_waits ON delivery (broker, state, urgent, sq) WHERE state != 3;
"""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether `error` says that the file itself is broken (not that it is full or locked).

    `sqlite3` raises the bare `DatabaseError` for SQLITE_CORRUPT and SQLITE_NOTADB alone.
    """
    return type(error) is sqlite3.DatabaseError


def connect(path: Path) -> sqlite3.Connection:
    """The store at `path`, made when it is not there.

    Raises sqlite3.Error as it comes: the caller tells damage from a full disk. A store of a newer
    agent is no damage: a StoreError, and it stays as it is.
    """
    # Every use is under the outbox's own lock, so threads may share the connection.
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        _prepare(db, path)
    except (sqlite3.Error, StoreError) as error:
        db.close()
        if "locked" in str(error):
            raise StoreError(f"{path}: another agent works with it; stop that one") from error
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    # Nobody else writes here, so the log needs no index in a shared file: 20 kB a commit.
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreError(
            f"{path}: has layout {version} of a newer agent, this one knows {VERSION};"
            " install the newer one again, or move the file away"
        )
    if version not in (0, VERSION):
        raise sqlite3.DatabaseError(f"layout {version}, this agent knows {VERSION}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA wal_autocheckpoint = {_LOG_BYTES // _PAGE_BYTES}")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA secure_delete = ON")  # what has left its retention is overwritten
    if version == 0:
        db.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
    # What came later is no new layout, a table or a column with a default: the agent before it,
    # put back, goes on with this store.
    elif "hotlist" not in {row[1] for row in db.execute("PRAGMA table_info(unfinished)")}:
        db.execute("ALTER TABLE unfinished ADD COLUMN hotlist TEXT NOT NULL DEFAULT ''")
    db.execute("DROP INDEX IF EXISTS delivery_open")
    for each in (INDEX, losses.TABLE, ages.TABLE):
        db.execute(each)


def newest_aside(path: Path) -> tuple[Path | None, int]:
    """The damaged store that was set aside beside `path`, and its stamp; None and 0 without one."""
    found = [each for each in path.parent.glob(f"{path.name}.corrupt-*") if each.is_file()]
    stamped = [(each, each.name.rpartition("-")[2]) for each in found]
    by_age = sorted((int(stamp), each) for each, stamp in stamped if stamp.isdigit())
    return (by_age[-1][1], by_age[-1][0]) if by_age else (None, 0)


def drop_aside(path: Path, *, before_ms: int) -> None:
    """Delete a damaged store that was set aside before then: it holds messages too."""
    aside, stamp = newest_aside(path)
    if aside is not None and stamp < before_ms:
        for part in path.parent.glob(f"{aside.name}*"):
            part.unlink(missing_ok=True)


def put_aside(path: Path, stamp: int) -> Path:
    """Rename a damaged store and its log out of the way; answers with the new name.

    Only the newest damaged file is kept: they hold messages, and messages do not pile up.
    """
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    try:
        for older in path.parent.glob(f"{path.name}.corrupt-*"):
            older.unlink()
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
    except OSError as error:
        raise StoreError(f"{path}: damaged, and cannot be set aside: {error.strerror}") from error
    return aside
