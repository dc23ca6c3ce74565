"""What a box says of itself, with a clock that is set late. No thread runs here."""

import json
import threading

import pytest
from brokers import free_port
from daemon import agent_yaml
from samples import DRAWN

from agent.box import OUTBOX, Box
from agent.clock import boot_id
from agent.config.load import load
from agent.pipeline import Eyes
from agent.records import Loss, Moment

NOW_MS = 1_764_000_000_000
S = 1_000_000_000


class Clock:
    """Says what it is told to say."""

    def __init__(self):
        self.moment = Moment(mono_ns=5 * S, utc_ms=5_000, synced=False)

    def now(self):
        return self.moment


@pytest.fixture
def made(tmp_path):
    path = tmp_path / "agent.yaml"
    path.write_text(agent_yaml({"drawn": DRAWN}, f"mqtt://127.0.0.1:{free_port()}"))
    config, clock, boxes = load(path), Clock(), []

    def build():
        eyes = Eyes(config.cameras.values(), config.infer)
        boxes.append(Box(config, tmp_path / "state", eyes, clock))
        return boxes[-1], clock

    yield build
    for box in boxes:
        box.outbox.close()


def told(box):
    """What waits for the broker once all that was said is stored."""
    ended = threading.Event()
    ended.set()
    box.writer.run(ended)
    return [json.loads(row.body) for row in box.outbox.pending("office", 99)]


def test_box_without_a_clock_records_at_once_and_corrects_when_it_is_set(made):
    box, clock = made()
    box.tick()
    box.tell("audit", "x")
    (early,) = told(box)
    assert (early["bo"], early["mo"]) == (boot_id(), 5_000)
    assert early["te"] > 0
    clock.moment = Moment(mono_ns=65 * S, utc_ms=NOW_MS + 65_000)
    box.tick()
    box.tick()
    (correction,) = [body for body in told(box) if body["k"] == "box.clock"]
    assert correction["bo"] == early["bo"]
    assert correction["off"] + early["mo"] == NOW_MS + 5_000
    assert correction["t"] == NOW_MS + 65_000


def test_correction_is_told_by_the_next_run_when_the_clock_was_set_between(made):
    box, clock = made()
    box.tell("audit", "x")
    told(box)
    box.outbox.close()
    clock.moment = Moment(mono_ns=65 * S, utc_ms=NOW_MS)
    again, _ = made()
    again.tick()
    assert "box.clock" in [body["k"] for body in told(again)]


def test_box_with_a_clock_says_nothing_of_it(made):
    box, clock = made()
    box.outbox.close()
    clock.moment = Moment(mono_ns=65 * S, utc_ms=NOW_MS)
    again, _ = made()
    again.tick()
    assert told(again) == []


def test_damaged_outbox_is_told_as_trouble_with_the_disk(made, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / OUTBOX).write_bytes(b"no database at all\n" * 500)
    box, _ = made()
    box.tick()
    (trouble,) = told(box)
    assert (trouble["k"], trouble["s"], trouble["why"]) == ("box.disk", "start", "damaged")


def test_lost_numbers_are_told_with_the_next_minute(made, monkeypatch):
    box, _ = made()
    box.tick()
    box.tell("audit", "x")
    told(box)
    (row,) = box.outbox.pending("office", 9)
    box.outbox.refuse(row, "0x87")
    monkeypatch.setattr(box, "_losses_due_s", 0.0)
    box.tick()
    (account,) = told(box)
    assert (account["k"], account["from"], account["to"]) == ("box.lost", row.sq, row.sq)
    assert (account["c"], account["why"]) == (1, "quarantined")


def test_account_is_kept_from_the_other_brokers(made):
    box, _ = made()
    loss = Loss(broker="elsewhere", first=1, last=2, count=2, why="expired")
    box.outbox.put([box._account(loss)])
    assert told(box) == []


def test_box_that_is_hot_says_so_and_looks_less_until_it_has_cooled_down(made, monkeypatch):
    box, clock = made()
    heat = {"degrees": 82.0}
    monkeypatch.setattr("agent.box.temperature_c", lambda: heat["degrees"])
    monkeypatch.setattr("agent.box.throttled", lambda: 0x50005)
    box.tick()
    hot, weak = sorted(told(box), key=lambda body: body["k"])
    assert (hot["k"], hot["s"], hot["why"]) == ("box.hot", "start", "hot")
    assert (weak["k"], weak["s"], weak["why"]) == ("box.power", "start", "under-voltage")
    assert box.sharing.heat == 2
    heat["degrees"] = 60.0
    monkeypatch.setattr("agent.box.throttled", lambda: 0x50000)
    for second in (10, 100):
        clock.moment = Moment(mono_ns=second * S, utc_ms=second * 1000, synced=False)
        box.tick()
    assert box.sharing.heat == 0
    ended = {body["k"] for body in told(box) if body["s"] == "end"}
    assert ended == {"box.hot", "box.power"}
