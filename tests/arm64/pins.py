"""The lines of a lock that hold for 64-bit ARM Linux and a Python version, hashes kept.

python tests/arm64/pins.py deploy/locks/dev.lock 3.11
"""

from __future__ import annotations

import sys
from pathlib import Path

from packaging.requirements import Requirement


def main(lock: str, version: str) -> None:
    machine = {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "sys_platform": "linux",
        "platform_machine": "aarch64",
    }
    for entry in Path(lock).read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        pin, *hashes = entry.split(" --hash=")
        if not hashes:
            continue
        wanted = Requirement(pin.strip())
        if wanted.marker is None or wanted.marker.evaluate(machine):
            print(
                f"{wanted.name}{wanted.specifier}", *(f"--hash={each.strip()}" for each in hashes)
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
