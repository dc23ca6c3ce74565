"""A car that stands for a day, seen by a model that trembles and blinks, costs next to nothing."""

from __future__ import annotations

import random

from agent.config.model import CameraConfig, LineConfig
from agent.config.rules import rules_in_force
from agent.pipeline import CameraPipeline
from agent.privacy.privacy import Privacy
from agent.records import Box, Detection, Frame, TrackState
from agent.ulid import UlidMaker

DAY_S, HOUR_S = 86_400, 3600
LOOK_S = 1
WATCHED_S = 1200  # of each hour; ten looks a second all day long would take this test minutes


class Trembling:
    """One parked car: its box jitters, its class wavers, one look in five misses it.

    At night (six hours) it is seen now and then only.
    """

    def __init__(self) -> None:
        self._chance = random.Random(7)

    def detect(self, frame: Frame, look_at: object = ()) -> list[Detection]:
        chance = self._chance
        night = frame.t_mono_ns > (DAY_S - 6 * HOUR_S) * 10**9
        if chance.random() < (0.97 if night else 0.2):
            return []
        x, y = (0.4 + chance.gauss(0, 0.006), 0.5 + chance.gauss(0, 0.006))
        width, height = (0.25 + chance.gauss(0, 0.01), 0.2 + chance.gauss(0, 0.01))
        kind = chance.choices(["car", "vehicle", "truck"], [8, 1, 1])[0]
        box = Box(x0=x, y0=y, x1=x + width, y1=y + height)
        return [Detection(kind=kind, score=chance.uniform(0.3, 0.8), box=box)]


def test_parked_car_over_a_day_sends_at_most_a_kilobyte():
    lines = {
        name: LineConfig(start=start, end=end, counts=("vehicle", "person"))
        for name, start, end in (
            ("through-its-middle", (0.525, 0.0), (0.525, 1.0)),
            ("along-its-edge", (0.41, 0.0), (0.41, 1.0)),
            ("under-its-wheels", (0.0, 0.7), (1.0, 0.7)),
        )
    }
    camera = CameraConfig(
        camera_id="yard",
        roles=("traffic",),
        source="clip:x",
        rules=rules_in_force(preset="street", roles=("traffic",), overrides={}),
        lines=lines,
    )
    pipeline = CameraPipeline(
        camera,
        detectors=[Trembling()],
        motion=None,
        privacy=Privacy("alpomish", "north-gate", "boot"),
        ids=UlidMaker(random.Random(0)),
    )
    bodies, sure = [], 0
    looks = [at_s for at_s in range(0, DAY_S, LOOK_S) if at_s % HOUR_S < WATCHED_S]
    for number, at_s in enumerate(looks):
        t_ns = at_s * 10**9
        frame = Frame(
            camera_id="yard",
            seq=number + 1,
            t_mono_ns=t_ns,
            t_utc_ms=1_764_000_000_000 + t_ns // 10**6,
            clock_synced=True,
            picture=None,
        )
        seen = pipeline.frame(frame)
        bodies += [message.body for message in seen.messages]
        sure += any(track.state is TrackState.CONFIRMED for track in seen.tracks)
    assert sure > len(looks) / 3  # the car was followed: silence is no blindness
    assert sum(map(len, bodies)) <= 1000, bodies
