"""One update of one box: look, choose, download, try out, flip."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.errors import UpdateError
from agent.infer.package import models_dir
from agent.ota.client import Client, Memory
from agent.ota.gate import try_out
from agent.ota.release import Release, best
from agent.ota.slots import Slots

_SPARE_BYTES = 50_000_000  # the outbox needs room too


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one release on this box."""

    model: str
    version: str
    taken: bool
    why: str


class BoxModels:
    """The models of a box; `state` is the agent's state folder."""

    def __init__(self, state: Path) -> None:
        self.ota = state / "ota"
        self.slots = Slots(state / "models")
        self._state = state

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Two updates at once would build one slot together; UpdateError for the second."""
        self.ota.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.ota / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UpdateError("another update runs on this box; wait for it") from None
            yield

    def apply(
        self,
        client: Client,
        *,
        box: str,
        agent: str,
        again: bool = False,
        gate: Callable[[Path, Path | None, int, str], str] = try_out,
    ) -> list[Outcome]:
        """Bring the box to what is released for it; `again` tries refused packages once more."""
        wanted = best(client.releases(), box=box, agent=agent)
        content = self.slots.active()
        outcomes = []
        for release in wanted.values():
            target = client.find(release)
            sha256 = target.hashes["sha256"]
            if content.get(release.model) == sha256:
                continue
            refused = client.memory.refused.get(sha256)
            if refused and not again:
                outcomes.append(_outcome(release, False, f"refused before: {refused}"))
                continue
            self._check_room(target.length)
            packed = client.download(target)
            try:
                folder = self.slots.keep(release.model, sha256, packed)
                present = self._present(release.model, content.get(release.model))
                why = gate(folder, present, release.slower_percent, release.version)
            except UpdateError as error:
                client.memory.refused[sha256] = str(error)
                client.memory.save()
                outcomes.append(_outcome(release, False, str(error)))
                continue
            if client.memory.refused.pop(sha256, None):
                client.memory.save()
            content[release.model] = sha256
            outcomes.append(_outcome(release, True, why))
        if content != self.slots.active():
            self.slots.activate(content)
        return outcomes

    def roll_back(self) -> dict[str, str]:
        """Back to what was active before, and never again to what is left; what is active."""
        left = self.slots.active()
        if not left:
            raise UpdateError("the installed models are active; there is nothing to go back to")
        memory, before = Memory(self.ota / "memory.json"), self.slots.previous()
        if any(sha256 in memory.refused for sha256 in before.values()):
            before = {}  # left once already: further back are the installed ones
        for model, sha256 in left.items():
            if before.get(model) != sha256:
                memory.refused[sha256] = "rolled back on this box"
        memory.save()  # first: a power cut between the two must not bring back what was left
        return self.slots.roll_back(to_installed=not before)

    def _present(self, model: str, sha256: str | None) -> Path | None:
        """The package that this one would take the place of."""
        place = self.slots.stored(model, sha256) if sha256 else models_dir() / model
        return place if place.is_dir() else None

    def _check_room(self, length: int) -> None:
        """Once as it comes, once unpacked, once while python-tuf copies it."""
        needed, free = 3 * length + _SPARE_BYTES, shutil.disk_usage(self._state).free
        if free < needed:
            raise UpdateError(
                f"{self._state}: {free // 1_000_000} MB free, {needed // 1_000_000} are needed"
            )


def _outcome(release: Release, taken: bool, why: str) -> Outcome:
    return Outcome(model=release.model, version=release.version, taken=taken, why=why)
