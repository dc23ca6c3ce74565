"""A camera whose picture freezes is one `camera.lost`, until the picture lives again."""

import itertools
import json
import random
import threading

import pytest
from fake_source import FakeCamera, noisy_picture

from agent.capture.capture import Capture
from agent.clock import ManualClock
from agent.config.model import CameraConfig
from agent.errors import CaptureError
from agent.pipeline import CameraPipeline
from agent.privacy.privacy import Privacy
from agent.ulid import UlidMaker

CAMERA = CameraConfig(
    camera_id="gate",
    roles=("face",),
    source="rtsp://10.0.0.21/1",
    rules={"camera.lost": {"after": 10}},
)
STILL = noisy_picture(99)
BRIEFLY = (STILL, 20)
BROKE = CaptureError("no picture for 10 s")


class Box:
    """A camera of that script, its capture and its rules, in one thread and in manual time."""

    def __init__(self, *scripts):
        stop = threading.Event()
        self.clock = ManualClock(utc_ms=1_764_000_000_000)
        self.camera = FakeCamera(self.clock, *scripts, over=stop.set)
        self.bodies, self.beats_s = [], [0.0]
        self._pipeline = CameraPipeline(
            CAMERA,
            detectors=[],
            motion=None,
            privacy=Privacy("alpomish", "north-gate", "boot"),
            ids=UlidMaker(random.Random(0)),
        )
        self.capture = Capture(
            CAMERA,
            self.clock,
            progress=self._look,
            opener=self.camera,
            wait=self.clock.advance,
            rng=lambda: 0.5,
        )
        self.capture.run(stop)

    def _look(self):
        self.beats_s.append(self.clock.now().mono_ns / 1e9)
        frame = self.capture.mailbox.take(0)
        if frame:
            messages = self._pipeline.frame(frame).messages
        else:
            state = self.capture.state
            lost = None if state.connected else state.why
            messages = self._pipeline.idle(self.clock.now(), lost=lost)
        self.bodies += [json.loads(message.body) for message in messages]

    def lost(self):
        return [(body["s"], body.get("why")) for body in self.bodies]


@pytest.fixture
def warnings(caplog):
    return lambda: [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]


def test_frozen_camera_is_one_event_and_one_warning_however_often_it_is_opened(warnings):
    box = Box(*[[STILL]] * 10)
    assert box.clock.now().mono_ns / 1e9 > 600
    assert box.lost() == [("start", "frozen")]
    assert len(warnings()) == 1
    assert max(after - before for before, after in itertools.pairwise(box.beats_s)) <= 1.2


def test_camera_that_lives_again_ends_its_event():
    box = Box([5, STILL], [STILL], [STILL], [5])
    assert box.lost() == [("start", "frozen"), ("end", None)]
    assert box.capture.mailbox.drops == 0


def test_camera_that_lives_again_within_a_connection_ends_its_event():
    assert Box([STILL], [BRIEFLY, 5]).lost() == [("start", "frozen"), ("end", None)]


def test_frozen_camera_whose_connection_breaks_too_tells_each_reason_once():
    box = Box([STILL], [STILL], BROKE, BROKE, [STILL])
    assert [why for _, why in box.lost()] == ["frozen", "no-picture", "frozen"]


def test_time_that_a_camera_was_away_is_no_time_of_a_frozen_picture(warnings):
    """A sleeping street looks the same after an hour: that alone proves nothing."""
    Box([BRIEFLY, BROKE], *[BROKE] * 20, [BRIEFLY, BROKE])
    assert not any("frozen" in line for line in warnings())
