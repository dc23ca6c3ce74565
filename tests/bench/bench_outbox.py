"""What the outbox takes in and what it writes to the card: the Alpomish load, hours in minutes.

    .venv/bin/python tests/bench/bench_outbox.py            (--hours 48: the last half is counted)

The load is a mahalla with 26 cameras on one box: each tells one count a minute (37,440 a day), no
or some crossings an hour, and fifty times a day there is a hit. All goes to the office, hits to
the city too. Rows are acknowledged at once and kept for a part of the run, so that the half that is
counted deletes as much as it stores (with fewer hours the file is small, and is folded into too
cheaply); it begins and ends with SQLite's log folded in. Bytes are
`write_bytes` of /proc/self/io: what this process has made the kernel write to the disk (FOLDER must
be on one, not on a tmpfs); each put is synced, so nothing is saved by the hours passing quickly.
Not in it: the file system's own journal.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.clock import ManualClock
from agent.config.model import OutboxConfig
from agent.outbox.batch import WAIT_S, Batch
from agent.outbox.outbox import Outbox
from agent.privacy.privacy import Privacy
from agent.records import Event, Message, Moment, Phase, PlateText, Priority
from agent.ulid import UlidMaker

NOW_MS = 1_764_000_000_000
CAMERAS = 26
HITS_A_DAY = 50
TIDY_S = 3600
NO_WAIT = dict.fromkeys(Priority, 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=48.0, help="of the load (default 48)")
    parser.add_argument("--folder", help="on the disk that is meant (default: where temp files go)")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=words.folder) as folder:
        for rows in (1, 10, 100):
            print(f"into the outbox, {rows:3} a commit   {rate(Path(folder), rows):8.0f} events/s")
    for crossings in (0, 1, 10):
        for name, wait_s, hours in (
            ("as shipped", WAIT_S, words.hours),
            ("a commit a row", NO_WAIT, min(1.0, words.hours)),
        ):
            with tempfile.TemporaryDirectory(dir=words.folder) as folder:
                written = day(Path(folder), wait_s, hours, crossings)
            print(f"{crossings:2} crossings an hour and camera, {name:14}  {written}")


def rate(folder: Path, rows: int) -> float:
    """Events a second that are safe on the disk, `rows` a commit."""
    messages = [message for _, message in load(2.0, 10)][:2000]
    outbox = opened(folder / f"{rows}.db", ManualClock(NOW_MS), 3600)
    messages = messages[: 200 if rows == 1 else 2000]
    began = time.perf_counter()
    for first in range(0, len(messages), rows):
        outbox.put(messages[first : first + rows])
    took_s = time.perf_counter() - began
    outbox.close()
    return len(messages) / took_s


def day(folder: Path, wait_s: Mapping[Priority, float], hours: float, crossings: int) -> str:
    """The second half of `hours` of the load, as a day."""
    clock, half_s = ManualClock(NOW_MS), hours * 1800
    outbox = opened(folder / "outbox.db", clock, keep_s=half_s / 2)
    batch, tidy_s = Batch(4096, wait_s), float(TIDY_S)
    rows = commits = payload = before = 0

    def until(moment_s: float) -> None:
        nonlocal commits, tidy_s
        while (next_s := min(tidy_s, batch.due_s or moment_s, moment_s)) < moment_s:
            clock.advance(next_s - clock.now().mono_ns / 1e9)
            if next_s == tidy_s:
                outbox.tidy()
                tidy_s += TIDY_S
            else:
                stored = batch.messages()
                outbox.put(stored)
                batch.forget(stored)
                commits += 1
                for broker in ("office", "city"):
                    while sent := outbox.pending(broker, 32):
                        outbox.done(sent)
        clock.advance(moment_s - clock.now().mono_ns / 1e9)

    for moment_s, message in load(hours, crossings):
        until(moment_s)
        if moment_s >= half_s:
            if not before:
                fold(outbox)
                before, commits = written_bytes(), 0
            rows, payload = rows + 1, payload + len(message.body)
        batch.add(message, moment_s)
    until(hours * 3600)
    fold(outbox)
    written, days = written_bytes() - before, half_s / 86_400
    outbox.close()
    return (
        f"{rows / days:7.0f} events {commits / days:6.0f} commits {payload / days / 1e6:5.1f} MB of"
        f" payload {written / days / 1e6:6.1f} MB written a day: x {written / payload:.1f}"
    )


def fold(outbox: Outbox) -> None:
    """What lies in the log only would be written to the file later."""
    outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def opened(path: Path, clock: ManualClock, keep_s: float) -> Outbox:
    brokers = {"office": lambda _: True, "city": lambda message: message.kind == "plate.hit"}
    return Outbox(path, brokers, OutboxConfig(keep_s=keep_s), clock)


def load(hours: float, crossings: int) -> Iterator[tuple[float, Message]]:
    """Second and message, in order; the same each time."""
    chance = random.Random(1)
    privacy, ids = Privacy("alpomish", "north-gate", "1f0c2d7e9a4b"), UlidMaker(chance)

    def made(moment_s: float, kind: str, **details: object) -> tuple[float, Message]:
        at = Moment(mono_ns=round(moment_s * 1e9), utc_ms=NOW_MS + round(moment_s * 1e3))
        words = {
            "event_id": ids(at.utc_ms),
            "n": 0,
            "phase": Phase.ONCE,
            "at": at,
            "camera_id": f"gate-{chance.randrange(CAMERAS):02d}",
            "kind": kind,
        }
        return moment_s, privacy.event(Event(**words | details))

    seconds, found = hours * 3600, []
    for minute in range(1, int(hours * 60)):
        for camera in range(CAMERAS):
            what = {"object_class": "car", "count": chance.randrange(1, 30), "period_s": 60}
            moment_s = minute * 60 + chance.uniform(0, 0.3)
            found.append(made(moment_s, "vehicle.count", camera_id=f"gate-{camera:02d}", **what))
    for _ in range(round(CAMERAS * crossings * hours)):
        what = {"place": "in", "direction": "+", "object_class": "car", "score": 0.83}
        found.append(made(chance.uniform(0, seconds), "vehicle.line", **what))
    for _ in range(round(HITS_A_DAY * hours / 24)):
        plate = PlateText(country="UZ", text="75A123BC", pattern="private", loss=0.0)
        what = {"plate": plate, "score": 0.97, "margin": 4.1, "hotlist": "stolen"}
        what |= {"match": "exact", "phase": Phase.START}
        found.append(made(chance.uniform(0, seconds), "plate.hit", **what))
    return iter(sorted(found, key=lambda each: each[0]))


def written_bytes() -> int:
    """What this process has had written to disks since it began."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    sys.exit("/proc/self/io has no write_bytes here")


if __name__ == "__main__":
    main()
