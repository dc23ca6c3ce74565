"""One reading against lists: what counts as the plate itself, what as a look-alike."""

import math

import pytest
from office import NOW_MS
from readings import plate, reading

from agent.hotlist import hotlist as hotlist_module
from agent.hotlist.hotlist import DAY_MS
from agent.hotlist.opening import open_hotlist
from agent.hotlist.search import CANDIDATES_LIMIT, LOSS_LIMIT, Search, candidates


def opened(office, *plates, name="stolen", **what):
    file = office.make(*plates, name=name, file=f"{name}.list", **what)
    return open_hotlist(file, name=name, signers=[office.signer()], keys=[office.box()])


def found(reading, *lists, at_ms=NOW_MS):
    search = Search(reading, lists)
    steps = [search.step(at_ms) for _ in range(len(search))]
    return [match for match in steps if match]


def test_reading_that_is_listed_matches_exactly(office):
    (match,) = found(reading("01A123BC", score=0.97, margin=4.1), opened(office, "UZ 01A123BC"))
    assert (match.hotlist, match.how, match.plate.text) == ("stolen", "exact", "01A123BC")
    assert (match.score, match.margin) == (0.97, 4.1)


def test_other_that_is_listed_matches_alike_under_the_listed_text(office):
    seen = reading("01A123BC", plate("01A128BC", loss=1.5), score=0.8)
    (match,) = found(seen, opened(office, "UZ 01A128BC"))
    assert (match.how, match.plate.text) == ("alike", "01A128BC")
    assert match.score == pytest.approx(0.8 * math.exp(-1.5))
    assert match.margin == -1.5


def test_reading_on_no_list_matches_nothing(office):
    assert found(reading("01A123BC"), opened(office, "UZ 01A123BD")) == []
    assert found(reading("01A123BC")) == []
    assert found(reading(None), opened(office, "UZ 01A123BC")) == []


def test_country_that_was_seen_counts(office):
    listed = opened(office, "UZ 01123ABC")
    seen = reading(plate("01123ABC", country="KG"), plate("01123ABC", loss=2.0))
    assert found(reading(plate("01123ABC", country="KG")), listed) == []
    (match,) = found(seen, listed)
    assert (match.how, match.plate.country) == ("alike", "UZ")


def test_country_left_open_is_tried_as_each_plausible_one_and_is_the_reading_itself(office):
    seen = reading(
        plate("01123ABC", country="?"),
        plate("01123ABC", country="KG", loss=0.1),
        plate("01123ABC", country="UZ", loss=0.4),
        score=0.9,
    )
    (match,) = found(seen, opened(office, "UZ 01123ABC"))
    assert (match.how, match.plate.country, match.score) == ("exact", "UZ", 0.9)


def test_candidates_are_distinct_plausible_and_few():
    others = [plate(f"01A{number:03d}BC", loss=0.1 * number) for number in range(1, 20)]
    assert len(candidates(reading("01A000BC", *others))) == CANDIDATES_LIMIT
    texts = [each.text for each in candidates(reading("X1", plate("X1", loss=0.5), plate("X2")))]
    assert texts == ["X1", "X2"]
    far = plate("X2", loss=LOSS_LIMIT + 0.01)
    assert [each.text for each in candidates(reading("X1", far))] == ["X1"]
    assert candidates(reading(None)) == []


def test_plate_on_two_lists_matches_each_once_and_the_likeliest_first(office):
    first = opened(office, "UZ 01A123BC", "UZ 01A128BC")
    second = opened(office, "UZ 01A128BC", name="local")
    seen = reading("01A123BC", plate("01A128BC", loss=1.0))
    matches = found(seen, first, second)
    assert [(m.hotlist, m.how) for m in matches] == [("stolen", "exact"), ("local", "alike")]


def test_entry_that_has_expired_does_not_match(office):
    listed = opened(office, "UZ 01A123BC", entry_life_ms=DAY_MS)
    assert found(reading("01A123BC"), listed, at_ms=NOW_MS + DAY_MS) == []


@pytest.fixture
def hashed(monkeypatch):
    """Counts slow hashes."""
    counted = []
    slow = hotlist_module.plate_hash

    def counting(country, text, *rest):
        counted.append((country, text))
        return slow(country, text, *rest)

    monkeypatch.setattr(hotlist_module, "plate_hash", counting)
    return counted


def test_each_step_is_one_slow_hash_at_most(office, hashed):
    lists = [opened(office, "UZ 01A999ZZ"), opened(office, "UZ 01A999ZZ", name="local")]
    search = Search(reading("01A123BC", plate("01A128BC", loss=0.2)), lists)
    assert len(search) == 4
    for step in range(1, 5):
        search.step(NOW_MS)
        assert (len(hashed), len(search)) == (step, 4 - step)
    assert search.step(NOW_MS) is None


def test_plate_seen_again_costs_no_slow_hash(office, hashed):
    listed = opened(office, "UZ 01A123BC")
    for _ in range(3):
        assert len(found(reading("01A123BC"), listed)) == 1
    assert len(hashed) == 1


def test_memory_of_plates_is_bounded(office, hashed, monkeypatch):
    monkeypatch.setattr(hotlist_module, "_REMEMBERED", 2)
    listed = opened(office, "UZ 01A123BC")
    for text in ("A1", "B2", "A1", "C3", "A1", "B2"):
        listed.find("UZ", text, NOW_MS)
    assert [text for _, text in hashed] == ["A1", "B2", "C3", "B2"]
