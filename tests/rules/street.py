"""Tracks, moments and cameras for testing rules."""

from __future__ import annotations

import random

from agent.config.model import CameraConfig, LineConfig
from agent.records import Box, Moment, Track, TrackState
from agent.rules.camera import CameraRules
from agent.ulid import UlidMaker

EPOCH_MS = 1_764_000_000_000  # a whole minute


def moment(seconds: float) -> Moment:
    return Moment(mono_ns=round(seconds * 1e9), utc_ms=EPOCH_MS + round(seconds * 1e3))


def track(number: int, kind: str, at: Moment, **what) -> Track:
    box = what.pop("box", Box(x0=0.4, y0=0.4, x1=0.5, y1=0.5))
    fields = {
        "state": TrackState.CONFIRMED,
        "score": 0.8,
        "velocity": (0.0, 0.0),
        "first_mono_ns": at.mono_ns,
        "last_mono_ns": at.mono_ns,
    }
    return Track(track_id=number, kind=kind, box=box, **(fields | what))


def faces(count: int, at: Moment, **what) -> list[Track]:
    return [track(number, "face", at, **what) for number in range(count)]


def on_foot(foot: tuple[float, float], width: float = 0.1, height: float = 0.1) -> Box:
    x, y = foot
    return Box(x0=x - width / 2, y0=y - height, x1=x + width / 2, y1=y)


def rules(on: dict[str, dict[str, float]], **lines: LineConfig) -> CameraRules:
    camera = CameraConfig(
        camera_id="gate", roles=("face",), source="synthetic:x", rules=on, lines=lines
    )
    return CameraRules(camera, UlidMaker(random.Random(1)))
