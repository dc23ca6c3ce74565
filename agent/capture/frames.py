"""What every source has in common: where frames come from, and how they get number and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from agent.clock import Clock
from agent.errors import CaptureError
from agent.records import Frame, Moment, Picture

# The largest picture that is decoded: 4K cameras deliver 3840 x 2160, some fisheyes 4096 wide.
# One such picture is 14 MB; a stream that claims 16384 x 16384 would take the box's memory.
MAX_WIDTH_PX = 4096
MAX_HEIGHT_PX = 2304
MAX_PIXELS = MAX_WIDTH_PX * MAX_HEIGHT_PX


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a camera may take before it is given up, in seconds."""

    # From connecting to playing: cameras that wake an encoder take up to 5.
    open_s: float = 10.0
    # Who sends nothing for this long is gone: the slowest useful camera gives a picture a second,
    # and a keyframe interval of some seconds is no silence because deltas come between.
    picture_s: float = 10.0


PATIENT = Patience()


class Source(Protocol):
    """Where one camera's frames come from."""

    def frames(self) -> Iterator[Frame | None]:
        """Frames as they come, blocking; ends with a clip. Raises CaptureError when broken.

        None stands for a picture that came and was not decoded, because the camera sleeps.
        """
        ...

    def close(self) -> None:
        """Lets go of the camera; may be called from another thread, and wakes `frames`."""
        ...


class FrameMaker:
    """Gives the pictures of one camera their number and their time."""

    def __init__(self, camera_id: str, clock: Clock) -> None:
        self.camera_id = camera_id
        self._clock = clock
        self._start = clock.now()
        self._seq = 0

    def now(self, picture: Picture, *, age_ns: int = 0, main: Picture | None = None) -> Frame:
        """A frame taken `age_ns` ago."""
        now = self._clock.now()
        taken = Moment(
            mono_ns=now.mono_ns - age_ns,
            utc_ms=now.utc_ms - age_ns // 1_000_000,
            synced=now.synced,
        )
        return self._frame(picture, taken, main)

    def media(self, picture: Picture, since_start_s: float) -> Frame:
        """A frame stamped in media time, counted from the clock's reading at the start."""
        since_ns = round(since_start_s * 1e9)
        taken = Moment(
            mono_ns=self._start.mono_ns + since_ns,
            utc_ms=self._start.utc_ms + since_ns // 1_000_000,
            synced=self._start.synced,
        )
        return self._frame(picture, taken, None)

    def _frame(self, picture: Picture, taken: Moment, main: Picture | None) -> Frame:
        check_size(picture.width_px, picture.height_px)
        self._seq += 1
        return Frame(
            camera_id=self.camera_id,
            seq=self._seq,
            t_mono_ns=taken.mono_ns,
            t_utc_ms=taken.utc_ms,
            clock_synced=taken.synced,
            picture=picture,
            main=main,
        )


def check_size(width_px: int, height_px: int) -> None:
    """Refuses a picture larger than any camera of ours makes."""
    if not (0 < width_px <= MAX_WIDTH_PX and 0 < height_px <= MAX_HEIGHT_PX):
        raise CaptureError(
            f"picture of {width_px} x {height_px}: at most {MAX_WIDTH_PX} x {MAX_HEIGHT_PX} is"
            " accepted; choose a smaller stream in the camera's settings"
        )
