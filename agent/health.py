"""Vital signs of the box, and the word to systemd that it lives."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_THERMAL = Path("/sys/class/thermal")
_PROCESSOR = (
    "cpu",
    "gpu",
    "soc",
    "core",
    "x86_pkg",
)  # in the name of a zone; others may be constant
_HOT_C = 75.0  # a Pi slows down at 80
UNDER_VOLTAGE, SLOWED = 0x1, 0xE  # bits of the Pi's firmware that speak of now
_THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")  # Raspberry Pi


def rss_mb() -> float:
    """Resident memory of this process in MB (10^6 bytes)."""
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return resident_pages * _PAGE_BYTES / 1e6


def temperature_c() -> float | None:
    """Temperature of the processor, its hottest part; None where no sensor tells it."""
    found = [
        (_word(zone / "type"), _word(zone / "temp")) for zone in _THERMAL.glob("thermal_zone*")
    ]
    told = [
        int(word) / 1000
        for kind, word in found
        if word.lstrip("-").isdigit() and any(part in kind.lower() for part in _PROCESSOR)
    ]
    return max(told, default=None)


def _word(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, ValueError):
        return ""


def throttled() -> int | None:
    """The Pi firmware's throttling bits (under-voltage, heat), None on other boards."""
    try:
        return int(_THROTTLED.read_text(), 16)
    except (OSError, ValueError):
        return None


def not_now() -> str | None:
    """The word for why nothing new should be tried on this board now; None while it may be."""
    bits, degrees_c = throttled() or 0, temperature_c()
    if bits & UNDER_VOLTAGE:
        return "under-voltage"
    return "hot" if bits & SLOWED or (degrees_c or 0.0) > _HOT_C else None


def disk_free_percent(folder: Path) -> float | None:
    """Free share of the file system that holds `folder`."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return 100 * usage.free / usage.total


class CpuMeter:
    """CPU use of this process since the last look, in percent of one core."""

    def __init__(self) -> None:
        self._last = (time.monotonic(), time.process_time())

    def percent(self) -> float:
        wall, cpu = time.monotonic(), time.process_time()
        wall_before, cpu_before = self._last
        self._last = (wall, cpu)
        return 100 * (cpu - cpu_before) / max(wall - wall_before, 1e-6)


class Systemd:
    """sd_notify(3) over its datagram socket; silent where systemd did not start us."""

    def __init__(self, address: str | None) -> None:
        self._address = "\0" + address[1:] if address and address.startswith("@") else address

    def notify(self, *lines: str) -> None:
        """Send `lines` (READY=1, WATCHDOG=1, STATUS=...); a deaf systemd is no reason to fail."""
        if not self._address:
            return
        # Not blocking: whoever listens there and does not read must not stop the box.
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with socket.socket(socket.AF_UNIX, kind) as door:
            try:
                door.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                return
