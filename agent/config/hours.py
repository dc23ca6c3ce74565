"""Opening hours: `Mon-Fri 07:30-15:00, Sat 08:00-12:00`."""

from __future__ import annotations

import re

from agent.config.letters import look_alike
from agent.config.problems import Refusal, closest, meant, quoted
from agent.config.tables import Scalar

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_SPAN = re.compile(r"(\S+)\s+([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})")
_SPAN_LIKE = re.compile(r"\S+\s+([0-9]{1,2})[.:]([0-9]{2})\s*[-–]\s*([0-9]{1,2})[.:]([0-9]{2})")
_GRAMMAR = "like Mon-Fri 07:30-15:00, several with commas"


def _hours(text: str) -> str:
    for span in text.split(","):
        _check_span(span.strip())
    return text


def _check_span(span: str) -> None:
    match = _SPAN.fullmatch(span)
    if not match:
        raise Refusal(f"{quoted(span)} is no span of hours", _GRAMMAR, _meant_span(span))
    for day in match[1].split("-", 1):
        if day not in DAYS:
            near = closest(day[:3], [name.lower() for name in DAYS]).title()
            hint = look_alike(day) or (meant(near) if near else "")
            allowed = f"{', '.join(DAYS)}, or a range like Mon-Fri"
            raise Refusal(f"{quoted(day)} is no day", allowed, hint)
    opens, closes = _minute(match[2], match[3]), _minute(match[4], match[5])
    if opens == closes or opens == 24 * 60:
        raise Refusal(f"{quoted(span)} has no length", _GRAMMAR)


def _minute(hour: str, minute: str) -> int:
    """Minute of the day; an hour past midnight belongs to the span that began the day before."""
    if int(minute) > 59 or int(hour) * 60 + int(minute) > 24 * 60:
        raise Refusal(f"{hour}:{minute} is no time of day", "00:00 to 24:00")
    return int(hour) * 60 + int(minute)


def _meant_span(span: str) -> str:
    match = _SPAN_LIKE.fullmatch(span)
    if not match:
        return ""
    opens, closes = f"{match[1]:0>2}:{match[2]}", f"{match[3]:0>2}:{match[4]}"
    return meant(f"{span.split()[0]} {opens}-{closes}")


HOURS = Scalar(_hours, {"type": "string", "examples": ["Mon-Fri 07:30-15:00, Sat 08:00-12:00"]})
