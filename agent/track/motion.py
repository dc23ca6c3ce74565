"""Where one thing is and how it moves: a constant-velocity Kalman filter.

Noise is counted in the thing's own sizes (its width across, its height down), not in
picture fractions, so that one covariance serves both axes and near and far things alike.
"""

from __future__ import annotations

import math

from agent.records import Box

JITTER = 0.07
"""Standard deviation of a detector's box from frame to frame, in sizes."""

SPEED = 2.5
"""Standard deviation of a newly seen thing's speed, sizes a second: a car at 60 km/h seen
from the side makes 3.7 of its lengths, a person on foot about 3 of its widths."""

AGILITY = 1.0
"""How much speed changes at random in a second, sizes a second: braking, turning."""

GROWTH = 0.3
"""How much a side changes at random in a second, as a share of itself."""

_SIGMAS = 3.0
_REACH = 2.5  # sizes: further than this, a match is a guess however uncertain we are
TINY = 1e-3
"""No side is taken as smaller than this share of the picture."""

_AT_REST = 0.5  # sizes a second: how fast a standing thing may set off


class Motion:
    """Position, velocity and size of one thing in picture fractions (a second)."""

    __slots__ = ("cx", "cy", "height", "p00", "p01", "p11", "p_size", "vx", "vy", "width")

    def __init__(self, box: Box) -> None:
        self.cx, self.cy = box.center
        self.width = max(box.width, TINY)
        self.height = max(box.height, TINY)
        self.vx = self.vy = 0.0
        self.p00, self.p01, self.p11 = JITTER**2, 0.0, SPEED**2
        self.p_size = JITTER**2

    @property
    def box(self) -> Box:
        """As much of it as lies inside the picture."""
        half_w, half_h = self.width / 2, self.height / 2
        return Box(
            x0=min(max(self.cx - half_w, 0.0), 1.0),
            y0=min(max(self.cy - half_h, 0.0), 1.0),
            x1=min(max(self.cx + half_w, 0.0), 1.0),
            y1=min(max(self.cy + half_h, 0.0), 1.0),
        )

    @property
    def reach(self) -> float:
        """How far from here, in sizes, the next sighting may lie."""
        return min(_SIGMAS * math.sqrt(self.p00 + JITTER**2), _REACH)

    def advance(self, seconds: float) -> None:
        """Move on in time without having seen anything."""
        self.cx += self.vx * seconds
        self.cy += self.vy * seconds
        noise = AGILITY**2 * seconds
        self.p00 += seconds * (2 * self.p01 + seconds * self.p11) + noise * seconds**2 / 3
        self.p01 += seconds * self.p11 + noise * seconds / 2
        self.p11 += noise
        self.p_size += GROWTH**2 * seconds

    def correct(self, box: Box) -> None:
        """Take in where it was really seen, at the time advanced to."""
        gain, gain_speed = (p / (self.p00 + JITTER**2) for p in (self.p00, self.p01))
        gain_size = self.p_size / (self.p_size + JITTER**2)
        x, y = box.center
        off_x, off_y = x - self.cx, y - self.cy
        self.cx += gain * off_x
        self.cy += gain * off_y
        self.vx += gain_speed * off_x
        self.vy += gain_speed * off_y
        self.width += gain_size * (max(box.width, TINY) - self.width)
        self.height += gain_size * (max(box.height, TINY) - self.height)
        self.p11 -= gain_speed * self.p01
        self.p01 *= 1 - gain
        self.p00 *= 1 - gain
        self.p_size *= 1 - gain_size

    def stop(self) -> None:
        """It stands: forget the speed that jitter alone has made."""
        self.vx = self.vy = 0.0
        self.p01, self.p11 = 0.0, _AT_REST**2


def travel(before: Box, after: Box) -> float:
    """How far a thing has gone, in sizes: as far as opposite edges of its box agree.

    A box cut short by something in front of it, or by the picture's edge, shifts its centre
    but goes nowhere; one that shrinks or grows in both directions comes nearer or goes away.
    """
    wide, high = max(before.width, after.width, TINY), max(before.height, after.height, TINY)
    across = _agreed(after.x0 - before.x0, after.x1 - before.x1) / wide
    down = _agreed(after.y0 - before.y0, after.y1 - before.y1) / high
    nearer = _agreed(_log_ratio(after.width, before.width), _log_ratio(after.height, before.height))
    return max(math.hypot(across, down), nearer)


def _agreed(one: float, other: float) -> float:
    return min(abs(one), abs(other)) if one * other > 0 else 0.0


def _log_ratio(after: float, before: float) -> float:
    return math.log(max(after, TINY) / max(before, TINY))
