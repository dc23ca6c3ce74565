"""Messages on disk until every broker that should have them has them."""

from __future__ import annotations

import logging
import random
import sqlite3
import string
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from agent.clock import Clock
from agent.config.model import OutboxConfig
from agent.errors import StoreError
from agent.kinds import LOST, wants_receipt
from agent.outbox import losses, room, salvage, unfinished
from agent.outbox.ages import Ages
from agent.outbox.receipts import AGAIN_MOST, STUCK_MS, Receipts
from agent.outbox.schema import State, connect, drop_aside, is_damage, newest_aside, put_aside
from agent.records import Delivery, Loss, Message, Phase, Priority, QueueHealth, Unfinished

_log = logging.getLogger(__name__)

_ALPHABET = string.ascii_lowercase + string.digits
_PENDING = """
    SELECT d.sq, d.tries, m.kind, m.camera, m.body, m.priority, m.expiry_s
    FROM delivery d JOIN message m ON m.id = d.message
    WHERE d.broker = ? AND d.state = 0 AND d.state != 3 AND d.urgent = ? AND d.not_before_ms <= ?
    ORDER BY d.sq {order} LIMIT ?
"""
_OLDEST = """
    SELECT d.sq, m.stored_ms FROM delivery d JOIN message m ON m.id = d.message
    WHERE d.broker = ? AND d.state IN (0, 1) AND d.state != 3 ORDER BY +d.message LIMIT ?
"""
_THE_OPEN = "broker = ? AND state IN (-1, 0, 1, 2) AND urgent = ? AND sq = ? AND state != 3"
_STATE = f"SELECT state FROM delivery WHERE {_THE_OPEN}"  # noqa: S608 - these three are ours
_RETRY = f"UPDATE delivery SET tries = tries + 1, not_before_ms = ? WHERE {_THE_OPEN}"  # noqa: S608
_SETTLE = f"""
    UPDATE delivery SET state = ?, settled_ms = ?, why = ?, not_before_ms = ? WHERE {_THE_OPEN}
"""  # noqa: S608
_OF_THIS_BOOT = """
    SELECT id, body, mono_ms FROM message m WHERE id > ? AND boot_id = ?
    AND EXISTS (SELECT 1 FROM delivery d WHERE d.message = m.id AND d.state != 3)
    ORDER BY id LIMIT ?
"""
_REDATE_MOST = 500  # rows a call: others wait for the lock meanwhile
_SEND_AGAIN = """
    UPDATE delivery SET state = 0 WHERE broker = ? AND state = -1 AND state != 3
    AND sq IN (SELECT sq FROM delivery WHERE broker = ? AND state = -1 AND state != 3
    AND not_before_ms <= ? ORDER BY sq LIMIT ?)
"""
_HEARD_AGAIN = """
    UPDATE delivery SET state = 0 WHERE broker = ? AND state = 1 AND state != 3
    AND message IN (SELECT id FROM message WHERE camera = ? AND kind = ?)
"""
_NEWEST_FIRST = _PENDING.format(order="DESC")
_OLDEST_FIRST = _PENDING.format(order="ASC")
_Row = tuple[Any, ...]

_LIVE_SHARE = 4  # one of so many is of the newest while a backlog drains

# What is acknowledged is known in memory first; a crash within that time sends it once more.
_WRITE_LATEST_MS = 60_000
_WRITE_MOST = 256

_WORTH_ROWS = 8  # for fewer, the pages at the old end cost more than they save

_EVER_MS = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    delivery: Delivery
    at_ms: int  # Unix, 0 where the clock was not set


def _step(wreck: Iterator[bytes | None], limit: int) -> list[bytes | None]:
    """Up to `limit` bodies, or until it has looked at many in vain: a short step of the work."""
    found: list[bytes | None] = []
    for body in wreck:
        found.append(body)
        if body is None or len(found) >= limit:
            break
    return found


def _open(delivery: Delivery) -> tuple[str, bool, int]:
    """The values of `_THE_OPEN`."""
    return delivery.broker, delivery.priority is Priority.ALERT, delivery.sq


def _mixed(oldest: list[_Row], newest: list[_Row]) -> list[_Row]:
    """One of the newest, some of the oldest, and so on; each number once."""
    rest = iter(oldest)
    mixed: dict[int, _Row] = {}
    for row in newest:
        for each in (row, *islice(rest, _LIVE_SHARE - 1)):
            mixed.setdefault(each[0], each)
    return [*mixed.values(), *(row for row in rest if row[0] not in mixed)]


class Outbox:
    """At least once, for each broker: one body, one numbered delivery row a broker.

    `brokers` says which messages each broker is to have, `seen_at` behind which of them a recorder
    confirms what may not be lost in the broker's own queue. Safe to use from several threads.
    Raises StoreError where the disk fails; a damaged file is set aside and replaced, and what can
    be read in it is taken over by `salvage`. Where no new one can be made, each call tries again.
    """

    def __init__(
        self,
        path: Path,
        brokers: Mapping[str, Callable[[Message], bool]],
        config: OutboxConfig,
        clock: Clock,
        *,
        seen_at: Collection[str] = (),
    ) -> None:
        self.commits = 0  # grows with each put: whoever sends looks here before it looks at disk
        self.evicted = 0  # messages given up for room since this outbox was opened
        self._path = path
        self._brokers = brokers
        self._config = config
        self._clock = clock
        self._receipts = {broker: Receipts() for broker in seen_at}
        self._lock = threading.RLock()
        self._set_aside: list[Path] = []
        self._wreck: Iterator[bytes | None] | None = None  # what is left in the file set aside
        self._saved: list[bytes | None] = []
        self._salvaged: set[int] = set()  # keys of what is in this store and may be in that file
        self._ended: set[str] = set()  # occurrences of which the end was found there
        self._ages = Ages()
        self._dated_ms = _EVER_MS  # the clock then; a later one has gone back since
        self._streams: dict[str, str] = {}
        self._unheard: set[tuple[str, str, str]] = set()  # broker, camera, kind
        self._acknowledged: dict[tuple[str, int], Acknowledged] = {}  # not written down yet
        self._write_at_ms: int | None = None  # monotonic, when it is to be
        self._closed = False
        self._db: sqlite3.Connection | None = self._open()

    def put(self, messages: Sequence[Message]) -> None:
        """Store `messages` in one transaction and number them for each broker that wants them.

        A put that failed may be repeated.
        """
        self._make_room()
        with self._transaction(durable=True) as db:
            if len(messages) >= _WORTH_ROWS:
                self._make_way(db, 2 * len(messages))
            for message in messages:
                self._insert(db, message)
        self.commits += 1

    def _make_room(self) -> None:
        with self._reading() as db:
            if room.used_bytes(db) <= self._config.max_bytes:
                return  # a commit for nothing would take acknowledgements along
        with self._transaction(durable=False) as db:
            self.evicted += room.make(db, self._config.max_bytes)

    def _make_way(self, db: sqlite3.Connection, rows: int) -> None:
        """Let go of what has outlived `keep_s` where its pages are taken again at once."""
        now = self._clock.now()
        if now.synced:
            before_ms = self._ages.now_ms(db, now) - round(self._config.keep_s * 1000)
            room.forget_oldest(db, before_ms, rows)

    def _insert(self, db: sqlite3.Connection, message: Message) -> None:
        if message.channel != "e":
            raise ValueError(f"only events enter the outbox, not {message.channel}")
        takers = [broker for broker, wants in self._brokers.items() if wants(message)]
        if not takers:
            if message.phase is Phase.END:  # its kind has lost its last broker since it began
                unfinished.note(db, message)
            return
        added = db.execute(
            "INSERT OR IGNORE INTO message (message_id, n, kind, camera, body, priority, expiry_s,"
            " boot_id, mono_ms, stored_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                message.message_id,
                message.n,
                message.kind,
                message.camera,
                message.body,
                int(message.priority),
                message.expiry_s,
                message.boot_id,
                message.mono_ms,
                self._utc_ms(),
            ),
        )
        if added.rowcount == 0:  # a store made before had numbers of events unique
            return
        unfinished.note(db, message)
        urgent = message.priority is Priority.ALERT
        for broker in takers:
            db.execute(
                "INSERT INTO delivery (broker, sq, message, urgent)"
                " SELECT broker, next_sq, ?, ? FROM stream WHERE broker = ?",
                (added.lastrowid, urgent, broker),
            )
            db.execute("UPDATE stream SET next_sq = next_sq + 1 WHERE broker = ?", (broker,))

    def unfinished(self) -> list[Unfinished]:
        """Occurrences without an end; at the start of a box, those that a crash cut off."""
        with self._reading() as db:
            return unfinished.rows(db)

    def pending(self, broker: str, limit: int, *, urgent: bool = False) -> list[Delivery]:
        """What `broker` is to be sent next: the newest alerts, then the rest from the oldest on.

        Where that is not all, some of the newest are among the rest: what happens now does not
        wait behind the weeks before. `urgent`: alerts alone.
        """
        with self._reading() as db:
            rows = self._waiting(db, _NEWEST_FIRST, broker, 1, limit)
            if len(rows) < limit and not urgent:
                rows += self._others(db, broker, limit - len(rows))
            st = self._streams[broker]
        return [
            Delivery(
                broker=broker,
                st=st,
                sq=sq,
                tries=tries,
                kind=kind,
                camera=camera,
                body=body,
                priority=Priority(priority),
                expiry_s=expiry_s,
            )
            for sq, tries, kind, camera, body, priority, expiry_s in rows
        ]

    def _others(self, db: sqlite3.Connection, broker: str, limit: int) -> list[_Row]:
        oldest = self._waiting(db, _OLDEST_FIRST, broker, 0, limit)
        if len(oldest) < limit:
            return oldest
        newest = self._waiting(db, _NEWEST_FIRST, broker, 0, limit // _LIVE_SHARE)
        return _mixed(oldest, newest)[:limit]

    def _waiting(
        self, db: sqlite3.Connection, query: str, broker: str, urgent: int, limit: int
    ) -> list[_Row]:
        most = limit + len(self._acknowledged)
        rows = db.execute(query, (broker, urgent, self._mono_ms(), most)).fetchall()
        return [row for row in rows if (broker, row[0]) not in self._acknowledged][:limit]

    def done(self, deliveries: Sequence[Delivery]) -> bool:
        """The broker has them; what nobody heard on the same topics becomes due again, if any.

        Written down with the next that is put, or soon: most pages are the same.
        """
        with self._lock:
            for delivery in deliveries:
                if not self._is_stale(delivery):
                    key = delivery.broker, delivery.sq
                    self._acknowledged[key] = Acknowledged(delivery=delivery, at_ms=self._utc_ms())
            now_ms = self._mono_ms()
            if self._write_at_ms is None:
                self._write_at_ms = now_ms + _WRITE_LATEST_MS
            topics = {(each.broker, each.camera, each.kind) for each in deliveries}
            heard_again = topics & self._unheard
            is_due = now_ms >= self._write_at_ms or len(self._acknowledged) >= _WRITE_MOST
            if heard_again or is_due:
                with self._transaction(durable=False) as db:
                    for topic in heard_again:
                        db.execute(_HEARD_AGAIN, topic)
                self._unheard -= heard_again
        return bool(heard_again)

    def _delivered(self, delivery: Delivery) -> State:
        receipts = self._receipts.get(delivery.broker)
        if receipts is None or not wants_receipt(delivery.kind) or delivery.sq <= receipts.to:
            return State.DONE
        return State.UNSEEN

    def seen(self, broker: str, st: str, to: int) -> int | None:
        """The recorder has all up to number `to`; how many rows that frees.

        None where `st` is not the stream of `broker`. A recorder that says the same number again
        while we wait for more has lost what came after it: that is sent again.
        """
        receipts = self._receipts.get(broker)
        if receipts is None or self._streams.get(broker) != st:
            return None
        with self._transaction(durable=False) as db:
            given = db.execute("SELECT next_sq FROM stream WHERE broker = ?", (broker,)).fetchone()
            if given is None or to >= given[0]:  # nobody has what was never numbered
                return None
            is_stuck = receipts.hear(to, self._mono_ms())
            freed = db.execute(
                "UPDATE delivery SET state = 3, settled_ms = ?"
                " WHERE broker = ? AND state = -1 AND state != 3 AND sq <= ?",
                (self._utc_ms(), broker, to),
            ).rowcount
            if is_stuck:
                db.execute(_SEND_AGAIN, (broker, broker, self._mono_ms(), AGAIN_MOST))
        if is_stuck:
            self.commits += 1
        return freed

    def refuse(self, delivery: Delivery, why: str) -> None:
        """The broker will never take it: keep it, count it, try it no more."""
        with self._transaction(durable=False) as db:
            self._settle(db, delivery, State.REFUSED, why)
            if not self._is_stale(delivery) and delivery.kind != LOST:
                # Not of an account itself: where it is refused, the next one will be too.
                loss = losses.one(delivery.broker, delivery.sq, losses.QUARANTINED)
                losses.note(db, loss)

    def unheard(self, delivery: Delivery) -> None:
        """Nobody had subscribed: keep it until somebody hears its topic, or `try_unheard`."""
        with self._transaction(durable=False) as db:
            self._settle(db, delivery, State.UNHEARD, None)
            self._unheard.add((delivery.broker, delivery.camera, delivery.kind))

    def try_unheard(self, broker: str) -> None:
        """Make the oldest unheard message of each topic due again, to find out if it is heard.

        One a topic, not all: thousands of rows would travel for nobody each time.
        """
        with self._transaction(durable=False) as db:
            db.execute(
                "UPDATE delivery SET state = 0 WHERE broker = ? AND state = 1 AND state != 3"
                " AND sq IN (SELECT min(d.sq)"
                " FROM delivery d JOIN message m ON m.id = d.message"
                " WHERE d.broker = ? AND d.state = 1 AND d.state != 3 GROUP BY m.camera, m.kind)",
                (broker, broker),
            )

    def retry_later(self, delivery: Delivery, delay_s: float) -> None:
        """Refused this time: due again after `delay_s`, with one more try counted."""
        if self._is_stale(delivery):
            return
        with self._transaction(durable=False) as db:
            db.execute(_RETRY, (self._mono_ms() + round(delay_s * 1000), *_open(delivery)))

    def counts(self, broker: str) -> QueueHealth:
        """How many rows wait for `broker` and how old the oldest is."""
        with self._reading() as db:
            by_state = dict(
                db.execute(
                    "SELECT state, count(*) FROM delivery WHERE broker = ? AND state != 3"
                    " GROUP BY state",
                    (broker,),
                ).fetchall()
            )
            oldest_ms = self._oldest_ms(db, broker)
            for each in self._acknowledged.values():
                if each.delivery.broker != broker:
                    continue
                found = db.execute(_STATE, _open(each.delivery)).fetchone()
                if found:
                    by_state[found[0]] -= 1
                    state = self._delivered(each.delivery)
                    by_state[state] = by_state.get(state, 0) + 1
        waiting, unheard = by_state.get(State.WAITING, 0), by_state.get(State.UNHEARD, 0)
        now = self._clock.now()
        known = oldest_ms and now.synced
        return QueueHealth(
            rows=waiting + unheard,
            age_s=max(0, now.utc_ms - oldest_ms) / 1000 if known else 0.0,
            refused=by_state.get(State.REFUSED, 0),
            unheard=unheard,
            unseen=by_state.get(State.UNSEEN, 0),
        )

    def _oldest_ms(self, db: sqlite3.Connection, broker: str) -> int:
        rows = db.execute(_OLDEST, (broker, len(self._acknowledged) + 1)).fetchall()
        return next((ms for sq, ms in rows if (broker, sq) not in self._acknowledged), 0)

    def tidy(self) -> None:
        """Let go of what has outlived `keep_s` and `max_age_s`; call it each hour or so."""
        now = self._clock.now()
        if not now.synced:
            return  # no age is known
        with self._transaction(durable=False) as db:
            room.date(db, now)
            if now.utc_ms < self._dated_ms:
                room.date_back(db, now)
            self._dated_ms = now.utc_ms
            age_ms = self._ages.now_ms(db, now)
            room.forget_settled(db, age_ms - round(self._config.keep_s * 1000))
            room.expire(db, age_ms - round(self._config.max_age_s * 1000))
            if self._wreck is None:
                drop_aside(self._path, before_ms=age_ms - round(self._config.max_age_s * 1000))

    def send_again(self, broker: str, st: str, first: int, last: int) -> int | None:
        """Make what `broker` has had due again; how many numbers of the range it will then have.

        None where `st` is not its stream: it asks for what another outbox held.
        """
        if self._streams.get(broker) != st:
            return None
        values = (broker, first, last)
        with self._transaction(durable=False) as db:
            if broker in self._receipts:  # the word of one who had them does not count for these
                self._receipts[broker].lacks(first)
            db.execute(
                "UPDATE delivery SET state = 0, tries = 0, not_before_ms = 0, settled_ms = NULL"
                " WHERE broker = ? AND sq BETWEEN ? AND ? AND state IN (-1, 3)",
                values,
            )
            found = db.execute(
                "SELECT count(*) FROM delivery WHERE broker = ? AND sq BETWEEN ? AND ?"
                " AND state < 2",
                values,
            ).fetchone()
        self.commits += 1
        return int(found[0])

    def tell_losses(self, account: Callable[[Loss], Message]) -> None:
        """Store an account of what was lost since this was last called, in one transaction."""
        with self._reading() as db:
            if not losses.any_to_tell(db):
                return  # a commit for nothing would take acknowledgements along, synced
        with self._transaction(durable=True) as db:
            found = losses.take(db)
            for loss in found:
                self._insert(db, account(loss))
        if found:
            self.commits += 1

    def redate(
        self, boot_id: str, offset_ms: int, redated: Callable[[bytes, int], bytes], after: int = 0
    ) -> int | None:
        """Correct some of what was stored in this boot, after row `after`, and is not delivered.

        `offset_ms` is UTC minus monotonic; `redated` gives a body another time. Answers with the
        row to go on after; None when that was all.
        """
        with self._transaction(durable=False) as db:
            rows = db.execute(_OF_THIS_BOOT, (after, boot_id, _REDATE_MOST)).fetchall()
            for message, body, mono_ms in rows:
                t_ms = offset_ms + mono_ms
                db.execute(
                    "UPDATE message SET body = ?1,"
                    " stored_ms = CASE stored_ms WHEN 0 THEN ?2 ELSE stored_ms END"
                    " WHERE id = ?3",
                    (redated(body, t_ms), t_ms, message),
                )
        return int(rows[-1][0]) if rows else None

    def has_undated(self, boot_id: str) -> bool:
        """Whether it holds what was stored in this boot while the clock was not set."""
        with self._reading() as db:
            found = db.execute(
                "SELECT 1 FROM message WHERE stored_ms = 0 AND boot_id = ? LIMIT 1", (boot_id,)
            ).fetchone()
        return found is not None

    def told(self, event_id: str) -> tuple[str, str] | None:
        """Kind and camera of an event that is still kept."""
        with self._reading() as db:
            found = db.execute(
                "SELECT kind, camera FROM message WHERE message_id = ? LIMIT 1", (event_id,)
            ).fetchone()
        return found and (str(found[0]), str(found[1]))

    def take_set_aside(self) -> list[Path]:
        """The damaged files set aside since this was last asked, for an event about them."""
        with self._lock:
            found, self._set_aside = self._set_aside, []
            return found

    def salvage(self, restored: Callable[[bytes], Message | None], limit: int = 500) -> int:
        """Store anew what can be read in the file set aside, up to `limit` bodies; how many steps.

        `restored` makes a message of a body, or None where it is not to be sent. Call it until it
        answers 0; a start in the middle begins with the file again.
        """
        wreck = self._wreck
        if wreck is None:
            return 0
        self._saved = self._saved or _step(wreck, limit)
        saved = self._saved
        messages = [restored(body) for body in saved if body is not None]
        found = {
            salvage.key(message.message_id, message.n): message
            for message in messages
            if message is not None
        }
        self._ended |= {each.message_id for each in found.values() if each.phase is Phase.END}
        self.put([message for key, message in found.items() if key not in self._salvaged])
        self._salvaged |= found.keys()
        with self._transaction(durable=False) as db:
            unfinished.forget(db, self._ended & {each.message_id for each in found.values()})
        self._saved = []
        if not saved and self._wreck is wreck:
            with self._transaction(durable=False) as db:
                self._wreck = None
                self._salvaged, self._ended = set(), set()
                db.execute(
                    "INSERT OR REPLACE INTO mark (name, value) VALUES ('salvaged', ?)",
                    (newest_aside(self._path)[1],),
                )
            _log.info("%s: what could be read in the file set aside is taken over", self._path)
        return len(saved)

    def close(self) -> None:
        with self._lock:
            if self._acknowledged:
                with suppress(StoreError), self._transaction(durable=False):
                    pass
            self._closed = True
            self._let_go()

    def _settle(
        self,
        db: sqlite3.Connection,
        delivery: Delivery,
        state: State,
        why: str | None,
        at_ms: int | None = None,
    ) -> None:
        if self._is_stale(delivery):
            return
        settled_ms = self._utc_ms() if at_ms is None else at_ms
        # An unseen row has until then to be confirmed before it is sent again.
        not_before_ms = self._mono_ms() + STUCK_MS if state is State.UNSEEN else 0
        db.execute(_SETTLE, (int(state), settled_ms, why, not_before_ms, *_open(delivery)))

    def _is_stale(self, delivery: Delivery) -> bool:
        """Whether it was read from a file that has been replaced since."""
        return self._streams.get(delivery.broker) != delivery.st

    def _utc_ms(self) -> int:
        now = self._clock.now()
        return now.utc_ms if now.synced else 0

    def _mono_ms(self) -> int:
        return self._clock.now().mono_ns // 1_000_000

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            db = self._opened()
            try:
                yield db
            except sqlite3.Error as error:
                raise self._failed(error) from error

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """Whatever is written, the acknowledgements of before are written down with it."""
        # FULL for what is put: after a power cut a number that has been sent must not be given
        # to another message. NORMAL for the rest: a forgotten acknowledgement costs one
        # duplicate, which receivers drop, and each sync wears the card.
        with self._lock:
            db = self._opened()
            try:
                db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                db.execute("BEGIN IMMEDIATE" if durable else "BEGIN")
                for each in self._acknowledged.values():
                    state = self._delivered(each.delivery)
                    self._settle(db, each.delivery, state, None, each.at_ms)
                yield db
                db.execute("COMMIT")
                self._acknowledged.clear()
                self._write_at_ms = None
            except sqlite3.Error as error:
                raise self._failed(error) from error
            finally:
                if db is self._db and db.in_transaction:
                    db.execute("ROLLBACK")

    def _failed(self, error: sqlite3.Error) -> StoreError:
        if not is_damage(error):
            return StoreError(f"{self._path}: {error}; free some space or check the card")
        self._let_go()
        self._db = self._replace(error)
        return StoreError(f"{self._path}: {error}; it was set aside and a new outbox begun")

    def _let_go(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _opened(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError(f"{self._path}: the outbox has been closed")
        if self._db is None:  # after damage, on a disk too full for a new file
            self._db = self._open()
        return self._db

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return self._begin()
        except OSError as error:
            raise StoreError(f"{self._path.parent}: {error.strerror}; make it writable") from error
        except sqlite3.Error as error:
            if not is_damage(error):
                raise StoreError(f"{self._path}: {error}; free space or check the card") from error
            return self._replace(error)

    def _replace(self, error: sqlite3.Error) -> sqlite3.Connection:
        aside = put_aside(self._path, self._clock.now().utc_ms)
        self._set_aside.append(aside)
        _log.error("%s: %s; set aside as %s, a new outbox begun", self._path, error, aside.name)
        try:
            return self._begin()
        except sqlite3.Error as again:
            raise StoreError(f"{self._path}: {again}; free space or check the card") from again

    def _begin(self) -> sqlite3.Connection:
        db = connect(self._path)
        try:
            self._prepare(db)
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Give each broker its stream, and each row its first chance of this run."""
        chance = random.SystemRandom()
        for broker in self._brokers:
            st = "".join(chance.choices(_ALPHABET, k=8))
            db.execute("INSERT OR IGNORE INTO stream (broker, st) VALUES (?, ?)", (broker, st))
        db.execute("UPDATE delivery SET state = 0 WHERE state = 1 AND state != 3")
        db.execute("UPDATE delivery SET not_before_ms = 0 WHERE not_before_ms > 0 AND state != 3")
        self._streams = dict(db.execute("SELECT broker, st FROM stream").fetchall())
        self._ages.resume(db, self._clock.now())
        self._unheard.clear()
        self._acknowledged.clear()
        aside, stamp = newest_aside(self._path)
        (salvaged,) = db.execute("SELECT max(value) FROM mark WHERE name = 'salvaged'").fetchone()
        self._wreck = salvage.bodies(aside) if aside and salvaged != stamp else None
        self._saved = []
        self._ended = set()
        held = "SELECT message_id, n FROM message"
        self._salvaged = {salvage.key(*row) for row in db.execute(held)} if self._wreck else set()
        for broker in self._brokers:
            if broker in self._receipts:
                self._receipts[broker] = Receipts()
            else:  # nobody confirms there any more
                db.execute(
                    "UPDATE delivery SET state = 3, settled_ms = ?"
                    " WHERE broker = ? AND state = -1 AND state != 3",
                    (self._utc_ms(), broker),
                )
