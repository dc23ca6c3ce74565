"""Loops that die, their neighbours, and the pulse that tells who hangs."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest
from brokers import wait_until

from agent import supervise
from agent.supervise import Loop, Pulse


class Body:
    """Notes when it is started; dies each time after `lives_s`, `deaths` times."""

    def __init__(self, deaths: int = 10**6, lives_s: float = 0.0) -> None:
        self.starts: list[float] = []
        self._deaths = deaths
        self._lives_s = lives_s

    def __call__(self, stop: threading.Event) -> None:
        self.starts.append(time.monotonic())
        if len(self.starts) > self._deaths:
            stop.wait()
            return
        stop.wait(self._lives_s)
        raise RuntimeError("a bug of ours")

    @property
    def gaps_s(self) -> list[float]:
        return [after - before for before, after in pairwise(self.starts)]


@pytest.fixture
def run():
    """Starts loops and ends them with the test."""
    loops: list[Loop] = []

    def start(name: str, body, pulse: Pulse) -> Loop:
        loop = Loop(name, body, pulse)
        loops.append(loop)
        loop.start()
        return loop

    yield start
    for loop in loops:
        loop.ask_to_stop()
    late = [loop.name for loop in loops if not loop.join(5)]
    assert late == []


def test_loop_that_dies_starts_again_later_each_time_and_says_why(run, caplog):
    body, neighbour = Body(deaths=2), Body(deaths=0)
    pulse = Pulse()
    dying, living = run("dying", body, pulse), run("living", neighbour, pulse)
    wait_until(lambda: len(body.starts) == 3, what="a third start")
    assert 1.0 <= body.gaps_s[0] < 1.9
    assert 2.0 <= body.gaps_s[1] < 2.9
    assert (dying.restarts, living.restarts) == (2, 0)
    assert len(neighbour.starts) == 1
    assert caplog.text.count("RuntimeError: a bug of ours") == 2
    assert "dying died" in caplog.text


def test_loop_that_lived_long_starts_again_soon(run, monkeypatch):
    monkeypatch.setattr(supervise, "_STEADY_S", 0.1)
    body = Body(deaths=2, lives_s=0.2)
    run("steady", body, Pulse())
    wait_until(lambda: len(body.starts) == 3, what="a third start")
    assert all(gap_s < 1.9 for gap_s in body.gaps_s)


def test_loop_whose_body_just_returns_is_started_again(run, caplog):
    starts = []
    run("brief", lambda stop: starts.append(1), Pulse())
    wait_until(lambda: len(starts) == 2, what="a second start")
    assert "brief ended without being asked to" in caplog.text


def test_loop_that_waits_to_start_again_is_not_stale(run):
    pulse = Pulse()
    body = Body()
    run("dying", body, pulse)
    wait_until(lambda: len(body.starts) == 2, what="a second start")  # the wait is 2 s now
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        assert not pulse.stale(0.9)
        time.sleep(0.05)


def test_loop_asked_to_stop_while_it_waits_ends_at_once():
    body = Body()
    loop = Loop("dying", body, Pulse())
    loop.start()
    wait_until(lambda: loop.restarts == 1, what="it has died")
    loop.ask_to_stop()
    assert loop.join(0.5)
    assert len(body.starts) == 1


def test_loop_that_does_not_end_is_reported_late_and_forgotten():
    held = threading.Event()
    pulse = Pulse()
    loop = Loop("hung", lambda stop: held.wait(), pulse)
    loop.start()
    loop.ask_to_stop()
    assert not loop.join(0.1)
    assert not pulse.stale(-1)  # nobody waits for a pulse of what was given up
    held.set()
    assert loop.join(5)


def test_pulse_names_who_is_stale_and_for_how_long():
    now_s = [100.0]
    pulse = Pulse(lambda: now_s[0])
    pulse.beat("one")
    pulse.beat("two")
    now_s[0] = 110.0
    assert pulse.stale(10) == {}
    pulse.beat("two")
    now_s[0] = 111.0
    assert pulse.stale(10) == {"one": 11.0}
    pulse.forget("one")
    assert pulse.stale(10) == {}
