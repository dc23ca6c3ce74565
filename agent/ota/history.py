"""What this box sees at each hour of the day with the models it has: its own usual."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from agent.durable import replace
from agent.ota.figures import ENOUGH_FRAMES, Tally

_DAYS = 7
_FEWEST, _MOST = 0.5, 2.0  # of the usual; beyond it the old model is asked on the same frames
_ENOUGH = 20  # things or plates an hour: fewer are no measure


class History:
    """Hours of the last seven days in one file; a damaged one begins anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hours: dict[int, list[Tally]] = {}
        try:
            rows = json.loads(path.read_bytes())
            self._hours = {
                int(hour): [Tally.of(row) for row in kept] for hour, kept in rows.items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass

    def add(self, hour: int, tally: Tally) -> None:
        """One full hour, 0 to 23 of the local day; on disk when it returns."""
        if tally.frames < ENOUGH_FRAMES:
            return
        self._hours[hour] = [*self._hours.get(hour, []), tally][-_DAYS:]
        rows = {hour: [asdict(tally) for tally in kept] for hour, kept in self._hours.items()}
        replace(self._path, json.dumps(rows).encode())

    def is_unusual(self, hour: int, tally: Tally) -> bool:
        """Far more or less found, longer in the making, or fewer plates read than usual.

        It condemns nobody, since a bazaar day is unusual too: it says that it is time to compare.
        """
        known = self._hours.get(hour)
        if not known or tally.frames < ENOUGH_FRAMES:
            return False
        usual = Tally()
        for each in known:
            usual.add(each)
        for kind in usual.found.keys() | tally.found.keys():
            expected = usual.found.get(kind, 0) * tally.frames / usual.frames
            found = tally.found.get(kind, 0)
            if max(expected, found) >= _ENOUGH and not _is_near(found, expected):
                return True
        plates, read = usual.read + usual.unread, tally.read + tally.unread
        if min(plates, read) >= _ENOUGH and tally.read / read < _FEWEST * usual.read / plates:
            return True
        return tally.ms_per_frame > _MOST * usual.ms_per_frame


def _is_near(value: float, usual: float) -> bool:
    return _FEWEST * usual <= value <= _MOST * usual
