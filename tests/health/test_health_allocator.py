"""Freed memory goes back to the system, so that a sleeping camera costs little."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from agent.allocator import be_frugal, give_back

# Pieces of 100 kB come from the heap; every tenth one stays and holds what lies below it.
FREED = """
from agent.allocator import be_frugal, give_back
from agent.health import rss_mb
be_frugal()
pieces = [bytearray(100_000) for _ in range(600)]
kept = pieces[::10]
full_mb = rss_mb()
del pieces
left_mb = rss_mb()
give_back()
print(full_mb - left_mb, full_mb - rss_mb())
"""


def test_freed_memory_goes_back_though_something_lies_above_it():
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("the C library is not glibc")
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, check=True)
    before, after = map(float, done.stdout.split())
    assert before < 30
    assert after > 40


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    be_frugal()
    give_back()
