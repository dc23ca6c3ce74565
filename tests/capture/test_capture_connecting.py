"""Name servers and addresses that are silent hold up neither the watchdog nor a stop."""

import itertools
import socket
import threading
import time

import pytest
from watching import camera, running, wait_until

from agent.capture import rtsp
from agent.capture.capture import Capture
from agent.capture.frames import PATIENT, Patience
from agent.capture.rtsp import RtspSession
from agent.capture.stream import RtspSource
from agent.clock import SystemClock
from agent.daemon import _STALE_S
from agent.errors import CaptureError

BRIEF = Patience(open_s=1.0, picture_s=1.0)
SHORTENED = PATIENT.open_s / BRIEF.open_s
URL = "rtsp://gate.example/1"


@pytest.fixture
def silent(monkeypatch):
    """No look-up and no connection comes back until told; then each gives a socket."""

    class Silent:
        def __init__(self):
            self.answers = threading.Event()
            self.sockets = []
            self.asked = 0

        def __call__(self, where, timeout):
            self.asked += 1
            assert self.answers.wait(20)
            self.sockets.append(socket.socket())
            return self.sockets[-1]

    network = Silent()
    monkeypatch.setattr(rtsp.socket, "create_connection", network)
    yield network
    network.answers.set()
    wait_until(lambda: "connect gate.example" not in _threads(), what="the end of the look-up")


def _threads():
    return [thread.name for thread in threading.enumerate()]


def test_silent_look_up_is_given_up_with_progress_all_the_while(silent):
    began_s = time.monotonic()
    beats_s = [began_s]
    session = RtspSession(URL, None, BRIEF)
    with pytest.raises(CaptureError, match=r"gate\.example:554: no answer") as caught:
        session.open(lambda: beats_s.append(time.monotonic()))
    beats_s.append(time.monotonic())
    assert caught.value.why == "unreachable"
    assert (beats_s[-1] - began_s) * SHORTENED < _STALE_S
    assert max(after - before for before, after in itertools.pairwise(beats_s)) < 0.5


def test_silent_look_up_is_progress_of_the_capture(silent):
    beats = []
    capture = Capture(
        camera(URL),
        SystemClock(),
        progress=lambda: beats.append(threading.current_thread().name),
    )
    with running(capture):
        wait_until(lambda: len(beats) > 3, what="progress")
        assert capture.state.why == "connecting"  # it still waits for its first connection
    assert "connect gate.example" not in beats


def test_close_wakes_who_waits_for_a_look_up(silent):
    capture = Capture(camera(URL), SystemClock(), progress=lambda: None)
    with running(capture):
        wait_until(lambda: silent.asked, what="the look-up")
        started_s = time.monotonic()
    assert time.monotonic() - started_s < 0.5


def test_connection_that_comes_too_late_is_closed(silent):
    source = RtspSource(camera(URL), SystemClock(), Patience(open_s=0.2))
    with pytest.raises(CaptureError, match="no answer"):
        next(source.frames())
    silent.answers.set()
    wait_until(lambda: silent.sockets and silent.sockets[0].fileno() == -1, 3, "its end")


def test_a_camera_that_opens_late_and_then_is_silent_stays_within_the_watchdog():
    """From connecting to the first picture nothing else reports progress."""
    assert PATIENT.open_s + PATIENT.picture_s < _STALE_S - 1
