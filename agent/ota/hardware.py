"""Which board this is, in words that releases may name."""

from __future__ import annotations

import platform
from pathlib import Path

_BOARD = Path("/proc/device-tree/model")


def board() -> str:
    """For instance `aarch64 raspberry pi 5 model b rev 1.0`; without a name the processor alone."""
    try:
        name = _BOARD.read_bytes().rstrip(b"\0").decode("ascii", "replace")
    except OSError:
        name = ""
    return f"{platform.machine()} {name}".strip().lower()
