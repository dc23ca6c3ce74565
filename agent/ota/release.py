"""What a release says: which package, for which agents, for which boxes. Pure, no files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from agent.errors import UpdateError

RELEASES = "models/releases.json"
"""The signed target that lists every release."""

_NAME = re.compile(r"[a-z0-9-]{1,31}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
_AGENT = re.compile(r"\d{1,6}(\.\d{1,6}){0,3}")
_BOX = re.compile(r"[a-z0-9-]{1,31}/[a-z0-9-]{1,31}")
_MOST_RELEASES = 1000
_MOST_BOXES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of one model package and the boxes that it is meant for."""

    model: str
    version: str
    serial: int  # rises with each release; a box takes the highest that is meant for it
    agent_from: str  # lowest agent version that can use it
    agent_below: str  # first that cannot
    slower_percent: int  # time of one inference allowed, in % of the present model's on this box
    percent: int  # share of all boxes, chosen by hash
    boxes: tuple[str, ...]  # site/box; these in any case

    def __post_init__(self) -> None:
        """UpdateError when a name could become a path, or a number is out of its range."""
        checks = {
            "model": _NAME.fullmatch(self.model),
            "version": _VERSION.fullmatch(self.version),
            "serial": self.serial > 0,
            "agent_from": _AGENT.fullmatch(self.agent_from),
            "agent_below": _AGENT.fullmatch(self.agent_below),
            "slower_percent": 1 <= self.slower_percent <= 1000,
            "percent": 0 <= self.percent <= 100,
            "boxes": len(self.boxes) <= _MOST_BOXES and all(map(_BOX.fullmatch, self.boxes)),
        }
        for key, is_right in checks.items():
            if not is_right:
                raise UpdateError(f"release: {key} {getattr(self, key)!r:.80} is not allowed")

    @property
    def target(self) -> str:
        """Its path among the repository's targets."""
        return f"models/{self.model}/{self.version}.tar"

    def suits(self, agent: str) -> bool:
        """Can an agent of this version use it."""
        return _numbers(self.agent_from) <= _numbers(agent) < _numbers(self.agent_below)

    def is_for(self, box: str) -> bool:
        """Is `site/box` in its ring; a larger percentage keeps the boxes of a smaller one."""
        digest = hashlib.sha256(f"{self.target} {box}".encode()).digest()
        return box in self.boxes or int.from_bytes(digest[:4], "big") * 100 < self.percent << 32


def best(releases: Iterable[Release], *, box: str, agent: str) -> dict[str, Release]:
    """For each model the newest release that is meant for this box and agent."""
    mine = [each for each in releases if each.is_for(box) and each.suits(agent)]
    return {each.model: each for each in sorted(mine, key=lambda each: each.serial)}


def to_json(releases: Iterable[Release]) -> bytes:
    """The document that is signed."""
    rows = [asdict(each) for each in releases]
    return json.dumps({"v": 1, "releases": rows}, indent=1, sort_keys=True).encode()


def from_json(content: bytes) -> list[Release]:
    """Read it; UpdateError when it is not of this form."""
    try:
        document = json.loads(content)
        if document["v"] != 1 or len(document["releases"]) > _MOST_RELEASES:
            raise ValueError
        return [_release(row) for row in document["releases"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UpdateError(f"{RELEASES}: not a list of releases that this agent reads") from error


def _release(row: dict[str, Any]) -> Release:
    numbers = ("serial", "slower_percent", "percent")
    texts = ("model", "version", "agent_from", "agent_below")
    wrong = [key for key in numbers if type(row[key]) is not int]
    wrong += [key for key in texts if type(row[key]) is not str]
    if wrong or not all(isinstance(each, str) for each in row["boxes"]):
        raise TypeError(wrong)
    known = {key: row[key] for key in (*numbers, *texts)}
    return Release(**known, boxes=tuple(row["boxes"]))


def _numbers(version: str) -> tuple[int, ...]:
    """(0, 1, 0) of 0.1.0; what follows the numbers does not count."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(part) for part in found[0].split(".")] if found else []
    return tuple([*parts, 0, 0, 0, 0][:4])
