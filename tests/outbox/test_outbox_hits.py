"""A hit goes to the brokers of its list and to no other, to its very end."""

import itertools
import json
import sqlite3

import peek
import pytest
from brokers import free_port
from letters import letter
from office import NOW_MS, Office
from readings import plate

from agent.box import Box
from agent.clock import ManualClock
from agent.config.load import load
from agent.config.model import OutboxConfig
from agent.outbox.outbox import Outbox
from agent.pipeline import Eyes
from agent.privacy.privacy import Privacy
from agent.records import Event, Moment, Phase

CONFIG = """\
site: alpomish
box: north-gate
cameras:
  gate-in: {{role: plate, source: "synthetic:street"}}
brokers:
  office: {{url: "mqtt://127.0.0.1:{ports[0]}"}}
  city: {{url: "mqtt://127.0.0.1:{ports[1]}", send: [plate.hit, audit]}}
  panel: {{url: "mqtt://127.0.0.1:{ports[2]}", send: camera.*}}
hotlists:
  stolen: {{file: stolen.list, signer: office.pub, key: box-north.key, max_age: 7d, send: [city, panel]}}
  local: {{file: local.list, signer: office.pub, key: box-north.key, max_age: 7d, send: [office]}}
"""  # noqa: E501


@pytest.fixture
def config(tmp_path):
    office = Office(tmp_path)
    office.make("UZ 01A123BC", version=3)
    office.make("UZ 01A123BC", name="local", file="local.list", version=4)
    path = tmp_path / "agent.yaml"
    path.write_text(CONFIG.format(ports=[free_port() for _ in range(3)]))
    return load(path)


@pytest.fixture
def make(config, tmp_path):
    made = []

    def build():
        eyes = Eyes(config.cameras.values(), config.infer)
        made.append(Box(config, tmp_path / "state", eyes))
        return made[-1]

    yield build
    for box in made:
        box.outbox.close()


def event(number, hotlist, phase=Phase.START, kind="plate.hit", n=0):
    return Event(
        event_id=f"{number:026d}",
        n=n,
        phase=phase,
        at=Moment(mono_ns=10**9, utc_ms=NOW_MS),
        camera_id=None if kind == "audit" else "gate-in",
        kind=kind,
        plate=plate("01A123BC") if kind == "plate.hit" else None,
        score=0.9 if kind == "plate.hit" else None,
        hotlist=hotlist,
        match="exact" if kind == "plate.hit" else None,
        why="loaded" if kind == "audit" else None,
    )


def stored(tmp_path):
    """Broker, sq and body of every delivery."""
    query = (
        "SELECT d.broker, d.sq, m.body FROM delivery d JOIN message m ON m.id = d.message"
        " ORDER BY d.broker, d.sq"
    )
    found = peek.rows(tmp_path / "state" / "outbox.db", query)
    return [(broker, sq, json.loads(body)) for broker, sq, body in found]


def test_hit_goes_to_the_brokers_of_its_list_that_want_hits_with_counters_contiguous(
    make, tmp_path
):
    box, privacy = make(), Privacy("alpomish", "north-gate", "b")
    events = [event(number, ("stolen", "local")[number % 2]) for number in range(6)]
    events += [event(6, "gone"), event(7, "stolen", Phase.ONCE, "audit")]
    box.outbox.put([privacy.event(each) for each in events])
    rows = stored(tmp_path)
    told = [(broker, body["k"], body["l"]) for broker, _, body in rows]
    assert told == [
        *[("city", "plate.hit", "stolen")] * 3,
        ("city", "audit", "stolen"),
        *[("office", "plate.hit", "local")] * 3,
        ("office", "audit", "stolen"),
    ]
    for _, mine in itertools.groupby(rows, key=lambda row: row[0]):
        assert [sq for _, sq, _ in mine] == [1, 2, 3, 4]


def test_hit_that_a_crash_cut_off_ends_where_it_began(make, tmp_path):
    first, privacy = make(), Privacy("alpomish", "north-gate", "b")
    first.outbox.put([privacy.event(event(1, "stolen"))])
    first.outbox.close()
    second = make()
    second.start()
    second.stop("stop")
    hits = [(broker, body) for broker, _, body in stored(tmp_path) if body["k"] == "plate.hit"]
    assert [(broker, body["s"], body["l"]) for broker, body in hits] == [
        ("city", "start", "stolen"),
        ("city", "end", "stolen"),
    ]
    assert "p" not in hits[1][1]


def test_box_tells_of_each_list_at_its_start_and_says_them_in_about(make, tmp_path):
    box = make()
    box.start()
    box.tick()
    about = box._facts()
    box.stop("stop")
    audits = [body for broker, _, body in stored(tmp_path)
              if body["k"] == "audit" and broker == "office"]  # fmt: skip
    assert [(body["l"], body["why"], body["c"]) for body in audits] == [
        ("stolen", "loaded", 1),
        ("local", "loaded", 1),
    ]
    assert {body["l"]: body["ver"] for body in audits} == about["hotlists"]
    assert about["hotlists"]["stolen"].startswith("3/")


def test_box_looks_at_the_files_each_minute(make, tmp_path):
    box = make()
    box.look_at_hotlists()
    Office(tmp_path).make("UZ 75B777AA", version=9)
    box.tick()
    assert box.hotlists.in_force(NOW_MS)[0].version == 3
    box._hotlists_due_s -= 60.0
    box.tick()
    assert box.hotlists.in_force(NOW_MS)[0].version == 9


def test_outbox_of_an_agent_before_hits_is_read_and_stays_readable_to_it(tmp_path):
    path = tmp_path / "outbox.db"

    def opened():
        return Outbox(path, {"office": lambda _: True}, OutboxConfig(), ManualClock(NOW_MS))

    opened().close()
    db = sqlite3.connect(path)
    db.executescript(
        "DROP TABLE unfinished; CREATE TABLE unfinished (message_id TEXT PRIMARY KEY,"
        " n INTEGER NOT NULL, kind TEXT NOT NULL, camera TEXT NOT NULL) WITHOUT ROWID;"
        "INSERT INTO unfinished VALUES ('x', 2, 'face.present', 'gate-in')"
    )
    db.commit()
    db.close()
    outbox = opened()
    outbox.put([letter(1, kind="face.present", phase=Phase.START)])
    assert sorted((each.message_id, each.hotlist) for each in outbox.unfinished()) == [
        (letter(1).message_id, ""),
        ("x", ""),
    ]
    assert outbox.take_set_aside() == []
    outbox.close()
    db = sqlite3.connect(path)
    before = "INSERT OR REPLACE INTO unfinished (message_id, n, kind, camera) VALUES (?, ?, ?, ?)"
    db.execute(before, ("y", 1, "face.present", "gate-in"))
    db.close()
