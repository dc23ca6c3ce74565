"""`mahalla models eval plate`: how many plates are found and read, and how sure wrong ones are."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent.detect.detector import Detector
from agent.errors import AgentError, UsageError
from agent.evaluate.labelled import Seen, look, read_labels, save_predictions
from agent.evaluate.plate_scoring import (
    CurvePoint,
    PlateFigures,
    by_width,
    curve,
    figures,
    score_plates,
)
from agent.evaluate.plates import PlateEyes
from agent.evaluate.plot import curve_svg
from agent.infer.model import open_model
from agent.infer.package import find_package
from agent.plates.finder import PlateFinder
from agent.plates.reader import PlateReader

_COLUMNS = {name: max(len(name), 6) + 2 for name in PlateFigures.__dataclass_fields__}
"""Each figure and how wide its column is."""


def evaluate_plates(args: argparse.Namespace, progress: Callable[[int], Any]) -> int:
    """The arguments are those of `models eval`."""
    if args.plot and args.plot.suffix != ".svg":
        raise UsageError(f"--plot {args.plot}: a name that ends in .svg")
    finder, reader, objects = (
        open_model(find_package(task), threads=args.threads)
        for task in ("plate", "plate-text", "object")
    )
    eyes = PlateEyes(
        Detector(objects, budget=args.budget), PlateFinder(finder), PlateReader(reader)
    )
    labels = read_labels(args.labels, "plate")
    seen = look(labels, eyes.crops if args.crops else eyes.whole, progress(len(labels)))
    if args.predictions:
        save_predictions(seen, args.predictions)
    names = [f"{model.package.name} {model.package.version}" for model in (finder, reader)]
    result = {
        "task": "plate",
        "model": ", ".join(names[1:] if args.crops else names),
        "crops": args.crops,
        **report(seen, eyes.sure),
    }
    if args.plot:
        _plot(result, args.plot)
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        for line in as_text(result):
            print(line)
    return 0


def report(seen: Sequence[Seen], sure: float) -> dict[str, Any]:
    """The figures as plain data; shares are of all plates, readings of those with a text."""
    scores = score_plates(
        [each.labelled.objects for each in seen], [each.objects for each in seen], sure
    )
    widths = by_width(scores.outcomes, sure)
    return {
        "images": len(seen),
        "threshold": sure,
        **_rounded(figures(scores.outcomes, sure)),
        "elsewhere": scores.elsewhere,
        "confident_elsewhere": scores.confident_elsewhere,
        "ms_per_image": round(statistics.fmean(each.took_ms for each in seen), 2),
        "widths": {name: _rounded(row) for name, row in widths.items()},
        "curve": [_rounded(point) for point in curve(scores.outcomes)],
    }


def as_text(result: Mapping[str, Any]) -> Iterator[str]:
    """The same for people."""
    yield (
        f"{result['model']} on {result['images']} pictures, {result['ms_per_image']} ms each; "
        f"a text counts as read from q {result['threshold']}"
    )
    if result["crops"]:
        yield "true boxes given: all are found"
    else:
        yield (
            f"where no plate is labelled: {result['elsewhere']} boxes, "
            f"{result['confident_elsewhere']} with a text that counts as read"
        )
    yield f"{'width px':<8}" + "".join(f"{name:>{wide}}" for name, wide in _COLUMNS.items())
    for name, row in {"all": result, **result["widths"]}.items():
        cells = {column: "-" if row[column] is None else f"{row[column]}" for column in _COLUMNS}
        yield f"{name:<8}" + "".join(f"{cells[each]:>{_COLUMNS[each]}}" for each in _COLUMNS)


def _plot(result: Mapping[str, Any], path: Path) -> None:
    points = [CurvePoint(**point) for point in result["curve"]]
    title = f"Plates read exactly, one picture each: {result['texts']} plates, {result['model']}"
    try:
        path.write_text(curve_svg(points, title), encoding="utf-8")
    except OSError as error:
        raise AgentError(f"{path}: cannot be written: {error.strerror}") from error


def _rounded(row: PlateFigures | CurvePoint) -> dict[str, Any]:
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in asdict(row).items()
    }
