"""`mahalla replay` on the sample clips, as a child: repeatable, pure, near what is on record.

The golden events are what replay itself wrote; look at the clip before they are renewed with
`mahalla replay CLIP … --out tests/replay/golden/NAME.jsonl`.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from daemon import MAHALLA, agent_yaml
from jsonschema_lite import complaints
from samples import FACES, STREET, clip, street_camera

from agent import schema
from agent.privacy.mask import BLOCKS_ACROSS, mask_picture

GOLDEN = Path(__file__).parent / "golden"
NEAR_MS = 1000  # another processor rounds otherwise: a frame or two more until something is sure


def replays(*calls: list[object]) -> list[subprocess.CompletedProcess[bytes]]:
    """All of them at the same time: a processor each, where there are two."""
    children = [
        subprocess.Popen(
            [MAHALLA, "replay", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for arguments in calls
    ]
    try:
        said = [child.communicate(timeout=120) for child in children]
    finally:
        for child in children:
            child.kill()
    return [
        subprocess.CompletedProcess(child.args, child.returncode, *each)
        for child, each in zip(children, said, strict=True)
    ]


@dataclass(frozen=True)
class Played:
    """One clip, played twice: to stdout, and with a video to a file."""

    clip: Path
    out: bytes
    err: bytes
    again: bytes
    video: Path

    @property
    def events(self) -> list[dict]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(scope="module", params=["carphone_face", "bikes_street"])
def played(request, tmp_path_factory) -> tuple[str, Played]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "carphone_face":
        source, how = clip(FACES), ["--role", "face", "--threads", "1"]
    else:
        config = folder / "agent.yaml"
        camera = street_camera().replace("role:", "rules: {vehicle.count: {per: 10s}}, role:")
        one_thread = "infer: {threads: 1}\n"
        config.write_text(agent_yaml({"street": camera}, "mqtt://127.0.0.1", one_thread))
        source, how = clip(STREET), ["-c", str(config)]
    video, out = folder / "seen.mp4", folder / "again.jsonl"
    first, second = replays([source, *how], [source, *how, "--video", video, "--out", out])
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert second.stdout == b""
    return request.param, Played(source, first.stdout, first.stderr, out.read_bytes(), video)


def test_replay_twice_gives_the_same_bytes_ids_too(played):
    _, run = played
    assert run.out == run.again
    assert len({event["id"] for event in run.events}) > 1


def test_replay_prints_events_of_the_schema_and_nothing_else(played):
    _, run = played
    document = schema.events_schema()
    assert run.err == b""
    assert run.events
    for event in run.events:
        assert not {"st", "sq"} & event.keys()
        assert event["v"] == 1
        enveloped = event | {"st": "k3f9x2ab", "sq": 1}
        assert list(complaints(enveloped, document, document)) == []


def outline(event: dict) -> tuple:
    return tuple(event.get(key) for key in ("k", "s", "n", "z", "o", "dir", "per", "why"))


def differences(events: list[dict], golden: list[dict]) -> list[str]:
    """What is not near enough: kinds, phases and places as they are, times and counts loosely."""
    found = []
    seen, wanted = Counter(map(outline, events)), Counter(map(outline, golden))
    found += [f"too many: {each}" for each in seen - wanted]
    found += [f"missing: {each}" for each in wanted - seen]
    by_outline = sorted(events, key=lambda e: (str(outline(e)), e["t"]))
    for event, there in zip(
        by_outline, sorted(golden, key=lambda e: (str(outline(e)), e["t"])), strict=False
    ):
        for key, slack in (("t", NEAR_MS), ("dur", NEAR_MS), ("c", 1)):
            if abs(event.get(key, 0) - there.get(key, 0)) > slack:
                found.append(f"{key} is {event.get(key)}, not near {there.get(key)}: {event}")
    return found


def test_replay_is_near_the_golden_events(played):
    name, run = played
    golden = [json.loads(line) for line in (GOLDEN / f"{name}.jsonl").read_text().splitlines()]
    assert differences(run.events, golden) == []


@pytest.mark.parametrize(
    "change", [{"k": "person.line"}, {"t": 5300}, {"s": "update"}, {"c": 3}, None]
)
def test_golden_comparison_notices_what_is_not_near(change):
    golden = json.loads((GOLDEN / "carphone_face.jsonl").read_text().splitlines()[0])
    near = golden | {"t": golden["t"] + 500, "id": "other"}
    assert differences([near], [golden]) == []
    other = [] if change is None else [golden | change]
    assert differences(other, [golden])


def test_replay_video_plays_and_shows_each_frame_looked_at(played):
    _, run = played
    with av.open(str(run.video)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        times = [frame.time for frame in container.decode(stream)]
    with av.open(str(run.clip)) as container:
        length_s = float(container.duration / av.time_base)
    assert len(times) == pytest.approx(10 * length_s, abs=2)
    assert times[-1] - times[0] == pytest.approx(length_s, abs=0.3)
    assert all(after > before for before, after in pairwise(times))


def detail(picture: np.ndarray) -> np.ndarray:
    """What is left of a picture without its blurred self: the part that is read.

    Blurred over a quarter of a block: what is coarser than that is what the blocks may tell.
    """
    grey = picture.astype(np.float64).mean(axis=2)
    return (grey - cv2.GaussianBlur(grey, (0, 0), grey.shape[1] / BLOCKS_ACROSS / 4)).ravel()


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    one, other = detail(one), detail(other)
    return float(abs(one @ other) / (np.linalg.norm(one) * np.linalg.norm(other) + 1e-9))


def test_replay_video_shows_the_mask_and_nothing_of_the_picture(played):
    _, run = played
    shown, clear = {}, {}
    with av.open(str(run.video)) as container:
        for frame in container.decode(video=0):
            shown[frame.time] = frame.to_ndarray(format="rgb24")
    with av.open(str(run.clip)) as container:
        for frame in container.decode(video=0):
            clear[frame.time] = frame.to_ndarray(format="rgb24")
    for at_s in list(shown)[2::15]:
        nearest = min(clear, key=lambda t: abs(t - at_s))
        original, picture = clear[nearest], shown[at_s]
        assert likeness(picture, original) < 0.2
        masked = mask_picture(original, keep=None)
        apart = np.abs(picture.astype(int) - masked.astype(int)).max(axis=2)
        assert np.median(apart) <= 6  # the rest are boxes, lines and what the codec costs
        assert likeness(cv2.GaussianBlur(original, (0, 0), 1), original) > 0.5  # it can tell


def test_replay_of_a_damaged_clip_tells_what_it_saw_until_then(tmp_path):
    whole = clip(FACES).read_bytes()
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(whole[: len(whole) // 2])
    (done,) = replays([damaged, "--role", "face"])
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert "damaged.mp4" in line
    for text in done.stdout.splitlines():
        json.loads(text)
