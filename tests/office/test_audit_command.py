"""`mahalla audit` against a real broker, and a box that has lost something."""

import json
import signal
import subprocess

import pytest
from brokers import Certificates, Mosquitto, wait_until
from crossings import crossing
from daemon import MAHALLA, ROOT, Agent, agent_yaml
from listener import Listener
from post import office, post
from samples import DRAWN

from agent.cli import main


class Audit:
    """The command as a child, listening once this is entered; `end` gives its result."""

    def __init__(self, broker, *more):
        self._broker, self._more = broker, more

    def __enter__(self):
        self._child = subprocess.Popen(
            [MAHALLA, "audit", self._broker.url, "--json", "--grace", "1", *self._more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        wait_until(lambda: "SUBACK to audit-" in self._broker.log(), 60, "the audit listens")
        return self

    def hears(self, count):
        """Until it has acknowledged that many messages since the start."""
        acknowledged = "Received PUBACK from audit-"
        wait_until(
            lambda: self._broker.log().count(acknowledged) >= count, 30, "the audit hears it"
        )

    def end(self):
        self._child.send_signal(signal.SIGINT)
        out, err = self._child.communicate(timeout=60)
        assert err == b""
        return self._child.returncode, json.loads(out)

    def __exit__(self, *_):
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()


def event(sq, **more):
    body = {"v": 1, "st": "k3f9x2ab", "sq": sq, "id": f"i{sq}", "t": 1_764_000_000_000}
    return json.dumps(body | {"src": "alpomish/north-gate/gate", "k": "vehicle.line"} | more)


def publish(ear, *bodies):
    for body in bodies:
        ear._client.publish(f"{ROOT}/e/gate/vehicle/line", body, qos=1).wait_for_publish(10)


def test_audit_of_a_loss_says_which_numbers_and_exits_1(tmp_path):
    with (
        Mosquitto(tmp_path, settings="log_type all") as broker,
        Listener(broker.port) as ear,
        Audit(broker) as audit,
    ):
        told = event(6, k="box.lost", **{"from": 3, "to": 3, "c": 1, "why": "evicted"})
        publish(ear, event(1), event(2), event(5), event(2), told)
        audit.hears(5)
        code, result = audit.end()
    assert code == 1
    (stream,) = result["streams"]
    assert (stream["told"], stream["ranges"], stream["again"]) == ({"evicted": 1}, [[4, 4]], 1)
    assert (result["ok"], result["missing"], result["heard"]) == (False, 1, 4)


def test_audit_through_an_outage_of_box_and_broker_finds_nothing_missing(tmp_path):
    with Mosquitto(tmp_path, settings="log_type all") as broker, Audit(broker, "--whole") as audit:
        with post(office(broker.url), tmp_path) as running:
            running.outbox.put([crossing(i) for i in range(50)])
            wait_until(lambda: running.counts().rows == 0, 20, "half of it delivered")
            audit.hears(50)
            broker.kill()
            running.outbox.put([crossing(i) for i in range(50, 100)])
            broker.start()
            wait_until(lambda: running.counts().rows == 0, 30, "all delivered")
        audit.hears(100)
        code, result = audit.end()
    assert (code, result["missing"], result["heard"]) == (0, 0, 100)


def test_audit_of_a_box_that_tells_what_it_lost_exits_0(tmp_path):
    with (
        Mosquitto(tmp_path, settings="log_type all") as broker,
        Audit(broker, "--whole") as audit,
        Listener(broker.port, f"{ROOT}/e/#") as ear,
        Agent(tmp_path, agent_yaml({"drawn": DRAWN}, broker.url)) as agent,
    ):
        agent.start()
        ear.wait_for("/vehicle/line")
        agent.stop()
        ((last,),) = agent.stored("SELECT next_sq FROM stream")
        # As after an eviction: three numbers that nobody will see, and a note of them.
        agent.change(
            "UPDATE stream SET next_sq = next_sq + 3",
            f"INSERT INTO lost VALUES ('office', 'evicted', {last}, {last + 2}, 3)",
        )
        agent.start()
        account = ear.wait_for("/box/lost").json
        wait_until(lambda: agent.stored("SELECT 1 FROM delivery WHERE state < 3") == [])
        agent.stop()
        ((following,),) = agent.stored("SELECT next_sq FROM stream")
        audit.hears(following - 1 - 3)
        code, result = audit.end()
    assert {key: account[key] for key in ("from", "to", "c", "why")} == {
        "from": last, "to": last + 2, "c": 3, "why": "evicted",
    }  # fmt: skip
    (stream,) = result["streams"]
    assert (code, stream["from"], stream["told"], stream["missing"]) == (0, 1, {"evicted": 3}, 0)
    assert result["late_s"]["max"] < 60


def test_audit_over_tls_with_a_certificate_hears_and_ends_by_itself(tmp_path, capsys):
    certificates = Certificates(tmp_path / "ca")
    cert, key = certificates.issue("inspector")
    settings = certificates.mosquitto_settings()
    with Mosquitto(tmp_path, tls=settings) as broker:
        words = ["--ca", str(certificates.ca), "--cert", str(cert), "--key", str(key)]
        code = main(["audit", broker.tls_url, *words, "--seconds", "0.5", "--grace", "0"])
        refused = main(["audit", broker.tls_url, "--ca", str(certificates.ca), "--seconds", "1"])
    out, err = capsys.readouterr()
    assert (code, refused) == (1, 1)
    assert "nothing was heard" in out
    assert err.startswith("mahalla audit: localhost:")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mqtt://127.0.0.1:1"], "cannot connect"),
        (["http://office"], "no broker address"),
        (["mqtt://office:99999"], "no broker address"),
        (["mqtts://office", "--cert", "me.pem"], "go together"),
        (["mqtt://office", "--login", "nowhere.cred"], "cannot be read"),
    ],
)
def test_audit_that_cannot_begin_says_why_in_one_line(words, said, capsys):
    assert main(["audit", *words]) in (1, 2)
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1
