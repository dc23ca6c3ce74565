"""`mahalla replay`: one clip through the same pipeline, in media time, nothing dropped."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from agent.config.model import CameraConfig, InferConfig
from agent.errors import ConfigError

if TYPE_CHECKING:
    from agent.records import Message

_EXAMPLE = "example: mahalla replay street.mp4 --role traffic --preset entrance --out events.jsonl"


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `replay` to the command line."""
    parser = commands.add_parser(
        "replay",
        help="one clip through the pipeline; events as JSON lines",
        description="Run one clip through the same pipeline as the daemon, in media time, and "
        "print one event a line. The same clip, --start and --seed give the same bytes.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("clip", metavar="CLIP", type=Path, help="a video file")
    parser.add_argument(
        "--role", action="append", choices=("face", "traffic", "plate"), help="what to look for"
    )
    parser.add_argument("--preset", default=None, help="entrance, bus-stop, school, market, ...")
    parser.add_argument("-c", dest="config", metavar="FILE", type=Path, help="take the camera of")
    parser.add_argument("--camera", metavar="ID", help="... this name from the configuration -c")
    parser.add_argument("--out", metavar="FILE", default="-", help="where events go (-: stdout)")
    parser.add_argument("--start", metavar="TIME", type=_utc_ms, default=0, help=_START_HELP)
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="for the event ids")
    parser.add_argument("--threads", metavar="N", type=int, default=2, help="inference threads")
    parser.add_argument("--video", metavar="OUT.mp4", type=Path, help="draw what was seen, masked")
    parser.add_argument(
        "--show-plates", action="store_true", help="for development; no plate is read yet"
    )
    parser.set_defaults(run=run)


_START_HELP = "when the clip begins, Unix ms or ISO 8601 (default 0)"


def _utc_ms(text: str) -> int:
    if text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither Unix milliseconds nor ISO 8601 like 2026-01-31T08:00:00Z"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return round(moment.timestamp() * 1000)


def run(args: argparse.Namespace) -> int:
    from agent.capture.sources import open_source
    from agent.clock import ManualClock
    from agent.pipeline import CameraPipeline, Eyes
    from agent.privacy.privacy import Privacy
    from agent.records import Moment
    from agent.ulid import UlidMaker

    site, box, camera, infer = _scene(args)
    if args.show_plates:
        print("replay: --show-plates has no effect, this version reads no plates", file=sys.stderr)
    pipeline = CameraPipeline(
        camera,
        eyes=Eyes(infer),
        privacy=Privacy(site, box, "replay"),
        ids=UlidMaker(random.Random(args.seed)),  # noqa: S311 - ids, not secrets
    )
    with ExitStack() as stack:
        out = stack.enter_context(_output(args.out))
        source = open_source(camera, ManualClock(utc_ms=args.start), realtime=False)
        stack.callback(source.close)
        video = stack.enter_context(_video(args.video)) if args.video else None
        at = Moment(mono_ns=0, utc_ms=args.start)
        for frame in source.frames():
            seen = pipeline.frame(frame)
            at = Moment(mono_ns=frame.t_mono_ns, utc_ms=frame.t_utc_ms)
            _write(out, seen.messages)
            if video:
                video.add(frame, seen)
            _progress(frame.seq, at)
        _write(out, pipeline.close(at, "end of clip"))
    _progress_end()
    return 0
