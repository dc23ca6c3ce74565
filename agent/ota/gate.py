"""Before a package goes live it runs on this very box, in a child that may crash, hang or swell."""

from __future__ import annotations

import contextlib
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
from agent.infer.package import ModelPackage, load_package, models_dir, package_dirs
from agent.ota.release import Limits, Release

_LONGEST_S = 300
_MORE_RUNS = 2  # where the first finds it too slow
_MOST_BYTES = 4 << 30  # address space of the child: what a runtime maps is more than it uses


LABELS = "labels.jsonl"
"""In `golden/`, with the pictures that it names: what accuracy is measured on."""

_ACCURACY = {  # task: what `models eval` is asked for, and its figure that must not fall
    "face": (["face"], "ap50"),
    "object": (["object"], "ap50"),
    "plate": (["plate"], "found"),
    "plate-text": (["plate", "--crops"], "exact"),
}


def try_out(candidate: Path, present: Path | None, release: Release) -> str:
    """Test a package against its golden samples and the present one; what was measured.

    Raises UpdateError with the reason, and its word, when it must not go live.
    """
    try:
        package = load_package(candidate)
        before = load_package(present) if present else None
    except ModelError as error:
        raise UpdateError(str(error), why="damaged") from error
    if package.version != release.version:
        raise UpdateError(
            f"its card says version {package.version}, the release {release.version}", why="card"
        )
    if before and package.task != before.task:
        raise UpdateError(
            f"its task is {package.task}, the present one's is {before.task}", why="card"
        )
    (result,) = _rows("selftest", {"new": candidate}, why="golden")
    measured = [f"deviation {result['deviation']} of {result['allowed']}"]
    limits = release.limits
    if present:
        measured.append(_weighed(result, present, limits))
        measured.append(_timed(candidate, present, limits))
        measured.append(_scored(package, candidate, present, limits))
    return ", ".join(measured)


def _weighed(result: dict[str, Any], present: Path, limits: Limits) -> str:
    """Memory against the present model's and against what this box has left."""
    (old,) = _rows("selftest", {"old": present}, why="golden")
    more_mb = round(float(result["rss_mb"]) - float(old["rss_mb"]))
    if more_mb > limits.heavier_mb:
        raise UpdateError(
            f"it takes {more_mb} MB more than the present model, {limits.heavier_mb} may be",
            why="heavy",
        )
    free_mb = memory_available_mb()
    # On trial both are in memory, and the outbox and the decoders grow with what happens.
    if free_mb is not None and float(result["rss_mb"]) > free_mb / 2:
        raise UpdateError(
            f"it takes {result['rss_mb']} MB, and this box has {free_mb:.0f} MB left", why="heavy"
        )
    return f"{more_mb:+d} MB"


def _timed(candidate: Path, present: Path, limits: Limits) -> str:
    """Time of an inference against the present model's."""
    percent = _percent_of_the_time(candidate, present)
    for _ in range(_MORE_RUNS):  # a busy moment of the box is no fault of the model's
        if percent > limits.slower_percent:
            percent = min(percent, _percent_of_the_time(candidate, present))
    words = f"{percent} % of the present model's time"
    if percent > limits.slower_percent:
        raise UpdateError(f"it takes {words}, {limits.slower_percent} % is allowed", why="slow")
    return words


def _percent_of_the_time(candidate: Path, present: Path) -> int:
    # The present one before and after: what warms up or slows down in between cancels out.
    rows = _rows("bench", {"1": present, "2": candidate, "3": present}, why="bench")
    old_ms = statistics.fmean((rows[0]["ms"], rows[2]["ms"]))
    return round(100 * float(rows[1]["ms"]) / max(old_ms, 1e-3))


def _scored(package: ModelPackage, candidate: Path, present: Path, limits: Limits) -> str:
    """Accuracy of both on the labelled pictures that the candidate brings."""
    labels = candidate / "golden" / LABELS
    if not labels.is_file():
        return "no labelled pictures, accuracy unmeasured"
    words, figure = _ACCURACY[package.task]
    beside = {each.name: each for each in package_dirs(models_dir()) if each.name != package.name}
    new, old = (
        _figure(["eval", *words, str(labels.resolve())], beside | {package.name: each}, figure)
        for each in (candidate, present)
    )
    if new < old - limits.worse_points / 100:
        raise UpdateError(
            f"its {figure} is {new:.3f}, the present model's {old:.3f}: {limits.worse_points} "
            "points less may be",
            why="less-accurate",
        )
    return f"{figure} {new:.3f} for {old:.3f}"


def _figure(words: list[str], packages: dict[str, Path], figure: str) -> float:
    answer = _child(words, packages, why="eval")
    try:
        return float(answer[figure])
    except (TypeError, KeyError) as error:
        raise UpdateError(f"its eval gives no {figure}", why="eval") from error


def _rows(verb: str, packages: dict[str, Path], *, why: str) -> list[dict[str, Any]]:
    """One row for each package, in the order of their names."""
    rows = _child([verb], packages, why=why)
    if len(rows) != len(packages):
        raise UpdateError(f"its {verb} failed: no answer", why=why)
    return list(rows)


def _child(words: list[str], packages: dict[str, Path], *, why: str) -> Any:
    """What `mahalla models WORDS --json` answers over these packages."""
    verb = words[0]
    with tempfile.TemporaryDirectory() as trial:
        for name, package in packages.items():
            (Path(trial) / name).symlink_to(package.resolve())
        try:
            done = subprocess.run(  # noqa: S603 - this very agent, fixed words
                [sys.executable, "-m", "agent.cli", "models", *words, "--json"],
                env=os.environ | {"MAHALLA_MODELS": trial},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_LONGEST_S,
                preexec_fn=_limit,
            )
        except subprocess.TimeoutExpired:
            text = f"its {verb} was not done after {_LONGEST_S} s"
            raise UpdateError(text, why="hung") from None
        except OSError as error:  # no process, no folder: the box's trouble, not the model's
            raise UpdateError(f"{verb}: cannot be begun: {error.strerror}", why="busy") from error
    if done.returncode < 0:
        raise UpdateError(f"its {verb} died of signal {-done.returncode}", why="crashed")
    try:
        answer = json.loads(done.stdout)
        rows = answer if isinstance(answer, list) else [answer]
        said = [str(row["error"]) for row in rows if not row.get("ok", True)]
    except (ValueError, TypeError, KeyError, AttributeError):
        answer, said = None, []
    if not answer or done.returncode or said:
        said = said or done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise UpdateError(f"its {verb} failed: {said[0] if said else 'no answer'}", why=why)
    return answer


def memory_available_mb() -> float | None:
    """What programs may still take without swapping; None where Linux does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        row = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(row.split()[1]) / 1000
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # when memory runs out: this one first, not the update
        Path("/proc/self/oom_score_adj").write_text("1000")
