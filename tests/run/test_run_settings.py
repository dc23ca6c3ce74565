"""Settings that came over the air in the running daemon: taken up, and taken back at a crash."""

from __future__ import annotations

import signal
from hashlib import sha256

from brokers import Certificates, Mosquitto, wait_until
from daemon import BOX, ROOT, SITE, Agent, agent_yaml
from listener import Listener
from samples import DRAWN

from agent.clock import boot_id
from agent.config.load import load
from agent.ota.certificates import accept
from agent.ota.fragments import Fragments, version
from agent.ota.trial import CRASHES
from agent.settling import SETTLED_S, Settling

CONTENT = b"cameras: {drawn: {preset: %s}}\n"
GOOD, BAD = (sha256(CONTENT % preset).hexdigest() for preset in (b"market", b"school"))


def presets(about) -> str:
    return about["cameras"]["drawn"]["preset"]


def test_fragment_is_taken_up_by_the_running_agent_and_taken_back_when_it_crashes(tmp_path):
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, f"{ROOT}/#") as ear,
        Agent(tmp_path, agent_yaml({"drawn": DRAWN}, broker.url)) as agent,
    ):
        agent.start()
        assert presets(ear.wait_for("/about").json) == "street"
        fragments = Fragments(agent.state)
        fragments.begin(GOOD, CONTENT % b"market", 1)
        ear.wait_for("/e/_box/config/changed", why="fragment", ver=version(GOOD))
        row = {"v": version(GOOD), "n": 0, "state": "live", "since": 1}
        about = ear.wait_for("/about", ota={"config": row}).json
        assert presets(about) == "market"
        agent.stop(signal.SIGKILL)
        for _ in range(CRASHES - 1):
            fragments.started(boot_id(), 3)  # as further starts would
        agent.start()
        ear.wait_for("/e/_box/audit", why="config refused: crashes", ver=version(GOOD))
        assert fragments.state().in_force == ""
        assert agent.stop()[0] == 0
    assert "Traceback" not in agent.log()


def test_renewed_certificate_is_shown_to_the_broker_that_takes_the_old_one_no_more(tmp_path):
    pki = Certificates(tmp_path / "pki")
    cert, key = pki.issue(f"{SITE}_{BOX}", days=5)
    tls = f"{pki.mosquitto_settings()}\ncrlfile {pki.revoke(cert)}"
    with (
        Mosquitto(tmp_path, tls=tls) as broker,
        Listener(broker.port, f"{ROOT}/#", "ear", pki.context("ear")) as ear,
    ):
        more = f"{{url: {broker.tls_url}, ca: {pki.ca}, cert: {cert}, key: {key}}}"
        text = agent_yaml({"drawn": DRAWN}, "X").replace("{url: X}", more)
        with Agent(tmp_path, text) as agent:
            agent.start()
            wait_until(lambda: "trying again" in agent.log(), what="it is refused")
            accept(pki.renew(f"{SITE}_{BOX}", days=90), load(agent.config), agent.state)
            ear.wait_for("/e/_box/config/changed", why="certificate")
            assert agent.stop()[0] == 0


class TestSettling:
    """The same without a daemon."""

    def begun(self, tmp_path):
        self.now_s = 0.0
        self.fragments = Fragments(tmp_path)
        self.fragments.begin(GOOD, b"", 1)
        return Settling(tmp_path, GOOD, "boot", lambda: 2, lambda: self.now_s)

    def test_what_runs_long_enough_is_confirmed(self, tmp_path):
        settling = self.begun(tmp_path)
        assert settling.tick(0) == []
        assert settling.tick(1) == []  # one thread may die
        self.now_s = SETTLED_S
        (word,) = settling.tick(2)
        assert (word.kind, word.why, word.version) == ("config.changed", "confirmed", GOOD[:12])
        assert (self.fragments.state().active, settling.take_arrived()) == (GOOD, "")
        assert settling.tick(9) == []

    def test_what_lets_threads_die_is_taken_back(self, tmp_path):
        settling = self.begun(tmp_path)
        settling.tick(4)  # they died before it came
        assert settling.tick(7) == []
        (word,) = settling.tick(7)
        assert (word.kind, word.why) == ("audit", "config refused: errors")
        assert (settling.take_arrived(), settling.take_arrived()) == ("fragment", "")
        assert self.fragments.state().in_force == ""

    def test_what_lets_the_agent_not_begin_anew_is_refused(self, tmp_path):
        settling = self.begun(tmp_path)
        self.fragments.begin(BAD, b"", 3)
        settling.tick(0)
        assert settling.take_arrived() == "fragment"
        settling.does_not_start("no model for it")
        (word,) = settling.tick(0)
        assert word.why == "config refused: does-not-start"

    def test_renewed_certificate_is_taken_up(self, tmp_path):
        settling = self.begun(tmp_path)
        settling.tick(0)
        (tmp_path / "ota" / "box.pem").write_text("fresh")
        settling.tick(0)
        assert settling.take_arrived() == "certificate"
