"""What a camera's reader and those who look at its frames tell each other."""

from __future__ import annotations

import time
from collections.abc import Callable

_NS = 1_000_000_000


class Attention:
    """When somebody last saw something, whether the camera sleeps, and whether there is room.

    Each field is set by one side and read by others, from any thread. `room(seconds)` waits up to
    so long for the last frame to be taken, and says whether it has been.
    """

    def __init__(
        self,
        *,
        room: Callable[[float], bool] = lambda seconds: True,
        now_ns: Callable[[], int] = time.monotonic_ns,
        keyframes_will_do: bool = True,
    ) -> None:
        self.room = room
        self.now_ns = now_ns
        self.seen_ns = now_ns()
        """When something moved or was followed last; at the start all is new."""
        self.asleep = False
        """Nothing is decoded but a keyframe now and then."""
        self.decodes = False
        """Being awake costs decoding: the source sleeps by itself."""
        self.after_ns: int | None = None
        """While asleep or catching up: all frames to come were taken after this."""
        self.keyframes_will_do = keyframes_will_do
        """Nobody crosses the picture between two keyframes: people on foot do not, vehicles do."""
        self.mode = "learning"
        """How it sleeps: by `sizes` or `keyframes`; not at all: `awake`; not yet: `learning`."""

    def note(self) -> None:
        """Something moves, or is followed: stay awake."""
        self.seen_ns = self.now_ns()

    def quiet_s(self) -> float:
        """Seconds since something was seen."""
        return (self.now_ns() - self.seen_ns) / _NS
