"""`mahalla site`: who may talk to whom in one mahalla; certificates, accounts and rights."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agent import passphrase
from agent.config.problems import InvalidConfig, Refusal
from agent.config.values import IDENTIFIER
from agent.errors import SiteError, UsageError

if TYPE_CHECKING:
    from agent.site.desk import Desk

_SERVICE_USER = "mahalla"

_BEGINNING = """\
site: {site}
authority: {authority}              # who signs; its key is encrypted and stays with you
office: {{hosts: [{hosts}]}}   # how boxes and people reach the inspector's broker
# city: {{topic: "safecity/{{site}}/{{box}}/{{camera}}/{{kind}}"}}
boxes:
{boxes}
people:
  recorder: {{may: [seen, resend]}}       # keeps events and confirms them
  inspector-1: {{may: [evidence, snapshot, feedback]}}
  auditor:
"""

_Run = Callable[[argparse.Namespace], int]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `site` and its verbs to the command line."""
    parser = commands.add_parser(
        "site",
        help="certificates, accounts and rights of all boxes of a mahalla",
        description="Sign the requests of boxes, write the rights of every account for the "
        "office's and the city's broker, renew, replace and revoke. The authority's key never "
        "leaves this machine, a box's key never leaves the box.",
        epilog="example: mahalla site build alpomish/site.yaml --requests stick --out out",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, run: _Run, words: str, example: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(
            name, help=words, description=words, epilog=f"example: mahalla site {name} {example}"
        )
        made.set_defaults(run=run)
        return made

    new = verb(
        "new",
        _new,
        "begin a mahalla: FOLDER/site.yaml, and the authority where there is none yet",
        "alpomish --authority authority --host office.lan --box north-gate",
    )
    new.add_argument("folder", metavar="FOLDER", type=Path, help="its name is the site's")
    new.add_argument("--authority", metavar="DIR", type=Path, default=Path("authority"))
    new.add_argument("--host", action="append", required=True, help="name or address of the office")
    new.add_argument(
        "--box", action="append", required=True, type=_id, help="the first box; more may follow"
    )
    passphrase.add_argument(new)

    request = verb(
        "request",
        _request,
        "on a box or a broker: make its key, and the request to carry to the maintainer",
        "--site alpomish --box north-gate --key /etc/mahalla/box.key --out /media/stick",
    )
    request.add_argument("--site", required=True, type=_id)
    whose = request.add_mutually_exclusive_group(required=True)
    whose.add_argument("--box", type=_id)
    whose.add_argument("--broker", choices=("office", "city"))
    request.add_argument("--key", metavar="FILE", type=Path, required=True, help="stays here")
    request.add_argument("--out", metavar="DIR", type=Path, required=True, help="a stick, say")
    request.add_argument(
        "--user", help=f"whose the key is to be (as root, for a box: {_SERVICE_USER})"
    )

    check = verb("check", _check, "every problem of a site.yaml", "alpomish/site.yaml")
    check.add_argument("site", metavar="SITE.yaml", type=Path)

    build = verb(
        "build",
        _build,
        "sign the requests that are new; write certificates, rights and accounts to DIR",
        "alpomish/site.yaml --requests stick --out out",
    )
    _common(build)
    build.add_argument("--requests", metavar="DIR", type=Path, help="of `mahalla site request`")

    renew = verb(
        "renew",
        _renew,
        "a new certificate for the same key; without names for all that end within 90 days",
        "alpomish/site.yaml north-gate --out out",
    )
    _common(renew)
    renew.add_argument("names", metavar="BOX", nargs="*", help="or office, city")

    replace = verb(
        "replace",
        _replace,
        "another box in the place of one: sign its key, revoke all that the old one had",
        "alpomish/site.yaml north-gate --requests stick --out out",
    )
    _common(replace)
    replace.add_argument("name", metavar="BOX", help="or office, city")
    replace.add_argument("--requests", metavar="DIR", type=Path, required=True)

    revoke = verb(
        "revoke",
        _revoke,
        "shut out a box for good, or one certificate by its serial number",
        "alpomish/site.yaml north-gate --out out",
    )
    _common(revoke)
    revoke.add_argument("name", metavar="BOX", nargs="?", help="or office, city")
    revoke.add_argument("--serial", metavar="HEX", type=lambda text: int(text, 16))


def _id(text: str) -> str:
    try:
        return IDENTIFIER.parse(text)
    except Refusal as refusal:
        said = "; ".join(filter(None, (refusal.what, refusal.allowed, refusal.hint)))
        raise argparse.ArgumentTypeError(said) from None


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("site", metavar="SITE.yaml", type=Path)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True)
    passphrase.add_argument(parser)


def _new(args: argparse.Namespace) -> int:
    from agent import durable
    from agent.site import plan
    from agent.site.authority import Authority

    site = _id_of_folder(args.folder)
    file = args.folder / "site.yaml"
    if file.exists():
        raise SiteError(f"{file}: is there already")
    if not (args.authority / "ca.pem").exists():
        secret = passphrase.given(args.passphrase, args.authority / "ca.key", twice=True)
        made = Authority.create(args.authority, secret)
        print(f"{made.key_file}  private, encrypted: keep it off line, and a copy elsewhere")
    text = _BEGINNING.format(
        site=site,
        authority=os.path.relpath(args.authority, args.folder),
        hosts=", ".join(args.host),
        boxes="\n".join(f"  {box}:" for box in dict.fromkeys(args.box)),
    )
    args.folder.mkdir(parents=True, exist_ok=True)
    durable.replace(file, text.encode())
    plan.load(file)
    print(f"{file}  name the other boxes and the people in it")
    return 0


def _id_of_folder(folder: Path) -> str:
    try:
        return _id(folder.absolute().name)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"{folder}: a site is called as its folder: {error}") from None


def _request(args: argparse.Namespace) -> int:
    from agent.site.plan import broker_name
    from agent.site.request import make_request

    user = args.user or (_SERVICE_USER if args.box and os.geteuid() == 0 else None)
    name = f"{args.site}_{args.box}" if args.box else broker_name(args.site, args.broker)
    file, fingerprint = make_request(name, args.key, args.out, user)
    print(f"{args.key}  stays here")
    print(f"{file}  carry it to the maintainer; key {fingerprint}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from agent.site import plan

    try:
        site, problems = plan.load(args.site)
    except InvalidConfig as invalid:
        print("\n".join(map(str, invalid.problems)))
        return 1
    print("\n".join(map(str, problems)) or f"{len(site.boxes)} boxes, {len(site.people)} people")
    return 0


def _build(args: argparse.Namespace) -> int:
    desk = _desk(args)
    waiting = desk.build(args.requests)
    desk.lay_out()
    for name in waiting:
        print(f"{name}: no request yet; make it there with `mahalla site request`")
    return 0


def _renew(args: argparse.Namespace) -> int:
    desk = _desk(args)
    desk.renew(args.names)
    desk.lay_out()
    return 0


def _replace(args: argparse.Namespace) -> int:
    desk = _desk(args)
    desk.replace(args.name, args.requests)
    desk.lay_out()
    return 0


def _revoke(args: argparse.Namespace) -> int:
    if (args.name is None) == (args.serial is None):
        raise UsageError("name a box or give --serial")
    desk = _desk(args)
    if args.name is not None:
        desk.revoke(args.name)
    else:
        desk.revoke_serial(args.serial)
    desk.lay_out()
    return 0


def _desk(args: argparse.Namespace) -> Desk:
    from agent.site import plan
    from agent.site.desk import Desk

    return Desk(
        plan.load(args.site)[0],
        ask=lambda key_file: passphrase.given(args.passphrase, key_file),
        logins=args.site.absolute().parent / "logins",
        out=args.out,
        say=print,
    )
