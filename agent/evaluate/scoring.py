"""How good detections are against labels: AP50 and recall, pure arithmetic on boxes in pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from agent.geometry import iou_matrix

Floats = NDArray[np.float64]

IOU = 0.5
FALSE_PER_IMAGE = 0.1
SIZES_PX: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}
)
"""Area of the labelled box in the original image, from (inclusive) to (exclusive)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One box of a class in an image, `score` for predictions, `crowd` for labels to be ignored."""

    cls: str
    xyxy_px: tuple[float, float, float, float]
    score: float = 1.0
    crowd: bool = False
    text: str | None = field(
        default=None, repr=False
    )  # of a plate, A-Z and 0-9; None: not readable
    q: float = 0.0  # of a read plate: how probable `text` is


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One row of the result; None where there is nothing to measure."""

    objects: int
    ap50: float | None
    recall_at_fp: float | None  # at FALSE_PER_IMAGE false positives an image over all classes
    recall: float | None  # of everything reported, whatever its score


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    images: int
    threshold: float | None  # the score at which FALSE_PER_IMAGE is kept
    total: Figures
    per_class: Mapping[str, Figures]
    per_size: Mapping[str, Figures]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matches:
    """Of one class in one image: what predictions hit, and by which score labels were hit."""

    scores: Floats  # (P,) predictions
    hit: NDArray[np.intp]  # (P,) label, -1 false, -2 ignored
    areas_px: Floats  # (P,)
    label_areas_px: Floats  # (L,) without crowds
    label_scores: Floats  # (L,) -1 where missed


def score(labels: Sequence[Sequence[Found]], predictions: Sequence[Sequence[Found]]) -> Scores:
    """Compare image by image; classes without any label are not scored."""
    classes = sorted({found.cls for image in labels for found in image if not found.crowd})
    matches = {
        cls: [_match(cls, want, got) for want, got in zip(labels, predictions, strict=True)]
        for cls in classes
    }
    everything = [match for rows in matches.values() for match in rows]
    threshold = _threshold(everything, len(labels))
    per_class = {cls: _figures(rows, threshold) for cls, rows in matches.items()}
    per_size = {
        size: _mean([_figures(rows, threshold, *span) for rows in matches.values()])
        for size, span in SIZES_PX.items()
    }
    return Scores(
        images=len(labels),
        threshold=threshold,
        total=_mean(list(per_class.values())),
        per_class=per_class,
        per_size=per_size,
    )


def average_precision(scores: Floats, true: NDArray[np.bool_], objects: int) -> float:
    """Area under the precision-recall curve, precision made monotonic (all points, as VOC 2010)."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(true[order])
    precision = hits / np.arange(1, len(order) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(hits, prepend=0)
    return float(np.sum(best * steps) / objects)


def _match(cls: str, want: Sequence[Found], got: Sequence[Found]) -> _Matches:
    """Greedy, best score first: each prediction takes the free label that it covers best."""
    labels = _boxes([w for w in want if w.cls == cls and not w.crowd])
    crowds = _boxes([w for w in want if w.cls == cls and w.crowd])
    mine = sorted((g for g in got if g.cls == cls), key=lambda g: -g.score)
    boxes, scores = _boxes(mine), np.array([g.score for g in mine])
    overlap = iou_matrix(boxes, labels).astype(np.float64)
    hit = np.full(len(mine), -1)
    label_scores = np.full(len(labels), -1.0)
    for row in range(len(mine) if len(labels) else 0):
        label = int(np.argmax(overlap[row]))
        if overlap[row, label] >= IOU:
            hit[row], label_scores[label] = label, scores[row]
            overlap[:, label] = -1.0
    hit[(hit == -1) & _inside_crowd(boxes, crowds)] = -2
    return _Matches(
        scores=scores,
        hit=hit,
        areas_px=_areas(boxes),
        label_areas_px=_areas(labels),
        label_scores=label_scores,
    )


def _inside_crowd(boxes: Floats, crowds: Floats) -> NDArray[np.bool_]:
    """Predictions that lie at least half inside a region that is labelled as a crowd."""
    lo = np.maximum(boxes[:, None, :2], crowds[None, :, :2])
    hi = np.minimum(boxes[:, None, 2:], crowds[None, :, 2:])
    inter = np.prod(np.clip(hi - lo, 0, None), axis=2)
    inside: NDArray[np.bool_] = (inter >= IOU * _areas(boxes)[:, None]).any(axis=1)
    return inside


def _threshold(matches: Sequence[_Matches], images: int) -> float | None:
    """The lowest score that keeps false positives within FALSE_PER_IMAGE; None without labels."""
    if not matches:
        return None
    false = np.sort(np.concatenate([m.scores[m.hit == -1] for m in matches]))[::-1]
    allowed = int(FALSE_PER_IMAGE * images)
    return float(np.nextafter(false[allowed], 2.0)) if allowed < len(false) else 0.0


def _figures(
    matches: Sequence[_Matches],
    threshold: float | None,
    at_least_px: float = 0.0,
    below_px: float = np.inf,
) -> Figures:
    """Figures of one class, of labels in a span of areas; others are neither right nor wrong."""
    label_scores = np.concatenate(
        [m.label_scores[_within(m, at_least_px, below_px)] for m in matches]
    )
    objects = len(label_scores)
    if not objects or threshold is None:
        return Figures(objects=0, ap50=None, recall_at_fp=None, recall=None)
    false = np.concatenate(
        [
            m.scores[(m.hit == -1) & (m.areas_px >= at_least_px) & (m.areas_px < below_px)]
            for m in matches
        ]
    )
    true = label_scores[label_scores >= 0]
    flags = np.concatenate([np.ones(len(true), bool), np.zeros(len(false), bool)])
    return Figures(
        objects=objects,
        ap50=average_precision(np.concatenate([true, false]), flags, objects),
        recall_at_fp=float(np.mean(label_scores >= max(threshold, 0.0))),
        recall=float(len(true) / objects),
    )


def _within(match: _Matches, at_least_px: float, below_px: float) -> NDArray[np.bool_]:
    return (match.label_areas_px >= at_least_px) & (match.label_areas_px < below_px)


def _mean(rows: Sequence[Figures]) -> Figures:
    """AP50 averaged over classes, recalls over objects."""
    rows = [row for row in rows if row.objects]
    objects = sum(row.objects for row in rows)
    if not objects:
        return Figures(objects=0, ap50=None, recall_at_fp=None, recall=None)
    return Figures(
        objects=objects,
        ap50=sum(row.ap50 or 0.0 for row in rows) / len(rows),
        recall_at_fp=sum(row.objects * (row.recall_at_fp or 0.0) for row in rows) / objects,
        recall=sum(row.objects * (row.recall or 0.0) for row in rows) / objects,
    )


def _boxes(found: Sequence[Found]) -> Floats:
    return np.array([f.xyxy_px for f in found], dtype=np.float64).reshape(-1, 4)


def _areas(boxes: Floats) -> Floats:
    areas: Floats = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)
    return areas
