"""Detections + time -> tracks: lifetimes in seconds, never in frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agent.records import VEHICLES, Detection, Track, TrackState
from agent.track.associate import Floats, assign, pair_costs
from agent.track.live import NS, Live, Patience
from agent.track.motion import TINY

_ANYWHERE = 0.0  # least overlap for strong detections: fast things do not overlap themselves
_WEAK_OVERLAP = 0.2  # a weak detection must lie about where it was expected
_PLACE_OVERLAP = 0.4  # a standing thing comes back to its own place
_WAKING = 0.5  # cost of waking a dormant track: who drives onto its place keeps its own name


class Tracker:
    """Follows things from frame to frame; pure, it reads no clock.

    Association in two stages after ByteTrack (Zhang et al., 2022): detections of at least
    `strong` first, and only they found tracks; weaker ones, from `weak` up, then keep alive
    what the strong ones left unmatched. What stood still and has not been seen for a while
    comes back by overlap alone. Vehicle classes match each other, other kinds only themselves.
    """

    def __init__(
        self,
        *,
        strong: float = 0.4,
        weak: float = 0.2,
        patience: Patience | None = None,
    ) -> None:
        self._strong = strong
        self._weak = weak
        self._patience = patience or Patience()
        self._live: list[Live] = []
        self._now_ns: int | None = None
        self._last_id = 0

    def update(self, detections: Sequence[Detection], t_mono_ns: int) -> list[Track]:
        """All live tracks after one frame, coasting ones too; those just ended come once more.

        A time before the last one counts as the last one.
        """
        before_ns = t_mono_ns if self._now_ns is None else self._now_ns
        now_ns = self._now_ns = max(t_mono_ns, before_ns)
        for live in self._live:
            live.advance((now_ns - before_ns) / NS)
        strong = [seen for seen in detections if seen.score >= self._strong]
        weak = [seen for seen in detections if self._weak <= seen.score < self._strong]
        self._associate(strong, weak, now_ns)
        return self._answer(now_ns)

    @property
    def at_rest(self) -> bool:
        """Whether all that is followed stands still; nothing else, be it not sure yet, is left."""
        return all(live.still for live in self._live)

    @property
    def follows(self) -> bool:
        """Whether something sure is followed that does not stand still."""
        return any(live.confirmed and not live.still for live in self._live)

    def hold(self, t_mono_ns: int) -> list[Track]:
        """All live tracks, where nobody looked because nothing has moved since the last time."""
        now_ns = max(t_mono_ns, self._now_ns or t_mono_ns)
        self._stay(now_ns)
        self._now_ns = now_ns
        kept, ended = self._sort_out(now_ns)
        self._live = kept
        return [live.track(now_ns) for live in kept] + [
            replace(live.track(now_ns), state=TrackState.ENDED) for live in ended
        ]

    def rest(self, t_mono_ns: int) -> None:
        """Nothing has moved from the last time until just before that one, which is to come."""
        if self._now_ns is not None and t_mono_ns > self._now_ns:
            self._stay(t_mono_ns - 1)

    def _stay(self, t_mono_ns: int) -> None:
        """What stands, be it missed by a detector just now, is seen where it stood."""
        before_ns = t_mono_ns if self._now_ns is None else self._now_ns
        for live in self._live:
            if not live.dormant(before_ns, self._patience):
                live.stay(t_mono_ns)

    def _associate(self, strong: list[Detection], weak: list[Detection], now_ns: int) -> None:
        alive = [live for live in self._live if not live.expired(now_ns, self._patience)]
        founding = self._match(alive, strong, _ANYWHERE, now_ns)
        unseen = [live for live in alive if live.seen_ns != now_ns and live.confirmed]
        self._match(unseen, weak, _WEAK_OVERLAP, now_ns)
        for seen in founding:
            self._last_id += 1
            self._live.append(Live(self._last_id, seen, now_ns))

    def _match(
        self, lives: list[Live], seen: list[Detection], least_overlap: float, now_ns: int
    ) -> list[Detection]:
        """Give detections to tracks; those that fit none come back."""
        if not lives or not seen:
            return seen
        cost, overlap = pair_costs(_places(lives), _reaches(lives), _boxes(seen))
        dormant = np.array([live.dormant(now_ns, self._patience) for live in lives])
        cost[dormant] += _WAKING
        cost[overlap < np.where(dormant, _PLACE_OVERLAP, least_overlap)[:, None]] = np.inf
        mine, theirs = _groups(live.kind for live in lives), _groups(one.kind for one in seen)
        cost[mine[:, None] != theirs[None, :]] = np.inf
        taken = set()
        for row, column in assign(cost):
            lives[row].see(seen[column], now_ns, self._patience)
            taken.add(column)
        return [detection for column, detection in enumerate(seen) if column not in taken]

    def _answer(self, now_ns: int) -> list[Track]:
        for live in self._live:
            if live.seen_ns != now_ns:
                live.miss()
        kept, ended = self._sort_out(now_ns)
        self._live = kept
        return [live.track(now_ns) for live in kept] + [
            replace(live.track(now_ns), state=TrackState.ENDED) for live in ended
        ]

    def _sort_out(self, now_ns: int) -> tuple[list[Live], list[Live]]:
        """Which tracks go on and which have ended."""
        given_up = self._taken_places(now_ns)
        by_age = sorted(self._live, key=lambda live: live.seen_ns, reverse=True)
        given_up.update(live.track_id for live in by_age[self._patience.most :])
        kept: list[Live] = []
        ended: list[Live] = []
        for live in self._live:
            over = live.track_id in given_up or live.ended(now_ns, self._patience)
            (ended if over else kept).append(live)
        return kept, ended

    def _taken_places(self, now_ns: int) -> set[int]:
        """Dormant tracks on whose place something else stands now: they left unseen."""
        dormant = [live for live in self._live if live.dormant(now_ns, self._patience)]
        standing = [live for live in self._live if live.still and live.seen_ns == now_ns]
        if not dormant or not standing:
            return set()
        _, overlap = pair_costs(_places(dormant), _reaches(dormant), _places(standing))
        taken = np.flatnonzero((overlap > _PLACE_OVERLAP).any(axis=1))
        return {dormant[row].track_id for row in taken}


def _places(lives: Sequence[Live]) -> Floats:
    """Centre and size of each, (N, 4)."""
    return np.array([(m.cx, m.cy, m.width, m.height) for m in (live.motion for live in lives)])


def _reaches(lives: Sequence[Live]) -> Floats:
    return np.array([live.motion.reach for live in lives])


def _boxes(seen: Sequence[Detection]) -> Floats:
    """Centre and size of each, (N, 4); a side is never zero."""
    boxes = (detection.box for detection in seen)
    return np.array([(*box.center, max(box.width, TINY), max(box.height, TINY)) for box in boxes])


def _groups(kinds: Iterable[str]) -> NDArray[np.str_]:
    """The name under which kinds match each other."""
    return np.array(["vehicle" if kind in VEHICLES else kind for kind in kinds])
