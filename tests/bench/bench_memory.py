"""Memory of the daemon: one camera and more, asleep and awake, and whether it grows.

    .venv/bin/python tests/bench/bench_memory.py                   1, 2 and 4 cameras (4 minutes)
    .venv/bin/python tests/bench/bench_memory.py --minutes 30      the soak alone

Resident memory (RSS, MB of 10^6 bytes) of `mahalla run` on 1080p25 H.264 clips, roles face and
traffic, a real broker beside it. Awake: people walk through all the time. Asleep: nobody does.
The soak plays such clips eight times as fast, over and over: 200 pictures a second and camera.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from report import Report
from streams import CACHE, Coding, coded

from agent.embedded import EmbeddedBroker

sys.path.insert(0, str(Path(__file__).parents[1] / "simulators"))

from daemon import Agent, agent_yaml
from idle_street import Street

HD, FPS = (1920, 1080), 25
CLIP_S = 20
SPEED = 8  # of the soak
SETTLED_S = 25  # awake: every model has looked, the allocator has grown
ASLEEP_S = 75  # the gate learns first
SAMPLE_S = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="soak for so long, and nothing else")
    asked = parser.parse_args()
    report = Report("memory")
    report.say(
        f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, two models, 1080p25 H.264"
    )
    if asked.minutes:
        soak(report, asked.minutes)
    else:
        cameras(report)
    report.save()


def cameras(report: Report) -> None:
    report.table("Resident memory, MB", ["cameras", "asleep", "awake"])
    told: dict[int, list[float]] = {}
    for count in (1, 2, 4):
        told[count] = []
        for clip, wait_s in ((street(busy=False), ASLEEP_S), (street(busy=True), SETTLED_S)):
            with running(clip, count) as pid:
                time.sleep(wait_s)
                told[count].append(statistics.median(sampled(pid, seconds=5, every_s=0.5)))
        report.row(count, *(f"{each:.1f}" for each in told[count]))
    for (few, before), (many, after) in pairwise(told.items()):
        more = [(b - a) / (many - few) for a, b in zip(before, after, strict=True)]
        report.row(f"each further, {few} to {many}", *(f"{each:.1f}" for each in more))


def soak(report: Report, minutes: float) -> None:
    report.table(f"Soak of {minutes:g} minutes, two cameras at {SPEED * FPS} frames/s", ["", "MB"])
    with running(faster(street(busy=True)), 2) as pid:
        time.sleep(30.0)
        seen = list(sampled(pid, seconds=60 * minutes, every_s=SAMPLE_S))
    hours = np.arange(len(seen)) * SAMPLE_S / 3600
    for name, part in (("all", slice(None)), ("second half", slice(len(seen) // 2, None))):
        slope = float(np.polyfit(hours[part], seen[part], 1)[0])
        report.row(f"slope an hour, {name}", f"{slope:+.2f}")
    few = max(1, len(seen) // 10)
    report.row("first tenth", f"{statistics.fmean(seen[:few]):.1f}")
    report.row("last tenth", f"{statistics.fmean(seen[-few:]):.1f}")
    report.row("most", f"{max(seen):.1f}")


def street(*, busy: bool) -> Path:
    """A drawn street, through which somebody walks at any time, or never."""
    walkers = [(t, 400, 0.4) for t in range(-2, CLIP_S, 2)] if busy else []
    scene = Street(HD, fps=FPS, passers=walkers)
    name = f"memory-{'busy' if busy else 'idle'}"
    return coded(name, Coding(), scene.pictures(CLIP_S), HD, FPS)


def faster(clip: Path) -> Path:
    """The same coded pictures, in less time."""
    path = CACHE / f"{clip.stem}-x{SPEED}.mp4"
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        into = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = into
                packet.pts, packet.dts = packet.pts // SPEED, packet.dts // SPEED
                packet.duration //= SPEED
                target.mux(packet)
    return path


@contextmanager
def running(clip: Path, count: int) -> Iterator[int]:
    """The process id of a daemon with so many cameras, each on a file of its own."""
    with tempfile.TemporaryDirectory() as name, EmbeddedBroker() as broker:
        folder = Path(name)
        for number in range(count):
            (folder / f"{number}.mp4").symlink_to(clip)
        yaml = agent_yaml(
            {
                f"cam-{number}": f'{{role: [face, traffic], source: "clip:{folder}/{number}.mp4"}}'
                for number in range(count)
            },
            broker.url,
        )
        agent = Agent(folder, yaml).start()
        assert agent.process is not None
        try:
            yield agent.process.pid
        finally:
            agent.stop()
            agent.systemd.close()


def sampled(pid: int, *, seconds: float, every_s: float) -> Iterator[float]:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        yield pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        time.sleep(every_s)


if __name__ == "__main__":
    main()
