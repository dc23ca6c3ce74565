"""`mahalla ota status` and `watch`: what is released, what the boxes make of it, when to halt."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import UpdateError, UsageError
from agent.ota.repository_verbs import (
    opened,
    repository,
    signers,
    signing,
    status_lines,
    status_of,
)
from agent.ota.verbs import lines, verb
from agent.topics import ROOT

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from agent.office.fleet import Fleet, Row
    from agent.ota.repository import Repository
    from agent.ota.verbs import Verbs

_TOPIC = ROOT.format(site="+", box="+") + "/health"
_LOOK_S = 1.0


def register(verbs: Verbs) -> None:
    """Add them."""
    status = verb(
        verbs,
        "status",
        _status,
        "what is released and when it expires; with a broker, what each box makes of it",
        "repo mqtts://office.lan:8883 --ca ca.pem --state refused",
    )
    watch = verb(
        verbs,
        "watch",
        _watch,
        "follow the fleet, and halt a release when more of a ring than it says fails or falls "
        "silent; until Ctrl-C",
        "repo mqtts://office.lan:8883 --ca ca.pem --fleet fleet.txt --sign online.key",
    )
    for each in (status, watch):
        repository(each)
        optional: dict[str, Any] = {"nargs": "?"} if each is status else {}
        each.add_argument("url", metavar="URL", help="mqtt(s)://host[:port]", **optional)
        each.add_argument("--ca", metavar="FILE", type=Path, help="who signs the broker")
        each.add_argument("--cert", metavar="FILE", type=Path, help="our certificate")
        each.add_argument("--key", metavar="FILE", type=Path, help="its private key")
        each.add_argument("--login", metavar="FILE", type=Path, help="one line, user:password")
        each.add_argument(
            "--silent", metavar="MIN", type=float, default=360.0, help="of a box (default 360)"
        )
    status.add_argument("--json", action="store_true", help="the same for a program")
    for name in ("site", "ring", "model", "state"):
        status.add_argument(f"--{name}", help=f"only this {name}")
    status.add_argument(
        "--seconds", metavar="S", type=float, default=3.0, help="listen so long (default 3)"
    )
    watch.add_argument("--fleet", metavar="FILE", type=Path, required=True, help="all boxes")
    watch.add_argument("--seconds", metavar="S", type=float, help="default: until Ctrl-C")
    signing(watch)


def _status(args: argparse.Namespace) -> int:
    repo = opened(args)
    found: dict[str, Any] = dict(status_of(repo))
    if not found["roles"]:
        raise UpdateError(f"{args.repository}: no repository here; begin with `mahalla ota init`")
    if args.url:
        rows = _listen(args, lambda fleet: fleet.rows(repo.drafted(), _now_ms()))
        wanted = {name: getattr(args, name) for name in ("site", "ring", "model", "state")}
        found["boxes"] = [
            asdict(row)
            for row in rows
            if all(value in (None, getattr(row, name)) for name, value in wanted.items())
        ]
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        table = _table(found["boxes"], args.seconds) if args.url else []
        print("\n".join(status_lines(found) + table))
    return 1 if any(role["expired"] for role in found["roles"]) else 0


def _listen(args: argparse.Namespace, ask: Callable[[Fleet], list[Row]]) -> list[Row]:
    """What has been heard after a while: the last word of each box is retained."""
    fleet, lock = _fleet(args), threading.Lock()
    with _subscription(args, fleet, lock):
        time.sleep(args.seconds)
    with lock:
        return ask(fleet)


def _watch(args: argparse.Namespace) -> int:
    boxes, keys = lines(args.fleet), signers(args)
    fleet, lock = _fleet(args), threading.Lock()
    until = float("inf") if args.seconds is None else time.monotonic() + args.seconds
    with _subscription(args, fleet, lock):
        said = ""
        while time.monotonic() < until:
            time.sleep(_LOOK_S)
            try:
                _halt_failed(opened(args), keys, fleet, boxes, lock)
                said = ""
            except (UpdateError, OSError) as error:  # a full disk, say: the next look tries again
                if str(error) != said:
                    said = str(error)
                    print(f"mahalla ota: {said}; trying again", file=sys.stderr, flush=True)
    return 0


def _halt_failed(
    repo: Repository,
    keys: Sequence[Signer],
    fleet: Fleet,
    boxes: list[str],
    lock: threading.Lock,
) -> None:
    """Draft the halts that are due, and publish them together with any that was left a draft."""
    halts, published = repo.halts(), repo.published_halts()
    for release in repo.published():
        if release.serial in halts:
            continue
        with lock:
            why = fleet.verdict(release, boxes, _now_ms())
        if why is not None:
            halts[release.serial] = why
            repo.halt(release, why)
    if halts == published:
        return
    repo.publish_halts(keys)
    names = {each.serial: f"{each.model} {each.version}" for each in repo.published()}
    for serial in sorted(halts.keys() - published.keys()):
        print(f"{names.get(serial, serial)}: halted, {halts[serial]}", flush=True)


def _fleet(args: argparse.Namespace) -> Fleet:
    from agent.office.fleet import Fleet

    if (args.cert is None) != (args.key is None):
        raise UsageError("--cert and --key go together")
    return Fleet(silent_ms=round(args.silent * 60_000), began_ms=_now_ms())


def _subscription(args: argparse.Namespace, fleet: Fleet, lock: threading.Lock) -> Any:
    from agent.config.model import BrokerConfig
    from agent.office.subscription import Subscription

    def hear(topic: str, payload: bytes, retained: bool) -> None:
        with lock:
            fleet.hear(topic, payload, _now_ms(), retained=retained)

    broker = BrokerConfig(
        broker_id="fleet", urls=(args.url,), ca=args.ca, cert=args.cert, key=args.key
    )
    return Subscription(broker, _TOPIC, lambda payload: None, args.login, hear_on=hear)


def _table(rows: list[dict[str, Any]], seconds: float) -> list[str]:
    if not rows:
        return ["", f"no box that fits has said anything within {seconds:g} s"]
    head = ("box", "ring", "model", "version", "state", "since", "reason")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    said = ["", *("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)]
    if sys.stdout.isatty():
        boxes = len({row["box"] for row in rows})
        said.append(f"{boxes} box{'' if boxes == 1 else 'es'}")
    return said


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    since = time.strftime("%m-%d %H:%M", time.localtime(row["since_ms"] / 1000))
    state = f"{row['state']}, silent" if row["silent"] else row["state"]
    texts = (row["box"], row["ring"] or "-", row["model"], row["version"], state)
    return (*texts, since if row["since_ms"] else "-", row["why"])


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
