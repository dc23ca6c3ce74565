"""An inspector asks a running box, through a real broker."""

import json
import time

from brokers import Mosquitto, wait_until
from daemon import ROOT, Agent, agent_yaml
from listener import Listener
from samples import DRAWN

from agent.ota import hold


def ask(ear, name, user="inspector-1", **body):
    now_ms = time.time_ns() // 1_000_000
    body = {"rid": f"{name}-{now_ms}", "t": now_ms, "exp": now_ms + 30_000} | body
    ear._client.publish(f"{ROOT}/cmd/{user}/{name}", json.dumps(body), qos=1).wait_for_publish(10)
    return ear.wait_for(f"/re/{user}/{name}", rid=body["rid"]).json


def test_box_sends_again_what_is_asked_for_and_restarts_and_no_more(tmp_path):
    with Mosquitto(tmp_path) as broker, Listener(broker.port, f"{ROOT}/#") as ear:
        text = agent_yaml({"drawn": DRAWN}, broker.url)
        text = text.replace(
            broker.url, f"{broker.url}, commands: [resend, restart, update, feedback]"
        )
        with Agent(tmp_path, text) as agent:
            agent.start()
            first = ear.wait_for("/vehicle/line").json
            settled = f"SELECT 1 FROM delivery WHERE sq = {first['sq']} AND state = 3"
            wait_until(lambda: agent.stored(settled), what="it is acknowledged")
            numbers = {"st": first["st"], "from": first["sq"], "to": first["sq"]}
            assert ask(ear, "resend", **numbers)["c"] == 1
            again = {"id": first["id"], "sq": first["sq"]}
            wait_until(
                lambda: len([h for h in ear.events() if again.items() <= h.json.items()]) == 2,
                what="it comes again",
            )
            assert ask(ear, "resend", **numbers | {"st": "zzzzzzzz"})["why"] == "other-stream"
            assert ask(ear, "snapshot")["why"] == "not-allowed"
            assert ask(ear, "feedback", id=first["id"], ok=False)["id"] == first["id"]
            assert ask(ear, "feedback", id="none", ok=True)["why"] == "no-event"
            assert first["id"] in (agent.state / "feedback.json").read_text()
            assert ask(ear, "update")["rc"] == 0
            assert (agent.state / "update-asked").exists()
            ear._client.publish(f"{ROOT}/want", b'{"hold":["face"]}', qos=1, retain=True)
            ear.wait_for("/_box/audit", why="hold face")
            assert hold.load(agent.state / "ota").names == ("face",)
            assert ask(ear, "restart", exp=1)["why"] == "expired"
            assert ask(ear, "restart")["rc"] == 0
            assert agent.wait() == 0
            assert "asked to restart" in agent.log()
            wait_until(lambda: [h for h in ear.heard if h.topic.endswith("/status")], 5)
            whys = [heard.json["why"] for heard in ear.events() if heard.json["k"] == "audit"]
    assert whys == [
        "resend for inspector-1",
        "no resend for inspector-1",
        "no snapshot for inspector-1",
        "feedback for inspector-1",
        "no feedback for inspector-1",
        "update for inspector-1",
        "hold face",
        "no restart for inspector-1",
        "restart for inspector-1",
    ]


def test_pictures_come_masked_and_small_to_who_may_ask_for_them(tmp_path):
    with Mosquitto(tmp_path) as broker, Listener(broker.port, f"{ROOT}/#") as ear:
        more = "evidence: {kinds: [vehicle.line]}\n"
        text = agent_yaml({"drawn": DRAWN}, broker.url, more)
        text = text.replace(broker.url, f"{broker.url}, commands: [snapshot, evidence]")
        with Agent(tmp_path, text) as agent:
            agent.start()
            event = ear.wait_for("/vehicle/line").json["id"]
            assert ask(ear, "evidence", id=event)["id"] == event
            shown = ask(ear, "snapshot", cam="drawn")["id"]
            assert ask(ear, "snapshot", cam="none")["why"] == "no-camera"
            assert ask(ear, "evidence", id="../agent.yaml")["why"] == "no-picture"
            pictures = {h.topic: h.payload for h in ear.heard if "/evidence/" in h.topic}
            assert agent.stop()[0] == 0
    assert set(pictures) == {f"{ROOT}/evidence/{event}", f"{ROOT}/evidence/{shown}"}
    for jpeg in pictures.values():
        assert jpeg.startswith(b"\xff\xd8")
        assert len(jpeg) <= 60_000
