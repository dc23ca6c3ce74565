"""One thing being followed: its motion, how sure we are of it, and when to give it up."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from agent.records import VEHICLES, Detection, Track, TrackState
from agent.track.motion import Motion, travel

NS = 1_000_000_000

_STEADY = 0.25  # sizes: the smoothed box of a standing thing stays within this of its place
_MOVED = 0.5  # sizes: further than jitter explains
_REMEMBERED = 10  # times as long as it has stood


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to believe in a thing, in seconds, and in how many things at once."""

    confirm_s: float = 0.3
    """Two sightings this far apart make a track: two frames at 2 frames/s, and longer than a
    false alarm flickers at 25."""
    tentative_s: float = 1.5
    """An unconfirmed thing is dropped after this long, or once missed more often than seen."""
    coast_s: float = 2.2
    """A moving thing is given up after this long: by then the prediction is a guess, yet three
    misses in a row are survived at 2 frames/s."""
    rest_s: float = 3.0
    """A thing that kept its place this long stands still."""
    still_s: float = 10.0
    """A standing thing is given up after this long: likely still there, only not detected."""
    parked_s: float = 6 * 3600.0
    """A vehicle is remembered ten times as long as it has stood, but no longer than this."""
    most: int = 128
    """Tracks kept at once; beyond it those unseen longest go first."""


class Live:
    """The changing state behind one `Track`."""

    def __init__(self, track_id: int, first: Detection, t_mono_ns: int) -> None:
        self.track_id = track_id
        self.motion = Motion(first.box)
        self.seen_ns = t_mono_ns
        self.hits = 1
        self.confirmed = self.still = self.moved = False
        self._misses = 0
        self._first_ns = self._place_ns = t_mono_ns
        self._first_box = self._place = first.box
        self._displaced = False
        self._votes: dict[str, float] = defaultdict(float, {first.kind: first.score})

    @property
    def kind(self) -> str:
        """The label with the most score behind it."""
        return max(self._votes, key=lambda kind: self._votes[kind])

    def unseen_s(self, t_mono_ns: int) -> float:
        return (t_mono_ns - self.seen_ns) / NS

    def advance(self, seconds: float) -> None:
        """Predict where it is now; what stands still stays where it was."""
        if self.still:
            self.motion.stop()
        self.motion.advance(seconds)

    def see(self, detection: Detection, t_mono_ns: int, patience: Patience) -> None:
        """Take in a sighting; the motion stands at its time already."""
        self.motion.correct(detection.box)
        self.seen_ns = t_mono_ns
        self.hits += 1
        self._votes[detection.kind] += detection.score
        self.confirmed |= (t_mono_ns - self._first_ns) / NS >= patience.confirm_s
        self._note_place(patience)
        # Two sightings in a row: one box around two things is no movement.
        displaced = travel(self._first_box, self.motion.box) > _MOVED
        self.moved |= displaced and self._displaced
        self._displaced = displaced

    def stay(self, t_mono_ns: int) -> None:
        """Nothing has moved until then: what stood still stands there."""
        if self.still:
            self.seen_ns = t_mono_ns

    def miss(self) -> None:
        self._misses += 1

    def expired(self, t_mono_ns: int, patience: Patience) -> bool:
        """Whether it has been unseen for so long that nothing seen now can be it."""
        return self.unseen_s(t_mono_ns) > self._hold_s(patience)

    def dormant(self, t_mono_ns: int, patience: Patience) -> bool:
        """Whether it stood still and is only remembered by its place."""
        return self.still and self.unseen_s(t_mono_ns) > patience.coast_s

    def ended(self, t_mono_ns: int, patience: Patience) -> bool:
        """Whether to give it up: unseen too long, out of the picture, or never confirmed."""
        if self.expired(t_mono_ns, patience):
            return True
        if not self.confirmed:
            return self._misses > self.hits
        outside = not (0 <= self.motion.cx <= 1 and 0 <= self.motion.cy <= 1)
        return outside and self.seen_ns != t_mono_ns

    def track(self, t_mono_ns: int) -> Track:
        """The record of it as it is now."""
        state = TrackState.TENTATIVE
        if self.confirmed:
            seen = self.seen_ns == t_mono_ns
            state = TrackState.CONFIRMED if seen else TrackState.COASTING
        motion = self.motion
        return Track(
            track_id=self.track_id,
            kind=self.kind,
            score=sum(self._votes.values()) / self.hits,
            box=motion.box,
            velocity=(motion.vx, motion.vy),
            first_mono_ns=self._first_ns,
            last_mono_ns=self.seen_ns,
            state=state,
            moved=self.moved,
        )

    def _hold_s(self, patience: Patience) -> float:
        if not self.confirmed:
            return patience.tentative_s
        if not self.still:
            return patience.coast_s
        stood_s = (self.seen_ns - self._place_ns) / NS
        longest_s = patience.parked_s if self.kind in VEHICLES else patience.still_s
        return min(max(patience.still_s, _REMEMBERED * stood_s), longest_s)

    def _note_place(self, patience: Patience) -> None:
        box = self.motion.box
        if travel(self._place, box) > _STEADY:
            self._place = box
            self._place_ns = self.seen_ns
        self.still = (self.seen_ns - self._place_ns) / NS >= patience.rest_s
