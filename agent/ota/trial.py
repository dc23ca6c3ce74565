"""A new model between its download and its confirmation: what is kept of it on the disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.durable import replace as write_whole
from agent.durable import sync_folder
from agent.ota.figures import Tally
from agent.ota.healing import read_or_set_aside
from agent.ota.release import Limits
from agent.ota.slots import Entry

SHADOW = "shadow"
"""Beside the present model on the same frames; what it says leaves nowhere."""

LIVE = "live"
"""In its place; the old one is looked at beside it."""

CRASHES = 3
"""So many ends without a stop, in one phase, are a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Packages on trial, and what was seen of them so far in this phase."""

    phase: str
    models: Mapping[str, Entry]
    limits: Mapping[str, Limits]  # by model
    since_ms: int
    watched_s: float = 0.0
    waited_s: float = 0.0  # the agent ran so long, whether anything was to be seen or not
    crashes: int = 0
    blips: int = 0  # in a row: the box went down soon after the start
    running: tuple[str, bool] | None = None  # boot, whether it has run for long; None: stopped
    old: Tally = field(default_factory=Tally)
    new: Tally = field(default_factory=Tally)

    @property
    def bounds(self) -> Limits:
        """The loosest of all packages on trial: they are watched together."""
        each = list(self.limits.values())
        return Limits(
            slower_percent=max(limits.slower_percent for limits in each),
            heavier_mb=max(limits.heavier_mb for limits in each),
            worse_points=max(limits.worse_points for limits in each),
            fewest_percent=min(limits.fewest_percent for limits in each),
            most_percent=max(limits.most_percent for limits in each),
            shadow_s=max(limits.shadow_s for limits in each),
            live_s=max(limits.live_s for limits in each),
        )

    def next_phase(self, at_ms: int) -> Trial:
        """Live, with nothing seen yet."""
        return replace(
            self,
            phase=LIVE,
            since_ms=at_ms,
            watched_s=0.0,
            waited_s=0.0,
            crashes=0,
            blips=0,
            old=Tally(),
            new=Tally(),
        )


def load(path: Path) -> Trial | None:
    """The trial under way; None when there is none.

    A damaged file is set aside: what is live stays, and nothing more is known of it.
    """
    return read_or_set_aside(path, _parsed)


def _parsed(content: bytes) -> Trial:
    row = json.loads(content)
    running = row["running"]
    return Trial(
        phase={SHADOW: SHADOW, LIVE: LIVE}[row["phase"]],
        models={str(name): Entry(**entry) for name, entry in row["models"].items()},
        limits={str(name): Limits(**limits) for name, limits in row["limits"].items()},
        since_ms=int(row["since_ms"]),
        watched_s=float(row["watched_s"]),
        waited_s=float(row["waited_s"]),
        crashes=int(row["crashes"]),
        blips=int(row["blips"]),
        running=None if running is None else (str(running[0]), bool(running[1])),
        old=Tally.of(row["old"]),
        new=Tally.of(row["new"]),
    )


def save(path: Path, trial: Trial) -> None:
    """On disk when it returns."""
    content: dict[str, Any] = asdict(trial)
    write_whole(path, json.dumps(content, indent=1).encode())


def drop(path: Path) -> None:
    """No trial is under way."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)
