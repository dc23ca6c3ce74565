"""A camera whose capture died of a bug is a lost camera, like any other."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

from brokers import wait_until

from agent.camera_loop import CameraLoop
from agent.capture.capture import CameraState
from agent.clock import ManualClock
from agent.config.model import CameraConfig
from agent.privacy.privacy import Privacy
from agent.sharing import Sharing
from agent.supervise import Pulse


class DeadCapture:
    """Gave a picture at 0 s, says that it is connected, and never gives another."""

    def __init__(self, clock: ManualClock) -> None:
        self.state = CameraState(connected=True, since_mono_ns=0, last_frame_mono_ns=0, fps=10)
        self.mailbox = self
        self.drops = 0
        self._clock = clock

    def past(self, at):
        return at

    def take(self, timeout_s: float) -> None:
        threading.Event().wait(0.002)
        self._clock.advance(timeout_s)

    def run(self, stop: threading.Event) -> None:
        stop.wait()

    def close(self) -> None:
        pass


def test_camera_whose_capture_gives_nothing_more_is_lost():
    clock, messages = ManualClock(utc_ms=1_764_000_000_000), []
    camera = CameraConfig(
        camera_id="gate",
        roles=("traffic",),
        source="synthetic:street",
        rules={"camera.lost": {"after": 10.0}},
    )
    loop = CameraLoop(
        camera,
        eyes=SimpleNamespace(of=lambda camera: ([], None), watch=lambda camera: None),
        privacy=Privacy("a", "b", "boot"),
        clock=clock,
        pulse=Pulse(),
        sharing=Sharing(),
    )
    loop.capture = DeadCapture(clock)
    watching = list(loop.loops(SimpleNamespace(submit=messages.append)))[1]
    watching.start()
    try:
        wait_until(lambda: messages, what="an event")
    finally:
        watching.ask_to_stop()
        assert watching.join(5)
    start = json.loads(messages[0].body)
    assert (start["k"], start["s"], start["why"]) == ("camera.lost", "start", "no-picture")
    assert start["t"] - 1_764_000_000_000 < 40_000
