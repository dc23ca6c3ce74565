"""A whole replay of a plate camera: what is read is shown to who asks for it, and to nobody else.

The clip is drawn, the models are fakes that see and read what is drawn; all else is real.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import av
import pytest
from plate_street import FPS, Street, Thing, straight

from agent.cli import main
from agent.records import WHOLE

TEXT = "01A123BC"
SECONDS = 6


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "gate.mp4"
    scene = street()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"qp": "4"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv444p"
        for number in range(SECONDS * FPS):
            picture = scene.frame(number / FPS, number).picture
            pixels = picture.rgb(WHOLE, 1280, 720)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels.copy(), format="rgb24")))
        container.mux(stream.encode())
    return path


def street() -> Street:
    car = Thing(number=1, path=straight((-300, 300), (400, 0)))
    return Street([car], dict.fromkeys(range(8), (TEXT, "UZ")))  # a codec changes the colour a bit


class _Eyes:
    """In the place of the models: the truth about the car, and the fakes that read."""

    def __init__(self, cameras, infer):
        self._scene = street()
        self.models = {}

    def of(self, camera):
        return [self], None

    def watch(self, camera):
        return self._scene.watch

    def detect(self, frame, look_at=()):
        return self._scene.detections(frame.t_mono_ns / 1e9)


@pytest.fixture
def replay(clip, monkeypatch, capsys):
    monkeypatch.setattr("agent.pipeline.Eyes", _Eyes)

    def run(*options: str) -> tuple[str, str]:
        assert main(["replay", str(clip), "--role", "plate", *options]) == 0
        return capsys.readouterr()

    return run


def test_replay_without_a_hotlist_says_no_plate_anywhere(replay, caplog):
    with caplog.at_level(logging.DEBUG):
        out, err = replay()
    assert TEXT not in out + err
    for record in caplog.records:
        shown = f"{record.getMessage()} {record.args!r} {record.exc_info!r} {record.__dict__!r}"
        assert TEXT not in shown
        assert "PlateReading" not in shown and "PlateText" not in shown


def test_replay_show_plates_tells_each_passage_once_on_stderr(replay, caplog):
    with caplog.at_level(logging.DEBUG):
        out, err = replay("--show-plates")
    (line,) = [line for line in err.splitlines() if line.startswith("plate ")]
    assert f"{TEXT} UZ private" in line
    assert line.endswith("views of a car")
    assert TEXT not in out + caplog.text
    for event in out.splitlines():
        assert "p" not in json.loads(event)


def test_replay_show_plates_changes_no_event(replay):
    assert replay()[0] == replay("--show-plates")[0]
