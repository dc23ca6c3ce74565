"""What had begun when the power went is known at the next start."""

from pathlib import Path

import pytest
from letters import letter

from agent.clock import ManualClock
from agent.config.model import OutboxConfig
from agent.outbox.outbox import Outbox
from agent.records import Phase


def opened(folder: Path, wants=lambda message: True) -> Outbox:
    clock = ManualClock(utc_ms=1_764_000_000_000)
    return Outbox(folder / "outbox.db", {"office": wants}, OutboxConfig(), clock)


@pytest.mark.parametrize("updates", [0, 1, 3])
def test_unfinished_occurrence_is_listed_with_its_last_number_after_a_restart(tmp_path, updates):
    outbox = opened(tmp_path)
    outbox.put([letter(1, kind="face.present", phase=Phase.START)])
    for n in range(1, updates + 1):
        outbox.put([letter(1, kind="face.present", n=n, phase=Phase.UPDATE)])
    outbox.close()
    outbox = opened(tmp_path)
    (left,) = outbox.unfinished()
    assert (left.message_id, left.n) == (letter(1).message_id, updates)
    assert (left.kind, left.camera) == ("face.present", "gate-in")
    outbox.close()


def test_unfinished_occurrence_that_ended_is_no_longer_listed(tmp_path):
    outbox = opened(tmp_path)
    outbox.put([letter(1, phase=Phase.START), letter(2, phase=Phase.START), letter(3)])
    outbox.put([letter(1, n=1, phase=Phase.END)])
    assert [each.message_id for each in outbox.unfinished()] == [letter(2).message_id]
    outbox.close()


def test_unfinished_occurrence_whose_kind_no_broker_takes_any_more_can_end(tmp_path):
    outbox = opened(tmp_path)
    outbox.put([letter(1, phase=Phase.START)])
    outbox.close()
    outbox = opened(tmp_path, wants=lambda _: False)
    assert len(outbox.unfinished()) == 1
    outbox.put([letter(1, n=1, phase=Phase.END)])
    assert outbox.unfinished() == []
    outbox.close()


def test_unfinished_occurrence_that_no_broker_was_told_of_is_not_listed(tmp_path):
    outbox = opened(tmp_path, wants=lambda message: message.kind == "plate.hit")
    outbox.put([letter(1, phase=Phase.START)])
    assert outbox.unfinished() == []
    outbox.close()
