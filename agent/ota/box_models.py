"""The models of one box: what is installed, active, on trial, refused. Without any network.

The daemon and `mahalla ota` both change it; each holds `alone` for the moment that a change takes.
Only one `mahalla ota` at a time is `updating`, which may take hours on a thin line: the daemon
judges, and takes back, meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.errors import UpdateError
from agent.infer.package import models_dir
from agent.ota import trial as trials
from agent.ota.lock import locked
from agent.ota.memory import Memory, Refused, Waiting
from agent.ota.release import Limits
from agent.ota.slots import Content, Entry, Slots, installed_sha256
from agent.ota.trial import CRASHES, LIVE, SHADOW, Trial

_PATIENCE_S = 2.0  # such a change is a few small files: milliseconds, on a worn card more
_BLIPS = 6  # power cuts soon after the start, one after the other


class BoxModels:
    """`state` is the agent's state folder. Every method raises UpdateError, in one line."""

    def __init__(self, state: Path) -> None:
        self.ota = state / "ota"
        self.slots = Slots(state / "models")
        self.state = state
        self._trial = self.ota / "trial.json"
        self._is_alone = False

    @contextmanager
    def updating(self) -> Iterator[None]:
        """Two updates at once would download one package together; UpdateError for the second."""
        with self._locked("updating", 0.0, "another update runs on this box; wait for it"):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else changes anything here meanwhile; what is in it may be `alone` again.

        UpdateError (`busy`) where somebody else is for longer than such a moment lasts.
        """
        if self._is_alone:
            yield
            return
        with self._locked("lock", _PATIENCE_S, "somebody else changes the models of this box"):
            self._is_alone = True
            try:
                yield
            finally:
                self._is_alone = False

    @contextmanager
    def _locked(self, name: str, patience_s: float, busy: str) -> Iterator[None]:
        try:
            self.ota.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(self.ota / name, patience_s, busy):
                yield
        except OSError as error:  # no room, no right: never a reason for the daemon to end
            raise UpdateError(f"{self.ota}: {error}", why="disk") from error

    def memory(self) -> Memory:
        """What the box must not forget, as it is on the disk now."""
        return Memory(self.ota / "memory.json")

    def trial(self) -> Trial | None:
        """The trial under way."""
        return trials.load(self._trial)

    def keep(self, trial: Trial) -> None:
        """Write down how far a trial has come."""
        trials.save(self._trial, trial)

    def present(self, model: str) -> Path | None:
        """The package in force now, which a new one would take the place of."""
        entry = self.slots.active().get(model)
        place = self.slots.stored(model, entry.sha256) if entry else models_dir() / model
        return place if place.is_dir() else None

    def before(self, model: str) -> Path | None:
        """The package that a live one on trial has taken the place of."""
        entry = self.slots.previous().get(model)
        place = self.slots.stored(model, entry.sha256) if entry else models_dir() / model
        return place if place.is_dir() else None

    def begin(self, entries: Content, limits: Mapping[str, Limits], now_ms: int) -> None:
        """Put verified packages on trial beside what is active.

        UpdateError (`busy`) where another trial has gone live meanwhile: its way back is the slot
        that this one would need.
        """
        with self.alone():
            trial = self.trial()
            if trial is not None and trial.phase == LIVE:
                raise UpdateError("what is live is judged first", why="busy")
            self.slots.prepare({**self.slots.active(), **entries})
            self.slots.sweep()
            begun = Trial(phase=SHADOW, models=dict(entries), limits=dict(limits), since_ms=now_ms)
            self.keep(begun)

    def activate(self, entries: Content) -> None:
        """Without a trial: active at the next start of the agent."""
        with self.alone():
            self.end_trial()
            self.slots.activate({**self.slots.active(), **entries})
            self.slots.sweep()

    def go_live(self, now_ms: int) -> Trial:
        """Flip to what is on trial; UpdateError when its slot is damaged."""
        trial = self._under_way()
        live = trial.next_phase(now_ms)
        # First: a power cut between the two finds a live trial whose slot is not active yet, and
        # `started` flips; the other way round nobody would watch what is live.
        self.keep(live)
        if not self._is_live(live) and not self.slots.flip():
            raise UpdateError("the slot on trial is damaged", why="damaged")
        return live

    def confirm(self) -> Trial:
        """What is live stays."""
        trial = self._under_way()
        memory = self.memory()
        for model in trial.models:
            memory.waiting.pop(model, None)
        memory.save()
        trials.drop(self._trial)
        return trial

    def fail(self, word: str, text: str, now_ms: int) -> Trial:
        """End the trial, never try its packages again, and go back where they were live."""
        trial = self._under_way()
        self._refuse(trial.models, word, text, now_ms)  # first: it must not come back
        self._leave(trial)
        return trial

    def end_trial(self) -> None:
        """Take the packages on trial back, without a word against them."""
        with self.alone():
            trial = self.trial()
            if trial is not None:
                self._leave(trial)

    def roll_back(self, now_ms: int) -> Content:
        """By hand: back to what was before, and never again to what is left; what is active."""
        trial = self.trial()
        if trial is not None:
            self.fail("by-hand", "rolled back on this box", now_ms)
            return self.slots.active()
        left = self.slots.active()
        if not left:
            raise UpdateError("the installed models are active; there is nothing to go back to")
        memory, before = self.memory(), self.slots.previous()
        if any(entry.sha256 in memory.refused for entry in before.values()):
            before = {}  # left once already: further back are the installed ones
        gone = {model: entry for model, entry in left.items() if before.get(model) != entry}
        self._refuse(gone, "by-hand", "rolled back on this box", now_ms)
        if not before or not self.slots.flip():
            self.slots.to_installed()
        return self.slots.active()

    def started(self, boot: str, now_ms: int) -> None:
        """The daemon starts: count how the last run ended, before any model is opened.

        A run that was not stopped has crashed, unless the box itself went down. Power cuts are no
        fault of a model's, but one that pulls the supply down as soon as it starts would be: six
        in a row, each soon after the start, are held against it too. An agent that was installed
        anew brings models of its own, which no update hides that was tried against those before.
        """
        with self.alone():
            trial = self.trial()
            if trial is None:
                self.slots.drop_outdated()
                return
            if any(each.over != installed_sha256(name) for name, each in trial.models.items()):
                self._leave(trial)
                self.slots.drop_outdated()
                return
            if trial.phase == LIVE and not self._is_live(trial):
                self.slots.flip()
            if trial.running is not None:
                same_boot, for_long = trial.running[0] == boot, trial.running[1]
                blips = 0 if for_long or same_boot else trial.blips + 1
                trial = replace(trial, crashes=trial.crashes + same_boot, blips=blips)
            if trial.crashes >= CRASHES:
                self.fail("crashes", f"the agent crashed {trial.crashes} times with it", now_ms)
            elif trial.blips >= _BLIPS:
                text = f"the power failed {trial.blips} times soon after the start with it"
                self.fail("power", text, now_ms)
            else:
                self.keep(replace(trial, running=(boot, False)))

    def stopped(self) -> None:
        """The daemon stops because it was asked to."""
        with self.alone():
            trial = self.trial()
            if trial is not None:
                self.keep(replace(trial, running=None))

    def report(self) -> dict[str, dict[str, Any]]:
        """State of each model that came, or should come, over the air; plain JSON data."""
        memory, trial = self.memory(), self.trial()
        rows: dict[str, dict[str, Any]] = {
            model: {"v": entry.version, "n": entry.serial, "state": "active"}
            for model, entry in self.slots.active().items()
        }

        def newer(model: str, serial: int) -> bool:
            return serial >= int(rows.get(model, {"n": 0})["n"])

        for each in sorted(memory.refused.values(), key=lambda each: each.serial):
            if newer(each.model, each.serial):
                rows[each.model] = _row(each.version, each.serial, "refused", each.at_ms, each.word)
        for model, wait in memory.waiting.items():
            if newer(model, wait.serial):
                rows[model] = _row(wait.version, wait.serial, "waiting", wait.at_ms, wait.word)
        for model, entry in trial.models.items() if trial else ():
            assert trial is not None
            rows[model] = _row(entry.version, entry.serial, trial.phase, trial.since_ms)
        return rows

    def refuse(self, model: str, entry: Entry, word: str, text: str, now_ms: int) -> None:
        """Never try this package again."""
        with self.alone():
            self._refuse({model: entry}, word, text, now_ms)

    def forgive(self, sha256: str) -> None:
        """A package that was refused has passed."""
        with self.alone():
            memory = self.memory()
            if memory.refused.pop(sha256, None):
                memory.save()

    def wait_for(self, model: str, waiting: Waiting | None) -> None:
        """A release this box would take and does not take now, or no longer."""
        with self.alone():
            memory = self.memory()
            before = memory.waiting.get(model)
            is_new = (before and (before.serial, before.word)) != (
                waiting and (waiting.serial, waiting.word)
            )
            if not is_new:
                return
            memory.waiting.pop(model, None)
            if waiting:
                memory.waiting[model] = waiting
            memory.save()

    def _under_way(self) -> Trial:
        trial = self.trial()
        if trial is None:
            raise UpdateError("nothing is on trial")
        return trial

    def _is_live(self, trial: Trial) -> bool:
        content = self.slots.current()
        return all(content.get(model) == entry for model, entry in trial.models.items())

    def _leave(self, trial: Trial) -> None:
        if trial.phase == LIVE and self._is_live(trial):
            before = self.slots.previous()
            if not before or not self.slots.flip():
                self.slots.to_installed()
        trials.drop(self._trial)

    def _refuse(self, content: Content, word: str, text: str, now_ms: int) -> None:
        memory = self.memory()
        for model, entry in content.items():
            memory.refused[entry.sha256] = Refused(
                model=model,
                version=entry.version,
                serial=entry.serial,
                word=word,
                text=text,
                at_ms=now_ms,
            )
            memory.waiting.pop(model, None)
        memory.save()


def _row(version: str, serial: int, state: str, since_ms: int, why: str = "") -> dict[str, Any]:
    row = {"v": version, "n": serial, "state": state, "since": since_ms}
    return row | ({"why": why} if why else {})
