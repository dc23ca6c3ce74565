"""What people said of events, right or wrong: the box's own measure of how often it errs."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent import durable
from agent.errors import StoreError
from agent.records import Moment

_log = logging.getLogger(__name__)

MOST = 500
"""Verdicts kept; the file is written anew with each, so it is small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One event, and whether it was as the box told it. Not who said so: `audit` tells that."""

    event_id: str
    kind: str
    camera: str
    right: bool
    at_ms: int  # Unix


class Feedback:
    """The last word on each event, the newest `MOST`, no older than `keep_s`, in one file.

    A file that is damaged begins anew.
    """

    def __init__(self, path: Path, *, keep_s: float) -> None:
        self._path = path
        self._keep_ms = round(keep_s * 1000)
        self._verdicts: dict[str, Verdict] = {}
        try:
            rows = json.loads(path.read_bytes())
            self._verdicts = {row["event_id"]: Verdict(**row) for row in rows}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning("%s: cannot be read, begun anew: %s", path, error)

    def add(self, verdict: Verdict) -> None:
        """On disk when it returns; raises StoreError where it cannot be kept."""
        kept = {key: old for key, old in self._verdicts.items() if key != verdict.event_id}
        kept[verdict.event_id] = verdict
        self._keep(dict(list(kept.items())[-MOST:]))

    def tidy(self, now: Moment) -> None:
        """Let go of what is older than it may be; raises StoreError as `add` does."""
        oldest_ms = now.utc_ms - self._keep_ms
        kept = {key: each for key, each in self._verdicts.items() if each.at_ms >= oldest_ms}
        if now.synced and len(kept) < len(self._verdicts):
            self._keep(kept)

    def report(self) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
        """By camera and kind, how many were right and how many wrong."""
        counted = Counter((each.camera, each.kind, each.right) for each in self._verdicts.values())
        report: dict[str, dict[str, dict[str, int]]] = {}
        for (camera, kind, right), count in sorted(counted.items()):
            words = report.setdefault(camera, {}).setdefault(kind, {"right": 0, "wrong": 0})
            words["right" if right else "wrong"] = count
        return report

    def _keep(self, verdicts: dict[str, Verdict]) -> None:
        try:
            rows: list[dict[str, Any]] = [asdict(each) for each in verdicts.values()]
            durable.replace(self._path, json.dumps(rows).encode())
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}; free some space") from error
        self._verdicts = verdicts
