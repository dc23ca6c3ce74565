"""Readings of plates, as the plates room gives them."""

from __future__ import annotations

from agent.records import Box, PlateReading, PlateText


def plate(text: str, country: str = "UZ", loss: float = 0.0) -> PlateText:
    return PlateText(country=country, text=text, pattern="private", loss=loss)


def reading(best: str | PlateText | None, *others: PlateText, **what) -> PlateReading:
    """A reading of track 1; a text for `best` is an Uzbek plate."""
    fields = {
        "track_id": 1,
        "kind": "car",
        "box": Box(x0=0.4, y0=0.7, x1=0.5, y1=0.74),
        "score": 0.97,
        "margin": 4.1,
        "votes": 3,
    }
    first = plate(best) if isinstance(best, str) else best
    return PlateReading(best=first, others=others, **(fields | what))
