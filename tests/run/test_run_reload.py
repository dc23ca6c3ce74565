"""SIGHUP: a right configuration is taken over whole, a wrong one not at all."""

from __future__ import annotations

import signal
import socket

from brokers import Mosquitto, free_port, wait_until
from daemon import ROOT, Agent, agent_yaml
from listener import Listener
from samples import DRAWN, face_camera

NOWHERE = f"mqtt://127.0.0.1:{free_port()}"

WRONG = "site: Alpomish\nbox: north-gate\ncameras: {}\nbrokers: {}\n"


def test_reload_of_a_wrong_file_is_refused_and_the_old_keeps_running(tmp_path):
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, f"{ROOT}/#") as ear,
        Agent(tmp_path, agent_yaml({"drawn": DRAWN}, broker.url)) as agent,
    ):
        agent.start()
        ear.wait_for("/status", up=1)
        agent.reload(WRONG)
        assert "reload refused, the old configuration keeps running" in agent.log()
        assert "agent.yaml:1:" in agent.log()
        told = len(ear.events())
        wait_until(lambda: len(ear.events()) > told, 15, "events go on")
        assert not [h for h in ear.heard if h.topic.endswith("config/changed")]
        assert all(h.json["up"] for h in ear.heard if h.topic.endswith("/status"))
        assert agent.stop()[0] == 0


def test_reload_of_an_unchanged_file_touches_nothing(tmp_path):
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, f"{ROOT}/#") as ear,
        Agent(tmp_path, agent_yaml({"drawn": DRAWN}, broker.url)) as agent,
    ):
        agent.start()
        ear.wait_for("/status", up=1)
        agent.reload(agent.config.read_text())
        assert "nothing in it has changed" in agent.log()
        told = len(ear.events())
        wait_until(lambda: len(ear.events()) > told, 15, "events go on")
        assert agent.log().count("connected to") == 1
        assert not [h for h in ear.heard if h.topic.endswith("config/changed")]
        assert agent.stop()[0] == 0


def test_stop_in_the_middle_of_a_reload_is_in_time(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"mqtt://127.0.0.1:{deaf.getsockname()[1]}"
        with Agent(tmp_path, agent_yaml({"drawn": DRAWN}, url)) as agent:
            agent.start()
            deaf.settimeout(10)
            caller, _ = deaf.accept()  # from now on the publisher waits for an answer
            with caller:
                agent.config.write_text(agent_yaml({"other": DRAWN}, url))
                agent.process.send_signal(signal.SIGHUP)
                wait_until(lambda: agent.systemd.times("RELOADING=1"), what="it reloads")
                code, took_s = agent.stop()
        assert (code, took_s < 5) == (0, True), agent.log()
        assert "Traceback" not in agent.log()


def test_reload_that_asks_for_a_missing_model_is_refused(tmp_path, models):
    (file,) = (models / "face").glob("*.tflite")
    file.unlink()
    named = {"MAHALLA_MODELS": str(models)}
    with Agent(tmp_path, agent_yaml({"drawn": DRAWN}, NOWHERE), named) as agent:
        agent.start()
        agent.reload(agent_yaml({"gate": face_camera()}, NOWHERE))
        assert "reload refused" in agent.log()
        assert file.name in agent.log()
        assert agent.stop()[0] == 0


def test_reload_of_a_right_file_says_so_and_brings_the_new_camera(tmp_path):
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, f"{ROOT}/#") as ear,
        Agent(tmp_path, agent_yaml({"drawn": DRAWN}, broker.url)) as agent,
    ):
        agent.start()
        ear.wait_for("/vehicle/line")
        cameras = {"drawn": DRAWN, "gate": face_camera()}
        agent.reload(agent_yaml(cameras, broker.url))
        assert ear.wait_for("/_box/config/changed").json["why"] == "reload"
        ear.wait_for("/e/gate/face/present", s="start")
        about = [h.json for h in ear.heard if h.topic == f"{ROOT}/about"]
        assert set(about[-1]["cameras"]) == set(cameras)
        lines = [line for _, line in agent.systemd.heard]
        asked = lines.index("RELOADING=1")
        assert lines[asked + 1].startswith("MONOTONIC_USEC=")
        assert "READY=1" in lines[asked:]
        assert agent.stop()[0] == 0
        ear.wait_for("/status", up=0)
        told = [h.json["sq"] for h in ear.events()]
    assert told == list(range(1, len(told) + 1))
