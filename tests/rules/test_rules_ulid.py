"""ULIDs sort by time, repeat with the seed, and keep to Crockford's alphabet."""

import random
import re

from agent.ulid import UlidMaker


def test_ulid_has_26_crockford_characters():
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", UlidMaker(random.SystemRandom())(1764000000123))


def test_ulid_begins_with_the_milliseconds():
    # 1469918176385 ms is written 01ARYZ6S41 in the ULID specification.
    assert UlidMaker(random.Random(1))(1469918176385).startswith("01ARYZ6S41")


def test_ulid_of_same_seed_repeats_and_of_another_differs():
    first, again, other = (UlidMaker(random.Random(seed))(5) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_ulids_of_one_millisecond_differ_and_later_ones_sort_after():
    make = UlidMaker(random.Random(1))
    assert len({make(7) for _ in range(1000)}) == 1000
    assert make(7) < make(8)
