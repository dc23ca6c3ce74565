"""When the certificates run out that the box shows to its brokers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from agent.config.certificates import day_of, validity_ms
from agent.config.model import BrokerConfig
from agent.kinds import WHY_LIMIT_CHARS
from agent.records import Moment

DAYS_AHEAD = (30, 14, 7, 3, 2, 1, 0)
"""Told so many days before the end, once each: a reminder each day would be overlooked."""

_DAY_MS = 86_400_000


class Expiry:
    """Reads the files anew at each look, since they are renewed while the box runs."""

    def __init__(self, brokers: Mapping[str, BrokerConfig]) -> None:
        self._certs = {name: each.cert for name, each in brokers.items() if each.cert is not None}
        self._told: set[str] = set()

    def days(self) -> dict[str, str]:
        """The last day of the certificate for each broker, as year-month-day."""
        return {name: day_of(end_ms) for name, end_ms in self._ends_ms().items()}

    def look(self, now: Moment) -> list[str]:
        """What is to be told today, a reason each; nothing while the clock is not set."""
        if not now.synced:
            return []
        found = []
        for name, end_ms in self._ends_ms().items():
            left = max(0, (end_ms - now.utc_ms) // _DAY_MS)
            passed = next((days for days in reversed(DAYS_AHEAD) if left <= days), None)
            why = f"until {day_of(end_ms)}: certificate at {name}"
            if passed is not None and f"{why} {passed}" not in self._told:
                self._told.add(f"{why} {passed}")
                found.append(why[:WHY_LIMIT_CHARS])
        return found

    def _ends_ms(self) -> dict[str, int]:
        ends = {}
        for name, cert in self._certs.items():
            with suppress(OSError, ValueError, IndexError):  # the publisher tells what is wrong
                ends[name] = validity_ms(cert)[1]
        return ends
