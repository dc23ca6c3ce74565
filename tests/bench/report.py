"""Tables of a bench as Markdown and bars as PNG, in bench-out/, which is not kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

OUT = Path(__file__).parents[2] / "bench-out"
_ROW_PX, _WORDS_PX, _BAR_PX = 26, 460, 420


class Report:
    """Rows go to the terminal as they come, and to `name`.md and .png at the end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines: list[str] = []
        self._bars: list[tuple[str, float | None]] = []

    def say(self, words: str) -> None:
        print(words, flush=True)
        self._lines += [words, ""]

    def table(self, title: str, heads: Sequence[str]) -> None:
        print(f"\n{title}", flush=True)
        if self._lines and self._lines[-1]:
            self._lines.append("")
        self._lines += [f"## {title}", "", _row(heads), _row(["---"] * len(heads))]
        self._bars.append((title, None))

    def row(self, *cells: object, bar: float | None = None) -> None:
        """One line of the table; `bar` is what the picture shows of it."""
        words = [str(cell) for cell in cells]
        print("  ".join(f"{word:<46}" if not n else f"{word:>14}" for n, word in enumerate(words)))
        self._lines.append(_row(words))
        if bar is not None:
            self._bars.append((words[0], bar))

    def save(self) -> None:
        OUT.mkdir(exist_ok=True)
        (OUT / f"{self._name}.md").write_text("\n".join(self._lines) + "\n")
        if any(bar is not None for _, bar in self._bars):
            cv2.imwrite(str(OUT / f"{self._name}.png"), _drawn(self._bars))
        print(f"\nwritten to {OUT / self._name}.md and .png")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _drawn(bars: Sequence[tuple[str, float | None]]) -> np.ndarray:
    """Bars from 0.001 to 1000 on a logarithmic scale, each under its table's title."""
    width = _WORDS_PX + _BAR_PX + 100
    picture = np.full((_ROW_PX * (len(bars) + 1), width, 3), 255, np.uint8)
    known = [bar for _, bar in bars if bar]
    low = np.floor(np.log10(min(known, default=1)))
    high = np.ceil(np.log10(max(known, default=1)))
    for number, (words, bar) in enumerate(bars):
        y = _ROW_PX * (number + 1)
        _write(picture, words.encode("ascii", "replace").decode(), 8, y, bold=bar is None)
        if bar is None:
            continue
        share = (np.log10(max(bar, 10**low)) - low) / max(1, high - low)
        right = _WORDS_PX + max(2, round(share * _BAR_PX))
        cv2.rectangle(picture, (_WORDS_PX, y - 14), (right, y + 2), (192, 101, 21), -1)
        _write(picture, f"{bar:.3g}", right + 6, y)
    return picture


def _write(picture: np.ndarray, words: str, x: int, y: int, *, bold: bool = False) -> None:
    face = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(picture, words, (x, y), face, 0.42, (0, 0, 0), 1 + bold, cv2.LINE_AA)
