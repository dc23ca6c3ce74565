"""A short working day under a supervisor: three cameras, a broker, then SIGTERM."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from brokers import Mosquitto, wait_until
from daemon import ROOT, Agent, agent_yaml
from jsonschema_lite import complaints
from listener import Heard, Listener
from samples import DRAWN, face_camera, street_camera

from agent import schema

CAMERAS = {"gate": face_camera, "street": street_camera, "drawn": lambda: DRAWN}


@dataclass(frozen=True)
class Day:
    """What the outside saw of one run."""

    code: int
    stop_s: float
    heard: list[Heard]
    late: list[Heard]
    said: list[tuple[float, str]]
    log: str
    left: int

    def said_at(self, line: str) -> list[float]:
        return [at for at, said in self.said if said == line]

    def events(self, **content) -> list[dict]:
        bodies = [heard.json for heard in self.heard if "/e/" in heard.topic]
        return [body for body in bodies if content.items() <= body.items()]


@pytest.fixture(scope="module")
def day(tmp_path_factory) -> Day:
    folder = tmp_path_factory.mktemp("day")
    with Mosquitto(folder) as broker, Listener(broker.port) as ear:
        cameras = {name: camera() for name, camera in CAMERAS.items()}
        with Agent(folder, agent_yaml(cameras, broker.url)) as agent:
            agent.start()
            ear.wait_for(f"{ROOT}/health")
            ear.wait_for("/face/present", s="start")
            ear.wait_for("/vehicle/line", src="alpomish/north-gate/drawn")
            code, stop_s = agent.stop()
            ear.wait_for("/status", up=0)
            (left,) = agent.stored("SELECT count(*) FROM delivery WHERE state = 0")[0]
            with Listener(broker.port, client_id="late") as late_ear:
                late_ear.wait_for("/status", up=0)
                wait_until(lambda: len(late_ear.heard) >= 3, what="what is retained")
                late = list(late_ear.heard)
            return Day(code, stop_s, list(ear.heard), late, agent.systemd.heard, agent.log(), left)


def test_service_tells_its_supervisor_ready_alive_and_stopping(day):
    assert len(day.said_at("READY=1")) == 1
    assert len(day.said_at("STOPPING=1")) == 1
    beats = day.said_at("WATCHDOG=1")
    assert len(beats) >= 4
    first, last = day.said_at("READY=1")[0], day.said_at("STOPPING=1")[0]
    moments = [first, *beats, last]
    # WatchdogSec is 30 s; a third of it leaves room for a box that is short of breath.
    assert max(after - before for before, after in pairwise(moments)) < 10
    names = ", ".join(CAMERAS)
    assert f"STATUS=cameras {names}; brokers office" in [line for _, line in day.said]


def test_service_stopped_while_busy_exits_0_in_time(day):
    assert day.code == 0, day.log
    assert day.stop_s < 5
    assert "stopped" in day.log
    assert "late" not in day.log.split()  # each part ended within its own share of the 5 s
    assert "Traceback" not in day.log


def test_service_stopped_ends_what_is_open_with_why_stop(day):
    (start,) = day.events(k="face.present", s="start")
    (end,) = day.events(k="face.present", s="end")
    assert (end["id"], end["why"]) == (start["id"], "stop")
    assert end["dur"] > 0


def test_service_stopped_has_sent_all_with_contiguous_numbers(day):
    numbers = [body["sq"] for body in day.events()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len({body["st"] for body in day.events()}) == 1
    assert day.left == 0


def test_service_events_are_as_the_schema_says_and_small(day):
    document = schema.events_schema()
    for heard in day.heard:
        if "/e/" in heard.topic:
            assert list(complaints(heard.json, document, document)) == []
            assert len(heard.payload) <= 512
            assert "." not in heard.topic
    spoke = {body["src"].split("/")[2] for body in day.events()}
    assert {"gate", "drawn"} <= spoke <= set(CAMERAS)  # the street may have had nothing to say yet


def test_service_status_is_up_then_down_and_retained(day):
    states = [heard.json["up"] for heard in day.heard if heard.topic == f"{ROOT}/status"]
    assert (states[0], states[-1]) == (1, 0)
    (kept,) = [heard for heard in day.late if heard.topic == f"{ROOT}/status"]
    assert kept.retain
    assert kept.json == {"up": 0}
    up = next(heard.json for heard in day.heard if heard.topic == f"{ROOT}/status")
    assert set(up) == {"up", "v", "since"}


def test_service_health_has_the_keys_of_the_contract(day):
    health = next(heard for heard in day.heard if heard.topic == f"{ROOT}/health").json
    may_be_absent = {"temp", "thr", "off"}  # boards without a sensor, a clock nobody compares
    everything = {"t", "cam", "q", "cpu", "rss", "temp", "thr", "disk", "off", "unheard"}
    assert everything - may_be_absent <= set(health) <= everything
    assert set(health["cam"]) == set(CAMERAS)
    for signs in health["cam"].values():
        assert set(signs) - {"skip"} == {"fps", "age", "drop", "duty", "look"}
        assert signs["fps"] > 5
        assert 0 <= signs["duty"] <= 1
        assert signs["age"] < 3
    assert set(health["q"]) == {"office"}
    assert set(health["q"]["office"]) == {"n", "age", "refused"}
    assert 20 < health["rss"] < 500
    assert 0 <= health["disk"] <= 100
    assert f"{ROOT}/health" in {heard.topic for heard in day.late}  # retained


def test_service_about_says_who_is_asked_and_what_leaves(day):
    about = next(heard for heard in day.late if heard.topic == f"{ROOT}/about").json
    assert set(about["cameras"]) == set(CAMERAS)
    assert about["cameras"]["gate"]["role"] == ["face"]
    assert set(about["models"]) == {"face", "object"}
    assert [each["broker"] for each in about["sends"]] == ["office"]
