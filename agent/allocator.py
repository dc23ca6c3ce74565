"""What the C library does with freed memory: give it back, as a box has little."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h
_LARGE_BYTES = 1 << 20  # a decoder's pictures, of 3 MB each, go back when a camera falls asleep
_ARENAS = 2  # one for each thread, as is usual, holds what any thread has ever freed


def be_frugal() -> None:
    """Before threads start: large pieces return to the system at once, arenas are few.

    Does nothing where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Now and then: what lies free between other things, too; takes some milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
