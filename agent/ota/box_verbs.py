"""`mahalla ota` on a box: apply, rollback; and verify, which looks as a new box would."""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from agent import __version__
from agent.errors import UpdateError, UsageError
from agent.ota.verbs import verb

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.config.model import Config
    from agent.ota.apply import Outcome
    from agent.ota.box_models import BoxModels
    from agent.ota.client import Client
    from agent.ota.fetching import Line
    from agent.ota.verbs import Verbs

ROOT = "ota-root.json"
"""Beside agent.yaml: the root that a box trusts first."""

_TRUSTED = 64_000  # bytes
_KBIT_S = 125  # bytes a second


def register(verbs: Verbs) -> None:
    """Add them."""
    verify = verb(
        verbs,
        "verify",
        _verify,
        "look at a repository as a new box would, and unpack everything",
        "https://office.lan/models --root ota-root.json",
    )
    verify.add_argument("source", metavar="PATH_OR_URL", help="http(s)://, folder or bundle")
    verify.add_argument("--root", metavar="FILE", type=Path, required=True, help="1.root.json")
    apply = verb(
        verbs,
        "apply",
        _apply,
        "on a box: fetch what is released for it, try it out, put it on trial beside the present",
        "/media/stick/models.ota -c agent.yaml",
    )
    apply.add_argument(
        "source",
        metavar="PATH_OR_URL",
        nargs="?",
        help="http(s)://, folder or bundle (default: models.url of the configuration)",
    )
    apply.add_argument(
        "--root", metavar="FILE", type=Path, help=f"1.root.json (default: {ROOT} beside -c)"
    )
    apply.add_argument("--again", action="store_true", help="try what was refused once more")
    apply.add_argument(
        "--now",
        action="store_true",
        help="without a trial: active at the next start of the agent",
    )
    apply.add_argument(
        "--jitter",
        metavar="S",
        type=float,
        default=0.0,
        help="wait up to so long before the first request, so that not all boxes ask at once",
    )
    back = verb(verbs, "rollback", _rollback, "on a box: back to the models before", "")
    back.add_argument(
        "--config",
        dest="settings",
        action="store_true",
        help="instead: cameras as agent.yaml has them, without what came over the air",
    )
    for each in (apply, back):
        each.add_argument(
            "--state",
            metavar="DIR",
            type=Path,
            default=Path(os.environ.get("STATE_DIRECTORY", "/var/lib/mahalla")),
            help="of the agent (default: $STATE_DIRECTORY, else /var/lib/mahalla)",
        )
    apply.add_argument(
        "-c",
        dest="config",
        metavar="agent.yaml",
        type=Path,
        default=Path("agent.yaml"),
        help="the configuration: who this box is",
    )
    for each in (verify, apply):
        each.add_argument("--ca", metavar="FILE", type=Path, help="who vouches for an https server")
        each.add_argument("--cert", metavar="FILE", type=Path, help="ours, where it asks for one")
        each.add_argument("--key", metavar="FILE", type=Path, help="its private key")
        each.add_argument(
            "--proxy",
            metavar="URL",
            default=os.environ.get("https_proxy") or None,
            help="http://host:port (default: $https_proxy)",
        )
        each.add_argument(
            "--rate", metavar="KBIT/S", type=int, help="no faster than this (default: as it comes)"
        )


def _verify(args: argparse.Namespace) -> int:
    from agent.infer.package import load_package
    from agent.ota.packing import unpack

    with TemporaryDirectory() as folder:
        client = _client(args.source, Path(folder), args.root, _line(args, None, None))
        halts = client.halts()
        for number, release in enumerate(client.releases()):
            place = Path(folder) / str(number) / release.model
            unpack(client.download(client.find(release)), place)
            load_package(place)
            halted = f"  HALTED: {halts[release.serial]}" if release.serial in halts else ""
            print(f"{release.model} {release.version}  ok{halted}")
    return 0


def _apply(args: argparse.Namespace) -> int:
    from agent.config.load import load
    from agent.health import not_now
    from agent.ota.apply import Update, WhoIAm
    from agent.ota.box_models import BoxModels
    from agent.ota.hardware import board

    config = load(args.config)
    source = args.source or config.models.url
    if not source:
        raise UsageError("no source: name it, or set models: {url: …} in the configuration")
    # Candidates are tried against what this state has active.
    os.environ["STATE_DIRECTORY"] = str(args.state)
    models = BoxModels(args.state)
    time.sleep(random.uniform(0, args.jitter))  # noqa: S311 - nothing secret in it
    with models.updating():
        line = _line(args, _left_today(models, config), config.models.ca)
        root = args.root or args.config.parent / ROOT
        client = _client(source, models.ota, root, line, args.state)
        me = WhoIAm(
            box=f"{config.site}/{config.box}",
            agent=__version__,
            hardware=board(),
            channel=config.models.channel,
        )
        update = Update(models, client, me, not_now=not_now, again=args.again, at_once=args.now)
        lists: list[str] = []
        try:
            outcomes, troubles = _in_turn(
                update.run,
                lambda: _hotlists(client, config, args.state, lists),
                lambda: _settings(client, config, args),
            )
        finally:
            _note_spent(models, client.package_bytes)
        _note_look(models, troubles, client)
        if client.clock_is_behind:
            print("mahalla ota: this box's clock is behind the repository's", file=sys.stderr)
    verdicts = {
        "trial": "on trial",
        "active": "active at the next start",
        "kept": "kept",
        "refused": "REFUSED",
        "waiting": "not now",
        "halted": "HALTED",
    }
    for each in outcomes:
        print(f"{each.model} {each.version}  {verdicts[each.state]}: {each.why}")
    for name in lists:
        print(f"hotlist {name}  new; the agent judges it within a minute")
    if not outcomes and not lists and not troubles:
        print("nothing new for this box")
    for text in dict.fromkeys(map(str, troubles)):
        print(f"mahalla ota: {text}", file=sys.stderr)
    return 1 if troubles or any(each.state == "refused" for each in outcomes) else 0


def _in_turn(
    *works: Callable[[], list[Outcome]],
) -> tuple[list[Outcome], list[UpdateError]]:
    """What came of each, and what went wrong: what one role has wrong stops none of the others."""
    from agent.ota.looks import UNREACHABLE

    outcomes: list[Outcome] = []
    troubles: list[UpdateError] = []
    for work in works:
        try:
            outcomes += work()
        except UpdateError as error:
            troubles.append(error)
            if error.why == UNREACHABLE:  # the others would wait for the same line
                break
    return outcomes, troubles


def _hotlists(client: Client, config: Config, state: Path, new: list[str]) -> list[Outcome]:
    from agent.ota.hotlists import fetch

    new += fetch(client, config.hotlists, state)
    return []


def _settings(client: Client, config: Config, args: argparse.Namespace) -> list[Outcome]:
    """What came for this box's configuration."""
    from agent.ota.fragments import Fragments
    from agent.ota.settings import fetch_certificate, fetch_fragment

    fragments, now_ms = Fragments(args.state), round(client.now_s * 1000)
    return [
        *fetch_certificate(client, config, args.state, fragments, now_ms, again=args.again),
        *fetch_fragment(client, args.config, config, fragments, now_ms, again=args.again),
    ]


def _note_look(models: BoxModels, troubles: list[UpdateError], client: Client) -> None:
    """For the agent to tell: a box that cannot update would look like one with nothing new."""
    from agent.ota import looks

    why = troubles[0].why if troubles else None
    try:
        looks.note(models.ota, why, round(client.now_s * 1000))
    except OSError as error:
        raise UpdateError(f"{error.filename}: {error.strerror}", why="disk") from error


def _rollback(args: argparse.Namespace) -> int:
    from agent.ota.box_models import BoxModels

    os.environ["STATE_DIRECTORY"] = str(args.state)
    if args.settings:
        return _roll_settings_back(args.state)
    models = BoxModels(args.state)
    with models.alone():
        now = models.roll_back(time.time_ns() // 1_000_000)
    active = ", ".join(f"{model} {entry.version}" for model, entry in now.items())
    print(f"active: {active or 'the installed models'}")
    return 0


def _roll_settings_back(state: Path) -> int:
    from agent.ota.fragments import Fragments

    left = Fragments(state).roll_back(time.time_ns() // 1_000_000)
    print(f"left: {left}; agent.yaml is in force as it is written")
    return 0


def _left_today(models: BoxModels, config: Config) -> int | None:
    """Bytes of packages that a metered line may still carry today; None: as many as come."""
    from agent.ota.floors import Floors

    budget = config.link.budget_bytes_per_day
    if not config.link.metered or budget is None:
        return None
    day, spent = Floors(models.ota).spent
    return max(0, budget - (spent if day == _today() else 0))


def _note_spent(models: BoxModels, fetched: int) -> None:
    from agent.ota.floors import Floors

    floors = Floors(models.ota)
    day, spent = floors.spent
    if fetched:
        floors.spent = _today(), fetched + (spent if day == _today() else 0)
        floors.save()


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def _client(source: str, folder: Path, root: Path, line: Line, state: Path | None = None) -> Client:
    """`state` is that of an agent that runs here, and knows the time from its earlier runs."""
    from agent.ota.client import Client
    from agent.ota.fetching import open_source
    from agent.timekeeper import BUILT_UTC_MS, kept_floor_ms

    base, fetcher = open_source(source, line, folder / "parts")
    try:
        with root.open("rb") as file:
            trusted = file.read(_TRUSTED)
    except OSError as error:
        raise UpdateError(
            f"{root}: {error.strerror}; it is 1.root.json of the repository"
        ) from None
    floor_s = (kept_floor_ms(state) if state else BUILT_UTC_MS) / 1000
    return Client(
        folder, root=trusted, base=base, fetcher=fetcher, now_s=time.time(), floor_s=floor_s
    )


def _line(args: argparse.Namespace, left_bytes: int | None, ca: Path | None) -> Line:
    from agent.ota.fetching import Line

    if (args.cert is None) != (args.key is None):
        raise UsageError("--cert and --key go together")
    if args.rate is not None and args.rate < 1:
        raise UsageError("--rate is at least 1 kbit/s")
    return Line(
        ca=args.ca or ca,
        cert=args.cert,
        key=args.key,
        proxy=args.proxy,
        rate_bytes_s=args.rate and args.rate * _KBIT_S,
        left_bytes=left_bytes,
    )
