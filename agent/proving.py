"""New models on trial in the running daemon: beside the present ones, then in their place.

In the shadow a second pipeline looks at the very frames that the first has just looked at; what
it says goes nowhere. Live, the two change places, and the old one is the shadow. At every moment
what speaks for the box is one set of models, and going over to another is between two frames.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.clock import Clock, boot_id
from agent.config.model import CameraConfig, Config
from agent.errors import ModelError, UpdateError
from agent.health import not_now
from agent.infer.model import Model, open_model
from agent.infer.package import load_package
from agent.ota import hold, looks
from agent.ota.box_models import BoxModels
from agent.ota.figures import Tally, compared, verdict
from agent.ota.fragments import Fragments
from agent.ota.history import History
from agent.ota.trial import LIVE, SHADOW, Trial
from agent.pipeline import CameraPipeline, Eyes, Seen
from agent.privacy.privacy import Privacy
from agent.records import Frame, PlateReading
from agent.ulid import UlidMaker

_log = logging.getLogger(__name__)

UPDATED, ROLLED_BACK = "model.updated", "model.rolled-back"

_LOOK_S = 2.0  # for work of `mahalla ota`
_JUDGE_S = 5.0
_KEEP_S = 300.0  # between two writes of the figures: a power cut costs so much of the trial
_LONG_S = 600.0  # a run that lasted so long did not die of starting
_WINDOW_S, _PERIOD_S = 60.0, 300.0  # one minute in five: a fifth more work, not twice
_GAP_S = 2.0  # without a frame for longer, nothing was watched
_UNSEEN = 4.0  # times its length a phase lasts where too little is seen to compare


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What the daemon is to tell: an event of `kind` about `what` (model and version)."""

    kind: str
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Two sets of models on the same frames, from one phase of one trial."""

    shadow: Eyes
    tasks: frozenset[str]
    always: bool  # all frames, not a window of them


class Beside:
    """One camera's second look; `frame` is called by the camera's thread only."""

    def __init__(self, camera: CameraConfig, stage: Callable[[], Stage | None]) -> None:
        self._camera = camera
        self._current = stage
        self._stage: Stage | None = None
        self._pipeline: CameraPipeline | None = None
        self._lock = threading.Lock()
        self._heard, self._shadow, self._alone = Tally(), Tally(), Tally()
        self._watched_s = 0.0
        self._began_ns = self._last_ns = 0

    def frame(self, frame: Frame, seen: Seen) -> None:
        """Look at what the pipeline has just seen, while there is something on trial."""
        kinds = [each.kind for each in seen.detections]
        with self._lock:
            self._alone.look(kinds, seen.detect_ms + seen.rest_ms)
        stage = self._current()
        if stage is not self._stage:
            self._stage, self._began_ns, self._pipeline = stage, frame.t_mono_ns, None
        if stage is None or not stage.tasks & stage.shadow.tasks(self._camera):
            return
        gap_s = (frame.t_mono_ns - self._last_ns) / 1e9
        self._last_ns = frame.t_mono_ns
        since_s = (frame.t_mono_ns - self._began_ns) / 1e9
        with self._lock:
            self._watched_s += gap_s if 0 < gap_s < _GAP_S else 0.0
        if not stage.always and since_s % _PERIOD_S >= _WINDOW_S:
            self._close()
        elif since_s > 0:
            self._look(stage, frame, kinds, seen)

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """The pipeline that speaks for the box looks; what it raises counts against its models."""
        done = False
        try:
            yield
            done = True
        finally:
            if not done:
                with self._lock:
                    self._heard.errors += 1

    def heard_reading(self, reading: PlateReading) -> None:
        """A plate of the pipeline that speaks for the box."""
        with self._lock:
            _count(self._alone, reading)
            if self._pipeline is not None:
                _count(self._heard, reading)

    def take(self) -> tuple[Tally, Tally, float]:
        """Sums of both sides and the time watched since the last call."""
        with self._lock:
            taken = self._heard, self._shadow, self._watched_s
            self._heard, self._shadow, self._watched_s = Tally(), Tally(), 0.0
        return taken

    def take_alone(self) -> Tally:
        """All frames of what speaks for the box, since the last call."""
        with self._lock:
            taken, self._alone = self._alone, Tally()
        return taken

    def _look(self, stage: Stage, frame: Frame, kinds: list[str], seen: Seen) -> None:
        try:
            if self._pipeline is None:
                self._pipeline = self._begun(stage)
            other = self._pipeline.frame(frame, closer=seen.closer)
        except Exception:  # noqa: BLE001 - a model on trial may do anything; the camera goes on
            _log.exception("%s: a model beside the present one failed", self._camera.camera_id)
            self._pipeline = None
            with self._lock:
                self._shadow.errors += 1
            return
        with self._lock:
            self._heard.look(kinds, seen.detect_ms + seen.rest_ms)
            self._shadow.look(
                [each.kind for each in other.detections], other.detect_ms + other.rest_ms
            )

    def _begun(self, stage: Stage) -> CameraPipeline:
        detectors, motion = stage.shadow.of(self._camera)
        return CameraPipeline(
            self._camera,
            detectors=detectors,
            motion=motion,
            privacy=Privacy("shadow", "shadow", "shadow"),
            ids=UlidMaker(random.SystemRandom()),
            watch=stage.shadow.watch(self._camera),
            on_reading=self._shadow_reading,
        )

    def _shadow_reading(self, reading: PlateReading) -> None:
        with self._lock:
            _count(self._shadow, reading)

    def _close(self) -> None:
        """The window is over: who is in view is read with what there is."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.give_up()


class Proving:
    """The daemon's side of a trial; `tick` each second, all but the cameras' looks in one thread.

    `eyes` are the models that speak for the box now.
    """

    def __init__(
        self, state: Path, eyes: Eyes, config: Config, clock: Clock, *, boot: str | None = None
    ) -> None:
        self.eyes = eyes
        self._models = BoxModels(state)
        self._fragments = Fragments(state)
        self._config = config
        self._clock = clock
        self._boot = boot or boot_id()
        self._zone = ZoneInfo(config.timezone)
        self._history = History(self._models.ota / "history.json")
        self._trial: Trial | None = None
        self._stage: Stage | None = None
        self._seen_change: object = None
        self._is_on = not os.environ.get("MAHALLA_MODELS")  # then these models it is, and no others
        self._beside: list[Beside] = []
        self._began_s = time.monotonic()
        self._ticked_s = self._began_s
        self._due_s = self._judge_s = 0.0
        self._keep_s = self._began_s + _KEEP_S
        self._hour: int | None = None
        self._usual = Tally()

    def beside(self, camera: CameraConfig) -> Beside:
        """The second look of one camera."""
        self._beside.append(Beside(camera, lambda: self._stage))
        return self._beside[-1]

    def report(self) -> dict[str, dict[str, object]]:
        """What `about` and `health` say of updates."""
        try:
            look = looks.report(self._models.ota, self._now_ms())
            return {**self._models.report(), **self._fragments.report(), **look}
        except UpdateError:
            return {}

    def tick(self) -> list[News]:
        """Go on with the trial, if there is one; what is to be told."""
        now_s = time.monotonic()
        news: list[News] = []
        if not self._is_on:
            return news
        if now_s >= self._due_s:
            self._due_s = now_s + _LOOK_S
            if self._has_changed():
                news += self._look()
        self._wait(now_s)
        if self._trial is not None and now_s >= self._judge_s:
            self._judge_s = now_s + min(_JUDGE_S, self._length_s() / 4)
            news += self._judge(now_s)
        self._note_hour()
        return news

    def _wait(self, now_s: float) -> None:
        passed_s, self._ticked_s = now_s - self._ticked_s, now_s
        if self._trial is not None:
            self._trial = replace(self._trial, waited_s=self._trial.waited_s + passed_s)

    def stop(self) -> None:
        """Write down how far it has come."""
        if self._trial is not None:
            self._gather()
            self._write(self._trial)

    def _has_changed(self) -> bool:
        """Whether `mahalla ota` was here; two looks at folders that change with each write."""
        places = (self._models.ota, self._models.state / "models")
        change = [place.stat().st_mtime_ns if place.is_dir() else 0 for place in places]
        has_changed, self._seen_change = change != self._seen_change, change
        return has_changed

    def _look(self) -> list[News]:
        try:
            with self._models.alone():
                news, same = self._untold(), self._is_still(self._trial)
                trial = self._models.trial()
        except UpdateError as error:
            if error.why != "busy":
                _log.warning("update: %s", error)
            self._seen_change = None  # look again
            return []
        if not same:
            news += self._begin(trial)
        return news

    def _untold(self) -> list[News]:
        """Refusals that nobody has heard of yet."""
        memory = self._models.memory()
        untold = {key: each for key, each in memory.refused.items() if not each.told}
        if untold:
            for key, each in untold.items():
                memory.refused[key] = replace(each, told=True)
            memory.save()
        return [
            News(kind=ROLLED_BACK, what=f"{each.model} {each.version}", why=each.word)
            for each in untold.values()
        ]

    def _begin(self, trial: Trial | None) -> list[News]:
        """Open what is on trial, or what it is compared with."""
        was_live = self._trial is not None and self._trial.phase == LIVE
        self._trial = trial
        for each in self._beside:
            each.take()
        if trial is None:
            _log.info("update: the trial was ended; what was before it speaks")
            self._stage = None
            if was_live:  # taken back by hand
                self._reopen()
            return []
        try:
            models = self._opened(trial)
        except ModelError as error:
            return self._fail("does-not-open", str(error))
        unopened = [
            task
            for task in models
            if trial.phase == LIVE and task in self.eyes.models and not self._is_new(task, trial)
        ]
        if unopened:
            return self._fail("does-not-open", f"the model for {unopened[0]} does not open")
        _log.info("update: %s in its phase %s", _named(trial), trial.phase)
        self._set_stage(models)
        if trial.running is None:
            self._write(replace(trial, running=(self._boot, False)))
        return []

    def _opened(self, trial: Trial) -> dict[str, Model]:
        """By task, the models of the side that does not speak."""
        found: dict[str, Model] = {}
        for name, entry in trial.models.items():
            if trial.phase == SHADOW:
                place: Path | None = self._models.slots.stored(name, entry.sha256)
            else:
                place = self._models.before(name)
            if place is None:
                continue
            package = load_package(place)
            if package.task in self.eyes.models:
                infer = self._config.infer
                found[package.task] = open_model(
                    package, threads=infer.threads, delegate=infer.delegate
                )
        return found

    def _set_stage(self, models: Mapping[str, Model], *, always: bool = False) -> None:
        shadow = self.eyes.with_models(models)
        short = self._length_s() < _PERIOD_S
        self._stage = Stage(shadow=shadow, tasks=frozenset(models), always=always or short)

    def _is_new(self, task: str, trial: Trial) -> bool:
        package = self.eyes.models[task].package
        entry = trial.models.get(package.name)
        return entry is not None and package.version == entry.version

    def _length_s(self) -> float:
        assert self._trial is not None
        bounds = self._trial.bounds
        return bounds.shadow_s if self._trial.phase == SHADOW else bounds.live_s

    def _gather(self) -> None:
        trial = self._trial
        assert trial is not None
        watched_s = []
        for each in self._beside:
            heard, shadow, seconds = each.take()
            old, new = (heard, shadow) if trial.phase == SHADOW else (shadow, heard)
            trial.old.add(old)
            trial.new.add(new)
            watched_s.append(seconds)
        total_s = trial.watched_s + max(watched_s, default=0.0)
        self._trial = replace(trial, watched_s=total_s)

    def _judge(self, now_s: float) -> list[News]:
        self._gather()
        trial = self._trial
        assert trial is not None
        failure = verdict(trial.old, trial.new, trial.bounds)
        if failure is not None:
            return self._fail(*failure)
        if now_s >= self._keep_s:
            self._keep_s = now_s + _KEEP_S
            running = (self._boot, now_s - self._began_s >= _LONG_S)
            self._write(replace(trial, running=running))
        if not self._is_over(trial):
            return []
        return self._go_live() if trial.phase == SHADOW else self._confirm()

    def _is_over(self, trial: Trial) -> bool:
        """Long enough, and enough seen to compare; where nothing comes by, several times as long.

        A camera that sleeps shows nothing at all: then what counts is how long the agent has run.
        A model that no camera here uses has nothing to show either.
        """
        if self._stage is None or not self._stage.tasks:
            return True
        length_s = self._length_s()
        if max(trial.waited_s, trial.watched_s) >= _UNSEEN * length_s:
            return True
        return trial.watched_s >= length_s and compared(trial.old, trial.new)

    def _go_live(self) -> list[News]:
        trial, stage = self._trial, self._stage
        assert trial is not None
        held = hold.load(self._models.ota)
        if not_now() is not None or any(held.holds(each, self._now_ms()) for each in trial.models):
            return []  # it can wait
        try:
            with self._models.alone():
                if not self._is_still(trial):
                    return []
                live = self._models.go_live(self._now_ms())
                self._models.keep(replace(live, running=(self._boot, False)))
        except UpdateError as error:
            return [] if error.why == "busy" else self._fail(error.why, str(error))
        self._trial = live
        if stage is not None:
            old = {task: self.eyes.models[task] for task in stage.tasks}
            self.eyes = stage.shadow
            self._set_stage(old)
        _log.info("update: %s is live", _named(trial))
        return [News(kind=UPDATED, what=what, why=_word(trial, "trial")) for what in _names(trial)]

    def _confirm(self) -> list[News]:
        trial = self._trial
        assert trial is not None
        try:
            with self._models.alone():
                if not self._is_still(trial):
                    return []
                self._models.confirm()
        except UpdateError as error:
            return [] if error.why == "busy" else self._fail(error.why, str(error))
        self._trial = self._stage = None
        _log.info("update: %s is confirmed", _named(trial))
        word = _word(trial, "confirmed")
        return [News(kind=UPDATED, what=what, why=word) for what in _names(trial)]

    def _fail(self, word: str, text: str) -> list[News]:
        """Never again, and back where it was live."""
        trial = self._trial
        assert trial is not None
        try:
            with self._models.alone():
                if not self._is_still(trial):
                    return []
                self._models.fail(word, text, self._now_ms())
                news = self._untold()
        except UpdateError as error:
            _log.warning("update: %s", error)
            self._judge_s = 0.0
            return []
        _log.warning("update: %s is taken back: %s", _named(trial), text)
        stage, self._trial, self._stage = self._stage, None, None
        if trial.phase == LIVE and stage is not None and stage.tasks:
            self.eyes = stage.shadow
        elif trial.phase == LIVE:
            self._reopen()
        return news

    def _reopen(self) -> None:
        """What is active now, as after a start."""
        try:
            self.eyes = Eyes(self._config.cameras.values(), self._config.infer)
        except ModelError as error:
            _log.error("update: %s", error)

    def _write(self, trial: Trial) -> None:
        self._trial = trial
        try:
            with self._models.alone():
                if self._is_still(trial):
                    self._models.keep(trial)
        except (UpdateError, OSError) as error:
            _log.warning("update: %s", error)

    def _is_still(self, trial: Trial | None) -> bool:
        """Nobody has put another on trial, or taken this one back, since it was read."""
        there = self._models.trial()
        if trial is None or there is None:
            return trial is there
        return (trial.phase, trial.models) == (there.phase, there.models)

    def _note_hour(self) -> None:
        """Each full hour: learn what is usual here, or ask why a new model sees otherwise."""
        if not self._clock.now().synced:
            return
        hour = datetime.fromtimestamp(self._now_ms() / 1000, tz=self._zone).hour
        if hour == self._hour:
            return
        tally = Tally()
        for each in self._beside:
            tally.add(each.take_alone())
        before, self._hour = self._hour, hour
        if before is None:
            return  # the hour was not whole
        if self._trial is None:
            try:
                self._history.add(before, tally)
            except OSError as error:
                _log.warning("update: %s", error)
        elif self._trial.phase == LIVE and self._stage and self._history.is_unusual(before, tally):
            _log.info("update: an unusual hour; the old model looks at every frame of the next")
            self._stage = replace(self._stage, always=True)

    def _now_ms(self) -> int:
        return self._clock.now().utc_ms


def _word(trial: Trial, word: str) -> str:
    """The box does not claim to have compared what no camera has shown it."""
    return word if min(trial.old.frames, trial.new.frames) else "unseen"


def _count(tally: Tally, reading: PlateReading) -> None:
    if reading.best is None:
        tally.unread += 1
    else:
        tally.read += 1


def _names(trial: Trial) -> Iterable[str]:
    return [f"{model} {entry.version}" for model, entry in sorted(trial.models.items())]


def _named(trial: Trial) -> str:
    return ", ".join(_names(trial))
