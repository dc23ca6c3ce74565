"""Readings on their way through one camera's pipeline to events."""

from __future__ import annotations

import json
import random

import pytest
from plate_street import FPS, Street, Thing, standing, straight

from agent.config.model import CameraConfig
from agent.config.rules import rules_in_force
from agent.pipeline import CameraPipeline
from agent.privacy.privacy import Privacy
from agent.records import Moment
from agent.ulid import UlidMaker

TEXTS = {1: ("01A123BC", "UZ")}


class Camera:
    """A street before a pipeline of the role plate."""

    def __init__(self, *things: Thing, **options: float) -> None:
        self.street = Street(list(things), TEXTS, **options)
        self.texts: list[str | None] = []
        self.events: list[dict] = []
        rules = rules_in_force(preset="street", roles=("plate",), overrides={})
        self.pipeline = CameraPipeline(
            CameraConfig(camera_id="gate", roles=("plate",), source="clip:x", rules=rules),
            detectors=[self],
            motion=None,
            privacy=Privacy("alpomish", "north-gate", "boot"),
            ids=UlidMaker(random.Random(0)),
            watch=self.street.watch,
            on_reading=lambda reading: self.texts.append(reading.best and reading.best.text),
        )

    def detect(self, frame, look_at=()):
        return self.street.detections(frame.t_mono_ns / 1e9)

    def play(self, seconds: float) -> None:
        for number in range(round(seconds * FPS)):
            seen = self.pipeline.frame(self.street.frame(number / FPS, number))
            self._note(seen.messages)

    def lose(self, at_s: float) -> None:
        self._note(self.pipeline.idle(moment(at_s), lost="eof"))

    def close(self, at_s: float) -> None:
        self._note(self.pipeline.close(moment(at_s), "stop"))

    def of(self, kind: str) -> list[dict]:
        return [event for event in self.events if event["k"] == kind]

    def _note(self, messages) -> None:
        self.events += [json.loads(message.body) for message in messages]


def moment(at_s: float) -> Moment:
    return Moment(mono_ns=round(at_s * 1e9), utc_ms=round(at_s * 1e3))


@pytest.mark.parametrize("ending", ["lost", "closed"])
def test_pipeline_reads_with_what_there_is_when_no_more_frames_come(ending):
    """Two views are not enough to be told at once: the plate is small."""
    camera = Camera(Thing(number=1, path=standing((400, 300)), plate=(100, 150, 44, 12)))
    camera.play(0.5)
    assert camera.texts == []
    for at_s in (5.0, 6.0):
        if ending == "lost":
            camera.lose(at_s)
    camera.close(7.0)
    assert camera.texts == ["01A123BC"]


def test_pipeline_tells_a_plate_that_was_not_read_as_an_event_without_text():
    car = Thing(number=1, path=straight((-300, 300), (400, 0)))
    camera = Camera(car, sure=1.5, noise=2.0)
    camera.play(8)
    assert camera.texts == [None]
    (event,) = camera.of("plate.unread")
    assert "p" not in event


def test_pipeline_without_a_hotlist_lets_no_text_out():
    camera = Camera(Thing(number=1, path=straight((-300, 300), (400, 0))))
    camera.play(8)
    camera.close(8.0)
    assert camera.texts == ["01A123BC"]
    assert "01A123BC" not in json.dumps(camera.events)
