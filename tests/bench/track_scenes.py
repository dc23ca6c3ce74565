"""Street scenes with known truth for comparing trackers: detections in, tracks judged.

Plain data only, so that the same scene can be written to JSON for a tracker that lives in
another environment.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

Xyxy = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Hardness:
    name: str
    missed: float  # share of detections missed, in bursts of about 0.3 s
    jitter: float  # standard deviation of the box, in sizes
    false_alarms: float  # a second, each about 0.2 s long


EASY = Hardness(name="easy", missed=0.10, jitter=0.03, false_alarms=0.3)
MEDIUM = Hardness(name="medium", missed=0.20, jitter=0.05, false_alarms=1.0)
HARD = Hardness(name="hard", missed=0.40, jitter=0.07, false_alarms=2.0)


@dataclass(kw_only=True)
class Scene:
    """`frames[i]` is (time in s, detections); `truth[i]` maps an object to (box, can be seen)."""

    fps: float
    frames: list[tuple[float, list[tuple[str, float, Xyxy]]]] = field(default_factory=list)
    truth: list[dict[int, tuple[Xyxy, bool]]] = field(default_factory=list)


class _Walker:
    """One object: it enters at the side, may turn or pause, and leaves; or it is parked."""

    def __init__(self, rng: random.Random, seconds: float) -> None:
        kind = rng.choice(["car", "car", "truck", "person", "person", "person"])
        vehicle = kind != "person"
        self.kind = kind
        height = rng.uniform(0.05, 0.16) if vehicle else rng.uniform(0.10, 0.30)
        self.size = (height * rng.uniform(0.9, 1.3), height) if vehicle else (height / 4, height)
        self.parked = vehicle and rng.random() < 0.25
        lane = rng.uniform(0.15, 0.85)
        speed = rng.uniform(0.8, 3.5) * self.size[0]
        leftwards = rng.random() < 0.5
        self.velocity = (-speed if leftwards else speed, rng.uniform(-0.02, 0.02))
        self.at = (1.0 if leftwards else 0.0, lane)
        self.enters = rng.uniform(-2, seconds - 2)
        self.pause = (rng.uniform(2, 6), rng.uniform(1, 4)) if rng.random() < 0.3 else None
        self.turns = not vehicle and rng.random() < 0.3
        if self.parked:
            self.velocity, self.at, self.enters = (0.0, 0.0), (rng.uniform(0.1, 0.9), lane), -1.0
            self.turns = False

    def box(self, t: float) -> Xyxy | None:
        age = t - self.enters
        if age < 0:
            return None
        if self.pause:
            age -= min(max(age - self.pause[0], 0.0), self.pause[1])
        bend = 0.03 * math.sin(age * 1.5) if self.turns else 0.0
        cx, cy = self.at[0] + self.velocity[0] * age, self.at[1] + self.velocity[1] * age + bend
        if not (-0.001 <= cx <= 1.001 and 0 <= cy <= 1):
            return None
        width, height = self.size
        return (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)


def street(hardness: Hardness, fps: float, seed: int, seconds: float = 40.0) -> Scene:
    """Crossing persons, parked and passing vehicles, a pillar and each other to hide behind."""
    rng = random.Random(seed)
    walkers = [_Walker(rng, seconds) for _ in range(22)]
    pillar = (0.52, 0.0, 0.58, 1.0)
    scene = Scene(fps=fps)
    asleep = dict.fromkeys(range(len(walkers)), False)
    ghosts: list[tuple[float, str, Xyxy]] = []
    for number in range(int(seconds * fps)):
        t = number / fps * rng.uniform(0.999, 1.001)
        boxes = {i: box for i, walker in enumerate(walkers) if (box := walker.box(t))}
        truth: dict[int, tuple[Xyxy, bool]] = {}
        seen: list[tuple[str, float, Xyxy]] = []
        for i, box in boxes.items():
            # The nearer one, whose feet are lower in the picture, hides the other.
            hiders = [b for j, b in boxes.items() if j != i and b[3] > box[3]] + [pillar]
            visible = max(_covered(box, hider) for hider in hiders) < 0.6
            truth[i] = (box, visible)
            asleep[i] = _missed(rng, asleep[i], hardness.missed, fps)
            if visible and not asleep[i]:
                kind, score = walkers[i].kind, min(max(rng.gauss(0.65, 0.15), 0.1), 0.99)
                if kind != "person" and rng.random() < 0.15:
                    kind = rng.choice(["car", "truck", "vehicle"])
                seen.append((kind, score, _shaken(rng, box, hardness.jitter)))
        ghosts = [ghost for ghost in ghosts if ghost[0] > t]
        if rng.random() < hardness.false_alarms / fps:
            ghosts.append((t + rng.expovariate(1 / 0.2), *_ghost(rng)))
        seen += [(k, rng.uniform(0.2, 0.7), _shaken(rng, b, hardness.jitter)) for _, k, b in ghosts]
        scene.frames.append((t, seen))
        scene.truth.append(truth)
    return scene


def _missed(rng: random.Random, missed: bool, share: float, fps: float) -> bool:
    """A two-state chain: the share is missed, a miss lasts about 0.3 s or one frame."""
    leave = min(1.0, 1 / (0.3 * fps)) if fps > 5 else 1 - share
    if missed:
        return rng.random() >= leave
    return rng.random() < leave * share / (1 - share)


def _shaken(rng: random.Random, box: Xyxy, sigma: float) -> Xyxy:
    width, height = box[2] - box[0], box[3] - box[1]
    dx, dy = rng.gauss(0, sigma) * width, rng.gauss(0, sigma) * height
    dw, dh = rng.gauss(0, sigma) * width / 2, rng.gauss(0, sigma) * height / 2
    return (box[0] + dx - dw, box[1] + dy - dh, box[2] + dx + dw, box[3] + dy + dh)


def _ghost(rng: random.Random) -> tuple[str, Xyxy]:
    x, y, w = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), rng.uniform(0.03, 0.1)
    return rng.choice(["car", "person"]), (x - w / 2, y - w, x + w / 2, y + w)


def _covered(box: Xyxy, by: Xyxy) -> float:
    width = min(box[2], by[2]) - max(box[0], by[0])
    height = min(box[3], by[3]) - max(box[1], by[1])
    return max(width, 0) * max(height, 0) / ((box[2] - box[0]) * (box[3] - box[1]))


def overlap(a: Xyxy, b: Xyxy) -> float:
    """Intersection over union."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inter = max(width, 0) * max(height, 0)
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return inter / max(area - inter, 1e-12)


@dataclass(kw_only=True)
class Verdict:
    """Counts over scenes, after CLEAR MOT (Bernardin and Stiefelhagen, 2008)."""

    visible: int = 0
    missed: int = 0
    false: int = 0
    switches: int = 0
    breaks: int = 0

    @property
    def mota(self) -> float:
        return 1 - (self.missed + self.false + self.switches) / max(self.visible, 1)


def judge(scene: Scene, answers: list[list[tuple[int, Xyxy]]], verdict: Verdict) -> None:
    """Add to `verdict` how well `answers`, tracks frame by frame, follow the truth."""
    last: dict[int, int] = {}  # object -> the track it had last
    held: dict[int, bool] = {}
    for truth, tracks in zip(scene.truth, answers, strict=True):
        pairs = _pairs(truth, tracks, last)
        matched = set(pairs.values())
        for i, (_, visible) in truth.items():
            if i in pairs:
                verdict.switches += i in last and last[i] != pairs[i]
                verdict.breaks += i in last and not held[i]
                last[i], held[i] = pairs[i], True
            elif visible:
                held[i] = False
                verdict.missed += 1
            verdict.visible += visible
        verdict.false += sum(number not in matched for number, _ in tracks)


def _pairs(
    truth: dict[int, tuple[Xyxy, bool]], tracks: list[tuple[int, Xyxy]], last: dict[int, int]
) -> dict[int, int]:
    """Object -> track: what belonged together before stays together, then by overlap."""
    close = [
        (last.get(i) == number, overlap(box, place), i, number)
        for i, (box, _) in truth.items()
        for number, place in tracks
        if overlap(box, place) >= 0.3
    ]
    pairs: dict[int, int] = {}
    for _, _, i, number in sorted(close, reverse=True):
        if i not in pairs and number not in pairs.values():
            pairs[i] = number
    return pairs
