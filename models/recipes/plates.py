"""Clean number plates, drawn: Uzbekistan's, its neighbours', generic ones, and what is no plate.

Geometry in mm as the plates have it, drawn at SCALE px/mm. Letters and digits are uniform: how
often one occurs in the country is for a grammar to know, not for the reader to believe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from glyphs import ALPHABET, Alpha, Drawn, draw_style, font_alphabet, text_alpha
from numpy.typing import NDArray

SCALE = 0.75
COUNTRIES = ("UZ", "KZ", "KG", "TJ", "TM", "AF", "RU", "?", "-")
"""What the reader tells apart by the look; `?` another plate, `-` no plate at all."""
SLOTS = 10

_LETTERS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"  # Uzbek plates have no I
_DIGITS = "0123456789"
_REGIONS = ("01", "10", "20", "25", "30", "40", "50", "60", "70", "75", "80", "85", "90", "95")
_RUSSIAN = "ABEKMHOPCTYX"
_PERSIAN = "۰۱۲۳۴۵۶۷۸۹"
_PROVINCES = ("کابل", "بلخ", "هرات", "قندوز", "کندهار", "سمنگان", "جوزجان", "فاریاب")
_WORDS = """
TAXI SALE BOZOR APTEKA SAVDO MARKAZI OSHXONA MEBEL SERVIS SHOP NAVOIY TERMEZ BANK KAFE
MAKTAB STOP DISCOUNT OPEN TOYOTA CHEVROLET DAMAS ISUZU MAN LABO NEXIA COBALT PIZZA AVTO
""".split()  # noqa: SIM905

Rgb = NDArray[np.uint8]
Random = np.random.Generator
WHITE, BLACK = (236, 236, 232), (22, 22, 24)


@dataclass(frozen=True, slots=True)
class Plate:
    """A plate seen straight on; `text` is None where it has no Latin reading."""

    image: Rgb
    text: str | None
    country: str
    lines: int


class Fonts:
    """Alphabets to draw with; `folder` holds the free fonts (see fetch_fonts.py), or None."""

    def __init__(self, folder: Path | None) -> None:
        files = sorted(folder.glob("*.woff2")) if folder else []
        self._latin = [font for font in files if "arabic" not in font.name]
        self._arabic = [font for font in files if "arabic" in font.name]
        self._cache: dict[tuple[Path, float], Mapping[str, Alpha]] = {}

    def alphabet(self, rng: Random, drawn: float = 0.7) -> Mapping[str, Alpha]:
        """Drawn strokes with probability `drawn`, else a font."""
        if not self._latin or rng.random() < drawn:
            return Drawn(draw_style(rng))
        path = self._latin[rng.integers(len(self._latin))]
        squeeze = float(rng.choice([0.85, 1.0, 1.1]))
        if (path, squeeze) not in self._cache:
            self._cache[path, squeeze] = font_alphabet(path, squeeze)
        return self._cache[path, squeeze]

    def word(self, rng: Random, text: str, height_px: int, *, arabic: bool = False) -> Alpha:
        fonts = self._arabic if arabic else self._latin
        if not fonts:
            alphabet = Drawn(draw_style(rng))
            gap = np.zeros((96, 14), np.uint8)
            parts = [part for c in text.upper() if c in ALPHABET for part in (alphabet[c], gap)]
            joined = np.hstack(parts or [gap])
            width = max(1, round(joined.shape[1] * height_px / 96))
            return cv2.resize(joined, (width, height_px), interpolation=cv2.INTER_AREA)
        return text_alpha(text, fonts[rng.integers(len(fonts))], height_px)


class Canvas:
    """A plate being drawn, addressed in mm."""

    def __init__(self, rng: Random, width: float, height: float, paper: Sequence[int]) -> None:
        self.rng, self.width, self.height = rng, width, height
        size = (round(height * SCALE), round(width * SCALE), 3)
        self.image: Rgb = np.empty(size, np.uint8)
        self.image[:] = np.asarray(paper, np.uint8)

    def stamp(
        self, alpha: Alpha, x: float, y: float, w: float, h: float, ink: Sequence[int]
    ) -> None:
        """Lay `alpha`, resized to w x h mm, with its upper left corner at x, y."""
        x0, y0 = round(x * SCALE), round(y * SCALE)
        wide, high = max(1, round(w * SCALE)), max(1, round(h * SCALE))
        x1, y1 = min(x0 + wide, self.image.shape[1]), min(y0 + high, self.image.shape[0])
        left, top = max(0, -x0), max(0, -y0)
        if x1 <= x0 + left or y1 <= y0 + top:
            return
        small = cv2.resize(alpha, (wide, high), interpolation=cv2.INTER_AREA)
        part = self.image[y0 + top : y1, x0 + left : x1]
        cover = small[top : y1 - y0, left : x1 - x0, None].astype(np.float32) / 255
        part[:] = (part * (1 - cover) + np.asarray(ink, np.float32) * cover).astype(np.uint8)

    def box(self, x: float, y: float, w: float, h: float, ink: Sequence[int]) -> None:
        a = (round(x * SCALE), round(y * SCALE))
        b = (round((x + w) * SCALE), round((y + h) * SCALE))
        cv2.rectangle(self.image, a, b, tuple(map(int, ink)), -1)

    def frame(self, ink: Sequence[int]) -> None:
        """The black edge that most plates have."""
        inset, thick = self.rng.uniform(1, 6), self.rng.uniform(2, 4.5)
        a = (round(inset * SCALE), round(inset * SCALE))
        b = (round((self.width - inset) * SCALE), round((self.height - inset) * SCALE))
        cv2.rectangle(self.image, a, b, tuple(map(int, ink)), max(1, round(thick * SCALE)))

    def text(
        self,
        groups: Sequence[str],
        alphabet: Mapping[str, Alpha],
        x: tuple[float, float],
        middle: float,
        height: float,
        ink: Sequence[int],
    ) -> None:
        """Groups of characters between x[0] and x[1], as wide as they are by nature if they fit."""
        glyphs = [[alphabet[c] for c in group] for group in groups]
        widths = [[g.shape[1] / 96 * height for g in group] for group in glyphs]
        gap = height * self.rng.uniform(0.09, 0.22)
        between = gap + height * self.rng.uniform(0.05, 0.45)
        needed = sum(map(sum, widths)) + gap * sum(len(g) - 1 for g in groups)
        needed += between * (len(groups) - 1)
        room = x[1] - x[0]
        squeeze = min(1.0, room / needed)
        slack = max(0.0, room - needed)
        count = sum(map(len, groups))
        spread = min(self.rng.uniform(0.0, 0.8) * slack / max(1, count - 1), 0.12 * height)
        slack -= spread * (count - 1)
        if len(groups) > 1:
            wider = min(self.rng.uniform(0.0, 0.9) * slack / (len(groups) - 1), 0.8 * height)
            between += wider
            slack -= wider * (len(groups) - 1)
        at = x[0] + self.rng.beta(1, 2) * slack
        for row, across in zip(glyphs, widths, strict=True):
            for glyph, wide in zip(row, across, strict=True):
                y = middle - height / 2 + self.rng.normal(0, 0.004) * height
                self.stamp(glyph, at, y, wide * squeeze, height, ink)
                at += (wide + gap) * squeeze + spread
            at += (between - gap) * squeeze


def _pick(rng: Random, letters: str, count: int) -> str:
    return "".join(letters[i] for i in rng.integers(len(letters), size=count))


def _letters(rng: Random, count: int) -> str:
    text = _pick(rng, _LETTERS, count)
    if rng.random() < 0.25:  # the commonest last letter, still not the rule
        text = text[:-1] + "A"
    return text


def _region(rng: Random) -> str:
    return _pick(rng, _DIGITS, 2) if rng.random() < 0.15 else str(rng.choice(_REGIONS))


def _paper(
    rng: Random, kinds: Sequence[tuple[float, Sequence[int], Sequence[int]]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    odds = np.array([kind[0] for kind in kinds])
    _, paper, ink = kinds[rng.choice(len(kinds), p=odds / odds.sum())]
    shift = rng.normal(0, 7, 3)
    return (
        np.clip(np.asarray(paper) + shift - rng.uniform(0, 30), 0, 255),
        np.clip(np.asarray(ink) + rng.normal(0, 9, 3) + rng.uniform(0, 25), 0, 255),
    )


_UZ_COLOURS = (
    (0.86, WHITE, BLACK),
    (0.05, (96, 190, 110), BLACK),
    (0.02, (40, 140, 70), (240, 240, 240)),
    (0.04, (240, 205, 60), BLACK),
    (0.015, (40, 80, 170), (240, 240, 240)),
    (0.015, (190, 40, 40), (240, 240, 240)),
)


def uzbek(rng: Random, fonts: Fonts) -> Plate:
    """A plate of any Uzbek form, on one line."""
    region = _region(rng)
    kind = rng.random()
    if kind < 0.50:
        groups = [_letters(rng, 1), _pick(rng, _DIGITS, 3), _letters(rng, 2)]
    elif kind < 0.78:
        groups = [_pick(rng, _DIGITS, 3), _letters(rng, 3)]
    elif kind < 0.84:
        groups = [_letters(rng, 1), _pick(rng, _DIGITS, 6)]
    elif kind < 0.88:
        groups = [_letters(rng, 1), _pick(rng, _DIGITS, 4)]
    elif kind < 0.91:
        groups = [_letters(rng, 2), _pick(rng, _DIGITS, 3)]
    elif kind < 0.94:
        groups = [_pick(rng, _DIGITS, 3), _letters(rng, 2)]
    else:
        return _uzbek_without_region(rng, fonts)
    alphabet = fonts.alphabet(rng, 0.8)
    paper, ink = _paper(rng, _UZ_COLOURS)
    canvas = Canvas(rng, 520, 112, paper)
    small, big = rng.uniform(50, 62), rng.uniform(70, 80)
    rule = rng.uniform(98, 116)
    foot = 56 + big / 2
    region_at = foot - small / 2 - rng.uniform(-1, 9)
    if rng.random() < 0.07:  # electric and hybrid cars: the region's field is green
        canvas.box(3, 3, rule - 3, 106, (90, 185, 105))
    narrow = rng.uniform(0.72, 1.0)  # the region's digits are not only lower
    region_digits = {
        digit: cv2.resize(alphabet[digit], None, fx=narrow, fy=1, interpolation=cv2.INTER_AREA)
        for digit in region
    }
    canvas.text([region], region_digits, (rng.uniform(12, 22), rule - 5), region_at, small, ink)
    if rng.random() < 0.9:
        canvas.box(rule, 4, rng.uniform(1.5, 3.5), 104, ink)
    right = rng.uniform(440, 468)
    canvas.text(groups, alphabet, (rule + rng.uniform(6, 12), right), 56, big, ink)
    if rng.random() < 0.92:
        _uz_flag(canvas, fonts, right + rng.uniform(4, 10), ink)
    if rng.random() < 0.92:
        canvas.frame(ink)
    return Plate(canvas.image, region + "".join(groups), "UZ", 1)


def _uzbek_without_region(rng: Random, fonts: Fonts) -> Plate:
    """Diplomats, heads of missions, transit: no region at the left."""
    kind = rng.random()
    if kind < 0.4:
        groups = [_pick(rng, "DTX", 1), _pick(rng, _DIGITS, 3), _pick(rng, _DIGITS, 3)]
    elif kind < 0.5:
        groups = ["CMD", _pick(rng, _DIGITS, 3)]
    elif kind < 0.8:
        groups = ["T", _pick(rng, _DIGITS, 6), _region(rng)]
    else:
        groups = [_pick(rng, _DIGITS, 4), _letters(rng, 2), _region(rng)]
    colours = ((0.5, (40, 140, 70), WHITE), (0.5, WHITE, BLACK))
    paper, ink = _paper(rng, colours)
    canvas = Canvas(rng, 520, 112, paper)
    right = rng.uniform(450, 500)
    canvas.text(groups, fonts.alphabet(rng, 0.8), (16, right), 56, rng.uniform(68, 80), ink)
    if right < 470 and groups[0] != "T":
        _uz_flag(canvas, fonts, right + 4, ink)
    canvas.frame(ink)
    return Plate(canvas.image, "".join(groups), "UZ", 1)


def _uz_flag(canvas: Canvas, fonts: Fonts, x: float, ink: Sequence[int]) -> None:
    rng = canvas.rng
    y, w, h = rng.uniform(18, 32), rng.uniform(28, 40), rng.uniform(14, 24)
    stripes = (((20, 150, 200), 0.32), ((235, 235, 235), 0.32), ((40, 160, 70), 0.32))
    for i, (colour, part) in enumerate(stripes):
        canvas.box(x, y + i * h * 0.34, w, h * part, np.asarray(colour) + rng.normal(0, 12, 3))
    green = (20, 110, 90) if rng.random() < 0.6 else ink
    word = fonts.word(rng, "UZ", 40)
    canvas.stamp(word, x + 1, y + h + rng.uniform(4, 10), w * 0.8, rng.uniform(15, 24), green)
    if rng.random() < 0.8:  # the mark of the maker
        r = rng.uniform(2, 5)
        canvas.box(x + w - r, y + h + rng.uniform(8, 30), 2 * r, 2 * r, ink)


def uzbek_square(rng: Random, fonts: Fonts) -> Plate:
    """Two lines: cars with a square holder, trailers (region last), motorcycles."""
    alphabet = fonts.alphabet(rng, 0.8)
    paper, ink = _paper(rng, _UZ_COLOURS)
    kind = rng.random()
    region = _region(rng)
    if kind < 0.35:
        a, d, b = _letters(rng, 1), _pick(rng, _DIGITS, 3), _letters(rng, 2)
        lines = [[region, a], [d, b]] if rng.random() < 0.6 else [[region], [a, d, b]]
    elif kind < 0.5:
        d, b = _pick(rng, _DIGITS, 3), _letters(rng, 3)
        lines = [[region, d], [b]] if rng.random() < 0.5 else [[region], [d, b]]
    elif kind < 0.8:
        d, b = _pick(rng, _DIGITS, 4), _letters(rng, 2)
        lines = [[d], [b, region]] if rng.random() < 0.75 else [[d, b], [region]]
    elif kind < 0.93:
        a, d = _letters(rng, int(rng.integers(1, 3))), _pick(rng, _DIGITS, int(rng.integers(3, 5)))
        lines = [[region, a], [d]] if rng.random() < 0.7 else [[region], [a, d]]
    elif kind < 0.97:
        d, b = _pick(rng, _DIGITS, 3), _letters(rng, 2)
        lines = [[d], [b, region]] if rng.random() < 0.5 else [[region, d], [b]]
    else:
        d = _pick(rng, _DIGITS, 6)
        lines = [["T", d[:4]], [d[4:], region]] if rng.random() < 0.5 else [[region, "H"], [d]]
    width, height = ((280, 202), (288, 206), (245, 160), (190, 145))[rng.integers(4)]
    plate = _square(rng, fonts, lines, alphabet, (width, height), paper, ink)
    return Plate(plate, "".join(group for line in lines for group in line), "UZ", 2)


def _square(
    rng: Random,
    fonts: Fonts,
    lines: Sequence[Sequence[str]],
    alphabet: Mapping[str, Alpha],
    size: tuple[float, float],
    paper: Sequence[int],
    ink: Sequence[int],
) -> Rgb:
    width, height = size
    canvas = Canvas(rng, width, height, paper)
    high = height * rng.uniform(0.34, 0.4)
    middles = height * rng.uniform(0.26, 0.3), height * rng.uniform(0.70, 0.75)
    flag = rng.random() < 0.8
    for index, (groups, middle) in enumerate(zip(lines, middles, strict=True)):
        left, right = rng.uniform(0.05, 0.12) * width, width * rng.uniform(0.88, 0.95)
        if index == 0 and flag and sum(map(len, groups)) < 5:
            right = width * 0.76
        tall = high * rng.uniform(0.82, 1.0)
        canvas.text(groups, alphabet, (left, right), middle, tall, ink)
    if flag and sum(map(len, lines[0])) < 5:
        x, y, w, h = width * 0.79, height * 0.12, width * 0.14, height * 0.12
        for i, colour in enumerate(((20, 150, 200), (235, 235, 235), (40, 160, 70))):
            canvas.box(x, y + i * h / 3, w, h / 3, colour)
        canvas.stamp(fonts.word(rng, "UZ", 40), x, y + h * 1.4, w * 0.8, h * 0.9, (20, 110, 90))
    if rng.random() < 0.9:
        canvas.frame(ink)
    return canvas.image


def kazakh(rng: Random, fonts: Fonts) -> Plate:
    digits, letters = _pick(rng, _DIGITS, 3), _pick(rng, _LETTERS, int(rng.integers(2, 4)))
    region = f"{rng.integers(1, 21):02d}"
    paper, ink = _paper(rng, ((0.95, WHITE, BLACK), (0.05, (240, 205, 60), BLACK)))
    alphabet = fonts.alphabet(rng, 0.5)
    if rng.random() < 0.2:
        image = _square(rng, fonts, [[digits], [letters, region]], alphabet, (280, 202), paper, ink)
        return Plate(image, digits + letters + region, "KZ", 2)
    canvas = Canvas(rng, 520, 112, paper)
    _left_flag(canvas, fonts, (60, 175, 200), "KZ", (230, 200, 60))
    canvas.text([digits, letters], alphabet, (58, 395), 56, rng.uniform(70, 80), ink)
    canvas.box(rng.uniform(398, 410), 4, 2.5, 104, ink)
    canvas.text([region], alphabet, (420, 505), 56, rng.uniform(62, 78), ink)
    canvas.frame(ink)
    return Plate(canvas.image, digits + letters + region, "KZ", 1)


def _left_flag(
    canvas: Canvas, fonts: Fonts, colour: Sequence[int], word: str, spot: Sequence[int]
) -> None:
    rng = canvas.rng
    canvas.box(14, rng.uniform(24, 34), 32, 20, colour)
    canvas.box(26, 38, 8, 8, spot)
    canvas.stamp(fonts.word(rng, word, 40), 14, rng.uniform(64, 72), 32, 20, (25, 25, 30))


def kyrgyz(rng: Random, fonts: Fonts) -> Plate:
    region = f"{rng.integers(1, 10):02d}"
    groups = [_pick(rng, _DIGITS, 3), _pick(rng, _LETTERS, 3 if rng.random() < 0.85 else 2)]
    alphabet = fonts.alphabet(rng, 0.5)
    paper, ink = _paper(rng, ((1.0, WHITE, BLACK),))
    if rng.random() < 0.15:
        lines = [[region, groups[0]], [groups[1]]]
        image = _square(rng, fonts, lines, alphabet, (280, 202), paper, ink)
        return Plate(image, region + "".join(groups), "KG", 2)
    canvas = Canvas(rng, 520, 112, paper)
    rule = rng.uniform(96, 120)
    if rng.random() < 0.75:  # region above, flag and KG below it
        canvas.text([region], alphabet, (18, rule - 6), 36, rng.uniform(44, 54), ink)
        canvas.box(20, rng.uniform(72, 80), 32, 19, (215, 30, 40))
        canvas.box(32, 82, 8, 7, (250, 220, 60))
        canvas.stamp(fonts.word(rng, "KG", 40), 60, rng.uniform(74, 80), 30, 18, ink)
        right = 505.0
    else:
        canvas.text([region], alphabet, (18, rule - 6), 58, rng.uniform(50, 60), ink)
        canvas.box(470, 22, 34, 20, (215, 30, 40))
        canvas.stamp(fonts.word(rng, "KG", 40), 472, 56, 30, 20, ink)
        right = 460.0
    if rng.random() < 0.8:
        canvas.box(rule, 4, 2.5, 104, ink)
    canvas.text(groups, alphabet, (rule + 8, right), 56, rng.uniform(70, 80), ink)
    canvas.frame(ink)
    return Plate(canvas.image, region + "".join(groups), "KG", 1)


def tajik(rng: Random, fonts: Fonts) -> Plate:
    groups = [_pick(rng, _DIGITS, 4), _pick(rng, _LETTERS, 2)]
    region = f"{rng.integers(1, 9):02d}"
    alphabet = fonts.alphabet(rng, 0.5)
    paper, ink = _paper(rng, ((1.0, WHITE, BLACK),))
    canvas = Canvas(rng, 520, 112, paper)
    if rng.random() < 0.5:
        _left_flag(canvas, fonts, (200, 40, 45), "TJ", (40, 140, 60))
        left = 58.0
    else:
        left = 18.0
    canvas.text(groups, alphabet, (left, 395), 56, rng.uniform(70, 80), ink)
    canvas.box(402, 4, 2.5, 104, ink)
    canvas.text([region], alphabet, (416, 505), 46, rng.uniform(50, 64), ink)
    if left < 20:
        canvas.box(420, 84, 24, 14, (200, 40, 45))
        canvas.stamp(fonts.word(rng, "TJ", 40), 460, 84, 26, 16, ink)
    canvas.frame(ink)
    return Plate(canvas.image, "".join(groups) + region, "TJ", 1)


def turkmen(rng: Random, fonts: Fonts) -> Plate:
    groups = [_pick(rng, _LETTERS, 2), _pick(rng, _DIGITS, 4)]
    region = str(rng.choice(["AG", "AH", "BN", "DZ", "LB", "MR"]))
    alphabet = fonts.alphabet(rng, 0.5)
    paper, ink = _paper(rng, ((1.0, WHITE, BLACK),))
    canvas = Canvas(rng, 520, 112, paper)
    canvas.box(0, 0, 44, 112, (30, 130, 70))
    canvas.stamp(fonts.word(rng, "TM", 40), 8, 70, 28, 22, (240, 240, 240))
    canvas.text([*groups, region], alphabet, (54, 505), 56, rng.uniform(70, 80), ink)
    canvas.frame(ink)
    return Plate(canvas.image, "".join(groups) + region, "TM", 1)


def russian(rng: Random, fonts: Fonts) -> Plate:
    groups = [_pick(rng, _RUSSIAN, 1), _pick(rng, _DIGITS, 3), _pick(rng, _RUSSIAN, 2)]
    region = _pick(rng, _DIGITS, 2) if rng.random() < 0.6 else "17" + _pick(rng, _DIGITS, 1)
    alphabet = fonts.alphabet(rng, 0.5)
    paper, ink = _paper(rng, ((1.0, WHITE, BLACK),))
    canvas = Canvas(rng, 520, 112, paper)
    canvas.text(groups, alphabet, (22, 380), 56, rng.uniform(66, 76), ink)
    canvas.box(388, 4, 2.5, 104, ink)
    canvas.text([region], alphabet, (400, 500), 42, 54, ink)
    canvas.stamp(fonts.word(rng, "RUS", 40), 402, 80, 44, 18, ink)
    for i, colour in enumerate(((240, 240, 240), (30, 60, 160), (200, 40, 40))):
        canvas.box(456, 80 + i * 6, 36, 6, colour)
    canvas.frame(ink)
    return Plate(canvas.image, "".join(groups) + region, "RU", 1)


def afghan(rng: Random, fonts: Fonts) -> Plate:
    """Perso-Arabic above or beside a Latin line; now and then Perso-Arabic alone (Iran's too)."""
    digits = _pick(rng, _DIGITS, int(rng.integers(4, 6)))
    native = "".join(_PERSIAN[int(d)] for d in digits)
    province = str(rng.choice(_PROVINCES))
    kinds = ((0.7, WHITE, BLACK), (0.2, (200, 60, 50), WHITE), (0.1, (240, 205, 60), BLACK))
    paper, ink = _paper(rng, kinds)
    alphabet = fonts.alphabet(rng, 0.4)
    latin_too = rng.random() < 0.6
    canvas = Canvas(rng, *((335, 155) if rng.random() < 0.6 else (520, 112)), paper)
    w, h = canvas.width, canvas.height
    top = fonts.word(rng, native, 80, arabic=True)
    name = fonts.word(rng, province, 80, arabic=True)
    if latin_too:
        canvas.stamp(name, w * 0.62, h * 0.08, w * 0.3, h * 0.34, ink)
        canvas.stamp(top, w * 0.08, h * 0.1, w * 0.5, h * 0.32, ink)
        prefix = str(rng.choice(["KBL", "BLH", "HRT", "KDZ"])) if rng.random() < 0.7 else ""
        kind = _pick(rng, "BLMT", 1) if rng.random() < 0.4 else ""
        groups = [group for group in (prefix, digits, kind) if group]
        canvas.text(groups, alphabet, (w * 0.08, w * 0.92), h * 0.71, h * 0.4, ink)
        text: str | None = "".join(groups)
    else:
        canvas.stamp(name, w * 0.66, h * 0.15, w * 0.28, h * 0.6, ink)
        canvas.stamp(top, w * 0.06, h * 0.18, w * 0.56, h * 0.6, ink)
        text = None
    canvas.frame(ink)
    return Plate(canvas.image, text, "AF", 2 if latin_too else 1)


def generic(rng: Random, fonts: Fonts) -> Plate:
    """Any 4 to 9 characters in any grouping: what keeps the reader from seeing Uzbek everywhere."""
    count = int(rng.integers(4, 10))
    text = _pick(rng, ALPHABET, count)
    groups, at = [], 0
    while at < count:
        size = int(rng.integers(1, 5))
        groups.append(text[at : at + size])
        at += size
    alphabet = fonts.alphabet(rng, 0.5)
    kinds = ((0.8, WHITE, BLACK), (0.1, (240, 205, 60), BLACK), (0.1, (40, 60, 120), WHITE))
    paper, ink = _paper(rng, kinds)
    if rng.random() < 0.3 and len(groups) > 1:
        cut = int(rng.integers(1, len(groups)))
        if max(map(len, ("".join(groups[:cut]), "".join(groups[cut:])))) <= 6:
            lines = [groups[:cut], groups[cut:]]
            canvas = Canvas(rng, 300, 200, paper)
            canvas.text(lines[0], alphabet, (20, 280), 55, rng.uniform(60, 80), ink)
            canvas.text(lines[1], alphabet, (20, 280), 145, rng.uniform(60, 80), ink)
            canvas.frame(ink)
            return Plate(canvas.image, text, "?", 2)
    canvas = Canvas(rng, 520, 112, paper)
    left = 16.0
    if rng.random() < 0.6:
        canvas.box(0, 0, 46, 112, (20, 60, 150))
        canvas.stamp(fonts.word(rng, _pick(rng, _LETTERS, 2), 40), 8, 70, 28, 22, (240, 240, 240))
        left = 54.0
    canvas.text(groups, alphabet, (left, 505), 56, rng.uniform(62, 84), ink)
    if rng.random() < 0.7:
        canvas.frame(ink)
    return Plate(canvas.image, text, "?", 1)


def bait(rng: Random, fonts: Fonts) -> Plate:
    """What a careless detector takes for a plate: words, telephone numbers, clocks, grilles."""
    kind = rng.random()
    ink = rng.integers(0, 256, 3)
    paper = np.clip(ink + rng.choice([-1, 1]) * rng.integers(50, 200), 0, 255)
    canvas = Canvas(rng, 520, 112 if rng.random() < 0.8 else 200, paper)
    w, h = canvas.width, canvas.height
    if kind < 0.45:
        words = " ".join(rng.choice(_WORDS, size=int(rng.integers(1, 4))))
        alpha = fonts.word(rng, words, 80)
        canvas.stamp(alpha, w * 0.04, h * 0.2, w * rng.uniform(0.5, 0.92), h * 0.6, ink)
    elif kind < 0.6:
        clock = f"{rng.integers(2020, 2030)}-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}"
        clock += f" {rng.integers(24):02d}:{rng.integers(60):02d}:{rng.integers(60):02d}"
        canvas.stamp(fonts.word(rng, clock, 60), 4, h * 0.2, w - 8, h * 0.5, ink)
    elif kind < 0.72:
        phone = f"+998 {rng.integers(90, 99)} {rng.integers(100, 999)}-{rng.integers(10, 99)}"
        canvas.stamp(fonts.word(rng, phone, 60), 4, h * 0.2, w - 8, h * 0.6, ink)
    elif kind < 0.88:  # a grille, a fence, a bumper's slots
        step = rng.uniform(8, 40)
        if rng.random() < 0.5:
            for x in np.arange(0, w, step):
                canvas.box(x, 0, step * rng.uniform(0.2, 0.6), h, ink)
        else:
            for y in np.arange(0, h, step):
                canvas.box(0, y, w, step * rng.uniform(0.2, 0.6), ink)
    else:  # a patch of nothing much: lamps, paint, edges
        noise = rng.integers(0, 256, (int(rng.integers(2, 6)), int(rng.integers(2, 12)), 3))
        size = canvas.image.shape[1], canvas.image.shape[0]
        canvas.image = cv2.resize(noise.astype(np.uint8), size, interpolation=cv2.INTER_CUBIC)
    return Plate(canvas.image, None, "-", 1)


Maker = Callable[[Random, Fonts], Plate]

MIX: Sequence[tuple[float, Maker]] = (
    (0.44, uzbek),
    (0.17, uzbek_square),
    (0.05, kazakh),
    (0.06, kyrgyz),
    (0.04, tajik),
    (0.03, turkmen),
    (0.03, russian),
    (0.04, afghan),
    (0.08, generic),
    (0.06, bait),
)


def any_plate(rng: Random, fonts: Fonts, maker: Maker | None = None) -> Plate:
    """One plate of the mix, or of `maker`, with its dirt, bolts and holder."""
    odds = np.array([share for share, _ in MIX])
    make = maker or MIX[rng.choice(len(MIX), p=odds / odds.sum())][1]
    plate = make(rng, fonts)
    wear(rng, plate.image)
    return plate


def wear(rng: Random, image: Rgb) -> None:
    """Dirt, faded paint, bolts and the words of a holder, in place."""
    h, w = image.shape[:2]
    if rng.random() < 0.45:
        strength = rng.uniform(0.05, 0.5)
        coarse = rng.random((int(rng.integers(3, 12)), int(rng.integers(6, 30)))).astype(np.float32)
        mask = cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC)
        mask = np.clip((mask - rng.uniform(0.3, 0.7)) * 2.5, 0, 1)[..., None] * strength
        mud = np.asarray([120, 105, 85], np.float32) + rng.normal(0, 20, 3).astype(np.float32)
        image[:] = np.clip(image * (1 - mask) + mud * mask, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        radius = max(1, round(rng.uniform(3, 7) * SCALE))
        shade = int(rng.integers(30, 200))
        for x in (rng.uniform(0.12, 0.25), rng.uniform(0.75, 0.88)):
            y = rng.choice([0.12, 0.5, 0.88])
            cv2.circle(image, (round(x * w), round(y * h)), radius, (shade,) * 3, -1, cv2.LINE_AA)
