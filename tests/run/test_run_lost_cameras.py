"""Cameras that are not there, go away and come back; the one beside them does not notice."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from brokers import Mosquitto, free_port, wait_until
from daemon import ROOT, Agent, agent_yaml
from listener import Listener
from samples import ACROSS, STREET, pictures, write_clip

SOON = "rules: {camera.lost: {after: 2s}}"
QUIET = {
    "cable": f"{{role: traffic, source: v4l2:/dev/video99, {SOON}}}",
    "drawn": f"{{role: traffic, source: synthetic:street, lines: {{middle: {ACROSS}}}}}",
}


@dataclass(frozen=True)
class Outage:
    events: list[dict]
    fps: float
    log: str

    def of(self, camera: str, kind: str) -> list[dict]:
        return [e for e in self.events if e["src"].endswith(f"/{camera}") and e["k"] == kind]


@pytest.fixture(scope="module")
def outage(tmp_path_factory) -> Outage:
    folder = tmp_path_factory.mktemp("outage")
    movie = write_clip(folder / "street.mp4", pictures(STREET, count=25))
    cameras = QUIET | {
        "yard": f"{{role: traffic, source: 'clip:{movie}', {SOON}}}",
        "net": f"{{role: traffic, source: 'rtsp://127.0.0.1:{free_port()}/live', {SOON}}}",
    }
    with (
        Mosquitto(folder) as broker,
        Listener(broker.port, f"{ROOT}/#") as ear,
        Agent(folder, agent_yaml(cameras, broker.url)) as agent,
    ):
        agent.start()
        wait_until(lambda: "camera yard: connected" in agent.log(), what="the clip runs")
        away = movie.rename(folder / "away.mp4")
        lost = ear.wait_for("/e/yard/camera/lost", s="start")
        away.rename(movie)
        ear.wait_for("/e/yard/camera/lost", s="end", id=lost.json["id"])
        health = ear.wait_for(f"{ROOT}/health").json
        assert agent.stop()[0] == 0
        ear.wait_for("/e/net/camera/lost", s="end")
        events = [heard.json for heard in ear.events()]
        return Outage(events, health["cam"]["drawn"]["fps"], agent.log())


def test_clip_that_is_removed_is_lost_and_ends_when_it_is_back(outage):
    start, end = outage.of("yard", "camera.lost")
    assert (start["s"], end["s"], end["id"]) == ("start", "end", start["id"])
    assert start["why"]
    assert "why" not in end  # it came back; nothing cut it off
    assert end["dur"] >= 2000


@pytest.mark.parametrize("camera", ["net", "cable"])
def test_camera_that_was_never_there_is_lost_until_the_stop(outage, camera):
    start, *between, end = outage.of(camera, "camera.lost")
    assert (start["s"], end["s"]) == ("start", "end")
    assert {each["s"] for each in between} <= {"update"}
    assert start["why"]
    assert end["why"] == "stop"


def test_camera_beside_lost_ones_is_unaffected(outage):
    assert outage.of("drawn", "vehicle.line")
    assert not outage.of("drawn", "camera.lost")
    assert outage.fps > 8
    assert "Traceback" not in outage.log


def test_lost_camera_is_told_of_in_the_log_once_not_at_each_try(outage):
    for camera in ("net", "cable"):
        lines = [line for line in outage.log.splitlines() if f"camera {camera}:" in line]
        assert len(lines) == 1, lines
