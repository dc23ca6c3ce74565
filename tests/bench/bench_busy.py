"""Whole boxes: many cameras at rest, from the frame to the row in the outbox, and peers.

    make bench                 or    .venv/bin/python tests/bench/bench_busy.py [PART ...]

Throughput beside the bare interpreter is in bench.py. Peers get environments of their own under
.cache (norfair.txt, mediapipe.txt) and the same clips; `motion` is Debian's package. What is
missing is left out, and said.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import bench_gate
from report import Report
from streams import ROOT, Coding

from agent.box import Box
from agent.capture.clip import ClipSource
from agent.clock import ManualClock
from agent.config.load import load
from agent.detect.decode import ssd_anchors
from agent.detect.detector import Detector
from agent.health import rss_mb
from agent.infer.model import open_model
from agent.infer.package import find_package
from agent.pipeline import Eyes
from agent.track.tracker import Tracker

HERE = Path(__file__).parent
CLIPS = ROOT / ".cache" / "clips"
STREAMS = (1, 2, 4, 8, 16)
ASLEEP_WITHIN_S, MEASURED_S = 150.0, 30.0
LATENCY_S = 40.0
STARTS = ("face.present", "person.line", "vehicle.line")
MOTION = shutil.which("motion")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help="streams, latency, peers (default: all)")
    parser.add_argument("--streams", type=int, nargs="+", default=STREAMS)
    asked = parser.parse_args()
    parts = asked.parts or ["streams", "latency", "peers"]
    report = Report("busy")
    report.say(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    if "streams" in parts:
        streams(report, asked.streams)
    if "latency" in parts:
        latency(report)
    if "peers" in parts:
        peers(report)
    report.save()


# --- many at rest -------------------------------------------------------------------------------


def streams(report: Report, numbers: Sequence[int]) -> None:
    """Percent of one core and memory of a whole box whose cameras are all asleep."""
    report.table(
        f"1080p25 RTSP streams at rest (VBR, clock), in real time, {MEASURED_S:g} s",
        ["streams", "asleep", "% of a core", "% a stream", "RSS MB"],
    )
    clip = bench_gate.at_rest(bench_gate.HD, Coding(), True, bench_gate.NOISE)
    with _served(clip) as url:
        for number in numbers:
            cameras = {f"c{n}": f'{{role: face, source: "{url}{n}"}}' for n in range(number)}
            with _box(cameras) as box:
                captures = [camera.capture for camera in box.cameras.values()]
                _wait(lambda all_=captures: all(c.attention.asleep for c in all_), ASLEEP_WITHIN_S)
                asleep = sum(capture.attention.asleep for capture in captures)
                began_s, awake_s = time.process_time(), sum(c.state.awake_s for c in captures)
                time.sleep(MEASURED_S)
                percent = (time.process_time() - began_s) / MEASURED_S * 100
                awake_s = sum(c.state.awake_s for c in captures) - awake_s
                report.row(
                    f"{number} streams" + (f" ({awake_s:.0f} s awake)" if awake_s > 1 else ""),
                    f"{asleep} of {number}",
                    f"{percent:.2f}",
                    f"{percent / number:.2f}",
                    f"{rss_mb():.0f}",
                    bar=percent,
                )


@contextmanager
def _served(clip: Path) -> Iterator[str]:
    child = subprocess.Popen(
        [sys.executable, str(HERE / "stream_server.py"), str(clip)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None and child.stdout is not None
    try:
        yield child.stdout.readline().strip()
    finally:
        child.kill()
        child.communicate()


@contextmanager
def _box(cameras: dict[str, str]) -> Iterator[Box]:
    """A whole box whose broker cannot be reached."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.yaml"
        path.write_text(
            "site: bench\nbox: bench\ncameras:\n"
            + "".join(f"  {name}: {what}\n" for name, what in cameras.items())
            + 'brokers:\n  office: {url: "mqtt://127.0.0.1:9", send: all}\n'
        )
        config = load(path)
        box = Box(config, Path(folder), Eyes(config.cameras.values(), config.infer))
        box.start()
        try:
            yield box
        finally:
            box.stop("restart")


def _wait(until: Callable[[], bool], seconds: float) -> None:
    deadline_s = time.monotonic() + seconds
    while not until() and time.monotonic() < deadline_s:
        time.sleep(0.5)


# --- from the frame to the row ------------------------------------------------------------------


def latency(report: Report) -> None:
    """From the stamp of the frame in which an event begins to its row in the outbox."""
    report.table(
        "Frame stamp to event, ms (whole box, clips at their own pace)",
        ["camera", "events", "handed over, median", "worst", "row, median", "worst"],
    )
    line = "lines: {in: {from: [0.5, 0], to: [0.5, 1], counts: [person, bicycle, car]}}"
    for what, camera in (
        ("faces", f'{{role: face, source: "clip:{CLIPS / "carphone_pristine.mp4"}"}}'),
        ("street", f'{{role: traffic, source: "clip:{CLIPS / "bikes.mp4"}", {line}}}'),
    ):
        handed_ms, stored_ms = _latencies({"one": camera})
        if not stored_ms:
            report.row(what, "no event began")
            continue
        report.row(
            what,
            len(stored_ms),
            f"{statistics.median(handed_ms):.0f}",
            f"{max(handed_ms):.0f}",
            f"{statistics.median(stored_ms):.0f}",
            f"{max(stored_ms):.0f}",
            bar=statistics.median(stored_ms),
        )


def _latencies(cameras: dict[str, str]) -> tuple[list[float], list[float]]:
    handed_ms: list[float] = []
    stored_ms: list[float] = []
    with _box(cameras) as box:
        submit, put = box.writer.submit, box.outbox.put

        def handed(message) -> None:
            handed_ms.extend(_ages_ms([message]))
            submit(message)

        def stored(messages) -> None:
            put(messages)
            stored_ms.extend(_ages_ms(messages))

        box.writer.submit, box.outbox.put = handed, stored
        time.sleep(LATENCY_S)
    return handed_ms, stored_ms


def _ages_ms(messages) -> list[float]:
    """Of what begins or happens once at a frame: counts belong to a minute, ends to the past."""
    now_ms = time.time() * 1000
    bodies = [json.loads(message.body) for message in messages if message.kind in STARTS]
    return [now_ms - body["t"] for body in bodies if body.get("s", "once") != "end"]


# --- peers --------------------------------------------------------------------------------------


def peers(report: Report) -> None:
    report.table(
        "Peers, CPU ms a picture on the same clip (one thread each)",
        ["what", "ours", "peer", "peer : ours"],
    )
    street, faces = CLIPS / "bikes.mp4", CLIPS / "carphone_pristine.mp4"
    _beside(report, "same model, norfair's loop", "object", street, "norfair", "norfair_camera.py")
    _beside(report, "faces: mediapipe", "face", faces, "mediapipe", "mediapipe_faces.py")
    if MOTION is None:
        report.say("motion: not installed, left out")
        return
    report.table(
        f"Debian's motion on the idle 1080p25 RTSP stream, {MEASURED_S:g} s",
        ["what", "% of a core"],
    )
    clip = bench_gate.at_rest(bench_gate.HD, Coding(), True, bench_gate.NOISE)
    with _served(clip) as url:
        report.row("motion", f"{_motion_percent(url):.1f}")


def _beside(report: Report, what: str, task: str, clip: Path, peer: str, script: str) -> None:
    home = ROOT / ".cache" / peer
    if not _ready(home, peer):
        report.say(f"{peer}: cannot be installed here, left out")
        return
    package = find_package(task)
    command = [str(home / "bin" / "python"), str(HERE / script), str(clip), str(package.file)]
    anchors = json.dumps(ssd_anchors(package.width_px).tolist()).encode()
    ours_ms, theirs_ms, found = [], [], []
    for _ in range(3):
        ours_ms.append(_ours_ms(task, clip))
        said = subprocess.check_output(command, input=anchors, stderr=subprocess.DEVNULL)
        answer = json.loads(said)
        theirs_ms.append(answer["cpu_ms"])
        found.append(answer["found"])
    ours, theirs = statistics.median(ms for ms, _ in ours_ms), statistics.median(theirs_ms)
    report.row(what, f"{ours:.1f}", f"{theirs:.1f}", f"x {theirs / ours:.2f}", bar=theirs / ours)
    report.say(f"found in all pictures: ours {ours_ms[0][1]}, {peer} {found[0]}")


def _ours_ms(task: str, clip: Path) -> tuple[float, int]:
    """CPU ms a picture from the decoder to the tracks, and what was detected, in total."""
    detector = Detector(open_model(find_package(task), threads=1), budget=1)
    tracker, number, found = Tracker(), 0, 0
    frames = ClipSource("bench", clip, ManualClock(), realtime=False).frames()
    began_s = time.process_time()
    for frame in frames:
        assert frame is not None
        detections = detector.detect(frame)
        tracker.update(detections, frame.t_mono_ns)
        found += sum(each.score >= 0.5 for each in detections)
        number += 1
    return (time.process_time() - began_s) * 1000 / number, found


def _ready(home: Path, name: str) -> bool:
    """Whether a peer can run; makes its environment when it is not there yet."""
    if (home / "ready").exists():
        return True
    print(f"making {home.relative_to(ROOT)} ...", file=sys.stderr)
    deps = ["--no-deps"] if name == "mediapipe" else []
    asked = [str(home / "bin" / "python"), "-m", "pip", "install", "-q", *deps]
    for step in (
        [sys.executable, "-m", "venv", "--clear", str(home)],
        [*asked, "-r", str(HERE / f"{name}.txt")],
    ):
        if subprocess.run(step, check=False).returncode:
            return False
    (home / "ready").touch()
    return True


def _motion_percent(url: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "motion.conf"
        config.write_text(
            f"daemon off\ntarget_dir {folder}\nnetcam_url {url}\nnetcam_params rtsp_transport=tcp\n"
            "width 1920\nheight 1080\nframerate 25\nmovie_output off\npicture_output off\n"
            "webcontrol_port 0\nstream_port 0\n"
        )
        with (Path(folder) / "log").open("w") as log:
            child = subprocess.Popen([str(MOTION), "-c", str(config)], stdout=log, stderr=log)
            time.sleep(10)
            before_s = _cpu_s(child.pid)
            time.sleep(MEASURED_S)
            percent = (_cpu_s(child.pid) - before_s) / MEASURED_S * 100
            child.terminate()
            child.wait(10)
        return percent


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
