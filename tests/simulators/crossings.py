"""Events as a camera's rules and privacy make them, numbered."""

from __future__ import annotations

from typing import Any

from post import BOX, SITE

from agent.clock import SystemClock
from agent.kinds import KINDS_OF_EVENTS
from agent.privacy.privacy import Privacy
from agent.records import Event, Message, Phase

PRIVACY = Privacy(SITE, BOX, "b00t1d")


_DETAILS: dict[str, dict[str, Any]] = {
    "vehicle.line": {"place": "in", "direction": "+", "object_class": "car"},
    "vehicle.count": {"count": 1, "period_s": 60},
    "audit": {"why": "loaded"},
    "model.updated": {"version": "1" * 40, "why": "large" * 8},
}


def crossing(number: int, *, n: int = 0, kind: str = "vehicle.line") -> Message:
    """A car over a line, now; or another `kind` of event, as important as it is."""
    event = Event(
        event_id=f"{number:026d}",
        n=n,
        phase=Phase.ONCE,
        at=SystemClock().now(),
        camera_id=None if KINDS_OF_EVENTS[kind].of_box else "gate",
        kind=kind,
        **_DETAILS[kind],
    )
    return PRIVACY.event(event)
