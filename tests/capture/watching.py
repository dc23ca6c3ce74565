"""One RTSP source and what to ask of it, for the tests that talk to a server."""

import threading
import time
from contextlib import contextmanager
from pathlib import Path

from agent.capture.frames import Patience
from agent.capture.stream import RtspSource
from agent.clock import SystemClock
from agent.config.model import CameraConfig
from agent.errors import CaptureError

QUICK = Patience(open_s=3, picture_s=2)


def camera(url, detect_url=None, auth=None):
    return CameraConfig(
        camera_id="gate", roles=("face",), source=url, detect_source=detect_url, auth=auth
    )


def login_file(folder, text):
    path = folder / "gate.cred"
    path.write_text(text)
    path.chmod(0o600)
    return path


@contextmanager
def opened(url, detect_url=None, auth=None, patience=QUICK):
    source = RtspSource(camera(url, detect_url, auth), SystemClock(), patience)
    try:
        yield source
    finally:
        source.close()


def failure(url, auth=None, patience=QUICK):
    """What reading that address to its end comes to: always one line of a CaptureError."""
    with opened(url, auth=auth, patience=patience) as source:
        try:
            for _ in source.frames():
                pass
        except CaptureError as error:
            assert "\n" not in str(error)
            assert len(str(error)) < 300
            return error
    raise AssertionError("the stream ended without an error")


def wait_until(done, within_s=10.0, what="it"):
    deadline_s = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline_s, f"{what} did not come within {within_s} s"
        time.sleep(0.01)


@contextmanager
def running(capture):
    """The capture in a thread of its own; it must end when closed."""
    thread = threading.Thread(target=capture.run, args=(threading.Event(),))
    thread.start()
    try:
        yield capture
    finally:
        capture.close()
        thread.join(10)
        assert not thread.is_alive()


def command_lines():
    """Of every process that can be looked at: what any user of the box sees."""
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                lines.append((entry / "cmdline").read_bytes())
            except OSError:
                continue
    return b"\n".join(lines)


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))
