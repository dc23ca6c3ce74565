"""One update of one box: look, choose, download, try out, put on trial."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from agent.errors import UpdateError
from agent.ota import hold
from agent.ota.box_models import BoxModels
from agent.ota.client import Client
from agent.ota.gate import try_out
from agent.ota.memory import Waiting
from agent.ota.release import Limits, Release, meant_for
from agent.ota.slots import Entry, installed_sha256
from agent.ota.trial import LIVE
from agent.ota.trying import Trying

_ENDLESS = 3  # times that trying a package out had no end
_SPARE_BYTES = 50_000_000  # the outbox needs room too

Gate = Callable[[Path, Path | None, Release], str]
"""What was measured of a candidate beside the present package, or UpdateError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one release on this box."""

    model: str
    version: str
    state: str  # trial | active | kept (a certificate) | refused | waiting | halted
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoIAm:
    """What decides which releases are meant for a box."""

    box: str  # site/box
    agent: str
    hardware: str = ""
    channel: str = "stable"


class Update:
    """One update of the box's models, to be run while they are `alone`."""

    def __init__(
        self,
        models: BoxModels,
        client: Client,
        me: WhoIAm,
        *,
        gate: Gate = try_out,
        not_now: Callable[[], str | None] = lambda: None,
        again: bool = False,
        at_once: bool = False,
    ) -> None:
        """`not_now` is the word for why nothing may be tried now; `again` tries refused packages
        once more; `at_once` makes them active without a trial.
        """
        self._models, self._client, self._me = models, client, me
        self._gate, self._not_now = gate, not_now
        self._again, self._at_once = again, at_once
        self._hold = hold.load(models.ota)
        self._now_ms = round(client.now_s * 1000)
        self._entries: dict[str, Entry] = {}
        self._limits: dict[str, Limits] = {}

    def run(self) -> list[Outcome]:
        """Bring the box to what is released for it."""
        releases, halts = self._client.releases(), self._client.halts()
        mine = meant_for(
            releases,
            box=self._me.box,
            agent=self._me.agent,
            hardware=self._me.hardware,
            channel=self._me.channel,
        )
        outcomes = self._heed(mine, halts)
        trial = self._models.trial()
        if trial is not None and trial.phase == LIVE:
            return outcomes  # one after the other: what is live is judged first
        for offered in mine.values():
            outcomes += self._take(offered, halts)
        try:
            self._put_on_trial()
        except UpdateError as error:
            if error.why != "busy":
                raise
            return [_not_yet(each, error) if each.state == "trial" else each for each in outcomes]
        return outcomes

    def _heed(self, mine: dict[str, list[Release]], halts: dict[int, str]) -> list[Outcome]:
        """End a trial of what was halted; boxes that keep it already stay with it."""
        trial = self._models.trial()
        for model, entry in trial.models.items() if trial else ():
            if entry.serial in halts:
                self._models.end_trial()
                waiting = self._waiting(entry.version, entry.serial, "halted")
                self._models.wait_for(model, waiting)
                return [_outcome(model, entry.version, "halted", halts[entry.serial])]
        return []

    def _take(self, offered: list[Release], halts: dict[int, str]) -> list[Outcome]:
        """The newest of one model's releases that is not halted."""
        content = self._models.slots.active()
        for release in offered:
            target = self._client.find(release)
            sha256 = target.hashes["sha256"]
            present = content.get(release.model)
            if present and present.sha256 == sha256:
                waits = self._models.memory().waiting.get(release.model)
                if waits is None or waits.serial not in halts:  # else it says why nothing newer is
                    self._models.wait_for(release.model, None)
                return []  # halted or not: it was confirmed here
            if release.serial in halts:
                continue
            refused = self._models.memory().refused.get(sha256)
            if refused and not self._again:
                return [_of(release, "refused", f"refused before: {refused.text}")]
            entry = Entry(
                sha256=sha256,
                version=release.version,
                serial=release.serial,
                over=installed_sha256(release.model),
            )
            trial = self._models.trial()
            if trial and trial.models.get(release.model) == entry:
                self._entries[release.model] = entry
                self._limits[release.model] = release.limits
                return [_of(release, "trial", "is on trial")]
            return [self._try(release, entry, target.length)]
        return []

    def _try(self, release: Release, entry: Entry, length: int) -> Outcome:
        """Download and test one package."""
        word = self._not_now()
        if self._hold.holds(release.model, self._now_ms):
            word = "held"
        if word is None and self._is_short_of_room(length):
            word = "no-room"
        if word is not None:
            return self._later(release, word, word)
        models = self._models
        try:
            packed = self._client.download(self._client.find(release))
        except UpdateError as error:
            if error.why == "budget":
                return self._later(release, error.why, str(error))
            raise
        try:
            why = self._tried(release, entry, packed)
        except UpdateError as error:
            if error.why == "busy":
                return self._later(release, error.why, str(error))
            models.refuse(release.model, entry, error.why, str(error), self._now_ms)
            return _of(release, "refused", str(error))
        models.forgive(entry.sha256)
        models.wait_for(release.model, None)
        self._entries[release.model] = entry
        self._limits[release.model] = release.limits
        return _of(release, "active" if self._at_once else "trial", why)

    def _tried(self, release: Release, entry: Entry, packed: Path) -> str:
        """What the gate measured; UpdateError why it must not go on."""
        models, trying = self._models, Trying(self._models.ota)
        folder = models.slots.keep(release.model, entry.sha256, packed)
        endless = trying.begin(entry.sha256)
        try:
            if endless >= _ENDLESS and not self._again:
                text = f"trying it out killed the update itself {endless} times"
                raise UpdateError(text, why="endless")
            return self._gate(folder, models.present(release.model), release)
        finally:
            trying.end()

    def _put_on_trial(self) -> None:
        if not self._entries:
            return
        if self._at_once:
            self._models.activate(self._entries)
            return
        trial = self._models.trial()
        if trial is None or trial.models != self._entries:
            self._models.begin(self._entries, self._limits, self._now_ms)

    def _later(self, release: Release, word: str, text: str) -> Outcome:
        waiting = self._waiting(release.version, release.serial, word)
        self._models.wait_for(release.model, waiting)
        return _of(release, "waiting", text)

    def _waiting(self, version: str, serial: int, word: str) -> Waiting:
        return Waiting(version=version, serial=serial, word=word, at_ms=self._now_ms)

    def _is_short_of_room(self, length: int) -> bool:
        """Once as it comes, once unpacked, once while python-tuf copies it."""
        free = shutil.disk_usage(self._models.state).free
        return free < 3 * length + _SPARE_BYTES


def _not_yet(outcome: Outcome, error: UpdateError) -> Outcome:
    return replace(outcome, state="waiting", why=str(error))


def _of(release: Release, state: str, why: str) -> Outcome:
    return _outcome(release.model, release.version, state, why)


def _outcome(model: str, version: str, state: str, why: str) -> Outcome:
    return Outcome(model=model, version=version, state=state, why=why)
