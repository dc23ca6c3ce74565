"""How well plates were found and read: pure arithmetic on boxes and texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from types import MappingProxyType

import numpy as np

from agent.evaluate.scoring import IOU, Found
from agent.geometry import iou_matrix

WIDTHS_PX: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"<50": (0.0, 50.0), "50-70": (50.0, 70.0), "70-100": (70.0, 100.0), ">=100": (100.0, inf)}
)
"""Width of the labelled box, from (inclusive) to (exclusive)."""

_STEP_PX = 10  # of the curve
_LAST_PX = 150  # wider plates are one point of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one labelled plate; its texts are never logged."""

    width_px: float
    label: str | None  # None: nobody could read it
    found: bool
    text: str | None  # None: not found, or no form fits
    q: float

    @property
    def exact(self) -> bool:
        return self.label is not None and self.label == self.text

    def __repr__(self) -> str:
        return f"Outcome(width_px={self.width_px:.0f}, found={self.found}, exact={self.exact})"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateFigures:
    """One row of the result; a share is None where there is nothing to measure."""

    plates: int
    texts: int  # of these, labelled with a text; all that follows `found` is of them
    found: float | None
    exact: float | None
    exact_of_found: float | None
    cer: float | None  # of the found ones: characters to change, of all that are there
    confident: float | None  # rightly read with q at the threshold or above
    wrong_confident: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateScores:
    outcomes: tuple[Outcome, ...]
    elsewhere: int  # boxes reported where no plate is labelled
    confident_elsewhere: int  # of these, with a text that counts as read


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """Exact readings of plates in a span of widths, with the 95 % interval (Wilson 1927)."""

    from_px: int
    to_px: int | None  # None: and wider
    texts: int
    exact: float
    low: float
    high: float


def score_plates(
    labels: Sequence[Sequence[Found]], predictions: Sequence[Sequence[Found]], sure: float
) -> PlateScores:
    """Compare picture by picture: each label takes the free box that covers it best."""
    outcomes: list[Outcome] = []
    elsewhere = confident = 0
    for want, got in zip(labels, predictions, strict=True):
        pairs = _paired(want, got)
        for place, label in enumerate(want):
            hit = got[pairs[place]] if place in pairs else None
            outcomes.append(
                Outcome(
                    width_px=label.xyxy_px[2] - label.xyxy_px[0],
                    label=label.text,
                    found=hit is not None,
                    text=hit.text if hit else None,
                    q=hit.q if hit else 0.0,
                )
            )
        spare = [got[place] for place in set(range(len(got))) - set(pairs.values())]
        elsewhere += len(spare)
        confident += sum(one.text is not None and one.q >= sure for one in spare)
    return PlateScores(outcomes=tuple(outcomes), elsewhere=elsewhere, confident_elsewhere=confident)


def figures(outcomes: Iterable[Outcome], sure: float) -> PlateFigures:
    """All plates together."""
    every = list(outcomes)
    texts = [one for one in every if one.label is not None]
    read = [one for one in texts if one.found]
    confident = [one for one in texts if one.text is not None and one.q >= sure]
    changes = sum(edits(one.label or "", one.text or "") for one in read)
    return PlateFigures(
        plates=len(every),
        texts=len(texts),
        found=_share(sum(one.found for one in every), len(every)),
        exact=_share(sum(one.exact for one in texts), len(texts)),
        exact_of_found=_share(sum(one.exact for one in read), len(read)),
        cer=_share(changes, sum(len(one.label or "") for one in read)),
        confident=_share(sum(one.exact for one in confident), len(texts)),
        wrong_confident=sum(not one.exact for one in confident),
    )


def by_width(outcomes: Iterable[Outcome], sure: float) -> dict[str, PlateFigures]:
    """The same for each span of widths."""
    every = list(outcomes)
    return {
        name: figures([one for one in every if low <= one.width_px < high], sure)
        for name, (low, high) in WIDTHS_PX.items()
    }


def curve(outcomes: Iterable[Outcome]) -> list[CurvePoint]:
    """Exact readings against the width of the plate; spans without a text are left out."""
    spans: dict[int, list[bool]] = {}
    for one in outcomes:
        if one.label is not None:
            start = min(int(one.width_px // _STEP_PX) * _STEP_PX, _LAST_PX)
            spans.setdefault(start, []).append(one.exact)
    points = []
    for start, right in sorted(spans.items()):
        low, high = wilson(sum(right), len(right))
        points.append(
            CurvePoint(
                from_px=start,
                to_px=start + _STEP_PX if start < _LAST_PX else None,
                texts=len(right),
                exact=sum(right) / len(right),
                low=low,
                high=high,
            )
        )
    return points


def wilson(hits: int, tries: int, z: float = 1.96) -> tuple[float, float]:
    """Where a share lies with 95 % of certainty, of which `hits` of `tries` were seen."""
    share, spread = hits / tries, z * z / tries
    middle = share + spread / 2
    reach = z * sqrt(share * (1 - share) / tries + spread / (4 * tries))
    low, high = (middle - reach) / (1 + spread), (middle + reach) / (1 + spread)
    return max(low, 0.0), min(high, 1.0)


def edits(a: str, b: str) -> int:
    """Characters to change, put in or leave out (Levenshtein 1966)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def _paired(want: Sequence[Found], got: Sequence[Found]) -> dict[int, int]:
    """Label -> prediction, by overlap, the best pair first."""
    overlaps = iou_matrix(_boxes(want), _boxes(got))
    pairs: dict[int, int] = {}
    for flat in np.argsort(-overlaps, axis=None, kind="stable").tolist():
        label, box = divmod(flat, max(len(got), 1))
        if overlaps[label, box] < IOU:
            break
        if label not in pairs and box not in pairs.values():
            pairs[label] = box
    return pairs


def _boxes(found: Sequence[Found]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([one.xyxy_px for one in found], dtype=np.float64).reshape(-1, 4)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
