"""A frozen picture: a stream that goes on, with the same picture for ever under a ticking clock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.errors import CaptureError
from agent.records import Frame, Image

FROZEN_S = 60.0  # shorter happens to sleeping streets behind strong noise reduction
_LOOK_S = 1.0  # the picture is compared once a second: a minute needs no more
_GAP_S = 10.0  # between two signs of life no more than this was watched: the camera was away
# Asleep, a camera is looked at twice a minute, and two pictures may be alike behind strong noise
# reduction: before it is called frozen, this many were.
_LEAST_LOOKS = 10
# ... and before that is worth waking for, so many: of two looks at a street behind an encoder's
# own smoothing a third are alike, and each doubt costs ten seconds of decoding.
_DOUBT_LOOKS = 5

# The picture is sampled, not averaged, because averaging would remove the very noise that tells
# a still night from a dead sensor; 160 x 90 samples are enough to meet some.
_COLUMNS, _ROWS = 160, 90
_CELL = 10  # samples to a side of a cell: 16 x 9 cells
# Re-encoding the same picture moves most samples by a level or two at each keyframe, and a stray
# one by more; noise, even what an encoder leaves of it, moves several in a cell.
_LEVELS = 3
_STRAYS = 2
# A burnt-in clock changes inside one box this large, of 16 x 9 cells; who crosses a street, be it
# in a single row, does not stay in it.
_CLOCK_CELLS = 15


class FrozenWatch:
    """Raises CaptureError when one picture, but for a clock, has stood for `frozen_s`.

    It outlives the connections of its camera: the picture is `frozen` until another comes, however
    often the camera is opened anew, and each `frozen_s` of it raises again.
    """

    def __init__(self, frozen_s: float = FROZEN_S) -> None:
        self.frozen = False
        self._frozen_ns = round(frozen_s * 1e9)
        self._still: NDArray[np.int16] | None = None
        self._changed = np.zeros((_ROWS // _CELL, _COLUMNS // _CELL), dtype=np.bool_)
        self._held_ns = self._watched_ns = 0
        self._looks = 0
        self._lived_ns: int | None = None
        self._looked_ns: int | None = None

    @property
    def doubtful(self) -> bool:
        """It would be called frozen, had it been looked at more often."""
        held = self._held_ns >= self._frozen_ns
        return held and _DOUBT_LOOKS <= self._looks < _LEAST_LOOKS

    def live_on(self, t_mono_ns: int) -> None:
        """The stream goes on at that time, be it looked at or not."""
        if self._lived_ns is not None and t_mono_ns > self._lived_ns:
            self._watched_ns += min(t_mono_ns - self._lived_ns, round(_GAP_S * 1e9))
        self._lived_ns = max(t_mono_ns, self._lived_ns or t_mono_ns)

    def look(self, frame: Frame) -> None:
        self.live_on(frame.t_mono_ns)
        since_ns = 0 if self._looked_ns is None else frame.t_mono_ns - self._looked_ns
        if self._looked_ns is not None and since_ns < _LOOK_S * 1e9:
            return
        watched_ns, self._watched_ns = self._watched_ns, 0
        self._looked_ns = frame.t_mono_ns
        samples = _samples(frame.picture.luma())
        if self._still is not None:
            # All that changed since is kept: a clock stays in its place, a passer-by does not.
            self._changed |= _changed_cells(self._still, samples)
        if self._still is None or _larger_than_a_clock(self._changed):
            self._still = samples
            self._changed[:] = False
            self._held_ns = self._looks = 0
            self.frozen = False
            return
        self._held_ns += watched_ns
        self._looks += 1
        if self._held_ns >= self._frozen_ns and self._looks >= _LEAST_LOOKS:
            self._held_ns = self._looks = 0
            self.frozen = True
            # No figure that grows, so that the log has the line once.
            held_s = self._frozen_ns / 1e9
            raise CaptureError(f"frozen picture: the same for {held_s:.0f} s", why="frozen")


def _samples(luma: Image) -> NDArray[np.int16]:
    rows = np.arange(_ROWS) * luma.shape[0] // _ROWS
    columns = np.arange(_COLUMNS) * luma.shape[1] // _COLUMNS
    samples: NDArray[np.int16] = luma[np.ix_(rows, columns)].astype(np.int16)
    return samples


def _changed_cells(before: NDArray[np.int16], after: NDArray[np.int16]) -> NDArray[np.bool_]:
    moved = np.abs(after - before) > _LEVELS
    cells = moved.reshape(_ROWS // _CELL, _CELL, _COLUMNS // _CELL, _CELL).sum(axis=(1, 3))
    changed: NDArray[np.bool_] = cells > _STRAYS
    return changed


def _larger_than_a_clock(cells: NDArray[np.bool_]) -> bool:
    """Whether the changed cells span more than one small box, wherever a clock may be."""
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    if not len(rows):
        return False
    box_cells = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return bool(box_cells > _CLOCK_CELLS)
