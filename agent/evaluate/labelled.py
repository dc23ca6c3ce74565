"""Labelled pictures: reading them, running a model over them, writing what it saw."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from agent.capture.pictures import RgbPicture
from agent.detect.detector import Detector
from agent.errors import AgentError
from agent.evaluate.scoring import Found
from agent.records import VEHICLES, Box, Frame

CLASSES = {
    "face": frozenset({"face"}),
    "object": frozenset({"person", "bicycle"}) | VEHICLES,
    "plate": frozenset({"plate"}),
}
"""Classes of a label that each task is about; other labels say nothing about it."""

MERGED = "vehicle"
"""What car, bus, truck and motorcycle become: no model here tells all of them apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """One line of a labels file; boxes in pixels of the picture."""

    path: Path
    content: Mapping[str, Any]  # file, w, h as they were written
    objects: tuple[Found, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the model gave for one picture."""

    labelled: Labelled
    objects: tuple[Found, ...]  # with the model's own classes
    took_ms: float


See = Callable[[Labelled, Frame], Iterable[Found]]
"""What looks at one picture; the labels are for what is told where to look."""


def read_labels(path: Path, task: str) -> list[Labelled]:
    """The lines of a labels file, without classes that the task is not about.

    Raises AgentError with file and line for what is no label.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise AgentError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AgentError(f"{path}: cannot be read: not text in UTF-8") from error
    labels = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                labels.append(_label(path, json.loads(line), task))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise AgentError(
                    f"{path}:{number}: not a label ({type(error).__name__}: {error}); it is like "
                    '{"file": "a.jpg", "w": 640, "h": 480, '
                    '"objects": [{"cls": "car", "box": [x1, y1, x2, y2]}]}; plates have "text" too'
                ) from error
    if not any(label.objects for label in labels):
        known = ", ".join(sorted(CLASSES[task]))
        raise AgentError(f"{path}: no labels of {known} in it (the cls of an object)")
    return labels


def look(labels: Sequence[Labelled], see: See, tell: Callable[[int], None]) -> list[Seen]:
    """Look at every picture; `tell` hears how many are done.

    The time is that of looking alone, not of reading the file.
    """
    seen = []
    for number, labelled in enumerate(labels, start=1):
        frame = _frame(labelled)
        began = time.perf_counter()
        objects = tuple(see(labelled, frame))
        took_ms = (time.perf_counter() - began) * 1e3
        seen.append(Seen(labelled=labelled, objects=objects, took_ms=took_ms))
        tell(number)
    return seen


def by_detector(detector: Detector) -> See:
    """Looks with a detector's eyes."""

    def see(labelled: Labelled, frame: Frame) -> Iterable[Found]:
        for found in detector.detect(frame):
            yield Found(cls=found.kind, xyxy_px=in_pixels(found.box, labelled), score=found.score)

    return see


def in_pixels(box: Box, labelled: Labelled) -> tuple[float, float, float, float]:
    """A box in the pixels in which the labels are."""
    width, height = labelled.content["w"], labelled.content["h"]
    return box.x0 * width, box.y0 * height, box.x1 * width, box.y1 * height


def merged(found: Sequence[Found]) -> list[Found]:
    """The same with every vehicle class called vehicle."""
    return [
        Found(
            cls=MERGED if one.cls in VEHICLES else one.cls,
            xyxy_px=one.xyxy_px,
            score=one.score,
            crowd=one.crowd,
        )
        for one in found
    ]


def write_predictions(seen: Sequence[Seen], out: TextIO) -> None:
    """One line a picture, as the labels are: a score on each object, and q on each plate."""
    for one in seen:
        objects = [_written(found) for found in one.objects]
        out.write(json.dumps({**one.labelled.content, "objects": objects}) + "\n")


def save_predictions(seen: Sequence[Seen], path: Path) -> None:
    """The same into a file; AgentError where it cannot be written."""
    try:
        with path.open("w", encoding="utf-8") as out:
            write_predictions(seen, out)
    except OSError as error:
        raise AgentError(f"{path}: cannot be written: {error.strerror}") from error


def _written(found: Found) -> dict[str, Any]:
    row: dict[str, Any] = {
        "cls": found.cls,
        "box": [round(edge, 1) for edge in found.xyxy_px],
        "score": round(found.score, 4),
    }
    if found.cls == "plate":
        row |= {"text": found.text, "q": round(found.q, 4)}
    return row


def _label(labels: Path, content: dict[str, Any], task: str) -> Labelled:
    objects = tuple(
        Found(
            cls=each["cls"],
            xyxy_px=_box(each["box"]),
            crowd=bool(each.get("crowd")),
            text=_text(each.get("text")),
        )
        for each in content["objects"]
        if each["cls"] in CLASSES[task]
    )
    head: dict[str, Any] = {
        "file": str(content["file"]),
        "w": int(content["w"]),
        "h": int(content["h"]),
    }
    if head["w"] < 1 or head["h"] < 1:
        raise ValueError("w and h are the size of the picture in pixels")
    return Labelled(path=labels.parent / head["file"], content=head, objects=objects)


def _box(raw: Any) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(edge) for edge in raw)
    if not (all(map(math.isfinite, (x1, y1, x2, y2))) and x1 < x2 and y1 < y2):
        raise ValueError(f"box {raw} is not x1, y1, x2, y2 with x1 < x2 and y1 < y2")
    return x1, y1, x2, y2


def _text(raw: Any) -> str | None:
    """Letters and digits alone, as plates are compared; None: nobody could read it."""
    if raw is None:
        return None
    if not isinstance(raw, str):
        raise ValueError(f"text is {raw!r}; it is a text, or null where nobody can read it")
    return "".join(char for char in raw.upper() if char.isalnum()) or None


def _frame(labelled: Labelled) -> Frame:
    # Read here and decoded there: imread writes a warning of its own about a missing file.
    try:
        coded = np.fromfile(labelled.path, dtype=np.uint8)
    except OSError as error:
        raise AgentError(f"{labelled.path}: cannot be read: {error.strerror}") from error
    pixels = cv2.imdecode(coded, cv2.IMREAD_COLOR) if coded.size else None
    if pixels is None:
        raise AgentError(f"{labelled.path}: not a picture")
    high, wide = pixels.shape[:2]
    named = labelled.content["w"], labelled.content["h"]
    if named != (wide, high):
        raise AgentError(
            f"{labelled.path}: is {wide} x {high}, and its label says w {named[0]}, h {named[1]}"
        )
    picture = RgbPicture(np.asarray(pixels, dtype=np.uint8), bgr=True)
    return Frame(
        camera_id="labels", seq=1, t_mono_ns=0, t_utc_ms=0, clock_synced=True, picture=picture
    )
