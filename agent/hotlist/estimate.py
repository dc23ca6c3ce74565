"""How often a list is expected to cry wolf."""

from __future__ import annotations

from dataclasses import dataclass

PLATES_IN_USE = 4_000_000
"""Plates that a wrong reading or a look-alike may name, a round figure and not measured: what is
alike to a plate in use lies where plates are in use, and far fewer are than the 219 million that
the grammar allows. So the estimate is rather too high than too low."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderFigures:
    """What was measured of the reader, from the figures in its model card."""

    wrong_rate: float  # share of confident readings that name another plate, 0..1
    candidates: float  # texts looked for on each reading, the reading itself included


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseHits:
    """Expected hits a day on cars that no list names."""

    exact: float
    alike: float


def false_hits(
    entries: int, cars_a_day: float, reader: ReaderFigures, plates: int = PLATES_IN_USE
) -> FalseHits:
    """What chance alone gives: a text that is not the car's own is listed with `entries / plates`.

    A wrong reading names one such text as its own (exact); each further candidate is one more
    (alike).
    """
    listed = min(1.0, entries / plates)
    return FalseHits(
        exact=cars_a_day * reader.wrong_rate * listed,
        alike=cars_a_day * max(0.0, reader.candidates - 1.0) * listed,
    )
