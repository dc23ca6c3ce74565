"""The sample clips, and cameras over them as lines of an agent.yaml."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

CLIPS = Path(__file__).parents[2] / ".cache" / "clips"
FACES, STREET = "carphone_pristine.mp4", "bikes.mp4"


def clip(name: str) -> Path:
    """The path of a sample clip; skips the test where it was never fetched."""
    path = CLIPS / name
    if not path.is_file():
        pytest.skip(f"{name} is not here (python3 models/fetch.py --clips .cache/clips)")
    return path


def pictures(name: str, at_s: float = 0.0, count: int = 1) -> list[np.ndarray]:
    """`count` pictures of a sample clip from `at_s` on, RGB."""
    found: list[np.ndarray] = []
    with av.open(str(clip(name))) as container:
        for frame in container.decode(video=0):
            if frame.time >= at_s:
                found.append(frame.to_ndarray(format="rgb24"))
            if len(found) == count:
                break
    return found


def write_clip(path: Path, pixels: list[np.ndarray], fps: int = 25) -> Path:
    """A clip of these pictures; their sides are even."""
    height, width = pixels[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "12"}
        for picture in pixels:
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            for packet in stream.encode(image):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


ACROSS = "{from: [0.5, 0], to: [0.5, 1], counts: [vehicle, person, bicycle]}"

DRAWN = f"{{role: traffic, source: synthetic:street, lines: {{middle: {ACROSS}}}}}"


def face_camera() -> str:
    return f'{{role: face, source: "clip:{clip(FACES)}"}}'


def street_camera() -> str:
    return f'{{role: traffic, source: "clip:{clip(STREET)}", lines: {{across: {ACROSS}}}}}'
