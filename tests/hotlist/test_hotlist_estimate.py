"""The stated rate of false hits."""

import random

import pytest

from agent.hotlist.estimate import PLATES_IN_USE, ReaderFigures, false_hits

READER = ReaderFigures(wrong_rate=0.002, candidates=1.5)


def test_false_hits_grow_with_entries_cars_and_the_reader_s_faults():
    hits = false_hits(1000, 20_000, READER)
    assert hits.exact == pytest.approx(20_000 * 0.002 * 1000 / PLATES_IN_USE)
    assert hits.alike == pytest.approx(20_000 * 0.5 * 1000 / PLATES_IN_USE)
    assert false_hits(2000, 20_000, READER).alike == pytest.approx(2 * hits.alike)


def test_false_hits_of_a_reader_without_faults_or_a_list_without_plates_are_none():
    sure = ReaderFigures(wrong_rate=0.0, candidates=1.0)
    assert false_hits(1000, 20_000, sure).exact == false_hits(1000, 20_000, sure).alike == 0
    assert false_hits(0, 20_000, READER).exact == 0


def test_false_hits_are_what_a_street_of_chance_gives():
    """Cars of a small country, a list among them, readings wrong and doubtful at those rates."""
    chance, plates, entries, cars = random.Random(5), 5000, 100, 400_000
    exact = alike = 0
    for _ in range(cars):  # none of these cars is listed; texts below `entries` are
        wrong = chance.random() < READER.wrong_rate
        exact += wrong and chance.randrange(plates) < entries
        doubtful = chance.random() < READER.candidates - 1
        alike += doubtful and chance.randrange(plates) < entries
    told = false_hits(entries, cars, READER, plates)
    assert exact == pytest.approx(told.exact, abs=4 * told.exact**0.5)
    assert alike == pytest.approx(told.alike, abs=4 * told.alike**0.5)
