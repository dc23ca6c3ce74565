"""The daemon and its hotlists: loaded at the start and on reload, refused without harm."""

from __future__ import annotations

from brokers import Mosquitto, wait_until
from daemon import ROOT, Agent, agent_yaml
from listener import Listener
from office import Office
from samples import DRAWN

LISTS = (
    "hotlists: {stolen: {file: stolen.list, signer: [office.pub, city.pub], key: box-north.key,"
    " max_age: 7d, send: office}}\n"
)
BOTH = {"signers": ("office", "city")}


def lists_of(ear):
    """What the newest `about` says of hotlists."""
    return [h.json["hotlists"] for h in ear.heard if h.topic == f"{ROOT}/about"][-1]


def test_hotlist_is_loaded_renewed_and_refused_on_reload_while_the_box_runs_on(tmp_path):
    office = Office(tmp_path)
    office.make("UZ 01A123BC", "UZ 75B777AA", version=1, **BOTH)
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, f"{ROOT}/#") as ear,
        Agent(tmp_path, agent_yaml({"drawn": DRAWN}, broker.url, LISTS)) as agent,
    ):
        agent.start()
        loaded = ear.wait_for("/_box/audit", why="loaded").json
        assert (loaded["l"], loaded["c"], loaded["ver"][:2]) == ("stolen", 2, "1/")
        assert ear.wait_for("/about").json["hotlists"] == {"stolen": loaded["ver"]}

        file = office.make("UZ 01A123BC", version=2, **BOTH)
        agent.reload(agent.config.read_text())
        newer = ear.wait_for("/_box/audit", why="loaded", c=1).json
        wait_until(lambda: lists_of(ear) == {"stolen": newer["ver"]}, what="about tells of it")

        file.write_bytes(file.read_bytes()[:-1])
        agent.reload(agent.config.read_text())
        refused = ear.wait_for("/_box/audit", why="refused-damaged").json
        assert (refused["l"], "ver" in refused) == ("stolen", False)
        office.make("UZ 01A123BC", version=3, signers=("office",))
        agent.reload(agent.config.read_text())
        ear.wait_for("/_box/audit", why="refused-signature")
        office.make("UZ 01A123BC", version=1, **BOTH)
        agent.reload(agent.config.read_text())
        ear.wait_for("/_box/audit", why="refused-older")

        assert agent.log().count("connected to") == 1  # nothing was begun anew for it
        assert lists_of(ear) == {"stolen": newer["ver"]}
        assert agent.stop()[0] == 0
    assert "01A123BC" not in agent.log()
    assert "Traceback" not in agent.log()
