"""One reading against the lists in force: exact first, then what looks alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp

from agent.hotlist.hotlist import Hotlist
from agent.records import PlateReading, PlateText

EXACT, ALIKE = "exact", "alike"

CANDIDATES_LIMIT = 8
"""Each costs one slow hash a list; the eighth is hardly ever the plate."""

LOSS_LIMIT = 3.0
"""A text is looked for while it is at most e^3 = 20 times less likely than the likeliest. Of drawn
passages the true text is then among 1.4 candidates in 99.0%, the likeliest alone in 94.8%; a limit
of 7 gives 99.6% at 2.1 (models/recipes/confusions.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A reading that fits a listed plate; `plate` is the listed text, never the raw reading."""

    hotlist: str
    plate: PlateText
    how: str  # EXACT | ALIKE
    score: float  # probability that the listed plate is what the camera saw, 0..1
    margin: float
    """Natural log, of the listed plate over the next likely text; negative for a look-alike:
    how far it lies behind the likeliest."""


def candidates(reading: PlateReading) -> list[PlateText]:
    """What is looked for: the reading itself, then the plausible others, likeliest first.

    A reading of country `?` has its text under each plausible country among the others.
    """
    if reading.best is None:
        return []
    distinct: dict[tuple[str, str], PlateText] = {}
    for plate in (reading.best, *reading.others):
        if plate.loss <= LOSS_LIMIT:
            distinct.setdefault((plate.country, plate.text), plate)
    return list(distinct.values())[:CANDIDATES_LIMIT]


class Search:
    """Looks for one reading on several lists, one slow hash a step, the likeliest text first.

    In steps, because a small box needs some 50 ms for each and a camera's pictures do not wait.
    A list that has matched is not asked again.
    """

    def __init__(self, reading: PlateReading, lists: Sequence[Hotlist]) -> None:
        self.reading = reading
        self._left = deque((plate, hotlist) for plate in candidates(reading) for hotlist in lists)

    def __len__(self) -> int:
        """Steps that are left."""
        return len(self._left)

    def step(self, utc_ms: int) -> Match | None:
        """Look for one text on one list, as of `utc_ms`; nothing when none is left."""
        if not self._left:
            return None
        plate, hotlist = self._left.popleft()
        if hotlist.find(plate.country, plate.text, utc_ms) is None:
            return None
        self._left = deque(pair for pair in self._left if pair[1] is not hotlist)
        return self._match(plate, hotlist.name)

    def _match(self, plate: PlateText, hotlist: str) -> Match:
        reading, best = self.reading, self.reading.best
        # The same letters are the reading itself where the picture did not tell the country.
        same = best is not None and plate.text == best.text and best.country in ("?", plate.country)
        return Match(
            hotlist=hotlist,
            plate=replace(plate, loss=0.0),
            how=EXACT if same else ALIKE,
            score=reading.score if same else reading.score * exp(-plate.loss),
            margin=reading.margin if same else -plate.loss,
        )
