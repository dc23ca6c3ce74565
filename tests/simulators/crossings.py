"""Events as a camera's rules and privacy make them, numbered."""

from __future__ import annotations

from post import BOX, SITE

from agent.clock import SystemClock
from agent.privacy.privacy import Privacy
from agent.records import Event, Message, Phase

PRIVACY = Privacy(SITE, BOX, "b00t1d")


def crossing(number: int, *, n: int = 0) -> Message:
    """A car over a line, now."""
    event = Event(
        event_id=f"{number:026d}",
        n=n,
        phase=Phase.ONCE,
        at=SystemClock().now(),
        camera_id="gate",
        kind="vehicle.line",
        place="in",
        direction="+",
        object_class="car",
    )
    return PRIVACY.event(event)
