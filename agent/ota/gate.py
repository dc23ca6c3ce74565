"""Before a package goes live it runs on this very box, in a child that may crash, hang or swell."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from agent.errors import ModelError, UpdateError
from agent.infer.package import load_package

_LONGEST_S = 300
_MORE_RUNS = 2  # where the first finds it too slow
_MOST_BYTES = 4 << 30  # address space of the child: what a runtime maps is more than it uses


def try_out(candidate: Path, present: Path | None, slower_percent: int, version: str) -> str:
    """Test a package against its golden samples and the present one's speed; what was measured.

    Raises UpdateError with the reason when it must not go live.
    """
    try:
        package = load_package(candidate)
        before = load_package(present) if present else None
    except ModelError as error:
        raise UpdateError(str(error)) from error
    if package.version != version:
        raise UpdateError(f"its card says version {package.version}, the release {version}")
    if before and package.task != before.task:
        raise UpdateError(f"its task is {package.task}, the present one's is {before.task}")
    (result,) = _child("selftest", {"new": candidate})
    measured = f"deviation {result['deviation']} of {result['allowed']}"
    if not present:
        return measured
    percent = _percent_of_the_time(candidate, present)
    for _ in range(_MORE_RUNS):  # a busy moment of the box is no fault of the model's
        if percent > slower_percent:
            percent = min(percent, _percent_of_the_time(candidate, present))
    if percent > slower_percent:
        raise UpdateError(
            f"it takes {percent} % of the present model's time, {slower_percent} % is allowed"
        )
    return f"{measured}, {percent} % of the present model's time"


def _percent_of_the_time(candidate: Path, present: Path) -> int:
    """Time of an inference against the present model's, in one run."""
    # The present one before and after: what warms up or slows down in between cancels out.
    rows = _child("bench", {"1": present, "2": candidate, "3": present})
    old_ms = statistics.fmean((rows[0]["ms"], rows[2]["ms"]))
    return round(100 * float(rows[1]["ms"]) / max(old_ms, 1e-3))


def _child(verb: str, packages: dict[str, Path]) -> list[dict[str, Any]]:
    """The rows of `mahalla models VERB --json` over these packages, in the order of their names."""
    with tempfile.TemporaryDirectory() as trial:
        for name, package in packages.items():
            (Path(trial) / name).symlink_to(package.resolve())
        try:
            done = subprocess.run(  # noqa: S603 - this very agent, fixed words
                [sys.executable, "-m", "agent.cli", "models", verb, "--json"],
                env=os.environ | {"MAHALLA_MODELS": trial},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_LONGEST_S,
                preexec_fn=_limit,
            )
        except subprocess.TimeoutExpired:
            raise UpdateError(f"its {verb} was not done after {_LONGEST_S} s") from None
    if done.returncode < 0:
        raise UpdateError(f"its {verb} died of signal {-done.returncode}")
    try:
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        failed = next((row["error"] for row in rows if not row.get("ok", True)), None)
    except (ValueError, TypeError, KeyError):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UpdateError(f"its {verb} failed: {said[-1] if said else 'no answer'}") from None
    if failed or done.returncode or len(rows) != len(packages):
        raise UpdateError(f"its {verb} failed: {failed or done.returncode}")
    return rows


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
