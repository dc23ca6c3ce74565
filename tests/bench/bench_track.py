"""Our tracker beside norfair on the same detections: identity switches, breaks, misses, CPU.

    .venv/bin/python tests/bench/bench_track.py

Norfair 2.3 needs numpy 1, so it gets an environment of its own under .cache/norfair (made on
the first run, norfair.txt pins it) and scenes as JSON. Both get the same lifetimes in
seconds; norfair's two settings were the best of eight tried (overlap or distance in sizes,
three thresholds, all detections or strong ones only).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from track_scenes import EASY, HARD, MEDIUM, Scene, Verdict, judge, street

from agent.records import Box, Detection, Track, TrackState
from agent.track.tracker import Tracker

HERE = Path(__file__).parent
PEER_HOME = HERE.parents[1] / ".cache" / "norfair"
PEER_PYTHON = PEER_HOME / "bin" / "python"

RATES = (2, 5, 10, 25)
SEEDS = (31, 32, 33)
COAST_S = 2.0
PEERS = {
    "norfair iou": {"distance": "iou", "threshold": 0.95, "least_score": 0.2},
    "norfair size": {"distance": "size", "threshold": 1.2, "least_score": 0.2},
}

Answers = list[list[tuple[int, Any]]]

RSS = "print(open('/proc/self/statm').read().split()[1])"
PAGES_PER_MB = (1 << 20) // os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    cells = [(hardness, rate) for hardness in (EASY, MEDIUM, HARD) for rate in RATES]
    rows = [f"{hardness.name} {rate} fps" for hardness, rate in cells for _ in SEEDS]
    scenes = [street(hardness, rate, seed) for hardness, rate in cells for seed in SEEDS]
    results = {"ours": [_ours(scene) for scene in scenes]}
    if _peer_ready():
        results |= {name: _peer(scenes, setting) for name, setting in PEERS.items()}
    _print_table(rows, scenes, results)
    _print_import_cost()


def _ours(scene: Scene) -> tuple[Answers, float]:
    tracker, answers, cpu_s = Tracker(), [], 0.0
    for t, seen in scene.frames:
        detections = [
            Detection(kind=kind, score=score, box=Box(x0=x0, y0=y0, x1=x1, y1=y1))
            for kind, score, (x0, y0, x1, y1) in seen
        ]
        began = time.process_time()
        tracks = tracker.update(detections, round(t * 1e9))
        cpu_s += time.process_time() - began
        answers.append([(track.track_id, _corners(track)) for track in tracks if _shown(track, t)])
    return answers, cpu_s


def _shown(track: Track, t: float) -> bool:
    """As long as norfair shows its own: the memory of parked things is not judged here."""
    alive = track.state in (TrackState.CONFIRMED, TrackState.COASTING)
    return alive and t - track.last_mono_ns / 1e9 < COAST_S


def _corners(track: Track) -> tuple[float, float, float, float]:
    return (track.box.x0, track.box.y0, track.box.x1, track.box.y1)


def _peer_ready() -> bool:
    """Whether norfair can run; makes its environment when it is not there yet."""
    if (PEER_HOME / "ready").exists():
        return True
    print("making .cache/norfair ...", file=sys.stderr)
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(PEER_HOME)],
        [str(PEER_PYTHON), "-m", "pip", "install", "-q", "-r", str(HERE / "norfair.txt")],
    )
    for step in steps:
        if subprocess.run(step, check=False).returncode:
            print("norfair cannot be installed here: the table shows ours alone", file=sys.stderr)
            return False
    (PEER_HOME / "ready").touch()
    return True


def _peer(scenes: list[Scene], setting: dict[str, Any]) -> list[tuple[Answers, float]]:
    plain = [{"fps": scene.fps, "frames": scene.frames} for scene in scenes]
    order = json.dumps({"setting": setting, "scenes": plain})
    peer = [str(PEER_PYTHON), str(HERE / "norfair_peer.py")]
    done = subprocess.run(peer, input=order, stdout=subprocess.PIPE, text=True, check=True)
    return [(answer["answers"], answer["cpu_s"]) for answer in json.loads(done.stdout)]


def _print_table(
    rows: list[str], scenes: list[Scene], results: dict[str, list[tuple[Answers, float]]]
) -> None:
    print(f"{'':15}" + "".join(f"{name:^33}" for name in results))
    print(f"{'scene':15}" + f"{'switch':>8}{'break':>7}{'MOTA':>8}{'µs':>7}   " * len(results))
    for row in dict.fromkeys(rows):
        chosen = [number for number, name in enumerate(rows) if name == row]
        print(
            f"{row:15}" + "".join(_cells(scenes, answers, chosen) for answers in results.values())
        )
    every = range(len(scenes))
    print(f"{'all':15}" + "".join(_cells(scenes, answers, every) for answers in results.values()))
    ours, cpu_s = _total(scenes, results["ours"], every)
    for name in list(results)[1:]:
        theirs, their_cpu_s = _total(scenes, results[name], every)
        more = theirs.switches / max(ours.switches, 1)
        print(f"{name}: {more:.1f} times our switches, {their_cpu_s / cpu_s:.1f} times our CPU")


def _total(
    scenes: list[Scene], answers: list[tuple[Answers, float]], chosen: Iterable[int]
) -> tuple[Verdict, float]:
    """The verdict over some scenes, and CPU seconds a frame."""
    verdict, cpu_s, frames = Verdict(), 0.0, 0
    for number in chosen:
        judge(scenes[number], answers[number][0], verdict)
        cpu_s += answers[number][1]
        frames += len(scenes[number].frames)
    return verdict, cpu_s / frames


def _cells(scenes: list[Scene], answers: list[tuple[Answers, float]], chosen: Iterable[int]) -> str:
    verdict, cpu_s = _total(scenes, answers, chosen)
    return f"{verdict.switches:8}{verdict.breaks:7}{verdict.mota:8.3f}{cpu_s * 1e6:7.0f}   "


def _print_import_cost() -> None:
    costs = {"ours": (sys.executable, "agent.track.tracker")}
    if (PEER_HOME / "ready").exists():
        costs["norfair"] = (str(PEER_PYTHON), "norfair")
    for name, (python, module) in costs.items():
        pages = [
            int(subprocess.check_output([python, "-c", f"import {what}; {RSS}"], text=True))
            for what in ("numpy", f"numpy, {module}")
        ]
        print(
            f"{name}: importing it takes {(pages[1] - pages[0]) / PAGES_PER_MB:.0f} MB over numpy"
        )


if __name__ == "__main__":
    main()
