"""`mahalla replay`: one clip through the same pipeline, in media time, nothing dropped."""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from agent.config.rules import PRESETS, ROLES
from agent.errors import AgentError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.config.model import Config
    from agent.hotlist.hotlist import Hotlist
    from agent.records import Message, Moment, PlateReading

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
    parser.add_argument("clip", metavar="CLIP", help="a video file, or synthetic:SCENE?seconds=N")
    parser.add_argument("--role", action="append", choices=ROLES, help="what to look for")
    parser.add_argument("--preset", metavar="P", help=f"{', '.join(PRESETS)} (default: street)")
    parser.add_argument(
        "-c", dest="config", metavar="agent.yaml", type=Path, help="roles, lines, rules from here"
    )
    parser.add_argument("--camera", metavar="ID", help="... of this camera (where it has several)")
    parser.add_argument("--out", metavar="FILE", default="-", help="where events go (-: stdout)")
    parser.add_argument("--start", metavar="TIME", type=_utc_ms, default=0, help=_START_HELP)
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="for the event ids")
    parser.add_argument("--threads", metavar="N", type=int, default=2, help="inference threads")
    parser.add_argument("--video", metavar="OUT.mp4", type=Path, help="draw what was seen, masked")
    parser.add_argument(
        "--show-plates", action="store_true", help="for development: what is read, on stderr"
    )
    parser.set_defaults(run=run)


_LAST_UTC_MS = 253_402_300_799_999  # of the year 9999: an event id has 48 bits for its time
_START_HELP = "when the clip begins, Unix ms or ISO 8601 (default 0)"


def _utc_ms(text: str) -> int:
    if text.isdecimal():
        return _in_range(int(text))
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither Unix milliseconds nor ISO 8601 like 2026-01-31T08:00:00Z"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return _in_range(round(moment.timestamp() * 1000))


def _in_range(utc_ms: int) -> int:
    if not 0 <= utc_ms <= _LAST_UTC_MS:
        raise argparse.ArgumentTypeError("is before 1970 or after 9999")
    return utc_ms


def run(args: argparse.Namespace) -> int:
    """Events go to --out, progress to a terminal's stderr."""
    from agent.capture.sources import open_source
    from agent.clock import ManualClock
    from agent.pipeline import CameraPipeline, Eyes
    from agent.privacy.privacy import Privacy
    from agent.privacy.pseudonyms import Pseudonyms
    from agent.records import Moment
    from agent.rules.plates import PlatePolicy
    from agent.sharing import FPS, Pace
    from agent.ulid import UlidMaker
    from agent.video import Video

    config = _config(args)
    (camera,) = config.cameras.values()
    hotlists = _hotlists(config)
    pseudonyms = config.privacy.plates == "pseudonym"
    keys = Pseudonyms(config.timezone, random.Random(args.seed).randbytes)  # noqa: S311 - as ids
    eyes = Eyes([camera], config.infer)
    detectors, motion = eyes.of(camera)
    watch = eyes.watch(camera)
    if args.show_plates and watch is None:
        print("replay: --show-plates has no effect, this camera reads no plates", file=sys.stderr)
    if watch is not None and not hotlists and not pseudonyms and not args.show_plates:
        print(
            "replay: without a list nothing that is read makes an event; --show-plates prints it",
            file=sys.stderr,
        )
    pipeline = CameraPipeline(
        camera,
        detectors=detectors,
        motion=motion,
        privacy=Privacy(config.site, config.box, "replay", keys if pseudonyms else None),
        ids=UlidMaker(random.Random(args.seed)),  # noqa: S311 - ids, not secrets
        plates=PlatePolicy(in_force=lambda utc_ms: hotlists, pseudonyms=pseudonyms),
        watch=watch,
        on_reading=lambda reading: _show(reading, at) if args.show_plates else None,
    )
    pace, progress = Pace(), _Progress(sys.stderr)
    at = Moment(mono_ns=0, utc_ms=args.start)
    with ExitStack() as stack:
        source = open_source(camera, ManualClock(utc_ms=args.start), realtime=False)
        stack.callback(source.close)
        stack.callback(progress.end)
        out = stack.enter_context(_output(args.out))
        video = stack.enter_context(Video(args.video, camera)) if args.video else None
        for frame in source.frames():
            if frame is None:
                continue
            at = Moment(mono_ns=frame.t_mono_ns, utc_ms=frame.t_utc_ms)
            if not pace.due(at.mono_ns, camera.most_fps or FPS):
                continue
            seen = pipeline.frame(frame)
            _write(out, seen.messages)
            if video:
                video.add(frame, seen.tracks)
            progress.at(at.mono_ns / 1e9)
        _write(out, pipeline.close(at, "end of clip"))
    return 0


def _config(args: argparse.Namespace) -> Config:
    """One camera whose source is the clip; without -c a street camera of the --role."""
    from agent.config.load import load
    from agent.config.model import CameraConfig, Config, InferConfig
    from agent.config.rules import rules_in_force
    from agent.config.values import ID_PATTERN

    if args.threads < 1:
        raise UsageError("--threads is at least 1")
    _refuse_to_overwrite(args)
    synthetic = args.clip.startswith("synthetic:")
    if synthetic and "seconds=" not in args.clip:
        raise UsageError(f"{args.clip} never ends; say how long: {args.clip}?seconds=20")
    source = args.clip if synthetic else f"clip:{args.clip}"
    if args.config is None:
        if not args.role:
            raise UsageError(f"--role is missing ({', '.join(ROLES)}), or -c agent.yaml")
        if args.camera and not re.fullmatch(ID_PATTERN, args.camera):
            raise UsageError(
                f"--camera {args.camera}: small letters, digits and - only, at most 31"
            )
        preset = args.preset or "street"
        if preset not in PRESETS:
            raise UsageError(f"there is no preset {preset}; there are {', '.join(PRESETS)}")
        camera = CameraConfig(
            camera_id=args.camera or "clip",
            roles=tuple(args.role),
            source=source,
            preset=preset,
            rules=rules_in_force(preset=preset, roles=args.role, overrides={}),
        )
        infer = InferConfig(threads=args.threads)
        return Config(
            site="replay", box="replay", cameras={"clip": camera}, brokers={}, infer=infer
        )
    if args.role or args.preset:
        raise UsageError("-c names the camera's role and preset already: drop --role and --preset")
    config = load(args.config)
    name = args.camera or next(iter(config.cameras))
    if name not in config.cameras or (args.camera is None and len(config.cameras) > 1):
        raise UsageError(f"--camera is one of {', '.join(config.cameras)} in {args.config}")
    camera = replace(config.cameras[name], source=source, detect_source=None, auth=None)
    return replace(config, cameras={name: camera})


def _hotlists(config: Config) -> list[Hotlist]:
    """Every list of the configuration, whatever its age: a clip is of another day.

    HotlistError where one is no good.
    """
    if not config.hotlists:
        return []
    from agent.hotlist.opening import open_hotlist

    lists = [
        open_hotlist(each.file, name=each.name, signers=each.signers, keys=each.keys)
        for each in config.hotlists.values()
    ]
    for hotlist in lists:
        if time.time() * 1000 >= hotlist.expires_ms:
            print(
                f"replay: list {hotlist.name} has expired; a box would not use it any more",
                file=sys.stderr,
            )
    return lists


def _refuse_to_overwrite(args: argparse.Namespace) -> None:
    clip = Path(args.clip)
    for option, name in (("--out", args.out), ("--video", args.video)):
        path = Path(name) if name else None
        if path is not None and clip.exists() and path.exists() and path.samefile(clip):
            raise UsageError(f"{option} {name} is the clip itself; name another file")


def _output(name: str) -> nullcontext[TextIO] | TextIO:
    if name == "-":
        return nullcontext(sys.stdout)
    try:
        return Path(name).open("w", encoding="utf-8")
    except OSError as error:
        raise AgentError(f"{name}: cannot be written: {error.strerror}") from error


def _write(out: TextIO, messages: Iterable[Message]) -> None:
    """One event a line, as on the wire but for the counters that a broker's stream gives."""
    for message in messages:
        out.write('{"v":1,' + message.body[1:].decode() + "\n")
    out.flush()


def _show(reading: PlateReading, at: Moment) -> None:
    """One plate a line, on stderr: it is for the eyes of who develops, and is no event."""
    best = reading.best
    text = f"{best.text} {best.country} {best.pattern}" if best else "not read"
    print(
        f"plate {at.mono_ns / 1e9:.1f} s  {text}  {reading.score:.3f}, "
        f"margin {reading.margin:.1f}, {reading.votes} views of a {reading.kind}",
        file=sys.stderr,
    )


class _Progress:
    """Media time on a terminal; silent in a pipe."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream if stream.isatty() else None

    def at(self, media_s: float) -> None:
        if self._stream:
            self._stream.write(f"\r{media_s:8.1f} s ")
            self._stream.flush()

    def end(self) -> None:
        if self._stream:
            self._stream.write("\r\x1b[K")
