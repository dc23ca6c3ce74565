"""What is lost when the broker is away, or the box loses its power: nothing."""

from __future__ import annotations

import re
import signal
import socket

from brokers import Mosquitto, wait_until
from daemon import ROOT, Agent, agent_yaml
from listener import Listener
from samples import DRAWN, face_camera, street_camera

WAITING = "SELECT sq FROM delivery WHERE state < 3 ORDER BY sq"


def three_cameras() -> dict[str, str]:
    return {"gate": face_camera(), "street": street_camera(), "drawn": DRAWN}


def numbers(ear: Listener) -> list[int]:
    return [heard.json["sq"] for heard in ear.events()]


def test_stop_without_a_broker_is_in_time_and_keeps_all_for_the_next_start(tmp_path):
    broker = Mosquitto(tmp_path)  # not started yet
    with Agent(tmp_path, agent_yaml(three_cameras(), broker.url)) as agent:
        agent.start()
        wait_until(lambda: agent.stored(WAITING), 20, "something to say")
        assert "office: " in agent.log()
        assert "cannot connect" in agent.log()
        code, took_s = agent.stop()
        assert code == 0, agent.log()
        assert took_s < 5
        kept = [sq for (sq,) in agent.stored(WAITING)]
        assert kept == list(range(1, len(kept) + 1))
        with broker, Listener(broker.port, f"{ROOT}/e/#") as ear:
            agent.start()
            end = ear.wait_for("/face/present", s="end")
            assert end.json["why"] == "stop"
            wait_until(lambda: set(kept) <= set(numbers(ear)), what="what was kept is heard")
            agent.stop()
            wait_until(lambda: agent.stored(WAITING) == [], what="all acknowledged")
            told = numbers(ear)
    assert told == list(range(1, len(told) + 1))
    assert len({heard.json["st"] for heard in ear.events()}) == 1


def test_stop_with_a_broker_and_a_camera_that_say_nothing_is_in_time(tmp_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as deaf,
        socket.create_server(("127.0.0.1", 0)) as deaf_camera,
    ):
        url = f"mqtt://127.0.0.1:{deaf.getsockname()[1]}"
        source = f"rtsp://127.0.0.1:{deaf_camera.getsockname()[1]}/live"
        cameras = three_cameras() | {"deaf": f"{{role: face, source: '{source}'}}"}
        with Agent(tmp_path, agent_yaml(cameras, url)) as agent:
            agent.start()
            deaf.settimeout(10)
            caller, _ = deaf.accept()
            with caller:
                wait_until(lambda: agent.stored(WAITING), 20, "something to say")
                code, took_s = agent.stop()
            assert code == 0, agent.log()
            assert took_s < 5
            assert agent.stored(WAITING)
            assert "ERROR" not in agent.log()


def test_kill_and_start_again_loses_nothing_committed_and_ends_what_was_open(tmp_path):
    with Mosquitto(tmp_path) as broker, Listener(broker.port, f"{ROOT}/e/#") as ear:
        cameras = {"gate": face_camera(), "drawn": DRAWN}
        with Agent(tmp_path, agent_yaml(cameras, broker.url)) as agent:
            agent.start()
            start = ear.wait_for("/face/present", s="start").json
            ear.wait_for("/vehicle/line")
            agent.stop(signal.SIGKILL)
            committed = {sq for (sq,) in agent.stored("SELECT sq FROM delivery")}
            agent.start()
            end = ear.wait_for("/face/present", s="end", id=start["id"]).json
            assert (end["why"], end["n"]) == ("restart", 1)
            wait_until(
                lambda: len([h for h in ear.events() if h.json.get("s") == "start"]) > 1,
                what="a new start for the faces that are still there",
            )
            agent.stop()
            ear.wait_for("/face/present", s="end", why="stop")
            told = set(numbers(ear))
    assert committed <= told
    assert told == set(range(1, max(told) + 1))
    assert len({heard.json["st"] for heard in ear.events()}) == 1
    occurrences = {heard.json["id"] for heard in ear.events() if "s" in heard.json}
    ends = [heard.json["id"] for heard in ear.events() if heard.json.get("s") == "end"]
    assert sorted(ends) == sorted(occurrences)  # each ended once


def test_outbox_that_is_damaged_is_set_aside_and_the_box_goes_on(tmp_path):
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, f"{ROOT}/e/#") as ear,
        Agent(tmp_path, agent_yaml({"drawn": DRAWN}, broker.url), {"JOURNAL_STREAM": "8:1"}) as box,
    ):
        box.state.mkdir()
        (box.state / "outbox.db").write_bytes(b"no database at all\n" * 500)
        box.start()
        ear.wait_for("/box/disk", s="start", why="damaged", sq=1)
        ear.wait_for("/vehicle/line", sq=2)
        assert box.stop()[0] == 0
        assert len(list(box.state.glob("outbox.db.corrupt-*"))) == 1
        lines = box.log().splitlines()
        assert any(line.startswith("<3>") and "set aside" in line for line in lines)
        assert all(re.match("<[346]>", line) for line in lines)  # as the journal reads levels


def test_broker_that_refuses_every_event_does_not_stop_the_box(tmp_path):
    refusing = Mosquitto(tmp_path, acl=f"topic readwrite {ROOT}/status\ntopic read #\n")
    with refusing, Agent(tmp_path, agent_yaml({"drawn": DRAWN}, refusing.url)) as agent:
        agent.start()
        again = "SELECT count(*) FROM delivery WHERE tries > 0 AND state = 0"
        wait_until(lambda: agent.stored(again) > [(0,)], 20, "a refusal that is tried again")
        beats = len(agent.systemd.times("WATCHDOG=1"))
        wait_until(lambda: len(agent.systemd.times("WATCHDOG=1")) > beats, what="still alive")
        code, took_s = agent.stop()
        assert (code, took_s < 5) == (0, True)
        assert agent.stored(WAITING)  # none of it is given up
        assert "Traceback" not in agent.log()
