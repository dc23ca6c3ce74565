"""Speed, memory and start-up in one table: ours beside the bare interpreter, in one run.

    make bench                 or    .venv/bin/python tests/bench/bench.py [PART ...] --threads 2

Ratios are of runs that alternate, so that a busy machine slows both; that of CPU seconds counts
every thread, that of frames a second what two cores hide. Nothing here can fail: a figure belongs
to the machine it was measured on.
"""

from __future__ import annotations

import argparse
import itertools
import os
import queue
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from report import Report

from agent.capture.clip import ClipSource
from agent.clock import ManualClock
from agent.config.model import CameraConfig
from agent.config.rules import rules_in_force
from agent.detect.detector import Detector
from agent.infer.model import Model, open_model
from agent.infer.package import find_package
from agent.pipeline import CameraPipeline
from agent.privacy.privacy import Privacy
from agent.records import Frame
from agent.track.tracker import Tracker

ROOT = Path(__file__).parents[2]
CLIPS = {"face": "carphone_pristine.mp4", "object": "bikes.mp4"}
ROLES = {"face": "face", "object": "traffic"}
ENDED = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help="throughput, stages, daemon (default: all)")
    parser.add_argument("--threads", type=int, default=1, help="of the interpreter (default 1)")
    parser.add_argument("--rounds", type=int, default=5, help="of throughput (default 5)")
    asked = parser.parse_args()
    parts, threads = asked.parts or ["throughput", "stages", "daemon"], asked.threads
    report = Report("speed")
    cores, version = os.cpu_count(), sys.version.split()[0]
    report.say(f"{cores} cores, {threads} interpreter threads, Python {version}")
    report.table("Speed, memory, start-up", ["what", "ours", "beside", "unit", "ratio"])
    if "throughput" in parts:
        for task, cameras in itertools.product(CLIPS, (1, 2, 4)):
            model = open_model(find_package(task), threads=threads)
            throughput(report, task, model, cameras, asked.rounds)
    if "stages" in parts:
        for task in CLIPS:
            stages(report, task, open_model(find_package(task), threads=threads))
    if "daemon" in parts:
        for task in CLIPS:
            one_camera(report, task)
        starting(report)
    report.save()


def row(
    report: Report,
    what: str,
    ours: float,
    other: float | None,
    unit: str,
    ratio: float | None = None,
    note: str = "",
) -> None:
    beside = "" if other is None else f"{other:.2f}"
    said = " ".join(filter(None, ("" if ratio is None else f"x {ratio:.3f}", note)))
    report.row(what, f"{ours:.2f}", beside, unit, said, bar=ratio)


def throughput(report: Report, task: str, model: Model, cameras: int, rounds: int) -> None:
    """Frames a second from the decoder to the tracks, beside the interpreter's invoke alone.

    With two cameras, as on most boxes, one prepares its picture while the other's is looked at.
    """
    clip = ROOT / ".cache" / "clips" / CLIPS[task]
    frames = cameras * sum(1 for _ in _frames(clip))
    what = f"{task}: capture->track beside invoke, {cameras} camera{'s' * (cameras > 1)}"
    chained, bare = [], []
    for _ in range(rounds):
        chained.append(_spent_s(lambda: _all_cameras(cameras, clip, task, model)))
        bare.append(_spent_s(lambda: [_invoke(model) for _ in range(frames)]))
    for number, unit in enumerate(("frames/s", "frames/CPU s")):
        ours, theirs = ([frames / spent[number] for spent in each] for each in (chained, bare))
        ratio = statistics.median(our / their for our, their in zip(ours, theirs, strict=True))
        row(report, what, statistics.median(ours), statistics.median(theirs), unit, ratio)


def _all_cameras(cameras: int, clip: Path, task: str, model: Model) -> None:
    with ThreadPoolExecutor(cameras) as pool:
        for done in [pool.submit(_capture_to_track, clip, task, model) for _ in range(cameras)]:
            done.result()


def _capture_to_track(clip: Path, task: str, model: Model) -> None:
    """As on the box: one thread decodes, one detects and follows; here nothing is dropped."""
    handed: queue.Queue[Frame | None] = queue.Queue(maxsize=1)

    def capture() -> None:
        for frame in _frames(clip):
            handed.put(frame)
        handed.put(ENDED)

    rules = rules_in_force(preset="street", roles=(ROLES[task],), overrides={})
    camera = CameraConfig(
        camera_id="bench", roles=(ROLES[task],), source=f"clip:{clip}", rules=rules
    )
    pipeline = CameraPipeline(
        camera,
        detectors=[Detector(model, budget=1)],
        motion=None,
        privacy=Privacy("bench", "bench", "bench"),
        ids=lambda utc_ms: "0" * 26,
    )
    thread = threading.Thread(target=capture)
    thread.start()
    while (frame := handed.get()) is not ENDED:
        pipeline.frame(frame)
    thread.join()


def stages(report: Report, task: str, model: Model) -> None:
    """Milliseconds of each stage of one frame, median over the clip, one after the other."""
    detectors = {budget: Detector(model, budget=budget) for budget in (1, 3)}
    tracker, took = Tracker(), {}
    frames = _frames(ROOT / ".cache" / "clips" / CLIPS[task])
    while True:
        began = time.perf_counter()
        frame = next(frames, None)
        if frame is None:
            break
        _note(took, "decode video", began)
        size = model.package.width_px, model.package.height_px
        _timed(took, "cut out and scale", lambda f=frame, s=size: f.picture.rgb(_whole(f), *s))
        _timed(took, "invoke", lambda: _invoke(model))
        found = _timed(took, "detect, 1 inference", lambda f=frame: detectors[1].detect(f))
        _timed(took, "detect, up to 3 inferences", lambda f=frame: detectors[3].detect(f))
        _timed(took, "track", lambda f=frame, d=found: tracker.update(d, f.t_mono_ns))
    for stage, ms in took.items():
        row(report, f"{task}: {stage}", statistics.median(ms), None, "ms")


def one_camera(report: Report, task: str) -> None:
    """The daemon with one camera: memory once it has looked for a while, and start-up."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "agent.yaml"
        config.write_text(
            _CONFIG.format(role=ROLES[task], clip=ROOT / ".cache/clips" / CLIPS[task])
        )
        with _Notified(Path(folder)) as door:
            began = time.perf_counter()
            daemon = subprocess.Popen(
                [sys.executable, "-m", "agent.cli", "run", "-c", str(config)],
                env={**os.environ, "NOTIFY_SOCKET": door.address},
                stderr=subprocess.DEVNULL,
            )
            door.wait_for("READY=1")
            took_s = time.perf_counter() - began
            row(report, f"{task}: mahalla run, start to ready", took_s, None, "s")
            time.sleep(12)
            pages = int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[1])
            resident_mb = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
            row(report, f"{task}: resident, one camera", resident_mb, None, "MB", note="goal 150")
            began = time.perf_counter()
            daemon.terminate()
            daemon.wait(10)
            took_s = time.perf_counter() - began
            row(report, f"{task}: SIGTERM to exit", took_s, None, "s", note="goal 5")


def starting(report: Report) -> None:
    """What importing costs, beside a bare Python."""
    bare = _fastest([sys.executable, "-c", "pass"])
    for name, words in (
        ("mahalla --version", ["-m", "agent.cli", "--version"]),
        ("import the daemon", ["-c", "import agent.daemon"]),
        ("import numpy and cv2 alone", ["-c", "import numpy, cv2"]),
    ):
        took = _fastest([sys.executable, *words])
        row(report, f"{name} beside python -c pass", took, bare, "s", took / bare)


class _Notified:
    """The socket on which a daemon tells systemd that it is ready."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> _Notified:
        self._door.bind(self.address)
        self._door.settimeout(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._door.close()

    def wait_for(self, word: str) -> None:
        while word not in self._door.recv(4096).decode():
            pass


_CONFIG = """\
site: bench
box: bench
cameras:
  one: {{role: {role}, source: "clip:{clip}"}}
brokers:
  office: {{url: "mqtt://127.0.0.1:9"}}
"""


def _frames(clip: Path) -> Iterator[Frame]:
    return ClipSource("bench", clip, ManualClock(), realtime=False).frames()


def _whole(frame: Frame):
    from agent.detect.views import view_of
    from agent.records import WHOLE

    aspect = frame.picture.width_px / frame.picture.height_px
    return view_of(WHOLE, picture_aspect=aspect, input_aspect=1.0)


def _invoke(model: Model) -> None:
    """The interpreter alone: its input stays as it is, nothing is copied out."""
    model._interpreter.invoke()


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _spent_s(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock seconds, and CPU seconds of all threads."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began_s, time.process_time() - began_cpu_s


def _timed(took: dict[str, list[float]], stage: str, work: Callable[[], object]):
    began = time.perf_counter()
    answer = work()
    _note(took, stage, began)
    return answer


def _note(took: dict[str, list[float]], stage: str, began: float) -> None:
    took.setdefault(stage, []).append((time.perf_counter() - began) * 1e3)


def _fastest(command: list[str]) -> float:
    return min(
        _seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
        for _ in range(5)
    )


if __name__ == "__main__":
    main()
