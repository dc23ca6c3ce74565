"""Streams as cameras code them, kept under .cache/bench: coding 1080p takes longer than the rest.

What passes in them is drawn (`idle_street`), or cut out of a clip along the tracks of its passers
and laid over the clip's own empty scene, one at a time between long idle stretches.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from agent.capture.clip import ClipSource
from agent.capture.decoding import Decoder
from agent.capture.rtp import AccessUnit
from agent.clock import ManualClock
from agent.records import Box, TrackState
from agent.track.tracker import Tracker

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "bench"
sys.path.insert(0, str(ROOT / "tests" / "simulators"))

from idle_street import Street  # noqa: E402

NS = 10**9
CBR_BITS = 0.08  # a pixel: 4 Mbit/s at 1080p25, as cameras are delivered
CAP_BITS = 0.05  # 2.6 Mbit/s: twice what the drawn street needs at rest
RUN_IN_S = 8  # an encoder's first groups: its rate control has yet to find its ground
QUALITY = {"x264": 24, "x265": 28}
PRESET = {"x264": "veryfast", "x265": "ultrafast"}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """How a camera codes: `rate` is VBR (constant quality), capped (that, up to a rate) or CBR."""

    codec: str = "x264"
    rate: str = "VBR"
    gop_s: float = 2.0

    def __str__(self) -> str:
        return f"{self.codec} {self.rate}, keyframe each {self.gop_s:g} s"

    @property
    def slug(self) -> str:
        return f"{self.codec}-{self.rate}-{self.gop_s:g}s"

    def options(self, fps: int, bits_per_s: float) -> dict[str, str]:
        keyint = round(self.gop_s * fps)
        asked = f"keyint={keyint}:min-keyint={keyint}:scenecut=0:bframes=0"
        if self.codec == "x265":
            asked += ":log-level=none:pools=1"
        options = {"preset": PRESET[self.codec], "tune": "zerolatency"}
        if self.rate != "CBR":
            options["crf"] = str(QUALITY[self.codec])
        if self.rate != "VBR":
            kbits = round(bits_per_s / 1000)
            asked += f":vbv-maxrate={kbits}:vbv-bufsize={kbits}"
        return {**options, f"{self.codec}-params": asked}


@dataclass(frozen=True, slots=True, kw_only=True)
class Passer:
    """One who passes: when (seconds of the stream), and where at each moment (None: not there)."""

    name: str
    begins_s: float
    ends_s: float
    at: Callable[[float], Box | None]


def coded(name: str, coding: Coding, pictures: Iterable[Pixels], size, fps: int) -> Path:
    """The clip of these pictures (luma, or BGR), coded once."""
    path = CACHE / f"{name}-{coding.slug}.mp4"
    if path.exists():
        return path
    print(f"coding {path.name} ...", file=sys.stderr, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    bits_per_s = size[0] * size[1] * fps * (CBR_BITS if coding.rate == "CBR" else CAP_BITS)
    with av.open(str(unfinished), "w", format="mp4") as file:
        stream = file.add_stream(f"lib{coding.codec}", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, fps)
        if coding.rate == "CBR":
            stream.bit_rate = round(bits_per_s)
        stream.options = coding.options(fps, bits_per_s)
        for number, picture in enumerate(pictures):
            frame = _frame(picture)
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return unfinished.rename(path)


def _frame(picture: Pixels) -> av.VideoFrame:
    if picture.ndim == 3:
        return av.VideoFrame.from_ndarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), "yuv420p")
    grey = np.full((picture.shape[0] // 2, picture.shape[1]), 128, np.uint8)
    return av.VideoFrame.from_ndarray(np.vstack([picture, grey]), "yuv420p")


def units(path: Path, rounds: int = 1) -> Iterator[AccessUnit]:
    """The coded pictures of a clip with their times, so many times over.

    Later rounds leave out how an encoder begins, and each second one a group more, or who looks
    once a minute would always see the same picture.
    """
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        tick_ns = float(stream.time_base) * NS
        interval_ns = round(NS / stream.average_rate)
        began_ns = 0
        for number in range(rounds):
            file.seek(0)
            from_ns, left_out = (RUN_IN_S * NS, number % 2) if number else (0, 0)
            skipped_ns = None
            for packet in file.demux(stream):
                if not packet.size:
                    continue
                at_ns = round(packet.pts * tick_ns)
                if skipped_ns is None:
                    if not packet.is_keyframe or at_ns < from_ns:
                        continue
                    left_out -= 1
                    if left_out >= 0:
                        continue
                    skipped_ns = at_ns
                taken_ns = began_ns + at_ns - skipped_ns
                yield AccessUnit(
                    coded=bytes(packet), keyframe=packet.is_keyframe, taken_ns=taken_ns
                )
            began_ns = taken_ns + interval_ns


def decoder_of(path: Path) -> Callable[[], Decoder]:
    with av.open(str(path)) as file:
        context = file.streams.video[0].codec_context
        codec, parameter_sets = context.name, bytes(context.extradata or b"")
    return lambda: Decoder(codec, parameter_sets)


def drawn(size, fps: int, heights: Sequence[float], speeds: Sequence[float], lead_s, gap_s):
    """Who walks through the drawn street: each height (of the picture) at each speed (heights/s).

    Passers for a `Street`, the same as `Passer`s, and how long it all takes.
    """
    walks, passers, at_s = [], [], lead_s
    for height in heights:
        for speed in speeds:
            height_px = round(height * size[1])
            widths = speed * height_px / size[0]
            walks.append((at_s, height_px, widths))
            took_s = (1 + height_px * 1.4 / size[0]) / widths
            passers.append(
                Passer(
                    name=f"{height:.0%} high, {speed:g} heights/s",
                    begins_s=at_s,
                    ends_s=at_s + took_s,
                    at=_walk(at_s, height_px, widths, size, fps),
                )
            )
            at_s += took_s + gap_s
    return walks, passers, at_s


def _walk(begins_s: float, height_px: int, speed: float, size, fps: int):
    """As `idle_street` draws it."""

    def at(t_s: float) -> Box | None:
        since_s = round(t_s * fps) / fps - begins_s
        left = round(since_s * speed * size[0]) - height_px
        width_px, foot = height_px * 2 // 5, size[1] * 3 // 4
        if since_s < 0 or not -width_px < left < size[0]:
            return None
        return Box(
            x0=max(left, 0) / size[0],
            y0=(foot - height_px) / size[1],
            x1=min(left + width_px, size[0]) / size[0],
            y1=foot / size[1],
        )

    return at


class CutOut:
    """Passers of a clip one after the other, before what its camera sees when nobody is there."""

    def __init__(self, clip: Path, fps: int, detector, kinds: Sequence[str], most: int) -> None:
        self.fps = fps
        pictures = list(_bgr(clip))
        self.size = pictures[0].shape[1] // 2 * 2, pictures[0].shape[0] // 2 * 2
        self._pictures = [picture[: self.size[1], : self.size[0]] for picture in pictures]
        some = self._pictures[:: max(1, len(pictures) // 40)]
        self._empty = np.median(some, axis=0).astype(np.uint8)
        self._tracks = _tracks(clip, detector, kinds)[:most]

    def passers(self, lead_s: float, gap_s: float) -> tuple[list[Passer], float]:
        passers, at_s = [], lead_s
        for number, track in enumerate(self._tracks):
            ends_s = at_s + len(track) / self.fps
            passers.append(
                Passer(
                    name=f"track {number}",
                    begins_s=at_s,
                    ends_s=ends_s,
                    at=lambda t_s, track=track, from_s=at_s: self._at(track, t_s - from_s),
                )
            )
            at_s = ends_s + gap_s
        return passers, at_s

    def _at(self, track, since_s: float) -> Box | None:
        number = round(since_s * self.fps)
        return track[number][1] if 0 <= number < len(track) else None

    def play(self, lead_s: float, gap_s: float, clock: bool) -> Iterator[Pixels]:
        passers, lasts_s = self.passers(lead_s, gap_s)
        rng = np.random.default_rng(0)
        rows, columns = self._empty.shape[:2]
        grain = [rng.normal(0, 0.7, (rows, columns + 64)).round() for _ in range(8)]
        grain = [cv2.merge([each.astype(np.int8)] * 3) for each in grain]
        for number in range(round(lasts_s * self.fps)):
            picture = self._empty.copy()
            for passer, track in zip(passers, self._tracks, strict=True):
                place = number - round(passer.begins_s * self.fps)
                if 0 <= place < len(track):
                    self._lay(picture, *track[place])
            x = rng.integers(64)
            picture = cv2.add(picture, grain[rng.integers(8)][:, x : x + columns], dtype=cv2.CV_8U)
            if clock:
                tick(picture, number // self.fps)
            yield picture

    def _lay(self, picture: Pixels, source: int, box: Box) -> None:
        """The part of a clip's picture around a box, its edge blended in."""
        width, height = self.size
        grown_x, grown_y = 0.12 * box.width, 0.08 * box.height
        left, top = (
            max(0, round(v)) for v in ((box.x0 - grown_x) * width, (box.y0 - grown_y) * height)
        )
        right, bottom = round((box.x1 + grown_x) * width), round((box.y1 + grown_y) * height)
        part = picture[top:bottom, left:right]
        if not part.size:
            return
        mask = np.zeros(part.shape[:2], np.float32)
        mask[4:-4, 4:-4] = 1
        mask = cv2.blur(mask, (9, 9))[:, :, None]
        new = self._pictures[source][top:bottom, left:right]
        part[:] = np.rint(part + mask * (new.astype(np.float32) - part)).astype(np.uint8)


def tick(picture: Pixels, seconds: int) -> None:
    """The camera's clock, burnt into the upper left corner."""
    words = f"2026-01-31 08:{seconds // 60 % 60:02}:{seconds % 60:02}"
    scale = picture.shape[1] / 1280
    cv2.putText(picture, words, (12, 24), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1)


def _bgr(clip: Path) -> Iterator[Pixels]:
    reader = cv2.VideoCapture(str(clip))
    while True:
        there, picture = reader.read()
        if not there:
            return
        yield picture


def _tracks(clip: Path, detector, kinds: Sequence[str]):
    """Pictures and boxes of each passer that moved and was seen well, longest first."""
    tracker, lives = Tracker(), {}
    frames = ClipSource("bench", clip, ManualClock(), realtime=False).frames()
    for number, frame in enumerate(frames):
        for track in tracker.update(detector.detect(frame), frame.t_mono_ns):
            if track.state is TrackState.CONFIRMED and track.kind in kinds:
                lives.setdefault(track.track_id, []).append((number, track.box, track.moved))
    whole = []
    for life in lives.values():
        first, last = life[0][0], life[-1][0]
        if not life[-1][2] or last - first < 15 or len(life) < 0.7 * (last - first):
            continue
        boxes = {number: box for number, box, _ in life}
        track, box = [], life[0][1]
        for number in range(first, min(last + 1, first + 150)):
            box = boxes.get(number, box)
            track.append((number, box))
        whole.append(track)
    return sorted(whole, key=len, reverse=True)


def street(size, fps: int, noise: float, clock: bool, walks=()) -> Street:
    return Street(size, fps=fps, noise=noise, clock=clock, passers=walks)
