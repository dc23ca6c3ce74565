"""Bad lines: broken off, slow, metered, behind a proxy; and a disk that is full."""

from __future__ import annotations

import errno
import sys
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from agent.errors import UpdateError
from agent.ota.fetching import Line


class Server(SimpleHTTPRequestHandler):
    """Keeps to ranges where asked, and breaks the line after so many bytes of a package."""

    gives = 10**9
    ranges = True
    asked: tuple = ()

    def log_message(self, *_args):
        pass

    def do_GET(self):
        kind = type(self)
        if not self.path.endswith(".tar"):
            return super().do_GET()
        content = Path(self.translate_path(self.path)).read_bytes()
        wanted = self.headers.get("Range")
        kind.asked = (*kind.asked, wanted)
        begin = int(wanted.split("=")[1].rstrip("-")) if wanted and kind.ranges else 0
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[begin : begin + kind.gives])
        self.close_connection = True
        return None


@pytest.fixture
def server():
    return type("Server", (Server,), {})


@pytest.mark.parametrize("ranges", [True, False])
def test_package_goes_on_where_the_line_broke(maintainer, box, serve, server, ranges):
    maintainer.release("1")
    server.gives, server.ranges = 3000, ranges
    where = serve(maintainer.public, server)
    with pytest.raises(UpdateError, match="cannot be read"):
        box.apply(where)
    server.gives = 10**9
    assert box.apply(where)[0].state == "active"
    assert server.asked == (None, "bytes=3000-")
    assert list((box.models.ota / "parts").iterdir()) == []


def test_part_that_somebody_poisoned_is_refused_once_and_forgotten(maintainer, box, serve, server):
    maintainer.release("1")
    server.gives = 3000
    where = serve(maintainer.public, server)
    with pytest.raises(UpdateError, match="cannot be read"):
        box.apply(where)
    (part,) = (box.models.ota / "parts").iterdir()
    part.write_bytes(b"x" * 3000)
    server.gives = 10**9
    with pytest.raises(UpdateError, match="does not verify"):
        box.apply(where)
    assert box.apply(where)[0].state == "active"


def test_metered_line_carries_a_package_over_several_days(maintainer, box, serve, server):
    maintainer.at().add(maintainer.package("1", b"m" * 200_000), _release())
    maintainer.publish()
    where = serve(maintainer.public, server)
    states = []
    for _ in range(9):
        (outcome,) = box.apply(where, line=Line(left_bytes=70_000))
        states.append(outcome.state)
        if outcome.state == "active":
            break
        assert box.models.report()["face"]["why"] == "budget"
    assert states[-1] == "active"
    assert 2 <= len(states) <= 4


def test_rate_is_kept(maintainer, box, serve, server):
    import time

    maintainer.at().add(maintainer.package("1", b"m" * 200_000), _release())
    maintainer.publish()
    began = time.monotonic()
    box.apply(serve(maintainer.public, server), line=Line(rate_bytes_s=400_000))
    assert time.monotonic() - began > 0.4


def test_proxy_is_asked_instead_of_the_server(maintainer, box, serve):
    maintainer.release("1")
    asked = []

    class Proxy(SimpleHTTPRequestHandler):
        def log_message(self, *_args):
            pass

        def do_GET(self):
            asked.append(self.path)
            self.path = self.path.removeprefix("http://office.invalid")
            super().do_GET()

    proxy = serve(maintainer.public, Proxy)
    assert box.apply("http://office.invalid", line=Line(proxy=proxy))[0].state == "active"
    assert all(path.startswith("http://office.invalid/") for path in asked)


def _release():
    from ota_maintainer import release

    return release("1")


def test_disk_full_at_every_write_leaves_a_working_slot(maintainer, box, monkeypatch):
    """Each opening for writing fails in turn, as on a disk without room for one more file."""
    maintainer.release("1")
    box.apply(maintainer.public)
    maintainer.release("2")
    state = str(box.models.state)
    left = [10**9]

    def full(event, arguments):
        if event != "open" or not isinstance(arguments[2], int) or not arguments[2] & 3:
            return
        if str(arguments[0]).startswith(state) and not str(arguments[0]).endswith("/lock"):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device", str(arguments[0]))

    sys.addaudithook(full)
    for step in range(1000):
        left[0] = step
        try:
            outcomes = box.apply(maintainer.public)
        except (UpdateError, OSError):
            outcomes = None
        left[0] = 10**9
        assert box.active in ("1", "2"), step
        if outcomes and outcomes[0].state == "active":
            break
        assert box.active == "1" or outcomes is None
        for refused in box.models.memory().refused.values():
            raise AssertionError(f"step {step}: a full disk is held against it: {refused}")
    assert box.active == "2"
    assert step > 10
