"""The curve of exact readings against a plate's width, as an SVG without any library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from agent.evaluate.plate_scoring import CurvePoint

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 620, 40, 310
_LAST_PX = 160  # of the axis of widths


def curve_svg(points: Sequence[CurvePoint], title: str) -> str:
    """Points with their 95 % intervals, and of how many plates each is."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12" text-anchor="middle">'
    )
    parts = [
        head,
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_WIDTH / 2, 22, title),
        *_axes(),
        *_drawn(points),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _axes() -> Iterator[str]:
    for percent in range(0, 101, 20):
        y = _y(percent / 100)
        yield f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_RIGHT}" y2="{y:.1f}" stroke="#ddd"/>'
        yield _text(_LEFT - 22, y + 4, f"{percent} %")
    for px in range(20, _LAST_PX + 1, 20):
        yield _text(_x(px), _BOTTOM + 18, f"{px}")
    yield _text((_LEFT + _RIGHT) / 2, _BOTTOM + 40, "width of the plate, px; above: plates read")


def _drawn(points: Sequence[CurvePoint]) -> Iterator[str]:
    places = [(_x(_middle(point)), point) for point in points]
    line = " ".join(f"{x:.1f},{_y(point.exact):.1f}" for x, point in places)
    yield f'<polyline points="{line}" fill="none" stroke="#1565c0" stroke-width="2"/>'
    for x, point in places:
        low, high = _y(point.low), _y(point.high)
        yield f'<line x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" stroke="#1565c0"/>'
        yield f'<circle cx="{x:.1f}" cy="{_y(point.exact):.1f}" r="3" fill="#1565c0"/>'
        yield _text(x, _TOP - 4, f"{point.texts}")


def _middle(point: CurvePoint) -> float:
    return point.from_px + 5 if point.to_px is None else (point.from_px + point.to_px) / 2


def _x(px: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * min(px, _LAST_PX) / _LAST_PX


def _y(share: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * share


def _text(x: float, y: float, words: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'
