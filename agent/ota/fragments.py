"""Which fragment of the configuration lies over agent.yaml on this box, on the disk.

    config/state.json       which one is in force, which one is on trial, which ones never again
    config/SHA256.yaml      the fragments themselves, as they were signed

One that is on trial is in force until it is confirmed or taken back; the one before stays on the
disk until then.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from agent import durable
from agent.config.load import check
from agent.config.model import Config
from agent.errors import UpdateError
from agent.ota import certificates
from agent.ota.healing import read_or_set_aside
from agent.ota.memory import Refused
from agent.ota.trial import CRASHES

_log = logging.getLogger(__name__)

MODEL = "config"
"""Under this name `about` and `health` say what became of it."""

_VERSION_CHARS = 12  # of the sha256
_MOST_REFUSED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is kept; fragments are named by their sha256, "" is none."""

    active: str = ""
    trial: str = ""
    since_ms: int = 0  # of what is in force
    crashes: int = 0  # while on trial
    boot: str = ""  # in which the agent runs with what is on trial; "": it was stopped
    refused: dict[str, Refused] = field(default_factory=dict)

    @property
    def in_force(self) -> str:
        return self.trial or self.active


class Fragments:
    """`state` is the agent's state folder. The daemon and `mahalla ota` both change it."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.folder = state / "ota" / "config"
        self._file = self.folder / "state.json"

    def state(self) -> State:
        """As it is on the disk now; a damaged file is set aside, and agent.yaml holds alone."""
        return read_or_set_aside(self._file, _parsed) or State()

    def place(self, sha256: str) -> Path:
        """Where this fragment is, or would be."""
        return self.folder / f"{sha256}.yaml"

    def begin(self, sha256: str, content: bytes, now_ms: int) -> None:
        """Put one that has been checked on trial; the running agent takes it up by itself."""
        with self._changing() as state:
            durable.replace(self.place(sha256), content)
            refused = {key: each for key, each in state.refused.items() if key != sha256}
            self._save(State(active=state.active, trial=sha256, since_ms=now_ms, refused=refused))

    def started(self, boot: str, now_ms: int) -> None:
        """The agent starts: a run with a fragment on trial that was not stopped has crashed.

        One that ended with the box is no fault of the fragment's: it says what cameras look for.
        """
        if not self.state().trial:
            return
        with self._changing() as state:
            state = replace(state, crashes=state.crashes + (state.boot == boot), boot=boot)
            if state.crashes >= CRASHES:
                text = f"the agent crashed {state.crashes} times with it"
                state = _taken_back(state, "crashes", text, now_ms)
            self._save(state)

    def runs(self, boot: str) -> None:
        """The running agent has taken up what is on trial."""
        if self.state().trial:
            with self._changing() as state:
                self._save(replace(state, boot=boot))

    def stopped(self) -> None:
        """The agent stops because it was asked to."""
        if self.state().trial:
            with self._changing() as state:
                self._save(replace(state, boot=""))

    def confirm(self) -> str:
        """What is on trial stays; its version, "" where nothing was."""
        with self._changing() as state:
            if state.trial:
                rest = {"trial": "", "crashes": 0, "boot": ""}
                self._save(replace(state, active=state.trial, **rest))  # type: ignore[arg-type]
                self._sweep()
            return version(state.trial)

    def refuse(self, sha256: str, word: str, text: str, now_ms: int, *, model: str = MODEL) -> None:
        """Never this one again; where it is in force, the one before is."""
        with self._changing() as state:
            self._save(_taken_back(state, word, text, now_ms, sha256, model))

    def forgive(self, sha256: str) -> None:
        """One that was refused has passed."""
        if sha256 in self.state().refused:
            with self._changing() as state:
                refused = {key: each for key, each in state.refused.items() if key != sha256}
                self._save(replace(state, refused=refused))

    def roll_back(self, now_ms: int) -> str:
        """By hand: agent.yaml as it is written, and never again what lay over it; its version."""
        with self._changing() as state:
            if not state.in_force:
                raise UpdateError("nothing that came over the air lies over agent.yaml")
            left = state
            while left.in_force:
                words = ("by-hand", "rolled back on this box", now_ms, left.in_force)
                left = _taken_back(left, *words)
            self._save(left)
            return version(state.in_force)

    def untold(self) -> list[Refused]:
        """Refusals that nobody has heard of yet; from now on they count as told."""
        if all(each.told for each in self.state().refused.values()):
            return []
        with self._changing() as state:
            refused = {key: replace(each, told=True) for key, each in state.refused.items()}
            self._save(replace(state, refused=refused))
            return [each for each in state.refused.values() if not each.told]

    def report(self) -> dict[str, dict[str, Any]]:
        """For `about` and `health`: what is in force, or what was refused since."""
        state = self.state()
        rows: dict[str, dict[str, Any]] = {}
        if state.in_force:
            phase = "live" if state.trial else "active"
            rows[MODEL] = _row(version(state.in_force), phase, state.since_ms)
        if renewed := certificates.renewed(self._state):
            rows[certificates.MODEL] = _row(version(renewed[0]), "active", renewed[1])
        for each in sorted(state.refused.values(), key=lambda each: each.at_ms):
            is_ours = each.model == MODEL
            since_ms = state.since_ms if is_ours else rows.get(each.model, {}).get("since", 0)
            if each.at_ms >= since_ms:
                refused = _row(each.version, "refused", each.at_ms)
                rows[each.model] = refused | {"why": each.word}
        return rows

    def lay_over(self, config: Config, now_ms: int) -> tuple[Config, str]:
        """The configuration with the fragment that lies over its file, and which one that is.

        What does not fit the file any more is refused for good. The box's certificate is the
        renewed one, where there is one.
        """
        try:
            laid, sha256 = self._laid_over(config, now_ms)
        except UpdateError as error:  # a card that cannot be read or written: the file alone holds
            _log.warning("update: %s", error)
            laid, sha256 = config, ""
        return certificates.with_renewed(laid, self._state), sha256

    def _laid_over(self, config: Config, now_ms: int) -> tuple[Config, str]:
        assert config.path is not None
        for _ in range(2):  # what is on trial, what was before it, the file alone
            sha256 = self.state().in_force
            if not sha256:
                break
            if not self._is_whole(sha256):
                _log.warning("update: fragment %s is damaged, and left off", version(sha256))
                self._forget(sha256)
                continue
            laid, problems = check(config.path, self.place(sha256))
            if laid is not None:
                return laid, sha256
            trouble = next(str(each) for each in problems if each.severity == "error")
            _log.warning("update: fragment %s is left off: %s", version(sha256), trouble)
            self.refuse(sha256, "check", trouble, now_ms)
        return config, ""

    def _is_whole(self, sha256: str) -> bool:
        try:
            return hashlib.sha256(self.place(sha256).read_bytes()).hexdigest() == sha256
        except OSError:
            return False

    def _forget(self, sha256: str) -> None:
        """It is lost here, and no worse for that: the next update fetches it again."""
        with self._changing() as state:
            left = _taken_back(state, "damaged", "", 0, sha256)
            self._save(replace(left, refused=state.refused))

    @contextmanager
    def _changing(self) -> Iterator[State]:
        """Alone, for the moment that a change takes."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self.folder / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield self.state()
        except OSError as error:
            raise UpdateError(f"{self.folder}: {error}", why="disk") from error

    def _save(self, state: State) -> None:
        newest = sorted(state.refused.items(), key=lambda item: item[1].at_ms)[-_MOST_REFUSED:]
        content = asdict(replace(state, refused=dict(newest)))
        durable.replace(self._file, json.dumps(content, indent=1).encode())

    def _sweep(self) -> None:
        kept = self.state()
        for place in self.folder.glob("*.yaml"):
            if place.stem not in (kept.active, kept.trial):
                place.unlink(missing_ok=True)


def version(sha256: str) -> str:
    """What people see of it."""
    return sha256[:_VERSION_CHARS]


def _parsed(content: bytes) -> State:
    row = json.loads(content)
    return State(
        active=str(row["active"]),
        trial=str(row["trial"]),
        since_ms=int(row["since_ms"]),
        crashes=int(row["crashes"]),
        boot=str(row["boot"]),
        refused={str(key): Refused(**each) for key, each in row["refused"].items()},
    )


def _row(shown: str, phase: str, since_ms: int) -> dict[str, Any]:
    return {"v": shown, "n": 0, "state": phase, "since": since_ms}


def _taken_back(
    state: State, word: str, text: str, now_ms: int, sha256: str = "", model: str = MODEL
) -> State:
    bad = sha256 or state.trial
    refused = Refused(
        model=model, version=version(bad), serial=0, word=word, text=text, at_ms=now_ms
    )
    everything = {**state.refused, bad: refused}
    if bad == state.trial:
        return State(active=state.active, since_ms=now_ms, refused=everything)
    if bad == state.active:
        return State(trial=state.trial, since_ms=now_ms, refused=everything)
    return replace(state, refused=everything)
