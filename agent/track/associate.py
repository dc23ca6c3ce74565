"""Which detection belongs to which track: costs of every pair, and the cheapest assignment."""

from __future__ import annotations

import lap
import numpy as np
from numpy.typing import NDArray

from agent.geometry import iou_matrix

Floats = NDArray[np.float64]

_DEAR = 1e6  # stands for infinity, which the solver does not take
_LIMIT = 1.5  # a pair dearer than this is better left apart
_SIZE_RATIO = 2.5


def pair_costs(tracks_cxcywh: Floats, reach: Floats, seen_cxcywh: Floats) -> tuple[Floats, Floats]:
    """Cost (infinite where impossible) and overlap of every pair: (N, 4), (N,), (M, 4) -> (N, M).

    Half is the distance as a share of the track's reach and half the missing overlap, so
    that small fast things, which never overlap themselves at 2 frames/s, still match.
    """
    mine, seen = tracks_cxcywh[:, None, :], seen_cxcywh[None, :, :]
    away = (seen[..., :2] - mine[..., :2]) / mine[..., 2:]
    distance = np.sqrt((away**2).sum(axis=2)) / reach[:, None]
    growth = np.abs(np.log(seen[..., 2:] / mine[..., 2:]))
    overlap = iou_matrix(_corners(tracks_cxcywh), _corners(seen_cxcywh))
    cost = 0.5 * np.minimum(distance, 1) + 0.5 * (1 - overlap) + 0.25 * growth.sum(axis=2)
    near = (distance < 1) & (growth.max(axis=2) < np.log(_SIZE_RATIO))
    cost[~(near | (overlap > 0.3))] = np.inf
    return cost, np.asarray(overlap, dtype=np.float64)


def assign(cost: Floats) -> list[tuple[int, int]]:
    """Pairs (row, column) of the cheapest assignment; pairs dearer than the limit stay apart."""
    if cost.size == 0 or not np.isfinite(cost).any():
        return []
    finite = np.where(np.isfinite(cost), cost, _DEAR)
    _, columns, _ = lap.lapjv(finite, extend_cost=True, cost_limit=_LIMIT)
    return [(row, int(column)) for row, column in enumerate(columns) if column >= 0]


def _corners(cxcywh: Floats) -> Floats:
    half = cxcywh[:, 2:] / 2
    return np.hstack((cxcywh[:, :2] - half, cxcywh[:, :2] + half))
