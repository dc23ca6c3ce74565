"""The most probable strings of a grammar: exact, all patterns at once.

A row is a sequence of pieces; a piece is a choice of one value (a character, or a group such as
a region) at a fixed slot. The pieces of a row are independent, so its k best strings come out of
merging sorted lists piece by piece (k-best enumeration after Huang and Chiang, "Better k-best
parsing", 2005), and no string of a row is better than the sum of its pieces' best values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SYMBOLS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
BLANK = SYMBOLS.index("_")
SLOTS = 10

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Unit = tuple[str, ...]
"""The values, all equally long, that one place of a text may take."""
Priors = Mapping[Unit, tuple[float, ...]]
"""Natural logs, one for each value of a unit; what has none counts as 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One string, the row it belongs to and its score (natural log)."""

    row: int
    text: str = field(repr=False)
    score: float


class KBest:
    """Tables made once for all rows; `search` is then a few gathers and sorts."""

    def __init__(
        self, rows: Sequence[Sequence[Unit]], priors: Sequence[Priors] | None = None
    ) -> None:
        """`priors` are those of each row's units."""
        numbers: dict[tuple[Unit, int, tuple[float, ...]], int] = {}
        placed = [
            [
                numbers.setdefault((unit, slot, logs.get(unit, ())), len(numbers))
                for unit, slot in _pieces(row)
            ]
            for row, logs in zip(rows, priors or [{}] * len(rows), strict=True)
        ]
        self._values = [unit for unit, *_ in numbers] + [("",)]  # the last one is the empty piece
        self._most = max(map(len, self._values))
        self._lengths = np.array([sum(len(unit[0]) for unit in row) for row in rows])
        longest = max(map(len, placed))
        self._rows = np.full((len(placed), longest), len(numbers))
        for row, pieces in zip(self._rows, placed, strict=True):
            row[: len(pieces)] = pieces
        self._groups = _groups([(unit, slot) for unit, slot, _ in numbers])
        self._priors = np.zeros((len(self._values), self._most))
        for piece, (*_, logs) in zip(self._priors, numbers, strict=False):
            piece[: len(logs)] = logs

    def search(self, char_logp: Floats, row_logp: Floats, keep: int) -> list[Found]:
        """At most `keep` strings, best first; (SLOTS, 37) and (rows,) are natural logs."""
        logp = np.asarray(char_logp, dtype=np.float64)
        if logp.shape != (SLOTS, len(SYMBOLS)):
            raise ValueError(f"char_logp is {logp.shape}; it must be {(SLOTS, len(SYMBOLS))}")
        scores = self._piece_scores(logp)
        blanks = np.append(np.cumsum(logp[::-1, BLANK])[::-1], 0.0)
        base = row_logp + blanks[self._lengths]
        bound = base + scores.max(axis=1)[self._rows].sum(axis=1)
        # As many rows as strings are enough: whatever is left out is no better than the best
        # string of every row that is taken.
        taken = np.argsort(-bound, kind="stable")[:keep]
        taken = taken[bound[taken] > -np.inf]
        total, ranks = _merge(base[taken], scores[self._rows[taken]], keep)
        found = []
        for place in np.argsort(-total, axis=None, kind="stable")[:keep].tolist():
            at, nth = divmod(place, keep)
            if total[at, nth] == -np.inf:
                break
            pieces = self._rows[taken[at]].tolist()
            chosen = ranks[at, nth].tolist()
            text = "".join(self._values[p][v] for p, v in zip(pieces, chosen, strict=True))
            found.append(Found(row=int(taken[at]), text=text, score=float(total[at, nth])))
        return found

    def _piece_scores(self, logp: Floats) -> Floats:
        """(pieces + 1, values) sums over the slots of each value; -inf where a piece has fewer."""
        scores = np.full((len(self._values), self._most), -np.inf)
        scores[-1, 0] = 0.0
        cells = np.append(logp.ravel(), -np.inf)
        for pieces, where in self._groups:
            scores[pieces, : where.shape[1]] = cells[where].sum(axis=2)
        return scores + self._priors


def _pieces(row: Sequence[Unit]) -> list[tuple[Unit, int]]:
    """The units of a row, each with the slot at which it begins."""
    slot, pieces = 0, []
    for unit in row:
        pieces.append((unit, slot))
        slot += len(unit[0])
    return pieces


def _groups(pieces: list[tuple[Unit, int]]) -> list[tuple[Ints, Ints]]:
    """Pieces of one width together: their numbers, and (pieces, values, width) cells to sum."""
    nowhere = SLOTS * len(SYMBOLS)
    groups = []
    for width in sorted({len(unit[0]) for unit, _ in pieces}):
        members = [n for n, (unit, _) in enumerate(pieces) if len(unit[0]) == width]
        most = max(len(pieces[n][0]) for n in members)
        where = np.full((len(members), most, width), nowhere)
        for cells, n in zip(where, members, strict=True):
            unit, slot = pieces[n]
            for cell, value in zip(cells, unit, strict=False):
                cell[:] = [
                    (slot + i) * len(SYMBOLS) + SYMBOLS.index(char) for i, char in enumerate(value)
                ]
        groups.append((np.array(members)[:, None], where))
    return [(members[:, 0], where) for members, where in groups]


def _merge(base: Floats, scores: Floats, keep: int) -> tuple[Floats, Ints]:
    """k best sums of each row: (rows, keep) sums, (rows, keep, pieces) values they consist of."""
    order = np.argsort(-scores, axis=2, kind="stable")[:, :, :keep]
    best = np.take_along_axis(scores, order, axis=2)
    # The i-th of one list with the j-th of another is beaten by i * j - 1 pairs at least.
    left, right = (
        np.array(side)
        for side in zip(
            *(
                (i, j)
                for i in range(keep)
                for j in range(min(keep, best.shape[2]))
                if (i + 1) * (j + 1) <= keep
            ),
            strict=True,
        )
    )
    rows, pieces = scores.shape[:2]
    total = np.full((rows, keep), -np.inf)
    total[:, 0] = base
    values = np.zeros((rows, keep, pieces), dtype=np.intp)
    every = np.arange(rows)[:, None]
    for piece in range(pieces):
        sums = total[:, left] + best[:, piece][:, right]
        chosen = np.argsort(-sums, axis=1, kind="stable")[:, :keep]
        total = np.take_along_axis(sums, chosen, axis=1)
        values = values[every, left[chosen]]
        values[:, :, piece] = order[:, piece][every, right[chosen]]
    return total, values
