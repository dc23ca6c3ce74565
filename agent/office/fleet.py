"""Which box has which model, from what boxes say of themselves; and when a release must halt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.ota.release import Release

TRYING = ("shadow", "live", "active")
"""States of a box that has taken a release."""

_MOST_BOXES = 100_000
_LONGEST_MS = 30 * 86_400_000  # a box that says it spoke before that has no clock
_AHEAD_MS = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model of one box."""

    box: str  # site/box
    site: str
    ring: str  # "" where the release is unknown here or names no ring for it
    model: str
    version: str
    serial: int
    state: str
    since_ms: int
    why: str
    silent: bool


@dataclass(slots=True, kw_only=True)
class Fleet:
    """What was heard on `…/health`; messages of another form are counted and left alone.

    All times are of the listener's clock: a box whose own is wrong is neither silent nor loud.
    """

    silent_ms: int
    began_ms: int  # when the listener began to listen
    heard_ms: dict[str, int] = field(default_factory=dict)  # by box, the last time
    models: dict[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    unreadable: int = 0

    def hear(self, topic: str, payload: bytes, now_ms: int, *, retained: bool = False) -> None:
        """One health message.

        When a retained one was sent, only the box itself says. Where that cannot be, the box
        counts as heard when we began to listen: it is silent after a while, not at once.
        """
        try:
            _, _, site, box, _ = topic.split("/")
            content = json.loads(payload)
            said_ms, models = int(content["t"]), content.get("ota", {})
            states = {
                str(model): {
                    "v": str(row["v"]),
                    "n": int(row["n"]),
                    "state": str(row["state"]),
                    "since": int(row.get("since", 0)),
                    "why": str(row.get("why", "")),
                }
                for model, row in models.items()
            }
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            self.unreadable += 1
            return
        name = f"{site}/{box}"
        at_ms = now_ms
        if retained:
            is_likely = self.began_ms - _LONGEST_MS < said_ms <= now_ms + _AHEAD_MS
            at_ms = min(said_ms, now_ms) if is_likely else self.began_ms
        if name in self.heard_ms or len(self.heard_ms) < _MOST_BOXES:
            self.heard_ms[name], self.models[name] = at_ms, states

    def rows(self, releases: Iterable[Release], now_ms: int) -> list[Row]:
        """All models that came over the air, by box."""
        known = {each.serial: each for each in releases}
        return [
            Row(
                box=box,
                site=box.partition("/")[0],
                ring=(known[row["n"]].ring_of(box) or "") if row["n"] in known else "",
                model=model,
                version=row["v"],
                serial=row["n"],
                state=row["state"],
                since_ms=row["since"],
                why=row["why"],
                silent=self.is_silent(box, now_ms),
            )
            for box, models in sorted(self.models.items())
            for model, row in sorted(models.items())
        ]

    def is_silent(self, box: str, now_ms: int) -> bool:
        """Nothing was heard of it for too long, or ever."""
        return now_ms - self.heard_ms.get(box, 0) > self.silent_ms

    def verdict(self, release: Release, boxes: Sequence[str], now_ms: int) -> str | None:
        """Why it must halt; None while it may go on. `boxes` are all of the fleet.

        A town without power silences boxes in the ring and outside it: only what falls silent
        more often in the ring is held against the release.
        """
        takers = {
            box: row["state"]
            for box, models in self.models.items()
            if (row := models.get(release.model)) and row["n"] == release.serial
        }
        others = [box for box in boxes if takers.get(box) not in TRYING]
        usual = _share(sum(self.is_silent(box, now_ms) for box in others), len(others))
        for ring in release.rings[: release.open_rings]:
            inside = [box for box in boxes if release.ring_of(box) == ring.name]
            failed = sum(takers.get(box) == "refused" for box in inside)
            silent = sum(
                takers.get(box) in TRYING and self.is_silent(box, now_ms) for box in inside
            )
            lost = max(0.0, _share(silent, len(inside)) - usual)
            if 100 * (_share(failed, len(inside)) + lost) > release.fail_percent:
                return f"ring {ring.name}: {failed} failed, {silent} silent of {len(inside)}"
        return None


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
