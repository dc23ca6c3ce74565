"""An office's table of sought plates: what is written right, mended, and refused."""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from agent.errors import HotlistError
from agent.hotlist.hotlist import (
    CASE_LIMIT_CHARS,
    ENTRIES_LIMIT,
    LIFE_LIMIT_MS,
    REASON_LIMIT_CHARS,
)
from agent.plates.grammar import ANY, HOME
from agent.plates.kbest import SLOTS
from agent.records import PlateText

Canonical = Callable[[str, str], PlateText | None]
"""Text and country to the one way to write that plate; None where no form of the country fits."""

REQUIRED = ("plate", "case", "reason")
COLUMNS = ("plate", "country", "case", "reason", "expires")
_IN_OTHER_WORDS = {
    "plate": (
        "номер",
        "госномер",
        "гос. номер",
        "raqam",
        "davlat raqami",
        "рақам",
        "давлат рақами",
    ),
    "country": ("страна", "davlat", "mamlakat", "давлат", "мамлакат"),
    "case": ("дело", "номер дела", "ish", "ish raqami", "иш", "иш рақами"),
    "reason": ("причина", "основание", "sabab", "сабаб"),
    "expires": ("срок", "до", "muddat", "муддат"),
}
"""Names of the columns in Russian and Uzbek, as offices head their tables."""

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LATIN = str.maketrans("АВЕКМНОРСТУХ", "ABEKMHOPCTYX")
_ONE_SHAPE = str.maketrans("OI", "01")
_COMMON = ("private", "legal")  # of a lost character the rest often fits a rarer form
_LENGTHS = range(4, SLOTS + 1)  # of a plate
_DATES = ("%Y-%m-%d", "%d.%m.%Y")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """One line that may stand in a list."""

    plate: PlateText
    case: str
    reason: str
    expires_ms: int


@dataclass(slots=True, kw_only=True)
class Sheet:
    """A table as it was understood; every text names its line."""

    sought: list[Sought] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class _Wrong(Exception):  # noqa: N818 - the answer of a check
    """Why a line is refused."""


def read_sheet(
    content: bytes,
    *,
    canonical: Canonical,
    countries: Collection[str],
    made_ms: int,
    expires_ms: int,
) -> Sheet:
    """Every line of a CSV table (comma, semicolon or tab, first line: names of the columns).

    UTF-8, or what Excel writes in a Russian Windows. A line without a date of its own expires
    with the list. HotlistError when it is no such table.
    """
    sheet, seen = Sheet(), dict[tuple[str, str], int]()
    text, doubt = _decoded(content)
    if doubt:
        sheet.changes.append(doubt)
    names, lines = _table(text)
    listed = _plates_as_drawn(names, lines)
    for line, cells in lines:
        try:
            row = _row(names, cells)
            plate = _plate(row["plate"], row["country"].upper() or HOME, canonical, countries)
            name = (plate.country, plate.text)
            if name in seen:
                raise _Wrong(f"{plate.text} is in line {seen[name]} already")
            sought = Sought(
                plate=plate,
                case=_words(row["case"], "case number", CASE_LIMIT_CHARS, listed),
                reason=_words(row["reason"], "reason", REASON_LIMIT_CHARS, listed),
                expires_ms=_expiry(row["expires"], made_ms) or expires_ms,
            )
        except _Wrong as wrong:
            sheet.problems.append(f"line {line}: {wrong}")
            continue
        seen[name] = line
        sheet.sought.append(sought)
        if row["expires"] and sought.expires_ms == made_ms + LIFE_LIMIT_MS:
            last = datetime.fromtimestamp(sought.expires_ms / 1000, tz=timezone.utc)
            sheet.changes.append(
                f"line {line}: {row['expires']} -> {last:%Y-%m-%d %H:%M} UTC (30 days at most)"
            )
        if plate.country == ANY:
            sheet.changes.append(f"line {line}: {plate.text} is taken as it stands, of any country")
        elif plate.pattern not in _COMMON:
            sheet.changes.append(f"line {line}: {plate.text} is taken for a {plate.pattern} plate")
        if changed := _changed(row["plate"], plate.text):
            sheet.changes.append(f"line {line}: {row['plate']} -> {plate.text} ({changed})")
    if len(sheet.sought) > ENTRIES_LIMIT:
        raise HotlistError(f"has {len(sheet.sought)} plates; a list takes {ENTRIES_LIMIT}")
    return sheet


def _decoded(content: bytes) -> tuple[str, str]:
    """The text, and what is to be looked at because its encoding is a guess."""
    for encoding, doubt in (
        ("utf-16" if content.startswith(_UTF_16) else "utf-8-sig", ""),
        ("cp1251", "is not UTF-8: taken for Windows-1251, look at the reasons"),
    ):
        try:
            return content.decode(encoding), doubt
        except UnicodeDecodeError:
            continue
    raise HotlistError("is no text; save it as CSV UTF-8")


def _table(text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The columns, and the number and the cells of each line that is not empty."""
    head = text.partition("\n")[0]
    delimiter = next((each for each in ";\t" if each in head), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [_column(name) for name in next(reader, [])]
        lines = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise HotlistError(
            f"line {reader.line_num}: {error}; a quotation mark in a text is written twice"
        ) from error
    strange = [name for name in names if name not in COLUMNS]
    missing = [name for name in REQUIRED if name not in names]
    if strange or missing or len(set(names)) != len(names):
        faults = [f"{name or 'an empty heading'} is none of them" for name in strange[:1]]
        faults += [f"{name} is missing" for name in missing[:1]]
        raise HotlistError(
            f"line 1 must name the columns {', '.join(COLUMNS)} (country, expires: as needed), "
            f"each once{''.join(f'; {fault}' for fault in faults)}"
        )
    return names, lines


def _column(heading: str) -> str:
    plain = heading.strip().lower()
    return next((name for name, also in _IN_OTHER_WORDS.items() if plain in also), plain)


def _row(names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    if len(cells) != len(names):
        raise _Wrong(f"has {len(cells)} cells, not {len(names)}; put quotes around a text with ,")
    return dict.fromkeys(COLUMNS, "") | {
        name: cell.strip() for name, cell in zip(names, cells, strict=True)
    }


def _plate(raw: str, country: str, canonical: Canonical, countries: Collection[str]) -> PlateText:
    if country not in countries:
        raise _Wrong(f"no plates are known of country {country}; of {', '.join(countries)}")
    plain = _plain(raw)
    if not plain:
        raise _Wrong("the plate is missing")
    odd = [char for char in plain if not (char.isascii() and char.isalnum())]
    if odd:
        named = unicodedata.name(odd[0], "?").lower()
        advice = "write it in Latin letters" if odd[0].isalpha() else "leave it out"
        raise _Wrong(f"{raw}: {odd[0]} ({named}) is on no plate; {advice}")
    plate = canonical(plain, country)
    if plate is None and country == ANY:
        raise _Wrong(f"{raw} is no plate; 4 to 9 letters and digits, two of them digits, are one")
    if plate is None:
        raise _Wrong(f"{raw} is no plate of {country}; if it is right, give it the country {ANY}")
    return plate


def _plain(raw: str) -> str:
    """Capital Latin letters and digits, as far as that can be told without any grammar."""
    latin = raw.upper().translate(_LATIN)
    return "".join(char for char in latin if not _is_gap(char))


def _drawn(plain: str) -> str:
    """One text for all that look the same."""
    return plain.translate(_ONE_SHAPE)


def _is_gap(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) == "Pd"


def _changed(raw: str, text: str) -> str:
    """In words, what was done to `raw`; nothing where it was right."""
    upper = raw.upper()
    latin = upper.translate(_LATIN)
    mended = {a for a, b in zip(_plain(raw), text, strict=True) if a != b}
    told = {
        "spaces and dashes": any(map(_is_gap, raw)),
        "small letters": upper != raw,
        "Cyrillic letters": latin != upper,
        "O and 0": not mended.isdisjoint("O0"),
        "I and 1": not mended.isdisjoint("I1"),
    }
    return ", ".join(name for name, applies in told.items() if applies)


def _plates_as_drawn(
    names: Sequence[str], lines: Sequence[tuple[int, list[str]]]
) -> dict[str, int]:
    """Every plate of the table in one way to write it, and its line."""
    plates: dict[str, int] = {}
    for line, cells in lines:
        cell = dict(zip(names, cells, strict=False)).get("plate", "")
        plates.setdefault(_drawn(_plain(cell)), line)
    return plates


def _words(text: str, name: str, limit: int, listed: Mapping[str, int]) -> str:
    """`text`, which the boxes hold in clear, and so must not name a plate that they know hashed."""
    if not text:
        raise _Wrong(f"the {name} is missing")
    if len(text) > limit:
        raise _Wrong(f"the {name} has {len(text)} characters; at most {limit}")
    drawn = _drawn(_plain(text))
    for length in _LENGTHS:
        for start in range(len(drawn) - length + 1):
            if line := listed.get(drawn[start : start + length]):
                raise _Wrong(
                    f"the {name} has the plate of line {line} in it, and would tell it; "
                    "leave it out there"
                )
    return text


def _expiry(text: str, made_ms: int) -> int | None:
    """The end of that day, UTC."""
    if not text:
        return None
    for form in _DATES:
        try:
            day = datetime.strptime(text, form).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
        end_ms = round((day + timedelta(days=1)).timestamp() * 1000)
        if end_ms <= made_ms:
            raise _Wrong(f"expired on {text}")
        return min(end_ms, made_ms + LIFE_LIMIT_MS)
    raise _Wrong(f"{text} is no date; write it as 2026-01-31 or 31.01.2026")
