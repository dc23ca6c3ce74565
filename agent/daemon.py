"""The daemon: a box under systemd, its signals, its watchdog, its reload."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from agent.box import Box
from agent.clock import boot_id
from agent.config.load import load
from agent.config.model import Config
from agent.errors import AgentError, UpdateError
from agent.health import Systemd
from agent.ota.box_models import BoxModels
from agent.ota.fragments import Fragments, version
from agent.pipeline import Eyes
from agent.settling import Settling

_log = logging.getLogger(__name__)

_STALE_S = 25.0  # longer than anything that a loop may wait for at one go
_TURN_S = 1.0


class Daemon:
    """A box and its signals: SIGTERM and SIGINT stop it, SIGHUP reads its configuration again."""

    def __init__(self, path: Path, state: Path) -> None:
        self._path = path
        self._state = state
        self._systemd = Systemd(os.environ.get("NOTIFY_SOCKET"))
        self._fragments = Fragments(state)
        self._wake = threading.Event()
        self._stuck: set[str] = set()
        self._stopping = self._reloading = False

    def run(self, config: Config, fragment: str = "") -> int:
        """Until it is asked to stop; `fragment` is what of it came over the air."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        models = BoxModels(self._state)
        self._of_updates(lambda: models.started(boot_id(), _now_ms()))
        box = Box(config, self._state, Eyes(config.cameras.values(), config.infer))
        box.start()
        self._ready(config)
        self._settling = Settling(self._state, fragment, boot_id(), _now_ms)
        while not self._stopping:
            self._wake.wait(_TURN_S)
            self._wake.clear()
            if self._reloading and not self._stopping:
                self._reloading = False
                box = self._reloaded(box, self._settling.take_arrived() or "reload")
            if not self._stopping:
                box.tick()
                self._settle(box)
                self._feed_watchdog(box)
                if box.restart_asked:  # systemd starts us again
                    _log.info("asked to restart")
                    self._stopping = True
        self._systemd.notify("STOPPING=1")
        in_time = box.stop("restart" if box.restart_asked else "stop")
        self._of_updates(BoxModels(self._state).stopped)
        self._of_updates(self._fragments.stopped)
        _log.info("stopped%s", "" if in_time else " late: what was not sent is kept")
        return 0

    def _of_updates(self, work: Callable[[], None]) -> None:
        """Whatever is wrong there, the box runs."""
        try:
            work()
        except (UpdateError, OSError) as error:
            _log.warning("update: %s", error)

    def _settle(self, box: Box) -> None:
        """Fragments of the configuration that came over the air."""
        for word in self._settling.tick(box.restarts):
            box.tell(word.kind, word.why, version=word.version)
            box.say_about()
        if self._settling.arrived:
            self._reloading = True
            self._wake.set()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reloading = True
        else:
            self._stopping = True
        self._wake.set()

    def _ready(self, config: Config) -> None:
        cameras, brokers = ", ".join(config.cameras), ", ".join(config.brokers)
        status = f"cameras {cameras}; brokers {brokers}"
        self._systemd.notify("READY=1", f"STATUS={status}")
        _log.info("running %s/%s: %s", config.site, config.box, status)

    def _feed_watchdog(self, box: Box) -> None:
        stale = box.pulse.stale(_STALE_S)
        if not stale:
            self._systemd.notify("WATCHDOG=1")
        for name in stale.keys() - self._stuck:
            _log.error("%s has made no progress for %.0f s", name, stale[name])
        self._stuck = set(stale)

    def _reloaded(self, old: Box, why: str) -> Box:
        """A box with the configuration as it is now, or the old one when that does not check."""
        self._systemd.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        _log.info("reading %s again", self._path)
        try:
            config, fragment = self._fragments.lay_over(load(self._path), _now_ms())
            cameras, eyes = config.cameras.values(), old.eyes
            if config.infer != old.config.infer or not eyes.serve(cameras):
                eyes = Eyes(cameras, config.infer)
        except AgentError as error:
            _log.error("reload refused, the old configuration keeps running: %s", error)
            text = str(error)
            self._of_updates(lambda: self._settling.does_not_start(text))
            self._systemd.notify("READY=1")
            return old
        self._settling.runs_with(fragment)
        if config == old.config:  # keys and passwords in files are read at each connection anyway
            _log.info("nothing in it has changed")
            old.look_at_hotlists()
            self._systemd.notify("READY=1")
            return old
        old.stop("reload")
        if self._stopping:  # asked to stop meanwhile: there is no time to begin anew
            return old
        new = Box(config, self._state, eyes)
        new.start()
        new.tell("config.changed", why, version=version(fragment) or None)
        self._ready(config)
        return new


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
