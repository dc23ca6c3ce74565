"""Plates in single pictures: ours beside RapidOCR and Tesseract, picture by picture in one run.

    .venv/bin/python tests/bench/bench_plates.py SET... --rapidocr-python PATH [--keep FOLDER]

SET is a folder with labels.jsonl (none named: those of SETS that are there). RapidOCR lives in an
environment of its own: `python3 -m venv X; X/bin/pip install rapidocr==3.10.0 onnxruntime
opencv-python-headless`, then PATH is X/bin/python. Tesseract is Debian's. What is absent is left
out. `--keep` stores what the peers said, and asks them nothing twice; their times are then of the
first run. A set with the clip of uz_street is read through time too, see street_clip.py.

A peer's text is what its lines whose middle lies on the true plate say, joined: it has no idea
what a plate is, and is told where to look. Everything runs on one thread. Milliseconds are those
of a picture, in the rows of crops those of a plate.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from street_clip import report_clip

from agent.detect.detector import Detector
from agent.errors import ModelError
from agent.evaluate.labelled import Labelled, look, read_labels
from agent.evaluate.plate_scoring import Outcome, by_width, figures, score_plates
from agent.evaluate.plates import PlateEyes
from agent.evaluate.scoring import IOU
from agent.infer.model import open_model
from agent.infer.package import find_package
from agent.plates.finder import PlateFinder
from agent.plates.reader import PlateReader

HERE = Path(__file__).parent
DATA = Path(__file__).parents[3] / "shared" / "data"
SETS = ("uz_street", "openalpr_eu", "kaggle_cars_plates")
CONFIDENT = 0.9  # a peer's own score from which it counts as sure
ALIKE = str.maketrans("OI", "01")


@dataclass
class Row:
    """What one reader made of one set."""

    name: str
    sure: float
    outcomes: list[Outcome] = field(default_factory=list)
    elsewhere: int = 0  # confident texts where no plate is labelled
    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)


Reader = Callable[[Labelled], tuple[list[Outcome], int, float, float]]
"""Outcomes of a picture's plates, confident texts elsewhere, CPU ms, wall ms."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", type=Path, metavar="SET")
    parser.add_argument("--rapidocr-python", metavar="PATH", help="a Python that has rapidocr")
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="what peers said, kept")
    args = parser.parse_args()
    folders = args.sets or [DATA / name for name in SETS if (DATA / name).is_dir()]
    if not folders:
        sys.exit(f"no SET is named and {DATA} is not here: nothing to do")
    with ExitStack() as stack:
        readers = dict(_ours()) | dict(_peers(args, stack))
        for folder in folders:
            labels = read_labels(folder / "labels.jsonl", "plate")
            _show(folder.name, labels, _measured(readers, labels))
    for folder in folders:
        report_clip(folder)


def _ours() -> Iterator[tuple[str, tuple[float, Reader]]]:
    try:
        finder, reader, objects = (
            open_model(find_package(task), threads=1) for task in ("plate", "plate-text", "object")
        )
    except ModelError as error:
        print(f"ours is left out: {error}", file=sys.stderr)
        return
    eyes = PlateEyes(Detector(objects), PlateFinder(finder), PlateReader(reader))

    def reading(see: Any) -> Reader:
        def read(labelled: Labelled) -> tuple[list[Outcome], int, float, float]:
            cpu_ms = 0.0

            def timed(*what: Any) -> list[Any]:
                nonlocal cpu_ms
                began = time.process_time()
                found = list(see(*what))
                cpu_ms = (time.process_time() - began) * 1e3
                return found

            (seen,) = look([labelled], timed, lambda done: None)
            scores = score_plates([labelled.objects], [seen.objects], eyes.sure)
            return list(scores.outcomes), scores.confident_elsewhere, cpu_ms, seen.took_ms

        return read

    yield "ours whole", (eyes.sure, reading(eyes.whole))
    yield "ours crops", (eyes.sure, reading(eyes.crops))


def _peers(
    args: argparse.Namespace, stack: ExitStack
) -> Iterator[tuple[str, tuple[float, Reader]]]:
    if args.rapidocr_python:
        peer = stack.enter_context(_Peer([args.rapidocr_python], "rapidocr", args.keep))
        yield "rapidocr whole", (CONFIDENT, peer.whole)
        yield "rapidocr crops", (CONFIDENT, peer.crops)
    else:
        print("rapidocr is left out: --rapidocr-python names no Python", file=sys.stderr)
    if shutil.which("tesseract"):
        peer = stack.enter_context(_Peer([sys.executable], "tesseract", args.keep))
        yield "tesseract crops", (CONFIDENT, peer.crops)
    else:
        print("tesseract is left out: apt install tesseract-ocr", file=sys.stderr)


class _Peer:
    """A child process that is started with the first question that was not asked before."""

    def __init__(self, python: Sequence[str], name: str, keep: Path | None) -> None:
        self._command = [*python, str(HERE / "plate_peers.py"), name]
        self._child: subprocess.Popen[str] | None = None
        self._kept = keep / f"{name}.jsonl" if keep else None
        self._known: dict[str, Any] = {}
        if keep and self._kept:
            keep.mkdir(parents=True, exist_ok=True)
            self._kept.touch()
            for line in self._kept.read_text().splitlines():
                said = json.loads(line)
                self._known[said["question"]] = said["answer"]

    def __enter__(self) -> _Peer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child:
            self._child.stdin.close()
            self._child.wait(10)

    def whole(self, labelled: Labelled) -> tuple[list[Outcome], int, float, float]:
        said = self._ask({"file": str(labelled.path.resolve())})
        lines = said["lines"]
        outcomes, used = [], set()
        for plate in labelled.objects:
            on_it = [k for k, line in enumerate(lines) if _holds(plate.xyxy_px, line["box"])]
            used.update(on_it)
            text = _joined([lines[k] for k in on_it])
            outcomes.append(
                Outcome(
                    width_px=plate.xyxy_px[2] - plate.xyxy_px[0],
                    label=plate.text,
                    found=any(_overlap(plate.xyxy_px, line["box"]) >= IOU for line in lines),
                    text=text,
                    q=min((lines[k]["score"] for k in on_it), default=0.0),
                )
            )
        elsewhere = sum(
            _like_a_plate(line["text"]) and line["score"] >= CONFIDENT
            for k, line in enumerate(lines)
            if k not in used
        )
        return outcomes, elsewhere, said["cpu_ms"], said["wall_ms"]

    def crops(self, labelled: Labelled) -> tuple[list[Outcome], int, float, float]:
        boxes = [list(plate.xyxy_px) for plate in labelled.objects]
        said = self._ask({"file": str(labelled.path.resolve()), "boxes": boxes})
        outcomes = [
            Outcome(
                width_px=plate.xyxy_px[2] - plate.xyxy_px[0],
                label=plate.text,
                found=True,
                text=_plain(crop["text"]) or None,
                q=crop["score"],
            )
            for plate, crop in zip(labelled.objects, said["crops"], strict=True)
        ]
        return outcomes, 0, said["cpu_ms"], said["wall_ms"]

    def _ask(self, question: dict[str, Any]) -> Any:
        line = json.dumps(question)
        if line not in self._known:
            self._known[line] = self._answer(line)
            if self._kept:
                with self._kept.open("a") as kept:
                    kept.write(json.dumps({"question": line, "answer": self._known[line]}) + "\n")
        return self._known[line]

    def _answer(self, line: str) -> Any:
        if self._child is None:
            self._child = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            json.loads(self._child.stdout.readline())
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()
        return json.loads(self._child.stdout.readline())


def _measured(readers: dict[str, tuple[float, Reader]], labels: Sequence[Labelled]) -> list[Row]:
    """One after the other on each picture, so that a busy machine slows all of them."""
    rows = [Row(name, sure) for name, (sure, _) in readers.items()]
    for labelled in labels:
        for row in rows:
            _, read = readers[row.name]
            outcomes, elsewhere, cpu_ms, wall_ms = read(labelled)
            row.outcomes += outcomes
            row.elsewhere += elsewhere
            each = len(outcomes) if row.name.endswith("crops") else 1
            row.cpu_ms += [cpu_ms / max(each, 1)] * each
            row.wall_ms += [wall_ms / max(each, 1)] * each
    return rows


def _show(name: str, labels: Sequence[Labelled], rows: Sequence[Row]) -> None:
    plates = sum(len(labelled.objects) for labelled in labels)
    print(f"\n{name}: {len(labels)} pictures, {plates} plates")
    print(
        f"{'':16}{'found':>7}{'texts':>7}{'exact':>7}{'O=0':>5}{'of found':>10}"
        f"{'wrong, sure':>13}{'elsewhere':>11}{'cpu ms':>9}{'wall ms':>9}  exact by width"
    )
    for row in rows:
        total = figures(row.outcomes, row.sure)
        spans = " ".join(
            f"{span} {_count(each.exact, each.texts)}/{each.texts}"
            for span, each in by_width(row.outcomes, row.sure).items()
            if each.texts
        )
        of_found = "-" if total.exact_of_found is None else f"{total.exact_of_found:.0%}"
        print(
            f"{row.name:16}{_count(total.found, total.plates):>7}{total.texts:>7}"
            f"{_count(total.exact, total.texts):>7}{_alike(row.outcomes):>5}{of_found:>10}"
            f"{total.wrong_confident:>13}{row.elsewhere:>11}{_mean(row.cpu_ms):>9.1f}"
            f"{_mean(row.wall_ms):>9.1f}  {spans}"
        )
    times = {row.name: sum(row.cpu_ms) for row in rows}
    for kind in ("whole", "crops"):
        for peer in ("rapidocr", "tesseract"):
            ours, theirs = times.get(f"ours {kind}"), times.get(f"{peer} {kind}")
            if ours and theirs:
                print(f"CPU of {peer} {kind} / ours: {theirs / ours:.1f}")


def _count(share: float | None, of: int) -> int:
    return round((share or 0.0) * of)


def _alike(outcomes: Sequence[Outcome]) -> int:
    """Exact readings if O were 0 and I were 1."""
    return sum(
        replace(
            one,
            label=one.label and one.label.translate(ALIKE),
            text=one.text and one.text.translate(ALIKE),
        ).exact
        for one in outcomes
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(len(values), 1)


def _joined(lines: Sequence[dict[str, Any]]) -> str | None:
    """Line by line from the top, in a line from the left."""
    if not lines:
        return None
    high = max(line["box"][3] - line["box"][1] for line in lines)
    ordered = sorted(
        lines, key=lambda line: (round(_middle(line["box"])[1] / high), line["box"][0])
    )
    return _plain("".join(line["text"] for line in ordered)) or None


def _plain(text: str) -> str:
    return "".join(char for char in text.upper() if char.isascii() and char.isalnum())


def _like_a_plate(text: str) -> bool:
    plain = _plain(text)
    return 4 <= len(plain) <= 9 and any(char.isdigit() for char in plain)


def _middle(box: Sequence[float]) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _holds(box: Sequence[float], other: Sequence[float]) -> bool:
    x, y = _middle(other)
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    across = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    down = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return across * down / (areas - across * down)


if __name__ == "__main__":
    main()
