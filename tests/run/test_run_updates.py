"""A new model on trial in the running daemon, told over a real broker."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from brokers import Mosquitto
from daemon import ROOT, Agent, agent_yaml
from listener import Listener
from samples import face_camera

from agent.infer.package import read_card
from agent.ota.box_models import BoxModels
from agent.ota.packing import pack
from agent.ota.release import Limits
from agent.ota.slots import Entry

FACE = Path(__file__).parents[2] / "models" / "face"
VERSION = "9.9.9"


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """An agent with one face camera whose state holds a newer face model, ready for a trial."""
    monkeypatch.delenv("MAHALLA_MODELS", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    with Mosquitto(tmp_path) as broker, Listener(broker.port, f"{ROOT}/#") as ear:
        text = agent_yaml({"gate": face_camera()}, broker.url)
        with Agent(tmp_path, text) as agent:
            agent.ear = ear
            yield agent


def begin(agent, tmp_path, limits: Limits) -> BoxModels:
    models = BoxModels(agent.state)
    with models.alone():
        folder = shutil.copytree(FACE, tmp_path / "new" / "face")
        card = read_card(folder)
        text = (folder / "model.toml").read_text()
        (folder / "model.toml").write_text(text.replace(f'"{card.version}"', f'"{VERSION}"'))
        pack(folder, tmp_path / "face.tar")
        models.slots.keep("face", "a" * 64, tmp_path / "face.tar")
        entry = Entry(sha256="a" * 64, version=VERSION, serial=3, over=card.sha256)
        models.begin({"face": entry}, {"face": limits}, 1)
    return models


def test_new_model_goes_live_in_the_running_agent_and_is_confirmed(agent, tmp_path):
    agent.start()
    agent.ear.wait_for("/status", up=1)
    begin(agent, tmp_path, Limits(shadow_s=1, live_s=1, slower_percent=1000))
    ver = f"face {VERSION}"
    agent.ear.wait_for("/e/_box/model/updated", ver=ver, why="trial")
    agent.ear.wait_for("/e/_box/model/updated", ver=ver, why="confirmed")
    row = {"v": VERSION, "n": 3, "state": "active"}
    agent.ear.wait_for("/about", ota={"face": row}, models={"face": VERSION})
    agent.ear.wait_for("/health", ota={"face": row})
    assert agent.log().count("connected to") == 1  # nothing was stopped for it
    assert agent.stop()[0] == 0
    assert "Traceback" not in agent.log()


def test_model_with_which_the_agent_crashes_is_taken_back(agent, tmp_path):
    models = begin(agent, tmp_path, Limits())
    with models.alone():
        models.go_live(2)
    for _ in range(3):
        agent.start()
        agent.stop(signal.SIGKILL)
    agent.start()
    agent.ear.wait_for("/e/_box/model/rolled-back", ver=f"face {VERSION}", why="crashes")
    assert agent.stop()[0] == 0
    log = agent.log()
    assert log.count(f"model face {VERSION} on") == 3
    assert f"model face {read_card(FACE).version} on" in log
