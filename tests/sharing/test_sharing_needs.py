"""What a camera shows says how soon it wants to be looked at again."""

from __future__ import annotations

import random

import pytest

from agent.config.model import CameraConfig
from agent.config.rules import rules_in_force
from agent.pipeline import CameraPipeline
from agent.privacy.privacy import Privacy
from agent.records import Box, Detection, Frame
from agent.sharing import Need
from agent.ulid import UlidMaker


class One:
    """One thing that moves to the right by `speed` of its width a second."""

    def __init__(self, kind: str, speed: float) -> None:
        self.asked = []
        self._kind = kind
        self._speed = speed

    def detect(self, frame, look_at=()):
        self.asked.append(look_at)
        x0 = 0.1 + 0.1 * self._speed * frame.t_mono_ns / 1e9
        box = Box(x0=x0, y0=0.4, x1=x0 + 0.1, y1=0.5)
        return [Detection(kind=self._kind, score=0.9, box=box)]


def looked_at(*detectors, seconds, **how):
    pipeline = CameraPipeline(
        CameraConfig(
            camera_id="gate",
            roles=("traffic",),
            source="clip:x",
            rules=rules_in_force(preset="street", roles=("traffic",), overrides={}),
        ),
        detectors=detectors,
        motion=None,
        privacy=Privacy("alpomish", "north-gate", "boot"),
        ids=UlidMaker(random.Random(0)),
    )
    for number in range(round(seconds * 10) + 1):
        t_ns = number * 100_000_000
        pipeline.frame(
            Frame(
                camera_id="gate",
                seq=number + 1,
                t_mono_ns=t_ns,
                t_utc_ms=t_ns // 1_000_000,
                clock_synced=True,
                picture=None,
            ),
            **how,
        )
    return pipeline


@pytest.mark.parametrize(
    ("kind", "speed", "seconds", "need"),
    [
        ("car", 3.0, 0.1, Need.URGENT),
        ("car", 0.5, 0.1, Need.URGENT),
        ("person", 0.5, 0.1, Need.MOVING),
        ("car", 2.0, 2.0, Need.URGENT),
        ("car", 0.5, 2.0, Need.MOVING),
        ("car", 0.0, 2.0, Need.MOVING),
        ("car", 0.0, 4.0, Need.CALM),
    ],
)
def test_need_follows_from_speed(kind, speed, seconds, need):
    assert looked_at(One(kind, speed), seconds=seconds).need is need


def test_need_is_calm_where_nothing_is_found():
    assert looked_at(seconds=1).need is Need.CALM


def test_no_closer_looks_are_asked_for_when_they_are_given_up():
    eye = One("person", 0.0)
    looked_at(eye, seconds=0.1, closer=False)
    assert eye.asked == [None, None]
