"""The grammar of plates: its data, the canonical form, and the exact search for the best texts."""

from __future__ import annotations

import re
from itertools import product
from math import exp, inf, log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import ModelError
from agent.plates.grammar import Grammars, load_grammars
from agent.plates.kbest import BLANK, SLOTS, SYMBOLS, Floats

SMALL = """
country = "{code}"
name = "a small one"
[alphabets]
d = "{digits}"
l = "AO"
r = ["01", "10", "O1"]
[[patterns]]
name = "one"
layouts = ["r l d", "r / l d"]
prior = -0.5
[[patterns]]
name = "two"
layouts = ["M d l r"]
prior = -1.0
"""
FREE = """
country = "?"
name = "free"
[alphabets]
c = "01AO"
[[patterns]]
name = "any"
layouts = ["ccc", "cccc"]
least_digits = 2
prior = -2.0
"""
TURNED = """
country = "UZ"
name = "one letter, one digit"
alphabets = {d = "0", l = "O"}
[[patterns]]
name = "any order"
layouts = ["d l", "l d"]
prior = 0
"""


def small(directory: Path) -> Grammars:
    for name, text in {
        "a": SMALL.format(code="UZ", digits="01"),
        "b": SMALL.format(code="KG", digits="012"),
        "any": FREE,
    }.items():
        (directory / f"{name}.toml").write_text(text)
    return load_grammars(directory)


@pytest.fixture(scope="module")
def grammars(tmp_path_factory: pytest.TempPathFactory) -> Grammars:
    return small(tmp_path_factory.mktemp("countries"))


def texts(alphabets: list[str] | list[list[str]]) -> list[str]:
    return ["".join(choice) for choice in product(*alphabets)]


def brute_force(logp: Floats, country_logp: dict[str, float]) -> list[tuple[float, str, str]]:
    """Every string of the small grammars with its score, best first."""
    region = ["01", "10", "O1"]
    scored = []
    for code, digits in (("UZ", "01"), ("KG", "012")):
        for prior, forms in (
            (-0.5, texts([region, [*"AO"], [*digits]])),
            (-1.0, texts([["M"], [*digits], [*"AO"], region])),
        ):
            scored += [(prior, code, text) for text in forms]
    for length in (3, 4):
        free = ["".join(choice) for choice in product("01AO", repeat=length)]
        scored += [(-2.0, "?", text) for text in free if sum(map(str.isdigit, text)) >= 2]
    answer = []
    for prior, code, text in scored:
        if code in country_logp:
            padded = text.ljust(SLOTS, "_")
            sums = sum(logp[slot, SYMBOLS.index(char)] for slot, char in enumerate(padded))
            answer.append((float(sums) + prior + country_logp[code], code, text))
    return sorted(answer, key=lambda one: -one[0])


def seen(text: str, sure: float = 8.0, seed: int = 0) -> Floats:
    """Log probabilities as of a reader that sees `text`, a little noisy."""
    logits = np.random.default_rng(seed).normal(size=(SLOTS, len(SYMBOLS)))
    for slot, char in enumerate(text.ljust(SLOTS, "_")):
        logits[slot, SYMBOLS.index(char)] += sure
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


README = Path(__file__).parents[2] / "models" / "plates" / "README.md"


def examples() -> list[tuple[str, str, str]]:
    """(country, example, pattern) of each row in the tables of the README."""
    rows, code = [], ""
    for line in README.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"## .*\((\w\w)\)", line):
            code = heading[1]
        elif row := re.match(r"\| `([^`]+)` \| ([a-z-]+) \|", line):
            rows.append((code, row[1], row[2]))
    return rows


EVERYWHERE = dict.fromkeys(load_grammars().countries, -1.0)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), spread=st.floats(0, 6), keep=st.integers(1, 12))
def test_search_of_any_evidence_is_what_brute_force_finds(
    grammars: Grammars, seed: int, spread: float, keep: int
) -> None:
    random = np.random.default_rng(seed)
    logp = -np.abs(random.normal(0, spread, (SLOTS, len(SYMBOLS))))
    country_logp = {code: float(random.normal()) for code in ("UZ", "KG", "?")}
    expected = brute_force(logp, country_logp)[:keep]
    found = grammars.search(logp, country_logp, keep)
    losses = [expected[0][0] - score for score, _, _ in expected]
    assert [one.loss for one in found] == pytest.approx(losses, abs=1e-9)
    assert len({(one.country, one.text) for one in found}) == keep
    if spread > 0.1:
        assert [(one.country, one.text) for one in found] == [one[1:] for one in expected]


def test_search_for_more_than_there_is_gives_all_of_it(grammars: Grammars) -> None:
    logp = np.zeros((SLOTS, len(SYMBOLS)))
    found = grammars.search(logp, {"UZ": 0.0}, keep=100)
    assert len(found) == len({one.text for one in found}) == 24


def test_search_with_impossible_characters_leaves_them_out(grammars: Grammars) -> None:
    logp = np.full((SLOTS, len(SYMBOLS)), -inf)
    for slot, char in enumerate("01A1".ljust(SLOTS, "_")):
        logp[slot, SYMBOLS.index(char)] = -1.0
    found = grammars.search(logp, {"UZ": 0.0, "KG": -1.0, "?": -inf})
    assert [(one.country, one.text) for one in found] == [("UZ", "01A1"), ("KG", "01A1")]
    assert found[1].loss == pytest.approx(1.0)


def test_search_with_nothing_possible_finds_nothing(grammars: Grammars) -> None:
    assert grammars.search(np.full((SLOTS, len(SYMBOLS)), -inf), {"UZ": 0.0}) == ()
    assert grammars.search(np.zeros((SLOTS, len(SYMBOLS))), {}) == ()


def test_search_of_a_wrong_shape_is_refused(grammars: Grammars) -> None:
    with pytest.raises(ValueError, match="it must be"):
        grammars.search(np.zeros((SLOTS, BLANK)), {"UZ": 0.0})


def test_search_of_a_plate_with_a_look_alike_is_settled_by_its_form() -> None:
    logp = np.logaddexp(seen("O1A1Z3BC"), seen("01A123BC") - 3.0)  # e^3 times likelier as O, as Z
    best = load_grammars().search(logp, EVERYWHERE)[0]
    assert (best.country, best.text, best.pattern) == ("UZ", "01A123BC", "private")


@pytest.mark.parametrize("text", ["1A2B3C4D", "XYZ98", "75AB23BC", "123456789"])
def test_search_of_an_unknown_form_gives_what_it_reads(text: str) -> None:
    logp = seen(text, sure=14.0)
    best = load_grammars().search(logp, EVERYWHERE)[0]
    assert (best.country, best.text, best.pattern) == ("?", text, "any")


def test_search_of_an_unknown_form_is_less_sure_than_of_a_known_one() -> None:
    known, unknown = (
        Grammars.posterior(load_grammars().search(seen(text, sure=7.0), EVERYWHERE))
        for text in ("75A123BC", "7A5B1C2D")
    )
    assert unknown < known


def test_posterior_of_one_text_in_two_countries_counts_both(grammars: Grammars) -> None:
    logp = np.full((SLOTS, len(SYMBOLS)), -inf)
    for slot, char in enumerate("01A1".ljust(SLOTS, "_")):
        logp[slot, SYMBOLS.index(char)] = 0.0
    logp[3, SYMBOLS.index("0")] = log(0.5)
    found = grammars.search(logp, {"UZ": 0.0, "KG": 0.0})
    assert Grammars.posterior(found) == pytest.approx(2 / 3)
    assert Grammars.posterior(()) == 0.0
    assert exp(-found[0].loss) == 1.0


@pytest.mark.parametrize(
    ("typed", "country", "text", "pattern"),
    [
        ("75 a 123-bc", None, "75A123BC", "private"),
        ("O1 A I23 BC", None, "01A123BC", "private"),
        ("01 O 123 0C", None, "01O123OC", "private"),
        ("01 123 abc", None, "01123ABC", "legal"),
        ("1234 AB 7O", None, "1234AB70", "trailer"),
        ("1A2B3C4D", "?", "1A2B3C4D", "any"),
    ],
)
def test_canonical_of_what_people_type_is_one_text(
    typed: str, country: str | None, text: str, pattern: str
) -> None:
    plate = load_grammars().canonical(typed, country)
    assert plate is not None
    assert (plate.text, plate.pattern, plate.loss) == (text, pattern, 0)
    assert plate.country == (country or "UZ")


@pytest.mark.parametrize("typed", ["", "75AB23BC", "01A123BI", "71A123BC", "75А123ВС", "SALOM"])
def test_canonical_of_what_fits_no_form_is_nothing(typed: str) -> None:
    assert load_grammars().canonical(typed, "UZ") is None


def test_canonical_of_an_unknown_country_is_refused() -> None:
    with pytest.raises(ValueError, match="no such country"):
        load_grammars().canonical("75A123BC", "XX")


def test_canonical_with_two_repairs_that_differ_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "uz.toml").write_text(TURNED)
    turned = load_grammars(tmp_path)
    assert turned.canonical("00", "UZ") is None
    assert turned.canonical("O0", "UZ") is not None


@settings(deadline=None)
@given(st.data())
def test_canonical_of_its_own_text_is_the_same(data: st.DataObject) -> None:
    everything = load_grammars()
    code = data.draw(st.sampled_from(list(everything.countries)))
    pattern = data.draw(st.sampled_from(everything.countries[code].patterns))
    form = data.draw(st.sampled_from(pattern.forms))
    text = "".join(data.draw(st.sampled_from(unit)) for unit in form.units)
    if sum(map(str.isdigit, text)) >= pattern.least_digits:
        plate = everything.canonical(text, code)
        assert plate is not None
        assert (plate.text, plate.pattern) == (text, pattern.name)
        found = everything.search(seen(text), {code: 0.0})[0]
        assert (found.text, found.pattern) == (text, pattern.name)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('country = "UZ"', "", "country"),
        ('name = "one"', "", "name"),
        ("prior = -0.5", "prior = 0.5", "prior of one"),
        ("prior = -0.5", 'prior = "much"', "prior"),
        ("prior = -0.5", "prior = -0.5\nweight = 3", "unknown key weight"),
        ('"r l d"', '"r l x"', "'x' in the layout"),
        ('"r l d"', '"r l d /"', "1 to 10 characters"),
        ('"r l d"', '"dddd dddd ddd"', "1 to 10 characters"),
        ('"M d l r"', '"0 1 l d"', "one and two can give the same text"),
        ('name = "two"', 'name = "one"', "two patterns are called one"),
        ('l = "AO"', 'l = "AA"', "alphabets.l"),
        ('l = "AO"', 'l = "aб"', "alphabets.l"),
        ('r = ["01", "10", "O1"]', 'r = ["01", "1"]', "alphabets.r"),
        ('r = ["01", "10", "O1"]', 'r = {"01" = 0.5}', "alphabets.r: the prior of 01"),
        ('r = ["01", "10", "O1"]', 'r = {"01" = "much"}', "alphabets.r: the prior of 01"),
        ('r = ["01", "10", "O1"]', 'r = {"01" = 0, "1" = 0}', "alphabets.r"),
        ("prior = -1.0", "prior = -1.0\nleast_digits = 9", "least_digits of two"),
        ('name = "a small one"', "name = ", "not valid TOML"),
    ],
)
def test_load_of_a_damaged_file_says_what_is_wrong(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    text = SMALL.format(code="UZ", digits="01")
    assert old in text
    (tmp_path / "uz.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ModelError, match="uz") as raised:
        load_grammars(tmp_path)
    assert says in str(raised.value)


def test_load_of_two_files_of_one_country_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text(SMALL.format(code="UZ", digits="01"))
    with pytest.raises(ModelError, match="another file"):
        load_grammars(tmp_path)


def test_load_of_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no grammar"):
        load_grammars(tmp_path)


@pytest.mark.parametrize(("country", "example", "pattern"), examples())
def test_readme_example_of_a_pattern_is_read_as_that(
    country: str, example: str, pattern: str
) -> None:
    everything = load_grammars()
    plate = everything.canonical(example, country)
    assert plate is not None
    assert plate.text == re.sub(r"\W", "", example)
    assert plate.pattern == pattern


def test_readme_examples_leave_no_pattern_out() -> None:
    everything = load_grammars().countries
    shown = {(code, pattern) for code, _, pattern in examples()}
    assert shown == {
        (code, pattern.name)
        for code in everything
        for pattern in everything[code].patterns
        if code != "?"
    }


@pytest.mark.parametrize(
    ("text", "other"), [("01123ABC", "KG"), ("1234AB01", "TJ"), ("123AB01", "KZ")]
)
def test_search_of_a_text_of_two_countries_follows_the_picture(text: str, other: str) -> None:
    for country, elsewhere in (("UZ", other), (other, "UZ")):
        picture = {country: -0.1, elsewhere: -6.0, "?": -3.0}
        found = load_grammars().search(seen(text, sure=14.0), picture)
        assert (found[0].country, found[0].text) == (country, text)
        assert (elsewhere, text) in {(one.country, one.text) for one in found}


@pytest.mark.parametrize("text", ["BLH12345", "KBL1234", "HRT12345L", "KDR123"])
def test_search_of_an_afghan_line_is_never_uzbek(text: str) -> None:
    for picture in (EVERYWHERE, {"UZ": -0.7, "?": -0.7}):
        best = load_grammars().search(seen(text, sure=14.0), picture)[0]
        assert best.country != "UZ"
        assert best.text == text


@pytest.mark.parametrize("region", ["20", "60", "85", "95"])
def test_search_of_a_rare_region_that_is_seen_is_not_moved_to_a_common_one(region: str) -> None:
    best = load_grammars().search(seen(f"{region}A123BC", sure=6.0), {"UZ": -0.1, "?": -2.3})[0]
    assert best.text == f"{region}A123BC"


def test_priors_of_entries_count_in_their_own_country_only(tmp_path: Path) -> None:
    likelier = 'r = {"01" = -1, "10" = 0, "O1" = -3}'
    for name, code, entries in (("a", "UZ", likelier), ("b", "KG", 'r = ["01", "10", "O1"]')):
        text = SMALL.format(code=code, digits="01").replace('r = ["01", "10", "O1"]', entries)
        (tmp_path / f"{name}.toml").write_text(text)
    (tmp_path / "any.toml").write_text(FREE)
    logp = np.full((SLOTS, len(SYMBOLS)), -30.0)
    for slot, chars in enumerate(("01O", "01", "A", "1")):
        logp[slot, [SYMBOLS.index(char) for char in chars]] = -1.0
    logp[4:, BLANK] = 0.0
    grammars = load_grammars(tmp_path)
    home = [(each.text, each.loss) for each in grammars.search(logp, {"UZ": 0.0}, 3)]
    assert home == [("10A1", 0.0), ("01A1", pytest.approx(1)), ("O1A1", pytest.approx(3))]
    assert {each.loss for each in grammars.search(logp, {"KG": 0.0}, 3)} == {0.0}


def test_search_of_a_region_that_is_not_issued_is_not_moved_to_another() -> None:
    picture = {"UZ": -0.1, "?": -2.3}
    best = load_grammars().search(seen("71A123BC", sure=16.0), picture)[0]
    assert (best.country, best.text) == ("?", "71A123BC")


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), sure=st.floats(5, 14))
def test_search_of_random_characters_is_not_surely_another_uzbek_text(
    seed: int, sure: float
) -> None:
    random = np.random.default_rng(seed)
    text = "".join(random.choice(list(SYMBOLS[:-1]), random.integers(5, 9)))
    if sum(map(str.isdigit, text)) >= 2:
        found = load_grammars().search(seen(text, sure, seed), {"UZ": -0.5, "?": -1.6})
        forced = found[0].country == "UZ" and found[0].text != text
        assert not (forced and Grammars.posterior(found) > 0.9)
