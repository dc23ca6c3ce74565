"""Whether anything moves in the pictures of one camera: coarse brightness against what is usual.

Not movement: a lamp, the sun behind a cloud; single drops and flakes; what is
restless all the time and no detector finds anything in, as leaves and a burnt-in clock.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.records import Image, Picture

_NS = 1_000_000_000
_Floats = NDArray[np.float32]

_WIDTH_PX = 240  # halved thrice from 1920: cheap; someone 4 % of the picture high is 5 pixels
_LOOK_S = 0.09  # ten looks a second, as many as detectors get
_HELD_S = 2.0  # what moved and stopped is looked at a little longer

# Noise of a pixel here is that of 64 averaged, under 2 levels at night; people in dark clothes on
# asphalt differ by 15 and more.
_LEAST_STEP = 8.0
_SIGMAS = 6.0
_LEAST_AREA_PX = 6
# Where drops and flakes fall, no spot is restless for long but some always are: what is larger than
# these usually are is something else, and this large it is always taken for something.
_SPECKLES = 2.5
_MOST_SPECKLE_PX = 20
_LIGHT_SHARE = 0.3  # more of the picture changed at once: light, or the camera was moved
_PAIRED_S = 0.5  # looks closer than this confirm each other: drops do not fall twice in a place

_DAZZLED = 245.0  # brighter pixels are clipped: how bright the place is they do not tell
_DAZZLED_STEP = 60.0

_USUAL_S = 10.0  # the usual follows the picture this fast
_PARKED_S = 30.0  # and what stands in it: a parked car is usual after a minute or two
_RESTLESS_S = 60.0
_RESTLESS_SHARE = 0.1  # changed for more than this share of a minute, with nothing found there
_SHOWN_S = 1.0
_MOST_RESTLESS = 0.3  # of the picture: where more is restless, as in a downpour, all is looked at
# Minutes stand left of the seconds that give a clock away, and tick too seldom to do so themselves.
_CLOCK_KERNEL = np.ones((3, 41), np.uint8)


class Stillness:
    """Looks at one camera's pictures in turn; pure, it reads no clock."""

    def __init__(self) -> None:
        self._usual: _Floats | None = None
        self._restless: _Floats = np.zeros((0, 0), np.float32)
        self._before: Image | None = None
        self._speckle_px = 0.0
        self._looked_ns = self._moved_ns = self._shown_ns = 0
        self._still = self._is_hidden = False

    def look(self, picture: Picture, t_ns: int, *, found: bool) -> bool:
        """Whether nothing moves; where something is `found`, that place is not called restless."""
        since_s = (t_ns - self._looked_ns) / _NS
        if self._usual is not None and 0 <= since_s < _LOOK_S:
            return self._still
        self._looked_ns = t_ns
        now = cv2.blur(picture.luma(_WIDTH_PX), (3, 3)).astype(np.float32)
        if self._usual is None or self._usual.shape != now.shape:
            self._begin(now, t_ns)
            return False
        if self._moves(now, max(0.0, since_s), found=found):
            self._moved_ns = t_ns
        self._still = t_ns - self._moved_ns >= _HELD_S * _NS
        return self._still

    def is_worth_a_look(self, t_ns: int) -> bool:
        """Whether something moves where things always move: somebody may come there too.

        Once a second, and no reason to stay awake: it mostly is the clock.
        """
        if not self._is_hidden or t_ns - self._shown_ns < _SHOWN_S * _NS:
            return False
        self._shown_ns = t_ns
        return True

    def _begin(self, now: _Floats, t_ns: int) -> None:
        self._usual = now
        self._restless = np.zeros_like(now)
        self._before = None
        self._is_hidden = False
        self._moved_ns = self._shown_ns = t_ns
        self._still = False

    def _moves(self, now: _Floats, since_s: float, *, found: bool) -> bool:
        assert self._usual is not None
        off = now - _relit(self._usual, now)
        size = np.abs(off)
        step = max(_LEAST_STEP, _SIGMAS * 1.4826 * float(np.median(size[::3, ::3])))
        steps = np.where(self._usual > _DAZZLED, np.float32(_DAZZLED_STEP), np.float32(step))
        changed = (size > steps).view(np.uint8)
        share = cv2.countNonZero(changed) / changed.size
        before, self._before = self._before, changed
        if share > _LIGHT_SHARE:
            self._usual, self._before, self._is_hidden = now, None, False
            return since_s >= _PAIRED_S  # after a pause it may as well be a lorry
        self._is_hidden = False
        restless = self._restless > _RESTLESS_SHARE
        self._learn(now, changed, since_s, found=found)
        if restless.any():
            masked = cv2.dilate(restless.view(np.uint8), _CLOCK_KERNEL)
            if cv2.countNonZero(masked) <= _MOST_RESTLESS * masked.size:
                self._is_hidden = bool((changed & masked).any())
                changed = np.where(masked, np.uint8(0), changed)
        if before is not None and since_s < _PAIRED_S:
            nearby = cv2.dilate(before, np.ones((7, 7), np.uint8))
            changed = np.where(nearby, changed, np.uint8(0))
        largest_px = _largest_px(changed)
        usual_px = _SPECKLES * min(self._speckle_px, _MOST_SPECKLE_PX)
        if not found:
            rate = _share(min(since_s, 1.0), _RESTLESS_S)
            self._speckle_px += rate * (min(largest_px, 2 * _MOST_SPECKLE_PX) - self._speckle_px)
        return largest_px >= max(_LEAST_AREA_PX, usual_px)

    def _learn(self, now: _Floats, changed: Image, since_s: float, *, found: bool) -> None:
        assert self._usual is not None
        rate = np.where(changed, _share(since_s, _PARKED_S), _share(since_s, _USUAL_S))
        self._usual = self._usual + rate.astype(np.float32) * (now - self._usual)
        if not found:
            # A look after a pause stands for itself, not for the pause.
            self._restless += _share(min(since_s, 1.0), _RESTLESS_S) * (changed - self._restless)


def _share(since_s: float, within_s: float) -> float:
    return 1.0 - math.exp(-since_s / within_s)


def _relit(usual: _Floats, now: _Floats) -> _Floats:
    """The usual picture under the light of now: gain and offset that fit most of it."""
    few, fewer = usual[4::8, 4::8].ravel(), now[4::8, 4::8].ravel()
    gain, offset = 1.0, 0.0
    kept = np.ones(few.shape, dtype=np.bool_)
    for _ in range(3):
        x, y = few[kept], fewer[kept]
        spread = float(x.var())
        gain = float(((x - x.mean()) * (y - y.mean())).mean()) / spread if spread > 1 else 1.0
        gain = min(max(gain, 0.5), 2.0)
        offset = float(y.mean() - gain * x.mean())
        off = np.abs(fewer - gain * few - offset)
        kept = off <= max(2.0, 2.5 * float(np.median(off)))
    return np.asarray(np.clip(gain * usual + offset, 0, 255), np.float32)


def _largest_px(changed: Image) -> int:
    if cv2.countNonZero(changed) < _LEAST_AREA_PX:
        return 0
    _, _, stats, _ = cv2.connectedComponentsWithStats(changed)
    return int(stats[1:, cv2.CC_STAT_AREA].max(initial=0))
