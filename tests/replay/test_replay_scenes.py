"""Drawn scenes against their own truth, and the options of `mahalla replay`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from daemon import agent_yaml
from samples import STREET, pictures, street_camera, write_clip

from agent.capture.frames import FrameMaker
from agent.capture.pictures import RgbPicture
from agent.capture.synthetic import SyntheticScene
from agent.cli import main
from agent.clock import ManualClock
from agent.config.model import CameraConfig
from agent.privacy.mask import BLOCKS_ACROSS
from agent.video import Video

LINES = (
    "lines: {down: {from: [0.5, 0], to: [0.5, 1], counts: [car, person]},"
    " up: {from: [0.5, 1], to: [0.5, 0], counts: [car]},"
    " aside: {from: [0.5, 0.97], to: [0.5, 1], counts: [car, person]}}"
)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "agent.yaml"
    camera = f"{{role: traffic, source: synthetic:street, {LINES}}}"
    path.write_text(
        agent_yaml(
            {"drawn": camera, "other": camera.replace("street", "blank")}, "mqtt://127.0.0.1"
        )
    )
    return path


@pytest.fixture
def replay(capsys):
    """Runs the command; its events, or its bytes."""

    def run(*arguments: object, code: int = 0) -> bytes:
        assert main(["replay", *map(str, arguments)]) == code
        return capsys.readouterr().out.encode()

    return run


def events(out: bytes) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


def true_crossings(seconds: int, fps: int = 10) -> list[tuple[float, str, str]]:
    """When the foot of each thing passes the middle, from the drawing itself."""
    scene, last, found = SyntheticScene("street"), {}, []
    for number in range(seconds * fps):
        now = {}
        for thing in scene.truth(number / fps):
            x, y = thing.box.foot
            now[thing.kind, round(y, 3)] = x
            before = last.get((thing.kind, round(y, 3)))
            if before is not None and (before - 0.5) * (x - 0.5) < 0:
                # Looking down the picture, its right side lies to the left hand.
                found.append((number / fps, thing.kind, "-" if x > before else "+"))
        last = now
    return found


def test_scene_gives_each_crossing_once_with_its_direction_and_class(replay, config):
    seconds = 60
    out = replay(f"synthetic:street?seconds={seconds}", "-c", config, "--camera", "drawn")
    crossed = [e for e in events(out) if e["k"].endswith(".line")]
    truth = true_crossings(seconds)
    assert len(truth) > 12
    assert {(kind, way) for _, kind, way in truth} == {("car", "+"), ("car", "-"), ("person", "-")}
    down = [e for e in crossed if e["z"] == "down"]
    assert len(down) == len(truth)
    for event, (at_s, kind, way) in zip(sorted(down, key=lambda e: e["t"]), truth, strict=True):
        assert event["k"] == ("person.line" if kind == "person" else "vehicle.line")
        assert event.get("o", "person") == kind
        assert event["dir"] == way
        assert 0 <= event["t"] / 1000 - at_s < (2.5 if kind == "person" else 1.0)
    other_way = {"+": "-", "-": "+"}
    up = [(e["t"], other_way[e["dir"]]) for e in crossed if e["z"] == "up"]
    assert up == [(e["t"], e["dir"]) for e in down if e["k"] == "vehicle.line"]
    assert not [e for e in crossed if e["z"] == "aside"]


def test_scene_counts_each_vehicle_once(replay, config):
    out = replay("synthetic:street?seconds=60", "-c", config, "--camera", "drawn")
    counted = sum(e["c"] for e in events(out) if e["k"] == "vehicle.count")
    entered = {0.5 + 8 * i for i in range(8)} | {3 + 11 * i for i in range(6)}
    assert counted == len([at_s for at_s in entered if at_s < 59])


def test_seed_changes_the_ids_and_nothing_else(replay):
    def of(seed: int) -> list[dict]:
        return events(replay("synthetic:street?seconds=9", "--role", "traffic", "--seed", seed))

    one, again, other = of(1), of(1), of(2)
    assert one == again
    assert {e["id"] for e in one}.isdisjoint(e["id"] for e in other)
    assert [e | {"id": ""} for e in one] == [e | {"id": ""} for e in other]


@pytest.mark.parametrize(
    "start", ["1767225600000", "2026-01-01T00:00:00Z", "2026-01-01T05:00+05:00"]
)
def test_start_is_when_the_clip_begins(replay, start):
    plain = events(replay("synthetic:street?seconds=9", "--role", "traffic"))
    moved = events(replay("synthetic:street?seconds=9", "--role", "traffic", "--start", start))
    assert plain
    assert [e["t"] - 1_767_225_600_000 for e in moved] == [e["t"] for e in plain]


def test_camera_of_a_configuration_must_be_named_where_it_has_several(replay, config, capsys):
    assert main(["replay", "synthetic:street?seconds=1", "-c", str(config)]) == 2
    assert "--camera is one of drawn, other" in capsys.readouterr().err
    assert main(["replay", "x.mp4", "-c", str(config), "--camera", "third"]) == 2


def test_source_of_the_events_is_the_camera_of_the_configuration(replay, config):
    found = events(replay("synthetic:street?seconds=9", "-c", config, "--camera", "other"))
    assert {e["src"] for e in found} == {"alpomish/north-gate/other"}


def test_video_depends_on_block_means_only(tmp_path):
    """Two cameras that see other detail in the same blocks give the same bytes."""
    block, rows = 24, 7
    size = (rows * block, BLOCKS_ACROSS * block, 3)
    camera = CameraConfig(camera_id="gate", roles=("face",), source="clip:x")
    made = []
    for name, order_seed in (("one.mp4", None), ("other.mp4", 5)):
        maker = FrameMaker("gate", ManualClock())
        with Video(tmp_path / name, camera) as video:
            for number in range(5):
                noise = np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)
                if order_seed is not None:
                    noise = shuffled_inside_blocks(noise, block, order_seed)
                video.add(maker.media(RgbPicture(noise), number / 10), [])
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    assert len(made[0]) > 1000


def shuffled_inside_blocks(pixels: np.ndarray, block: int, seed: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    parts = pixels.reshape(height // block, block, width // block, block, 3).swapaxes(1, 2)
    order = np.random.default_rng(seed).permutation(block * block)
    mixed = parts.reshape(-1, block * block, 3)[:, order].reshape(parts.shape)
    return np.ascontiguousarray(mixed.swapaxes(1, 2).reshape(pixels.shape))


def test_street_of_parked_cars_says_nothing(replay, tmp_path):
    """A real picture with cars in it, standing still under a sensor's noise."""
    (street,) = pictures(STREET, at_s=5.6)
    rng = np.random.default_rng(0)
    grainy = [
        np.clip(street + rng.normal(0, 4, street.shape), 0, 255).astype(np.uint8) for _ in range(25)
    ]
    still = write_clip(tmp_path / "still.mp4", grainy, fps=5)
    config = tmp_path / "agent.yaml"
    config.write_text(agent_yaml({"street": street_camera()}, "mqtt://127.0.0.1"))
    assert replay(still, "-c", config) == b""
