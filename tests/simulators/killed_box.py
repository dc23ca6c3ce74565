"""A box to be killed: `python killed_box.py FOLDER URL FIRST`; numbers its events from FIRST on.

It says "ready" once connected and then produces until it is killed, or asked to stop.
"""

from __future__ import annotations

import itertools
import signal
import sys
import threading
from pathlib import Path

from brokers import wait_until
from crossings import crossing
from post import office, post

from agent.outbox.writer import OutboxWriter
from agent.records import Priority

WAIT_S = {Priority.ALERT: 0.0, Priority.EVENT: 0.05, Priority.COUNT: 0.2}


def main() -> None:
    folder, url, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    kinds = itertools.cycle(("vehicle.line", "vehicle.count", "audit", "vehicle.line"))
    with post(office(url), folder) as box:
        writer = OutboxWriter(box.outbox, wait_s=WAIT_S)
        thread = threading.Thread(target=writer.run, args=(stop,))
        thread.start()
        wait_until(lambda: box.publisher.state.connected, 30, "connected")
        print("ready", flush=True)
        for number in itertools.count(first):
            writer.submit(crossing(number, kind=next(kinds)))
            if stop.wait(0.003):
                break
        thread.join()
        wait_until(lambda: box.counts().rows == 0, 120, "drained")


if __name__ == "__main__":
    main()
