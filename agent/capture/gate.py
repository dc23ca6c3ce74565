"""Sizes of coded pictures tell of movement, before anything is decoded.

Where an encoder may spend what a picture needs (VBR), the pictures between keyframes grow as soon
as something moves. Where it must keep a rate (CBR) they do not, and where the sensor's noise is
coded too they hardly do: whether the sizes of a stream tell anything is found out from the stream.
"""

from __future__ import annotations

import statistics
from collections import defaultdict, deque
from collections.abc import Iterable
from enum import Enum

_NS = 1_000_000_000

# Sizes are judged in blocks of half a second, counted from the keyframe, each against the same
# block of earlier groups: encoders refine a picture after its keyframe, so that idle sizes rise
# and fall threefold within a group, and always in the same way.
_BLOCK_S = 0.5
_LEAST_BLOCK = 8  # pictures; with fewer, a slow stream's blocks would be their noise
# Blocks from here on, four seconds after a keyframe, are alike and judged together. Sooner they are
# not: in groups of 10 s x264 still refines after 2 s, and an idle block departed every two minutes.
_SETTLED = 8
# A burnt-in clock ticks once in a block, twice where ticks fall unevenly. Without its two largest
# pictures a block knows no clock; whoever walks through is in all the others.
_TICKS = 2

# Idle blocks of a steady stream scatter normally; five deviations are met in weeks. The share
# covers streams whose sizes hardly scatter at all and drift with the light.
_DEVIATIONS = 5.0
_SHARE = 0.1
_LEAST_BYTES = 8.0  # less than this is the length of a header's fields
_TO_SIGMA = 1.4826  # from the median of absolute deviations to the standard deviation
_FEW = 8.0  # few samples say little of how they scatter: this many more count as uncertain

# With a clock burnt in, one idle block in some hundreds departs, if not far, because more pictures
# than two follow a tick (x264, 1080p25). Alone, such a block asks for a look at the next keyframe,
# which costs a hundredth of waking; it wakes when it is far off, or the second in two seconds.
_FAR_OFF = 2.0  # thresholds
_TOGETHER = 4  # blocks

# A keyframe shows what the scene costs at this quality; someone 8 % of the picture high who walks
# by adds 1/1300 to 1/800 of it to every picture (x264, 720p). Where a departure took less than
# 1/500, the beginning and the bulk of such a passage were found; where it took more, none was.
_BLIND_SHARE = 1 / 500
_SIGHTED_SHARE = 1 / 600  # and this little before it is trusted again: no flapping between

_LEAST_SAMPLES = 8
_MOST_SAMPLES = 120  # a minute of settled blocks, so that rain and dusk become the new idle
_OLD_S = 600.0  # older samples are of another light
_GIVE_UP_S = 60.0  # by then a stream that can be judged has been: groups are shorter than a block

# What stands still and was not there is some percent of a keyframe. Rate control moves an idle
# one to and fro between a few sizes (x264, 1080p: by 2 %), so it is held against all of them.
_KEYFRAME_SHARE = 0.01


class Sign(Enum):
    """What one coded picture says."""

    NOTHING = "nothing"
    LOOK = "look"  # a keyframe unlike those before, or after some doubt: worth decoding this one
    WAKE = "wake"  # something moves


class PacketGate:
    """Judges one stream by the sizes of its coded pictures; pure, it reads no clock."""

    def __init__(self) -> None:
        self._blocks: defaultdict[int, _Baseline] = defaultdict(_Baseline)
        self._keyframes = _Baseline()
        self._apart_s: deque[float] = deque(maxlen=9)  # keyframes
        self._keyframe_ns: int | None = None
        self._interval_s = 0.04
        self._before_ns: int | None = None
        self._quiet_s = 0.0
        self._block: list[int] = []
        self._number = 0
        self._since_departed = _TOGETHER  # blocks
        self._is_doubtful = False
        self._tells: bool | None = None

    @property
    def tells(self) -> bool | None:
        """Whether sizes tell of someone who walks by; None while that is not known."""
        return self._tells

    @property
    def keyframes_apart_s(self) -> float | None:
        """Seconds from keyframe to keyframe; None before there were two."""
        return statistics.median(self._apart_s) if self._apart_s else None

    @property
    def interval_s(self) -> float:
        """Seconds from picture to picture, on average."""
        return self._interval_s

    def push(self, size_bytes: int, *, keyframe: bool, t_ns: int, quiet: bool = True) -> Sign:
        """What the next picture says; where it is `quiet`, idle sizes are learnt from it.

        `quiet` means that whoever looks at the pictures sees nothing, or that nobody looks.
        """
        self._note_time(t_ns, quiet=quiet)
        if keyframe:
            # The last block of a group is cut short; most of one is as good as a whole.
            whole = 3 * len(self._block) >= 2 * self._block_pictures()
            sign = self._judge(t_ns, quiet=quiet) if whole else Sign.NOTHING
            self._block, self._number = [], 0
            return max(self._begin_group(size_bytes, t_ns, quiet=quiet), sign, key=_strength)
        self._block.append(size_bytes)
        if len(self._block) < self._block_pictures():
            return Sign.NOTHING
        return self._judge(t_ns, quiet=quiet)

    def _note_time(self, t_ns: int, *, quiet: bool) -> None:
        if self._before_ns is not None:
            since_s = min(max(0.0, (t_ns - self._before_ns) / _NS), 1.0)
            self._interval_s += (since_s - self._interval_s) / 50
            self._quiet_s += since_s if quiet else 0.0
        self._before_ns = t_ns

    def _block_pictures(self) -> int:
        return max(_LEAST_BLOCK, round(_BLOCK_S / max(self._interval_s, 0.001)))

    def _begin_group(self, size_bytes: int, t_ns: int, *, quiet: bool) -> Sign:
        if self._keyframe_ns is not None:
            self._apart_s.append((t_ns - self._keyframe_ns) / _NS)
        self._keyframe_ns = t_ns
        new = self._keyframes.is_new(size_bytes)
        if quiet:
            self._keyframes.learn(size_bytes, t_ns)
        self._note_whether_it_tells()
        doubtful, self._is_doubtful = self._is_doubtful, False
        return Sign.LOOK if new or doubtful else Sign.NOTHING

    def _judge(self, t_ns: int, *, quiet: bool) -> Sign:
        """One block at its end, and what it adds to the baseline."""
        level = statistics.fmean(sorted(self._block)[:-_TICKS])
        baseline = self._blocks[min(self._number, _SETTLED)]
        self._block, self._number = [], self._number + 1
        departs = baseline.departs(level)
        wakes = baseline.departs(level, _FAR_OFF) or (departs and self._since_departed < _TOGETHER)
        self._since_departed = 1 if departs else self._since_departed + 1
        self._is_doubtful |= departs
        if quiet:
            baseline.learn(level, t_ns)
        return Sign.WAKE if wakes else Sign.NOTHING

    def _note_whether_it_tells(self) -> None:
        """Once a group: what a departure takes, against the size of a keyframe."""
        thresholds = [baseline.threshold for baseline in self._blocks.values()]
        known = [each for each in thresholds if each is not None]
        keyframe = self._keyframes.middle
        # A block that a hiccup of the network has made, and that never comes again, does not count.
        if keyframe is None or 2 * len(known) <= len(thresholds):
            if self._quiet_s >= _GIVE_UP_S and not known:
                self._tells = False
            return
        share = statistics.median(known) / keyframe
        self._tells = share <= (_SIGHTED_SHARE if self._tells is False else _BLIND_SHARE)


class _Baseline:
    """What is usual: the median of samples, and how far from it is out of the ordinary."""

    def __init__(self) -> None:
        self.middle: float | None = None
        self.threshold: float | None = None
        self._samples: deque[tuple[int, float]] = deque(maxlen=_MOST_SAMPLES)

    def departs(self, value: float, thresholds: float = 1.0) -> bool:
        if self.middle is None or self.threshold is None:
            return False
        return abs(value - self.middle) > thresholds * self.threshold

    def is_new(self, value: float) -> bool:
        """Whether no sample was like it."""
        if self.middle is None:
            return False
        least = min(abs(value - sample) for _, sample in self._samples)
        return least > _KEYFRAME_SHARE * self.middle

    def learn(self, value: float, t_ns: int) -> None:
        self._samples.append((t_ns, value))
        while len(self._samples) > _LEAST_SAMPLES and self._samples[0][0] < t_ns - _OLD_S * _NS:
            self._samples.popleft()
        if len(self._samples) < _LEAST_SAMPLES:
            self.middle = self.threshold = None
            return
        values = [sample for _, sample in self._samples]
        self.middle = statistics.median(values)
        sigma = _TO_SIGMA * _deviation(values, self.middle)
        unsure = 1 + _FEW / len(values)
        self.threshold = max(_DEVIATIONS * unsure * sigma, _SHARE * self.middle, _LEAST_BYTES)


def _deviation(values: Iterable[float], middle: float) -> float:
    return statistics.median(abs(value - middle) for value in values)


def _strength(sign: Sign) -> int:
    return list(Sign).index(sign)
