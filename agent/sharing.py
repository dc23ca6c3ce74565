"""How often each camera is looked at, so that a box with little computing time shares it well.

What is given up when there is too little, in this order: looks at cameras where nothing moves
fast, closer looks at small things, looks at all. Kept to the last: a look now and then at every
camera that shows something, and the plates of the vehicles in it.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, IntEnum

_NS = 1_000_000_000
_JITTER_NS = 15_000_000

FPS = 10.0
"""Looks a second where things move fast: a car at 60 km/h moves a third of its length between."""
CALM_FPS = 5.0
"""... and where all that is followed stands, or nothing is found in what moves, as in leaves."""
_LEAST_CALM_FPS = 2.0  # tracks survive it, see `Patience`, and they stand
_LEAST_MOVING_FPS = 5.0  # people on foot move by a fifth of their height between looks
LEAST_FPS = 0.5
"""Least of any camera, whatever it costs."""
LATE_S = 2.0
"""A frame that is older shows what has been, and comes of a decoder that needs the time itself."""
LATE_FPS = 1.0

_OF_CORES = (0.9, 0.6, 0.35)  # what this process may use, by heat; a tenth is for all others
_LEAST_OF_CORES = 0.15  # for looks, whatever decoding takes
_WARM_C, _HOT_C = 75.0, 80.0  # a Pi slows itself down at 80
_COOLED_C = 5.0  # below these by so much it has cooled down: else it would heat up at once again
_PLAIN = 0.5  # of a look with closer ones, until it has been measured
_COST_SHARE = 0.2  # of the last look in the running cost
_OTHERS_S = 10.0  # over which what decoding takes is averaged
_SKIPPED_S = 60.0
_OVERLOADED = 0.5  # share of the looks wanted that were not had, over about a minute


class Need(Enum):
    """What a camera shows, as far as it says how soon the next look should be."""

    REST = "nothing moves, nothing is followed: no looks, but the first at once"
    CALM = "something moves, but nothing that is followed"
    MOVING = "something followed moves slowly"
    URGENT = "something moves fast, or a plate is to be read"


WANTED = {
    Need.REST: FPS,
    Need.CALM: CALM_FPS,
    Need.MOVING: FPS,
    Need.URGENT: FPS,
}
_LEAST = WANTED | {
    Need.CALM: _LEAST_CALM_FPS,
    Need.MOVING: _LEAST_MOVING_FPS,
}


class Step(IntEnum):
    """What is given up; each step goes beyond the one before."""

    NOTHING = 0
    SLOW_LOOKS = 1
    CLOSER_LOOKS = 2
    LOOKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a camera wants, and the seconds of one core that a look at it takes."""

    need: Need = Need.REST
    closer_s: float = 0.0
    plain_s: float = 0.0  # without closer looks at small things
    most_fps: float = FPS  # as its configuration says

    @property
    def wanted_fps(self) -> float:
        return min(WANTED[self.need], self.most_fps)

    @property
    def least_fps(self) -> float:
        return min(_LEAST[self.need], self.most_fps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one camera gets."""

    fps: float
    closer: bool = True


def shares(demands: Mapping[str, Demand], cores: float) -> tuple[Mapping[str, Share], Step]:
    """Who gets how much of so many cores, and what had to be given up for it."""
    awake = {name: each for name, each in demands.items() if each.need is not Need.REST}
    given = {name: Share(fps=FPS) for name in demands}
    for closer in (True, False):
        least = sum(each.least_fps * _cost_s(each, closer) for each in awake.values())
        wanted = sum(each.wanted_fps * _cost_s(each, closer) for each in awake.values())
        if least > cores:
            continue
        part = 1.0 if wanted <= cores else (cores - least) / (wanted - least)
        for name, each in awake.items():
            low, high = each.least_fps, each.wanted_fps
            given[name] = Share(fps=low + part * (high - low), closer=closer)
        if not closer:
            return given, Step.CLOSER_LOOKS
        return given, Step.NOTHING if part == 1.0 else Step.SLOW_LOOKS
    for name, each in awake.items():
        fps = max(LEAST_FPS, each.least_fps * cores / least)
        given[name] = Share(fps=fps, closer=False)
    return given, Step.LOOKS


def heat(before: int, degrees_c: float | None, *, slowed: bool) -> int:
    """0 cool, 1 warm, 2 hot, from what it was; `slowed` by its firmware a board is hot."""
    if slowed:
        return 2
    if degrees_c is None:
        return 0
    reached = sum(degrees_c >= limit for limit in (_WARM_C, _HOT_C))
    left = sum(degrees_c >= limit - _COOLED_C for limit in (_WARM_C, _HOT_C))
    return max(reached, min(before, left))


def _cost_s(demand: Demand, closer: bool) -> float:
    if closer:
        return demand.closer_s
    return demand.plain_s or _PLAIN * demand.closer_s


class Pace:
    """Thins frames to a rate, by their time stamps."""

    def __init__(self) -> None:
        self.missed = 0
        """Looks that were due while no frame came."""
        self._last_ns: int | None = None

    def due(self, t_mono_ns: int, fps: float = FPS) -> bool:
        """Whether the frame of that time is one to look at."""
        interval_ns = round(_NS / fps)
        due_ns = t_mono_ns if self._last_ns is None else self._last_ns + interval_ns
        # Half a frame of a 30 fps camera early is near enough; waiting would halve the rate.
        if t_mono_ns < due_ns - _JITTER_NS:
            return False
        late = max(0, t_mono_ns - due_ns) // interval_ns
        self.missed += late
        self._last_ns = t_mono_ns if late else due_ns  # after a pause: begin anew
        return True


class Seat:
    """One camera's place at the table; asked by that camera's thread, counts are for all."""

    def __init__(self, sharing: Sharing, name: str, most_fps: float) -> None:
        self.looks = 0
        self.skipped = 0
        """Looks that were wanted and not had: not granted, late, or the last one took too long."""
        self.share = Share(fps=FPS)
        self._sharing = sharing
        self._name = name
        self._demand = Demand(most_fps=most_fps)
        self._wanted, self._granted = Pace(), Pace()
        self._drops = 0

    def due(self, t_mono_ns: int, *, age_s: float = 0.0, drops: int = 0) -> bool:
        """Whether to look at the frame of that time; `drops` counts frames that nobody took.

        `age_s` is 0 for one that is late on purpose, from before a wake.
        """
        missed = self._wanted.missed
        wanted = self._wanted.due(t_mono_ns, self._demand.wanted_fps)
        if drops > self._drops:  # there were frames at those times
            self.skipped += self._wanted.missed - missed
        self._drops = drops
        if not wanted:
            return False
        fps = self.share.fps if age_s <= LATE_S else min(LATE_FPS, self.share.fps)
        if self._granted.due(t_mono_ns, fps):
            return True
        self.skipped += 1
        return False

    def rest(self) -> None:
        """Nothing moves, or no frame comes."""
        if self._demand.need is not Need.REST:
            self._ask(replace(self._demand, need=Need.REST))

    def looked(self, need: Need, took_s: float) -> None:
        """One look was had, as `share` said; it took so many seconds of this thread."""
        self.looks += 1
        before = self._demand
        if self.share.closer:
            demand = replace(before, need=need, closer_s=_running(before.closer_s, took_s))
        else:
            demand = replace(before, need=need, plain_s=_running(before.plain_s, took_s))
        self._ask(demand, took_s)

    def leave(self) -> None:
        """The camera's thread ends."""
        self._demand = Demand(most_fps=self._demand.most_fps)
        self._sharing.forget(self._name)

    def _ask(self, demand: Demand, took_s: float = 0.0) -> None:
        self._demand = demand
        self.share = self._sharing.ask(self._name, demand, took_s)


class Sharing:
    """The cores of this box and who looks with them; safe to use from any thread.

    `threads` are those of one look, `cores` those that this process may run on.
    """

    def __init__(self, *, threads: int = 1, cores: int | None = None) -> None:
        self.step = Step.NOTHING
        self.heat = 0
        self._threads = threads
        self._cores = cores or len(os.sched_getaffinity(0))
        self._lock = threading.Lock()
        self._demands: dict[str, Demand] = {}
        self._seats: list[Seat] = []
        self._looked_s = 0.0  # of threads that look
        self._others = 0.0  # cores that decoding and all else take
        self._before: tuple[float, float, float] | None = None
        self._counts = (0, 0)
        self._skipped_share = 0.0

    def seat(self, name: str, most_fps: float | None = None) -> Seat:
        """A place for one camera, which is looked at no more often than `most_fps`."""
        self._seats.append(Seat(self, name, most_fps or FPS))
        return self._seats[-1]

    def ask(self, name: str, demand: Demand, took_s: float) -> Share:
        """What this camera gets, now that it wants this; its last look took so long."""
        with self._lock:
            self._looked_s += took_s
            self._demands[name] = demand
            given, self.step = shares(self._demands, self._for_looks())
            return given[name]

    def forget(self, name: str) -> None:
        with self._lock:
            self._demands.pop(name, None)

    def tick(
        self, now_s: float, cpu_s: float, degrees_c: float | None = None, *, slowed: bool = False
    ) -> None:
        """Each second: the CPU time of this process so far, and how hot the board is."""
        self.heat = heat(self.heat, degrees_c, slowed=slowed)
        counts = sum(seat.looks for seat in self._seats), sum(s.skipped for s in self._seats)
        with self._lock:
            looked_s, before = self._looked_s, self._before
            self._before = now_s, cpu_s, looked_s
            if before is None or now_s <= before[0]:
                return
            wall_s = now_s - before[0]
            others = (cpu_s - before[1] - self._threads * (looked_s - before[2])) / wall_s
            self._others += _rate(wall_s, _OTHERS_S) * (max(0.0, others) - self._others)
        looks, skipped = (now - then for now, then in zip(counts, self._counts, strict=True))
        self._counts = counts
        share = skipped / (looks + skipped) if skipped else 0.0
        self._skipped_share += _rate(wall_s, _SKIPPED_S) * (share - self._skipped_share)

    @property
    def trouble(self) -> str | None:
        """The one word for why this box gives up looks; None where it need not, or hardly does."""
        if self.heat:
            return "hot"
        return "overload" if self._skipped_share > _OVERLOADED else None

    def _for_looks(self) -> float:
        """Looks that may go on at any time, as if each took one thread."""
        cores = _OF_CORES[self.heat] * self._cores - self._others
        return max(cores, _LEAST_OF_CORES * self._cores) / self._threads


def _running(before_s: float, took_s: float) -> float:
    return took_s if not before_s else before_s + _COST_SHARE * (took_s - before_s)


def _rate(wall_s: float, within_s: float) -> float:
    return 1.0 - math.exp(-wall_s / within_s)
