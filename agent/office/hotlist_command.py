"""`mahalla hotlist`: lists of sought plates, made and looked at in the office."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import AgentError, HotlistError, UsageError

if TYPE_CHECKING:
    from agent.hotlist.estimate import ReaderFigures
    from agent.hotlist.hotlist import Entry
    from agent.hotlist.keys import Recipient
    from agent.hotlist.sealed import Content, Header
    from agent.office.plate_lines import Sheet, Sought

_EXAMPLE = (
    "example: mahalla hotlist make stolen.csv --name stolen --recipients boxes/ "
    "--sign office.key --out stolen.list"
)
_CARD = "plate-text"  # folder of the reader's model package
_CERTIFICATE = "box.pem"  # in a box's own folder, as `site build` writes it
_FOR_EXAMPLE = (0.001, 1.5)  # wrong readings, texts a reading: round figures, not measured


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `hotlist` and its three verbs to the command line."""
    parser = commands.add_parser(
        "hotlist",
        help="lists of sought plates: make, show, keygen",
        description="Make and look at lists of sought plates: signed, expiring, sealed to the "
        "boxes that may open them. On a box a list stands under `hotlists` in agent.yaml.",
        epilog=_EXAMPLE,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _register_make(verbs)
    _register_show(verbs)
    keygen = verbs.add_parser(
        "keygen",
        help="a key pair to sign lists with",
        description="Write NAME.key (Ed25519, private, mode 0600: keep it off the boxes) and "
        "NAME.pub, which goes to the boxes as `signer`.",
        epilog="example: mahalla hotlist keygen --out office",
    )
    keygen.add_argument("--out", metavar="NAME", type=Path, required=True, help="without ending")
    keygen.set_defaults(run=_keygen)


def _register_make(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    make = verbs.add_parser(
        "make",
        help="from a CSV table to a signed and sealed list",
        description="Read a CSV table whose first line names its columns, in English, Russian or "
        "Uzbek: plate, country (left out: UZ), case, reason, expires (a date, the end of that day "
        "UTC; left out: with the list). What is mended is printed; one wrong line, and nothing is "
        "written.",
        epilog=_EXAMPLE,
    )
    make.add_argument("table", metavar="LIST.csv", type=Path, help="the plates; UTF-8 best")
    make.add_argument("--name", required=True, help="as under hotlists in agent.yaml")
    make.add_argument(
        "--recipients",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder with the certificate or public key of each box that may open it, or the "
        "folder `boxes` of `site build`",
    )
    make.add_argument(
        "--sign",
        metavar="KEY",
        type=Path,
        action="append",
        required=True,
        help="private key of keygen; twice: two signatures, and the boxes ask for both",
    )
    make.add_argument("--out", metavar="FILE", type=Path, required=True, help="the list")
    make.add_argument("--expires", metavar="TIME", default="7d", help="1h to 30d (default 7d)")
    make.add_argument(
        "--version",
        metavar="N",
        type=int,
        help="a box takes no older one (default: the time, as 20260131093000)",
    )
    make.add_argument("--skip-bad", action="store_true", help="leave wrong lines out instead")
    make.add_argument(
        "--empty",
        action="store_true",
        help="a table without plates is meant: the boxes shall seek none of this list any more",
    )
    make.add_argument(
        "--cars",
        metavar="N",
        type=int,
        default=10_000,
        help="cars a day past all boxes, to estimate false hits (default 10000)",
    )
    make.set_defaults(run=_make)


def _register_show(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    show = verbs.add_parser(
        "show",
        help="what a list says of itself; with a box's key its entries too",
        description="Print what stands in a list. Plates stand in it as hashes and are not shown. "
        "Exit 1 when it is damaged, wrongly signed or expired.",
        epilog="example: mahalla hotlist show stolen.list --signer office.pub --recipients boxes/",
    )
    show.add_argument("file", metavar="FILE", type=Path, help="the list")
    show.add_argument(
        "--signer",
        metavar="PUB",
        type=Path,
        action="append",
        default=[],
        help="who must have signed",
    )
    show.add_argument(
        "--recipients", metavar="DIR", type=Path, help="the boxes' certificates: names who may open"
    )
    show.add_argument("--key", metavar="KEY", type=Path, help="private key of a box: shows entries")
    show.add_argument("--json", action="store_true", help="the same for a program")
    show.set_defaults(run=_show)


def _keygen(args: argparse.Namespace) -> int:
    from agent.hotlist.keys import key_id, load_signer, write_key_pair

    private, public = write_key_pair(args.out)
    print(f"{private}  private: keep it in the office")
    print(f"{public}  key {key_id(load_signer(public))}: for the boxes, as signer")
    return 0


def _make(args: argparse.Namespace) -> int:
    from agent.hotlist.keys import key_id, load_signing_key
    from agent.hotlist.sealed import seal
    from agent.hotlist.slow_hash import Cost

    life_ms = _checked(args)
    made_ms = time.time_ns() // 1_000_000
    version = args.version or int(f"{_moment(made_ms):%Y%m%d%H%M%S}")
    signing_keys = [load_signing_key(path) for path in args.sign]
    if len({key_id(key.public_key()) for key in signing_keys}) < len(signing_keys):
        raise UsageError("--sign names one key twice; two signatures are of two keys")
    recipients = _recipients(args.recipients)
    sheet = _sheet(args.table, made_ms, made_ms + life_ms)
    for change in sheet.changes:
        print(f"{args.table}: {change}")
    for problem in sheet.problems:
        print(f"mahalla hotlist: {args.table}: {problem}", file=sys.stderr)
    if sheet.problems and not args.skip_bad:
        print(
            "mahalla hotlist: nothing is written: mend these lines, or --skip-bad", file=sys.stderr
        )
        return 1
    if not sheet.sought and (sheet.problems or not args.empty):
        raise HotlistError(f"{args.table}: has no plates; with --empty nothing is sought any more")
    cost = Cost()
    content = seal(
        name=args.name,
        version=version,
        made_ms=made_ms,
        expires_ms=made_ms + life_ms,
        cost=cost,
        content=_hashed(sheet.sought, cost),
        recipients=list(recipients.values()),
        signing_keys=signing_keys,
    )
    _write(args.out, content)
    print(
        f"{args.out}: list {args.name}, version {version}, {_counted(sheet)}, "
        f"expires {_day(made_ms + life_ms)}, {len(content)} bytes"
    )
    outlast = sum(one.expires_ms > made_ms + life_ms for one in sheet.sought)
    if outlast:
        print(f"sought for longer than the list lasts: {outlast}; make it again by then")
    sealed_to = [f"{name} (key {key_id(box)})" for name, box in recipients.items()]
    print(f"sealed to {', '.join(sealed_to)}")
    print(_false_hits(len(sheet.sought), args.cars, _reader_figures()))
    return 0


def _checked(args: argparse.Namespace) -> int:
    """How long the list lives, ms; UsageError where the options do not go together."""
    from agent.config.problems import Refusal
    from agent.config.values import HOUR_S, ID_PATTERN, duration
    from agent.hotlist.hotlist import LIFE_LIMIT_MS, VERSION_LIMIT

    if not re.fullmatch(ID_PATTERN, args.name):
        raise UsageError(f"--name {args.name}: small letters, digits and - only, at most 31")
    if len(args.sign) > 2:
        raise UsageError("--sign is given once or twice")
    if args.version is not None and not 0 < args.version < VERSION_LIMIT:
        raise UsageError(f"--version is a number from 1 on, below {VERSION_LIMIT}")
    if args.out.exists() and args.table.exists() and args.out.samefile(args.table):
        raise UsageError("--out is the table itself; name another file")
    try:
        return round(duration(HOUR_S, LIFE_LIMIT_MS / 1000).parse(args.expires) * 1000)
    except Refusal as refusal:
        raise UsageError(f"--expires {refusal.what}; {refusal.allowed}") from None


def _recipients(folder: Path) -> dict[str, Recipient]:
    """The keys of the boxes by the names of their files."""
    from agent.hotlist.keys import load_recipient

    if not folder.is_dir():
        raise HotlistError(f"{folder}: is no folder; put the boxes' certificates into one")
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not entries:
        raise HotlistError(f"{folder}: is empty; put the boxes' certificates into it")
    boxes: dict[str, Recipient] = {}
    for path in entries:  # north.pem and north.crt: an old certificate and a renewed one
        name = path.stem if path.stem not in boxes else path.name
        boxes[name] = load_recipient(path / _CERTIFICATE if path.is_dir() else path)
    return boxes


def _sheet(table: Path, made_ms: int, expires_ms: int) -> Sheet:
    from agent.office.plate_lines import read_sheet
    from agent.plates.grammar import load_grammars

    grammars = load_grammars()
    try:
        return read_sheet(
            table.read_bytes(),
            canonical=grammars.canonical,
            countries=grammars.countries,
            made_ms=made_ms,
            expires_ms=expires_ms,
        )
    except OSError as error:
        raise AgentError(f"{table}: {error.strerror}") from error
    except HotlistError as error:
        raise HotlistError(f"{table}: {error}") from error


def _hashed(sought: Sequence[Sought], cost: Any) -> Content:
    """The slow part; all cores work, and a terminal sees how far it is."""
    from agent.hotlist.hotlist import Entry
    from agent.hotlist.sealed import Content
    from agent.hotlist.slow_hash import KEY_BYTES, plate_hash

    key = os.urandom(KEY_BYTES)

    def entry(one: Sought) -> Entry:
        hashed = plate_hash(one.plate.country, one.plate.text, key, cost)
        return Entry(hash=hashed, case=one.case, reason=one.reason, expires_ms=one.expires_ms)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        entries = tuple(_told(pool.map(entry, sought), len(sought)))
    return Content(key=key, entries=entries)


def _told(entries: Iterator[Entry], count: int) -> Iterator[Entry]:
    for number, entry in enumerate(entries, start=1):
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{number}/{count} " if number < count else "\r\x1b[K")
        yield entry


def _write(path: Path, content: bytes) -> None:
    """At one go: a box that looks meanwhile sees the old list or the new one."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise AgentError(f"{path}: cannot be written: {error.strerror}") from error


def _counted(sheet: Sheet) -> str:
    plates = len(sheet.sought)
    out = f", {len(sheet.problems)} wrong lines left out" if sheet.problems else ""
    return f"{plates} plate{'' if plates == 1 else 's'}{out}"


def _reader_figures() -> ReaderFigures | None:
    """What the card of the plate reader says was measured of it; None while it says nothing."""
    from importlib import import_module

    from agent.hotlist.estimate import ReaderFigures
    from agent.infer.package import CARD, models_dir

    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        figures = toml.loads((models_dir() / _CARD / CARD).read_text("utf-8"))["figures"]
        return ReaderFigures(
            wrong_rate=float(figures["wrong_rate"]), candidates=float(figures["candidates"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _false_hits(entries: int, cars: int, measured: ReaderFigures | None) -> str:
    """One line: how often the list will cry wolf."""
    from agent.hotlist.estimate import ReaderFigures, false_hits

    reader = measured or ReaderFigures(wrong_rate=_FOR_EXAMPLE[0], candidates=_FOR_EXAMPLE[1])
    hits = false_hits(entries, cars, reader)
    told = (
        f"exact {_how_often(hits.exact)}, alike {_how_often(hits.alike)}, at {cars} cars a day "
        f"({reader.wrong_rate:.2%} wrong readings, {reader.candidates:g} texts a reading)"
    )
    if measured:
        return f"false hits to expect: {told}"
    return f"false hits to expect: not measured for this reader; for example {told}"


def _how_often(a_day: float) -> str:
    if a_day >= 1:
        return f"{a_day:.0f} a day"
    return f"one in {1 / a_day:.0f} days" if a_day > 1e-5 else "practically none"


def _show(args: argparse.Namespace) -> int:
    from agent.hotlist.opening import read_file

    try:
        facts = _facts(read_file(args.file), args.signer, args.key)
        if args.recipients:
            facts["sealed_to"] = _named(facts["sealed_to"], args.recipients)
    except HotlistError as error:
        raise HotlistError(f"{args.file}: {error}") from error
    if args.json:
        print(json.dumps(facts, ensure_ascii=False, indent=2))
    else:
        for line in _as_text(facts):
            print(line)
    return 1 if facts["expired"] else 0


def _facts(content: bytes, signers: Sequence[Path], key: Path | None) -> dict[str, Any]:
    import hashlib

    from agent.hotlist.keys import load_box_key, load_signer
    from agent.hotlist.sealed import parse

    sealed = parse(content)
    if signers:
        sealed.verify([load_signer(path) for path in signers])
    header: Header = sealed.read_header()
    facts: dict[str, Any] = {
        "name": header.name,
        "version": header.version,
        "sha256": hashlib.sha256(content).hexdigest(),
        "made": _day(header.made_ms),
        "expires": _day(header.expires_ms),
        "expired": time.time() * 1000 >= header.expires_ms,
        "signed_by": list(sealed.signatures),
        "signatures_checked": bool(signers),
        "sealed_to": list(header.recipients),
    }
    if key is not None:
        inside = sealed.unseal(header, [load_box_key(key)])
        facts["entries"] = [
            {"case": entry.case, "reason": entry.reason, "expires": _day(entry.expires_ms)}
            for entry in sorted(inside.entries, key=lambda entry: entry.case)
        ]
    return facts


def _named(keys: Sequence[str], folder: Path) -> list[str]:
    """`north (key 1f…)` where a file of the folder has that key."""
    from agent.hotlist.keys import key_id

    names = {key_id(box): name for name, box in _recipients(folder).items()}
    return [f"{names[key]} (key {key})" if key in names else f"unknown key {key}" for key in keys]


def _as_text(facts: dict[str, Any]) -> Iterator[str]:
    checked = "checked" if facts["signatures_checked"] else "NOT CHECKED: give --signer"
    yield f"list       {facts['name']}, version {facts['version']}"
    yield f"sha256     {facts['sha256']}"
    yield f"made       {facts['made']}"
    yield f"expires    {facts['expires']}{' EXPIRED' if facts['expired'] else ''}"
    yield f"signed by  {', '.join(facts['signed_by'])} ({checked})"
    yield f"sealed to  {', '.join(facts['sealed_to'])}"
    if "entries" in facts:
        yield f"plates     {len(facts['entries'])}, as hashes"
        for entry in facts["entries"]:
            yield f"  {entry['case']}  {entry['reason']}  until {entry['expires']}"


def _moment(utc_ms: int) -> datetime:
    return datetime.fromtimestamp(utc_ms / 1000, tz=timezone.utc)


def _day(utc_ms: int) -> str:
    return f"{_moment(utc_ms):%Y-%m-%d %H:%M} UTC"
