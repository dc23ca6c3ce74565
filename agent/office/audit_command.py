"""`mahalla audit`: has everything come that the boxes have sent?"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.config.model import BrokerConfig
from agent.errors import UsageError
from agent.topics import ROOT

if TYPE_CHECKING:
    from agent.office.ledger import Ledger, Stream
    from agent.office.subscription import Subscription

_TOPIC = ROOT.format(site="+", box="+") + "/e/#"
_SHOWN = 5  # ranges of missing numbers in the table
_LOOK_S = 0.5
_IN_FLIGHT_S = 1.5  # at the end, for what was on its way then


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `audit` to the command line."""
    parser = commands.add_parser(
        "audit",
        help="has everything come that the boxes have sent? gaps, repeats, lateness, clones",
        description="Subscribe and follow the counters of every box until Ctrl-C or for --seconds "
        "S; then print for each stream what was heard, what came again, what the box itself gave "
        "up (box.lost) and what is missing without a word. A stream that was there before is "
        "judged from the lowest number heard, unless --whole. Exit 1 when something is missing, "
        "two boxes write one stream, a message is unreadable or nothing was heard.",
        epilog="example: mahalla audit mqtts://office.lan:8883 --ca ca.pem --cert me.pem "
        "--key me.key --seconds 3600",
    )
    parser.add_argument("url", metavar="URL", help="mqtt://host[:port] or mqtts://host[:port]")
    parser.add_argument("--ca", metavar="FILE", type=Path, help="who signs the broker")
    parser.add_argument("--cert", metavar="FILE", type=Path, help="our certificate")
    parser.add_argument("--key", metavar="FILE", type=Path, help="its private key")
    parser.add_argument(
        "--login", metavar="FILE", type=Path, help="a file with one line, user:password"
    )
    parser.add_argument("--topic", default=_TOPIC, help=f"where the events are (default {_TOPIC})")
    parser.add_argument("--seconds", metavar="S", type=float, help="how long (default: to Ctrl-C)")
    parser.add_argument(
        "--grace",
        metavar="S",
        type=float,
        default=30.0,
        help="listen on so long for what is missing at the end (default 30)",
    )
    parser.add_argument("--whole", action="store_true", help="judge each stream from number 1 on")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when nothing is wrong."""
    from agent.office.ledger import Ledger
    from agent.office.subscription import Subscription

    if (args.cert is None) != (args.key is None):
        raise UsageError("--cert and --key go together")
    ledger, lock = Ledger(whole=args.whole), threading.Lock()

    def hear(payload: bytes) -> None:
        with lock:
            ledger.hear(payload, time.time_ns() // 1_000_000)

    broker = BrokerConfig(
        broker_id="audit", urls=(args.url,), ca=args.ca, cert=args.cert, key=args.key
    )
    with Subscription(broker, args.topic, hear, args.login) as subscription:
        _listen(ledger, lock, args.seconds, args.grace)
    report = _report(ledger, subscription)
    if args.json:
        print(json.dumps(report))
    else:
        print("\n".join(_lines(report)))
    return 0 if report["ok"] else 1


def _listen(ledger: Ledger, lock: threading.Lock, seconds: float | None, grace_s: float) -> None:
    """Until the time is over or a signal comes, then for what is on its way.

    And where numbers are missing, until those are there or `grace_s` is over.
    """
    asked = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: asked.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        _wait(asked, seconds, lambda: _progress(ledger))
        asked.clear()  # a second signal ends the grace

        asked_s = time.monotonic()

        def complete() -> bool:
            with lock:
                return time.monotonic() - asked_s >= _IN_FLIGHT_S and not ledger.silent()

        _wait(asked, grace_s, complete)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if sys.stderr.isatty():
            print(file=sys.stderr)


def _wait(asked: threading.Event, seconds: float | None, enough: Any) -> None:
    deadline = float("inf") if seconds is None else time.monotonic() + seconds
    while not enough() and (left_s := deadline - time.monotonic()) > 0:
        if asked.wait(min(left_s, _LOOK_S)):
            return


def _progress(ledger: Ledger) -> bool:
    if sys.stderr.isatty():
        boxes = len({box for box, _ in ledger.streams.copy()})
        text = f"\r{boxes} boxes, {len(ledger.late_s)} events; Ctrl-C for the result"
        print(text, end="", file=sys.stderr, flush=True)
    return False


def _report(ledger: Ledger, subscription: Subscription) -> dict[str, Any]:
    streams = [_of_stream(stream) for _, stream in sorted(ledger.streams.items())]
    missing = sum(stream["missing"] for stream in streams)
    faulty = missing or ledger.forks or ledger.unreadable or ledger.in_cbor or not ledger.heard
    return {
        "ok": not faulty,
        "heard": ledger.heard,
        "missing": missing,
        "streams": streams,
        "clones": ledger.forks,
        "unreadable": ledger.unreadable,
        "in_cbor": ledger.in_cbor,
        "sessions_lost": subscription.sessions_lost,
        "late_s": _lateness(sorted(ledger.late_s)),
    }


def _of_stream(stream: Stream) -> dict[str, Any]:
    from agent.office.ledger import ranges

    told, silent = stream.explained(stream.missing())
    return {
        "box": stream.box,
        "st": stream.st,
        "from": stream.first,
        "to": stream.last,
        "heard": len(stream.heard),
        "again": stream.again,
        "told": told,
        "missing": len(silent),
        "ranges": ranges(silent),
    }


def _lateness(late_s: list[float]) -> dict[str, float]:
    """From when it happened to when it came here, by this machine's clock."""
    if not late_s:
        return {}
    last = len(late_s) - 1
    named = {"p50": last // 2, "p99": round(last * 0.99), "max": last}
    return {name: round(late_s[index], 3) for name, index in named.items()}


def _lines(report: dict[str, Any]) -> list[str]:
    head = ("box", "stream", "numbers", "heard", "again", "given up", "missing")
    rows = [head, *(_row(stream) for stream in report["streams"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = []
    if report["heard"]:
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            lines.append("  ".join(cells).rstrip())
    if late := report["late_s"]:
        lines.append(
            f"late: half within {late['p50']} s, 99% within {late['p99']} s, most {late['max']} s"
        )
    lines += [f"{box}: a clone? {why}" for box, why in report["clones"].items()]
    if report["unreadable"]:
        lines.append(f"{report['unreadable']} messages are no events: is --topic right?")
    if report["in_cbor"]:
        count = report["in_cbor"]
        lines.append(f"{count} events are in CBOR: pip install 'mahalla-agent[cbor]' and run again")
    if report["sessions_lost"]:
        lines.append(
            "the broker lost our session: what is missing may have come while we were away"
        )
    return [*lines, _verdict(report)]


def _row(stream: dict[str, Any]) -> tuple[str, ...]:
    told = ", ".join(f"{count} {why}" for why, count in sorted(stream["told"].items()))
    shown = [f"{a}" if a == b else f"{a}-{b}" for a, b in stream["ranges"][:_SHOWN]]
    more = ["…"] if len(stream["ranges"]) > _SHOWN else []
    missing = f"{stream['missing']}: {', '.join(shown + more)}" if stream["missing"] else "0"
    return (
        stream["box"],
        stream["st"],
        f"{stream['from']}-{stream['to']}",
        str(stream["heard"]),
        str(stream["again"]),
        told or "0",
        missing,
    )


def _verdict(report: dict[str, Any]) -> str:
    if not report["heard"]:
        return "nothing was heard: are the boxes up, is --topic right, may this account read it?"
    if report["missing"]:
        return f"{report['missing']} missing without a word"
    return "nothing is missing" if report["ok"] else "nothing is missing, but see above"
