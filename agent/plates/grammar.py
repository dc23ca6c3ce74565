"""What plates may say: one file a country in `countries/`, the search for the likeliest text.

A pattern is a plate's form. Its layouts say the text position by position: a small letter names
an alphabet of the file, a capital letter or a digit stands for itself, `/` is where the second
line begins, spaces are for the reader only. An alphabet is a text (one of its characters) or a
list (one of its entries, such as the regions), or a table of entries with their priors. `prior`
of a pattern and of an entry are natural logarithms and all that the search adds to what is seen.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from math import exp, inf, isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from agent.errors import ModelError
from agent.plates.kbest import SLOTS, SYMBOLS, Floats, KBest, Priors, Unit
from agent.records import PlateText

_toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

COUNTRIES = Path(__file__).parent / "countries"
HOME = "UZ"
ANY = "?"
_CHARACTERS = frozenset(SYMBOLS[:-1])
_DIGITS = frozenset("0123456789")
_ALIKE = {"O": "0", "0": "O", "I": "1", "1": "I"}  # one shape in many fonts: typed for each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One text form of a pattern, on one line or two."""

    units: tuple[Unit, ...]

    @property
    def length(self) -> int:
        return sum(len(unit[0]) for unit in self.units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A kind of plate of one country."""

    name: str
    prior: float  # natural log
    forms: tuple[Form, ...]
    least_digits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    code: str
    name: str
    patterns: tuple[Pattern, ...]
    priors: Priors


class Grammars:
    """All countries at once."""

    def __init__(self, countries: Iterable[Country]) -> None:
        ordered = sorted(countries, key=lambda country: (country.code != HOME, country.code))
        self.countries: Mapping[str, Country] = MappingProxyType({c.code: c for c in ordered})
        self._rows: list[tuple[Country, Pattern]] = []
        units: list[tuple[Unit, ...]] = []
        for country in ordered:
            for pattern in country.patterns:
                for form in pattern.forms:
                    for row in _with_digits(form.units, pattern.least_digits):
                        self._rows.append((country, pattern))
                        units.append(row)
        self._kbest = KBest(units, [country.priors for country, _ in self._rows])
        self._priors = np.array([pattern.prior for _, pattern in self._rows])
        codes = list(self.countries)
        self._country_of_row = np.array([codes.index(country.code) for country, _ in self._rows])

    def canonical(self, text: str, country: str | None = None) -> PlateText | None:
        """The one way to write a plate, or None where no country's form fits.

        O and 0, I and 1 are repaired where only one of the two may stand. Without a country the
        one that needs fewest repairs is taken, of several the home country; `?` only if asked for.
        """
        plain = "".join(char for char in text.upper() if char.isalnum())
        codes = [code for code in self.countries if code != ANY] if country is None else [country]
        best: dict[str, PlateText] = {}
        fewest = len(plain) + 1
        for code in codes:
            fits = list(self._fits(plain, code))
            repairs = min((count for count, _ in fits), default=fewest)
            if repairs < fewest:
                fewest = repairs
                best = {fit.text: fit for count, fit in fits if count == repairs}
        return next(iter(best.values())) if len(best) == 1 else None

    def _fits(self, plain: str, code: str) -> Iterator[tuple[int, PlateText]]:
        """Every reading of `plain` in that country, with the number of characters it changes."""
        if code not in self.countries:
            raise ValueError(f"{code}: no such country; there are {', '.join(self.countries)}")
        for pattern in self.countries[code].patterns:
            for form in pattern.forms:
                text = _repaired(plain, form)
                if text and sum(char in _DIGITS for char in text) >= pattern.least_digits:
                    changed = sum(a != b for a, b in zip(plain, text, strict=True))
                    yield changed, PlateText(country=code, text=text, pattern=pattern.name, loss=0)

    def search(
        self, char_logp: Floats, country_logp: Mapping[str, float], keep: int = 8
    ) -> tuple[PlateText, ...]:
        """The `keep` most probable strings, best first; exact.

        `char_logp` (SLOTS, 37) holds natural log probabilities of SYMBOLS, summed over views;
        after the text every slot is blank. A country that `country_logp` lacks is not considered.
        """
        weights = np.array([country_logp.get(code, -inf) for code in self.countries])
        found = self._kbest.search(char_logp, self._priors + weights[self._country_of_row], keep)
        results = []
        for one in found:
            country, pattern = self._rows[one.row]
            loss = found[0].score - one.score
            results.append(
                PlateText(country=country.code, text=one.text, pattern=pattern.name, loss=loss)
            )
        return tuple(results)

    @staticmethod
    def posterior(results: Iterable[PlateText]) -> float:
        """Share that the best text, of whatever country, has among `results`; 0 without any.

        Only as good as the probabilities that `search` was given: calibrate before use.
        """
        shares: dict[str, float] = {}
        for result in results:
            shares[result.text] = shares.get(result.text, 0.0) + exp(-result.loss)
        return next(iter(shares.values())) / sum(shares.values()) if shares else 0.0


@cache
def load_grammars(directory: Path = COUNTRIES) -> Grammars:
    """Every `*.toml` of the folder, checked; ModelError says what is wrong where."""
    paths = sorted(directory.glob("*.toml"))
    if not paths:
        raise ModelError(f"{directory}: no grammar of plates here; install the agent again")
    countries = [_country(path) for path in paths]
    codes = [country.code for country in countries]
    for path, code in zip(paths, codes, strict=True):
        if codes.count(code) > 1:
            raise ModelError(f"{path}: country {code} is in another file too; keep one of them")
    return Grammars(countries)


def _with_digits(units: tuple[Unit, ...], least: int) -> Iterator[tuple[Unit, ...]]:
    """Rows of independent units that together give each text of `least` digits or more once."""
    if least == 0:
        yield units
        return
    for at, unit in enumerate(units):  # where the first digit is; before it there is none
        before = tuple(_only(one, digits=False) for one in units[:at])
        digits = _only(unit, digits=True)
        if digits and all(before):
            for rest in _with_digits(units[at + 1 :], least - 1):
                yield (*before, digits, *rest)


def _only(unit: Unit, *, digits: bool) -> Unit:
    return tuple(value for value in unit if (value in _DIGITS) == digits)


def _repaired(plain: str, form: Form) -> str | None:
    """`plain` with look-alikes made to fit `form`; None where it does not."""
    if len(plain) != form.length:
        return None
    slot, text = 0, ""
    for unit in form.units:
        width = len(unit[0])
        part = plain[slot : slot + width]
        allowed = [{value[i] for value in unit} for i in range(width)]
        mended = "".join(
            char if char in chars else _ALIKE.get(char, char)
            for char, chars in zip(part, allowed, strict=True)
        )
        if mended not in unit:
            return None
        slot, text = slot + width, text + mended
    return text


def _country(path: Path) -> Country:
    """One file, read and checked."""
    try:
        table = _toml.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path}: not valid TOML: {error}") from error
    _only_keys(path, table, {"country", "name", "alphabets", "patterns"})
    alphabets = {
        key: _alphabet(path, key, raw)
        for key, raw in _get(path, table, "alphabets", dict, "a table").items()
    }
    priors = {
        alphabets[key]: _entry_priors(path, key, raw)
        for key, raw in table["alphabets"].items()
        if isinstance(raw, dict)
    }
    patterns = tuple(
        _pattern(path, raw, alphabets)
        for raw in _get(path, table, "patterns", list, "a list of tables")
    )
    if not patterns:
        raise ModelError(f"{path}: patterns is empty; name at least one")
    _distinct(path, patterns)
    return Country(
        code=_get(path, table, "country", str, "a text"),
        name=_get(path, table, "name", str, "a text"),
        patterns=patterns,
        priors=priors,
    )


def _get(path: Path, table: Any, key: str, kind: type, expected: str) -> Any:
    value = table.get(key) if isinstance(table, dict) else None
    if not isinstance(value, kind):
        raise ModelError(f"{path}: {key} is {value!r}; it must be {expected}")
    return value


def _only_keys(path: Path, table: Mapping[str, Any], known: set[str]) -> None:
    for key in table:
        if key not in known:
            raise ModelError(f"{path}: unknown key {key}; known are {', '.join(sorted(known))}")


def _alphabet(path: Path, key: str, raw: Any) -> Unit:
    """A text's characters or a list's entries: distinct, equally long, of A-Z and 0-9."""
    values = tuple(raw) if isinstance(raw, str | list | dict) else ()
    right = (
        len(key) == 1
        and key.islower()
        and values
        and all(isinstance(value, str) and value and _CHARACTERS.issuperset(value) for value in raw)
        and len({len(value) for value in values}) == 1
        and len(set(values)) == len(values)
    )
    if not right:
        raise ModelError(
            f"{path}: alphabets.{key} is {raw!r}; it must be a small letter = a text or a list of "
            "texts of one length, A-Z and 0-9 only, nothing twice"
        )
    return values


def _entry_priors(path: Path, key: str, raw: Mapping[str, Any]) -> tuple[float, ...]:
    """Of a table's entries, in its order."""
    for entry, prior in raw.items():
        number = isinstance(prior, int | float) and not isinstance(prior, bool)
        if not number or not isfinite(prior) or prior > 0:
            raise ModelError(
                f"{path}: alphabets.{key}: the prior of {entry} is {prior!r}; it must "
                "be a natural logarithm, 0 or less"
            )
    return tuple(map(float, raw.values()))


def _pattern(path: Path, raw: Any, alphabets: Mapping[str, Unit]) -> Pattern:
    name = _get(path, raw, "name", str, "a text")
    _only_keys(path, raw, {"name", "prior", "layouts", "least_digits"})
    prior = float(_get(path, raw, "prior", int | float, "a natural logarithm"))  # type: ignore[arg-type]
    if not isfinite(prior) or prior > 0:
        raise ModelError(f"{path}: prior of {name} is {prior}; it must be 0 or less")
    layouts = _get(path, raw, "layouts", list, "a list of texts")
    if not layouts:
        raise ModelError(f"{path}: layouts of {name} is empty; name at least one")
    distinct = dict.fromkeys(_layout(path, layout, alphabets) for layout in layouts)
    forms = tuple(Form(units=units) for units in distinct)
    least_digits = raw.get("least_digits", 0)
    if type(least_digits) is not int or not 0 <= least_digits <= min(f.length for f in forms):
        raise ModelError(f"{path}: least_digits of {name} is {least_digits!r}; it must fit in")
    return Pattern(name=name, prior=prior, forms=forms, least_digits=least_digits)


def _layout(path: Path, layout: Any, alphabets: Mapping[str, Unit]) -> tuple[Unit, ...]:
    """Units of one layout; a second line may begin anywhere inside it."""
    units: list[Unit] = []
    second = 0
    for char in layout if isinstance(layout, str) else "":
        if char in alphabets:
            units.append(alphabets[char])
        elif char in _CHARACTERS:
            units.append((char,))
        elif char == "/" and units and not second:
            second = sum(len(unit[0]) for unit in units)
        elif char != " ":
            raise ModelError(
                f"{path}: {char!r} in the layout {layout!r}; it must be an alphabet "
                f"({' '.join(alphabets)}), A-Z, 0-9, a space or one / inside"
            )
    length = sum(len(unit[0]) for unit in units)
    if not 0 < length <= SLOTS or second == length > 0:
        raise ModelError(f"{path}: layout {layout!r}; it must give 1 to {SLOTS} characters a plate")
    return tuple(units)


def _distinct(path: Path, patterns: tuple[Pattern, ...]) -> None:
    """No text may come out of two forms of a country: it would be its own runner-up."""
    names = [pattern.name for pattern in patterns]
    for name in names:
        if names.count(name) > 1:
            raise ModelError(f"{path}: two patterns are called {name}")
    forms = [(pattern.name, form) for pattern in patterns for form in pattern.forms]
    for n, (name, form) in enumerate(forms):
        for other_name, other in forms[:n]:
            if form.length == other.length and _meet(form, other):
                raise ModelError(f"{path}: {other_name} and {name} can give the same text")


def _meet(a: Form, b: Form) -> bool:
    """Whether some text fits both, or may: lists that begin at different places count by slot."""
    placed_a, placed_b = dict(_placed(a)), dict(_placed(b))
    for slot, unit in placed_a.items():
        other = placed_b.get(slot)
        if other and len(other[0]) == len(unit[0]) and not set(unit) & set(other):
            return False
    return all(x & y for x, y in zip(_by_slot(a), _by_slot(b), strict=True))


def _placed(form: Form) -> Iterator[tuple[int, Unit]]:
    slot = 0
    for unit in form.units:
        yield slot, unit
        slot += len(unit[0])


def _by_slot(form: Form) -> list[set[str]]:
    return [{value[i] for value in unit} for unit in form.units for i in range(len(unit[0]))]
