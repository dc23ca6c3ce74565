"""What a camera costs at rest, and whether anybody passes it unseen.

    make bench                 or    .venv/bin/python tests/bench/bench_gate.py [idle] [missed]
    one part of it, as         .venv/bin/python tests/bench/bench_gate.py idle --only "x264 VBR"

Idle: CPU seconds for an hour of a 1080p25 stream at rest, as ratios of runs that take turns. Ours
is everything from the container to the pipeline that an idle camera runs, in the stream's own time.
Missed: passers that are found with the gate, of those that are found when all is decoded and looked
at. The streams are drawn, or made of Debian's opencv-doc (vtest.avi) and of a clip beside the
project; what is absent is left out, and said. The first run codes them, for half an hour.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import cv2
from lockstep import LockStep
from report import Report
from streams import NS, ROOT, Coding, CutOut, Passer, coded, decoder_of, drawn, street, units

from agent.capture.sleeper import HEARTBEAT_S, LOOKBACK_S, SPARSE_S
from agent.detect.detector import Detector
from agent.infer.model import open_model
from agent.infer.package import find_package
from agent.records import Box, Detection, Frame, TrackState

HD, FPS = (1920, 1080), 25
CLIP_S = 30  # played over and over
LONG_CLIP_S = 120  # where one odd half second a clip would come again too often
NOISE = 0.7  # levels: a camera by day, behind its own noise reduction
NIGHT = 2.5
SETTLING_S = 150  # the gate learns, and falls asleep

VBR, CBR = Coding(), Coding(rate="CBR")
CODINGS = (
    VBR,
    Coding(gop_s=1),
    Coding(gop_s=10),
    Coding(rate="capped"),
    Coding(codec="x265"),
    CBR,
    Coding(rate="CBR", gop_s=1),
    Coding(codec="x265", rate="CBR"),
)

FEWER = (VBR, Coding(gop_s=10), Coding(rate="capped"), Coding(codec="x265"), CBR)

LEAD_S, GAP_S = 125, 30  # idle before the first passer, and between two
SMALL, SMALL_FPS = (640, 360), 12
HEIGHTS = (0.08, 0.14, 0.25)  # of the picture
SPEEDS = (0.8, 2.5)  # of their own heights a second: who walks, and who runs or cycles
VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
CARS = ROOT.parent / "shared" / "data" / "intel_clips" / "car-detection.mp4"
MOST = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help="idle, missed (default: both)")
    parser.add_argument("--only", metavar="TEXT", help="codings that have it in their name")
    parser.add_argument("--scene", metavar="TEXT", help="missed: scenes that have it in their name")
    parser.add_argument("--minutes", type=int, default=10, help="of idle stream (default 10)")
    asked = parser.parse_args()
    codings = [coding for coding in CODINGS if (asked.only or "") in str(coding)]
    report = Report("gate")
    report.say(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, OpenCV {cv2.__version__}")
    if "idle" in asked.parts or not asked.parts:
        idle(report, codings, asked.minutes)
        if not asked.only:
            harder(report, asked.minutes)
    if "missed" in asked.parts or not asked.parts:
        missed(report, codings, asked.scene or "")
    report.save()


# --- at rest ------------------------------------------------------------------------------------


def idle(report: Report, codings: Sequence[Coding], minutes: int) -> None:
    report.say(
        f"Heartbeat: a keyframe each {HEARTBEAT_S:g} s where sizes tell, each {SPARSE_S:g} s where"
        f" they do not; on a wake {LOOKBACK_S:g} s of the past are looked at."
    )
    report.table(
        f"CPU seconds an hour of an idle 1080p25 stream ({minutes} minutes of it, role face)",
        [
            "stream",
            "mode",
            "awake",
            "inferences/h",
            "ours",
            "cv2",
            "ours : cv2",
            "cv2 640x360",
            "demultiplex",
        ],
    )
    for coding in codings:
        for clock in (False, True) if coding in (VBR, CBR) else (True,):
            _idle_row(report, coding, clock, minutes)


def harder(report: Report, minutes: int) -> None:
    """Rows of the same table: noise at night, and vehicles, whom keyframes are too rare for."""
    _idle_row(report, VBR, True, minutes, noise=NIGHT)
    _idle_row(report, CBR, True, minutes, role="traffic")


def _idle_row(
    report: Report,
    coding: Coding,
    clock: bool,
    minutes: int,
    *,
    noise: float = NOISE,
    role: str = "face",
) -> None:
    clip_s = LONG_CLIP_S if clock and coding in (VBR, Coding(gop_s=10)) else CLIP_S
    path = at_rest(HD, coding, clock, noise, clip_s)
    sub = at_rest((640, 360), VBR, clock, noise)
    camera = LockStep(decoder_of(path), Nothing(), role=role)
    rounds = max(1, minutes * 60 // clip_s)
    stream = units(path, 2 * (SETTLING_S // clip_s + rounds))
    camera.watch(islice(stream, SETTLING_S * FPS))
    if camera.attention.mode == "awake":
        rounds = 2  # always the same
    awake_s, looked = camera.capture.state.awake_s, camera.looked
    costs_s: dict[str, list[float]] = {}
    for _ in range(rounds):
        _cost(costs_s, "ours", lambda: camera.watch(islice(stream, clip_s * FPS)))
        _cost(costs_s, "demultiplex", lambda: _demultiplexed(path))
        if len(costs_s.get("cv2", ())) * clip_s < 90:
            _cost(costs_s, "cv2", lambda: _decoded(path))
            _cost(costs_s, "sub-stream", lambda: _decoded(sub))
    hour = {what: statistics.fmean(costs) * 3600 / clip_s for what, costs in costs_s.items()}
    hour["sub-stream"] *= clip_s / CLIP_S
    ratio = hour["cv2"] / hour["ours"]
    awake = (camera.capture.state.awake_s - awake_s) / (rounds * clip_s)
    more = ", clock" * clock + ", night" * (noise == NIGHT) + ", traffic" * (role != "face")
    report.row(
        f"{coding}{more}",
        camera.attention.mode,
        f"{awake:.1%}",
        f"{(camera.looked - looked) / (rounds * clip_s) * 3600:.0f}",
        f"{hour['ours']:.1f}",
        f"{hour['cv2']:.0f}",
        f"1/{ratio:.0f}",
        f"{hour['sub-stream']:.0f}",
        f"{hour['demultiplex']:.1f}",
        bar=ratio,
    )


def at_rest(size, coding: Coding, clock: bool, noise: float, clip_s: int = CLIP_S) -> Path:
    name = f"rest-{size[1]}-{noise:g}{'-clock' if clock else ''}{'-long' * (clip_s != CLIP_S)}"
    scene = street(HD, FPS, noise, clock)
    pictures = scene.pictures(clip_s)
    if size != HD:
        pictures = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in pictures)
    return coded(name, coding, pictures, size, FPS)


def _decoded(path: Path) -> None:
    reader = cv2.VideoCapture(str(path))
    while reader.read()[0]:
        pass


def _demultiplexed(path: Path) -> None:
    for _ in units(path):
        pass


def _cost(costs_s: dict[str, list[float]], what: str, work: Callable[[], object]) -> None:
    began = time.process_time()
    work()
    costs_s.setdefault(what, []).append(time.process_time() - began)


class Nothing:
    """Nobody is there, and no model has to find that out."""

    def detect(self, frame: Frame, look_at: Sequence[Box] = ()) -> list[Detection]:
        return []


# --- passers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One scene with known passers, and what finds them."""

    name: str
    role: str
    codings: Sequence[Coding]
    passers: Sequence[Passer]
    clip: Callable[[Coding, bool], Path]
    detector: Callable[[], object]


def missed(report: Report, codings: Sequence[Coding], scene: str = "") -> None:
    report.table(
        "Passers found with the gate, of those found when all is looked at",
        ["scene, coding", "mode", "asleep", "found", "of", "worst delay"],
    )
    for trial in trials(report):
        if scene not in trial.name:
            continue
        for coding in codings:
            if coding not in trial.codings:
                continue
            for clock in (False, True) if coding in (VBR, CBR) else (True,):
                _missed_row(report, trial, coding, clock)


def trials(report: Report) -> Iterator[Trial]:
    for noise, name in ((NOISE, "drawn"), (NIGHT, "drawn, night")):
        yield _drawn(name, noise)
    for clip, name, role, kinds, fps in (
        (VTEST, "vtest.avi", "face", ("person",), 10),
        (CARS, "car-detection.mp4", "traffic", ("car", "vehicle"), 12),
    ):
        if clip.exists():
            yield _cut_out(name, clip, role, kinds, fps)
        else:
            report.say(f"{name}: not there, left out")


def _drawn(name: str, noise: float) -> Trial:
    walks, passers, lasts_s = drawn(SMALL, SMALL_FPS, HEIGHTS, SPEEDS, LEAD_S, GAP_S)

    def clip(coding: Coding, clock: bool) -> Path:
        scene = street(SMALL, SMALL_FPS, noise, clock, walks)
        label = f"walk-{noise:g}{'-clock' if clock else ''}"
        return coded(label, coding, scene.pictures(lasts_s), SMALL, SMALL_FPS)

    return Trial(
        name=name,
        role="face",
        codings=(VBR, CBR) if noise == NIGHT else CODINGS,
        passers=passers,
        clip=clip,
        detector=lambda: Truth(passers),
    )


def _cut_out(name: str, path: Path, role: str, kinds: Sequence[str], fps: int) -> Trial:
    scene = CutOut(path, fps, detector(), kinds, MOST)
    passers, _ = scene.passers(LEAD_S, GAP_S)

    def clip(coding: Coding, clock: bool) -> Path:
        label = f"{path.stem}{'-clock' if clock else ''}"
        return coded(label, coding, scene.play(LEAD_S, GAP_S, clock), scene.size, fps)

    return Trial(
        name=name,
        role=role,
        codings=FEWER,
        passers=passers,
        clip=clip,
        detector=lambda: Once(passers),
    )


@cache
def detector() -> Detector:
    return Detector(open_model(find_package("object"), threads=1), budget=1)


class Truth:
    """The drawing's own truth."""

    def __init__(self, passers: Sequence[Passer]) -> None:
        self._passers = passers

    def detect(self, frame: Frame, look_at: Sequence[Box] = ()) -> list[Detection]:
        there = [passer.at(frame.t_mono_ns / NS) for passer in self._passers]
        return [Detection(kind="person", score=0.9, box=box) for box in there if box]


class Once:
    """The object model, one look a frame; where nobody passes it is not asked."""

    def __init__(self, passers: Sequence[Passer]) -> None:
        self._passers = passers
        self._known: dict[int, list[Detection]] = {}

    def detect(self, frame: Frame, look_at: Sequence[Box] = ()) -> list[Detection]:
        at_s = frame.t_mono_ns / NS
        if not any(each.begins_s - 1 <= at_s <= each.ends_s + 1 for each in self._passers):
            return []
        if frame.t_mono_ns not in self._known:
            self._known[frame.t_mono_ns] = detector().detect(frame)
        return self._known[frame.t_mono_ns]


class Finds:
    """When each passer was first looked at, and first found."""

    def __init__(self, passers: Sequence[Passer]) -> None:
        self.looked_s: dict[str, float] = {}
        self.found_s: dict[str, float] = {}
        self._passers = passers

    def __call__(self, frame: Frame, seen) -> None:
        at_s = frame.t_mono_ns / NS
        for passer in self._passers:
            box = passer.at(at_s)
            if box is None:
                continue
            self.looked_s.setdefault(passer.name, at_s)
            sure = (each for each in seen.tracks if each.state is TrackState.CONFIRMED)
            if any(_overlap(each.box, box) for each in sure):
                self.found_s.setdefault(passer.name, at_s)


def _overlap(one: Box, other: Box) -> bool:
    x, y = one.center
    return other.x0 <= x <= other.x1 and other.y0 <= y <= other.y1


def _missed_row(report: Report, trial: Trial, coding: Coding, clock: bool) -> None:
    path = trial.clip(coding, clock)
    looks = trial.detector()
    found = {}
    for gate in (False, True):
        found[gate] = Finds(trial.passers)
        camera = LockStep(decoder_of(path), looks, role=trial.role, gate=gate, seen=found[gate])
        camera.watch(units(path))
    there = found[False].found_s
    caught = [name for name in there if name in found[True].found_s]
    delays_s = [found[True].found_s[name] - there[name] for name in caught]
    asleep = 1 - camera.capture.state.awake_s / (trial.passers[-1].ends_s + GAP_S)
    report.row(
        f"{trial.name}: {coding}{', clock' if clock else ''}",
        camera.attention.mode,
        f"{asleep:.0%}",
        len(caught),
        len(there),
        f"{max(delays_s, default=0):.1f} s",
    )
    for name in there:
        if name not in caught:
            seen = "looked at, too short" if name in found[True].looked_s else "not looked at"
            report.row(f"{trial.name}: {coding}: missed {name}", seen)


if __name__ == "__main__":
    main()
