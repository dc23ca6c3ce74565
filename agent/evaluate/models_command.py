"""`mahalla models`: what the model packages are, whether they are whole, how good and how fast."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import ModelError, UsageError

if TYPE_CHECKING:
    from agent.evaluate.scoring import Figures, Scores
    from agent.infer.package import ModelPackage

_EXAMPLE = "example: mahalla models eval face labels.jsonl --json --predictions seen.jsonl"
_EVAL_EXAMPLE = "example: mahalla models eval plate labels.jsonl --json --plot exact.svg"
_TASKS = ("face", "object", "plate")
_BENCH_RUNS = 60
_MOST_THREADS = 8  # as in agent.yaml
_SEEN_FROM = 0.02  # scores below this cannot change AP50 in the third digit


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `models` and its five verbs to the command line."""
    parser = commands.add_parser(
        "models",
        help="model packages: list, verify, selftest, bench, eval",
        description="Look at the model packages in $MAHALLA_MODELS or beside the agent.",
        epilog=_EXAMPLE,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _verb(verbs, "list", _list, "what is here: task, version, licence, where it comes from")
    _verb(verbs, "verify", _verify, "are the files whole and unaltered; exit 1 if not")
    _verb(verbs, "selftest", _selftest, "do they give what their golden samples say")
    bench = _verb(verbs, "bench", _bench, "milliseconds a picture and memory on this machine")
    evaluate = _verb(
        verbs,
        "eval",
        _evaluate,
        "face, object: AP50 and recall on labelled pictures, by class and by size (a label with "
        "`crowd` is neither asked for nor held against the model); plate: shares found and read "
        "exactly, by width, and how often a text that counts as read was wrong",
        epilog=_EVAL_EXAMPLE,
    )
    evaluate.add_argument("task", choices=_TASKS, help=", ".join(_TASKS))
    evaluate.add_argument("labels", metavar="LABELS.jsonl", type=Path, help="one picture a line")
    evaluate.add_argument(
        "--predictions", metavar="OUT.jsonl", type=Path, help="write what was seen, with scores"
    )
    evaluate.add_argument(
        "--budget",
        metavar="N",
        type=int,
        default=3,
        help="inferences a picture, of a plate's picture for vehicles (default 3)",
    )
    evaluate.add_argument(
        "--crops", action="store_true", help="plate: read where plates are labelled, find nothing"
    )
    evaluate.add_argument(
        "--plot", metavar="OUT.svg", type=Path, help="plate: exact readings against the width"
    )
    for each in (bench, evaluate):
        each.add_argument("--threads", metavar="N", type=int, default=1, help="default 1")


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Any,
    words: str,
    epilog: str | None = None,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=words,
        description=words,
        epilog=epilog or f"example: mahalla models {name} --json",
    )
    parser.add_argument("--json", action="store_true", help="the same for a program")
    parser.set_defaults(run=run)
    return parser


def _list(args: argparse.Namespace) -> int:
    from agent.infer.package import models_dir, package_dirs, read_card

    cards = [read_card(folder) for folder in package_dirs(models_dir())]
    rows = [
        {
            "name": card.name,
            "task": card.task,
            "version": card.version,
            "title": card.title,
            "licence": card.licence,
            "input": f"{card.width_px}x{card.height_px}",
            "smallest_px": card.smallest_px,
            "fetched": card.file.is_file(),
            "sha256": card.sha256,
        }
        for card in cards
    ]
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print(
            f"{row['name']:<12}{row['title']:<44}{row['input']:<10}from {row['smallest_px']} px  "
            f"{row['licence']}, {row['version']}{'' if row['fetched'] else '  NOT FETCHED'}"
        )
    return 0


def _verify(args: argparse.Namespace) -> int:
    from agent.infer.package import load_package, models_dir, package_dirs

    results = []
    for folder in package_dirs(models_dir()):
        try:
            package = load_package(folder)
            results.append({"name": folder.name, "ok": True, "sha256": package.sha256})
        except ModelError as error:
            results.append({"name": folder.name, "ok": False, "error": str(error)})
    for name in _missing(results):
        results.append({"name": name, "ok": False, "error": "is missing"})
    return _answer(results, args.json, lambda row: f"sha256 {row['sha256'][:12]}…")


def _missing(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Packages that an agent needs and that are not there; each has the name of its task."""
    from agent.evaluate.labelled import CLASSES

    there = {row["name"] for row in results}
    return [name for name in (*CLASSES, "plate-text") if name not in there]


def _selftest(args: argparse.Namespace) -> int:
    from agent.infer.package import models_dir, package_dirs

    results = [_tested(folder) for folder in package_dirs(models_dir())]
    return _answer(
        results,
        args.json,
        lambda row: f"{row['samples']} samples, deviation {row['deviation']} of {row['allowed']}",
    )


def _tested(folder: Path) -> dict[str, Any]:
    from agent.evaluate.golden import worst_deviation
    from agent.health import rss_mb
    from agent.infer.model import open_model
    from agent.infer.package import load_package
    from agent.infer.runtime import runtime

    result: dict[str, Any] = {"name": folder.name, "ok": False}
    try:
        package = load_package(folder)
        if not package.golden:
            raise ModelError(f"{folder}: no golden samples in golden/: it cannot be tested")
        runtime()  # its own memory is not the model's
        before_mb = rss_mb()
        model = open_model(package)
        deviation = max(worst_deviation(model, sample) for sample in package.golden)
    except ModelError as error:
        return result | {"error": str(error)}
    allowed = package.golden_tolerance
    result |= {"samples": len(package.golden), "deviation": round(deviation, 6), "allowed": allowed}
    result["rss_mb"] = round(rss_mb() - before_mb, 1)
    if deviation > allowed:
        return result | {"error": f"its outputs are off by {deviation:.3g}, {allowed} is allowed"}
    return result | {"ok": True}


def _answer(results: Sequence[Mapping[str, Any]], as_json: bool, words: Any) -> int:
    if as_json:
        print(json.dumps(results, indent=2))
    else:
        for row in results:
            verdict = f"ok    {words(row)}" if row["ok"] else f"FAIL  {row['error']}"
            print(f"{row['name']:<12}{verdict}")
    return 0 if all(row["ok"] for row in results) else 1


def _bench(args: argparse.Namespace) -> int:
    _check_threads(args)
    from agent.evaluate.golden import as_tensor, pattern
    from agent.health import rss_mb
    from agent.infer.model import open_model
    from agent.infer.package import load_package, models_dir, package_dirs

    results = []
    for folder in package_dirs(models_dir()):
        package = load_package(folder)
        before_mb = rss_mb()
        model = open_model(package, threads=args.threads)
        tensor = as_tensor(pattern(package, 0), package)
        took_ms = sorted(_milliseconds(model.run, tensor) for _ in range(_BENCH_RUNS))
        results.append(
            {
                "name": package.name,
                "threads": args.threads,
                "ms": round(statistics.median(took_ms), 2),
                "ms_p95": round(took_ms[int(0.95 * len(took_ms))], 2),
                "rss_mb": max(0.0, round(rss_mb() - before_mb, 1)),  # others' may be given back
            }
        )
    if args.json:
        print(json.dumps(results, indent=2))
        return 0
    for row in results:
        print(
            f"{row['name']:<12}{row['ms']:>8} ms (95 %: {row['ms_p95']}), "
            f"{row['threads']} thread{'s'[: row['threads'] - 1]}, {row['rss_mb']} MB"
        )
    return 0


def _check_threads(args: argparse.Namespace) -> None:
    if not 1 <= args.threads <= _MOST_THREADS:
        raise UsageError(f"--threads is from 1 to {_MOST_THREADS}")


def _milliseconds(work: Callable[..., object], *arguments: Any) -> float:
    began = time.perf_counter()
    work(*arguments)
    return (time.perf_counter() - began) * 1e3


def _evaluate(args: argparse.Namespace) -> int:
    from agent.detect.detector import Detector
    from agent.evaluate.labelled import by_detector, look, merged, read_labels, save_predictions
    from agent.evaluate.plate_report import evaluate_plates
    from agent.evaluate.scoring import score
    from agent.infer.model import open_model
    from agent.infer.package import find_package

    _check_threads(args)
    if args.budget < 1:
        raise UsageError("--budget is at least 1")
    if args.task == "plate":
        return evaluate_plates(args, _progress)
    if args.crops or args.plot:
        raise UsageError(f"--crops and --plot go with the task plate, not with {args.task}")
    package = find_package(args.task)
    labels = read_labels(args.labels, args.task)
    model = open_model(package, threads=args.threads)
    detector = Detector(model, budget=args.budget, least_score=_SEEN_FROM)
    seen = look(labels, by_detector(detector), _progress(len(labels)))
    if args.predictions:
        save_predictions(seen, args.predictions)
    scores = score(
        [merged(each.labelled.objects) for each in seen], [merged(each.objects) for each in seen]
    )
    took_ms = statistics.fmean(each.took_ms for each in seen)
    result = _figures_of(args.task, package, scores) | {"ms_per_image": round(took_ms, 2)}
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        for line in _as_text(result):
            print(line)
    return 0


def _progress(total: int) -> Any:
    if not sys.stderr.isatty():
        return lambda done: None

    def tell(done: int) -> None:
        print(f"\r{done}/{total} ", end="" if done < total else "\r\x1b[K", file=sys.stderr)

    return tell


def _figures_of(task: str, package: ModelPackage, scores: Scores) -> dict[str, Any]:
    result: dict[str, Any] = {
        "task": task,
        "model": f"{package.name} {package.version}",
        "images": scores.images,
        **_row(scores.total),
        "threshold@0.1fp": _rounded(scores.threshold),
    }
    if task == "object":
        result["merged"] = {"vehicle": ["car", "bus", "truck", "motorcycle"]}
    result["classes"] = {name: _row(figures) for name, figures in scores.per_class.items()}
    result["sizes"] = {name: _row(figures) for name, figures in scores.per_size.items()}
    return result


def _row(figures: Figures) -> dict[str, Any]:
    return {
        "objects": figures.objects,
        "ap50": _rounded(figures.ap50),
        "recall@0.1fp": _rounded(figures.recall_at_fp),
        "recall": _rounded(figures.recall),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _as_text(result: Mapping[str, Any]) -> Iterator[str]:
    yield f"{result['model']} on {result['images']} pictures, {result['ms_per_image']} ms each"
    if "merged" in result:
        yield "car, bus, truck, motorcycle are merged as vehicle: the model has no such classes"
    yield f"{'':<12}{'objects':>8}{'ap50':>8}{'recall@0.1fp':>14}{'recall':>8}"
    rows = {"all": result, **result["classes"], **result["sizes"]}
    for name, row in rows.items():
        cells = [row["objects"], row["ap50"], row["recall@0.1fp"], row["recall"]]
        texts = ["-" if cell is None else f"{cell}" for cell in cells]
        yield f"{name:<12}{texts[0]:>8}{texts[1]:>8}{texts[2]:>14}{texts[3]:>8}"
