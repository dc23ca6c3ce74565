"""What updates cost: bytes and time of a check, an update of 1 MB, the way back, one server.

    .venv/bin/python tests/bench/bench_ota.py

Without the child that tries a model out and without the trial: those take as long as the release
says. The server is Python's own, so that a real one does better.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import urllib3

sys.path.insert(0, str(Path(__file__).parents[1] / "simulators"))

from ota_maintainer import Box, Maintainer, release

BOXES = 18_824  # as many as cameras, each a box: the worst case
SECONDS = 3.0


class Counting(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # one packet an answer
    asked, sent = 0, 0

    def log_message(self, *_args: object) -> None:
        pass

    def send_header(self, keyword: str, value: str) -> None:
        if keyword == "Content-Length":
            type(self).asked += 1
            type(self).sent += int(value)
        super().send_header(keyword, value)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        maintainer = Maintainer(Path(folder))
        box = Box(Path(folder) / "box", maintainer.at().root_file)
        server = ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(Counting, directory=str(maintainer.public))
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"http://127.0.0.1:{server.server_port}"
        maintainer.release("1")
        box.apply(where)
        maintainer.at().add(maintainer.package("2", b"m" * 1_000_000), release("2"))
        began = time.perf_counter()
        maintainer.publish()
        box.apply(where)
        print(f"publish to active, 1 MB, loopback  {time.perf_counter() - began:8.2f} s")
        before, Counting.sent, Counting.asked = time.perf_counter(), 0, 0
        box.apply(where)
        took_ms = 1e3 * (time.perf_counter() - before)
        print(f"a check without news               {took_ms:8.1f} ms")
        print(f"                                   {Counting.sent:8d} bytes in bodies")
        print(f"                                   {Counting.asked:8d} requests")
        began = time.perf_counter()
        box.models.roll_back(1)
        print(f"the way back                       {time.perf_counter() - began:8.3f} s")
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        print(f"memory of this process, server too {peak_mb:8.0f} MB")
        rate = _rate(f"{where}/metadata/timestamp.json")
        need = 2 * BOXES / 3600
        print(f"server                             {rate:8.0f} requests/s")
        print(f"{BOXES} boxes an hour need        {need:8.1f} requests/s, {rate / need:.0f} times")
        server.shutdown()


def _rate(url: str) -> float:
    pool, asked = urllib3.PoolManager(), 0
    began = time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        pool.request("GET", url)
        asked += 1
    return asked / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
