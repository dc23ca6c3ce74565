"""Cars, not frames: the clip of uz_street through the whole pipeline.

    .venv/bin/python tests/bench/street_clip.py FOLDER

Some labelled frames lie in the clip and are found there by their looks; the car of a plate is the
vehicle around it in that frame. Cars whose text nobody is sure of are counted apart.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from plate_camera import CountingWatch, moment, plate_camera

from agent.capture.clip import ClipSource
from agent.capture.pictures import RgbPicture
from agent.clock import ManualClock
from agent.detect.detector import Detector
from agent.detect.motion import MotionFinder
from agent.errors import ModelError
from agent.evaluate.labelled import Labelled, read_labels
from agent.infer.model import Model, open_model
from agent.infer.package import find_package
from agent.plates.grammar import load_grammars
from agent.plates.reader import PlateReader
from agent.plates.vote import Vote
from agent.records import VEHICLES, PlateReading, Track

CLIP, FRAMES = "uz_839_clip.mp4", "uz_839_clip_"
ALIKE = 0.98  # correlation of a labelled frame with its coded copy in the clip
SMALL = (160, 90)
_ROOM = 0.05  # of a vehicle's box on each side


def report_clip(folder: Path) -> None:
    """Single frames and cars; says so where there is nothing to follow."""
    if not (folder / CLIP).is_file():
        print(f"{folder.name}: no {CLIP} here, cars are not followed")
        return
    try:
        models = {
            t: open_model(find_package(t), threads=1) for t in ("object", "plate", "plate-text")
        }
    except ModelError as error:
        print(f"{folder.name}: {CLIP} is not read: {error}")
        return
    labels = read_labels(folder / "labels.jsonl", "plate")
    labels = [each for each in labels if each.path.name.startswith(FRAMES)]
    _vote_over_frames(labels, models["plate-text"])
    _follow(folder / CLIP, labels, models)


def _vote_over_frames(labels: Sequence[Labelled], model: Model) -> None:
    """True boxes, so that the reader and the vote alone are judged."""
    reader, grammars = PlateReader(model), load_grammars()
    votes: dict[str, Vote] = defaultdict(lambda: Vote(grammars))
    single: list[bool] = []
    for labelled in labels:
        picture = _picture(labelled)
        size = np.array([picture.width_px, picture.height_px])
        for plate in labelled.objects:
            if plate.text is None:
                continue
            x0, y0, x1, y1 = plate.xyxy_px
            quad = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) / size
            view, alone = reader.read(picture, quad), Vote(grammars)
            alone.add(view)
            single.append(_says(alone, plate.text))
            votes[plate.text].add(view)
    exact = sum(_says(vote, text) for text, vote in votes.items())
    print(
        f"\n{FRAMES}* at true boxes: single frames exact {sum(single)}/{len(single)}, "
        f"cars voted exact {exact}/{len(votes)}"
    )


def _follow(clip: Path, labels: Sequence[Labelled], models: dict[str, Model]) -> None:
    watch = CountingWatch(models["plate"], models["plate-text"])
    readings: list[PlateReading] = []
    camera = plate_camera(Detector(models["object"]), MotionFinder(), watch, readings.append)
    frames: list[tuple[np.ndarray, Sequence[Track]]] = []
    for frame in ClipSource("street", clip, ManualClock(), realtime=False).frames():
        tracks = camera.frame(frame).tracks
        frames.append((_small(frame.picture.luma()), tracks))
    camera.close(moment(frame), "end of clip")
    cars, unsure = _cars(labels, frames)
    events = {text: [r for r in readings if r.track_id in ids] for text, ids in cars.items()}
    known = set().union(*cars.values(), unsure)
    exact = sum(any(_text(r) == text for r in found) for text, found in events.items())
    wrong = sum(any(_text(r) not in (None, text) for r in found) for text, found in events.items())
    counts = Counter(len(found) for found in events.values())
    print(
        f"{clip.name}: {len(frames)} frames, {len(cars)} cars with a sure text: "
        f"voted exact {exact}, wrong {wrong}; events a car: "
        + ", ".join(f"{count} for {cars} cars" for count, cars in sorted(counts.items()))
    )
    others = [r for r in readings if r.track_id not in known]
    repeats = [text for text, n in Counter(filter(None, map(_text, readings))).items() if n > 1]
    print(
        f"  cars without a sure text: {sum(r.track_id in unsure for r in readings)} events; "
        f"vehicles without a label: {len(others)}; texts told twice: {len(repeats)}; "
        f"{watch.inferences / len(frames):.1f} inferences of finder and reader a frame, "
        f"{watch.searches / len(frames):.1f} of these for plates on no vehicle"
    )


def _cars(
    labels: Sequence[Labelled], frames: Sequence[tuple[np.ndarray, Sequence[Track]]]
) -> tuple[dict[str, set[int]], set[int]]:
    """The tracks of each sure text that the clip shows, and those of plates nobody is sure of."""
    cars: dict[str, set[int]] = {}
    unsure: set[int] = set()
    for labelled in labels:
        picture = _small(cv2.imread(str(labelled.path), cv2.IMREAD_GRAYSCALE))
        alike = [float((picture * other).mean()) for other, _ in frames]
        if max(alike) < ALIKE:
            continue
        _, tracks = frames[int(np.argmax(alike))]
        for plate in labelled.objects:
            ids = _around(plate.xyxy_px, labelled, tracks)
            if plate.text is None:
                unsure |= ids
            else:
                cars.setdefault(plate.text, set()).update(ids)
    return cars, unsure.difference(*cars.values())


def _around(
    box: tuple[float, float, float, float], labelled: Labelled, tracks: Sequence[Track]
) -> set[int]:
    """The smallest vehicle around that plate, or the track of the plate itself."""
    width, height = labelled.content["w"], labelled.content["h"]
    middle = (box[0] + box[2]) / 2 / width, (box[1] + box[3]) / 2 / height
    on = [t for t in tracks if t.kind in VEHICLES | {"plate"} and t.box.wider(_ROOM).holds(middle)]
    return {min(on, key=lambda track: track.box.area).track_id} if on else set()


def _picture(labelled: Labelled) -> RgbPicture:
    return RgbPicture(cv2.imread(str(labelled.path)), bgr=True)


def _small(luma: np.ndarray) -> np.ndarray:
    """For comparing: whether black is 0 or 16 makes no difference."""
    small = cv2.resize(luma, SMALL, interpolation=cv2.INTER_AREA).astype(float)
    return (small - small.mean()) / max(small.std(), 1e-6)


def _says(vote: Vote, text: str) -> bool:
    texts = vote.verdict().texts
    return bool(texts) and texts[0].text == text


def _text(reading: PlateReading) -> str | None:
    return reading.best.text if reading.best else None


if __name__ == "__main__":
    report_clip(Path(sys.argv[1]))
