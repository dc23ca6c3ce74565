"""`mahalla ota`: models over the air, from the maintainer's keys to a box's slots."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from agent import __version__
from agent.errors import UpdateError, UsageError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

    from agent.ota.repository import Repository

    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

_EXAMPLE = (
    "example: mahalla ota add repo models/face --percent 10 --agent 0.1 0.3 && mahalla ota publish "
    "repo --sign models.key --sign online.key"
)
_ROOT = "ota-root.json"  # beside agent.yaml


def register(commands: _Verbs) -> None:
    """Add `ota` and its verbs to the command line."""
    parser = commands.add_parser(
        "ota",
        help="models over the air: signed repository, bundles, updates of a box",
        description="Keep a signed repository of models (The Update Framework) and bring a box up "
        "to it. deploy/KEYS.md walks through the key ceremony.",
        epilog=_EXAMPLE,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _register_repository(verbs)
    _register_box(verbs)


def _register_repository(verbs: _Verbs) -> None:
    key = _verb(verbs, "key", _key, "make a key pair, the private half encrypted", "--out models")
    key.add_argument("--out", metavar="NAME", type=Path, required=True, help="without ending")
    init = _verb(
        verbs,
        "init",
        _init,
        "begin a repository; two of the root keys sign it",
        "repo --root a.pub --root b.pub --root c.pub --models models.pub --hotlists hotlists.pub "
        "--online online.pub --sign a.key --sign b.key",
    )
    _repository(init)
    init.add_argument(
        "--root", metavar="PUB", type=Path, action="append", required=True, help="two at least"
    )
    for role in ("models", "hotlists", "online"):
        init.add_argument(f"--{role}", metavar="PUB", type=Path, required=True)
    add = _verb(
        verbs,
        "add",
        _add,
        "draft a package for release, or change the ring of one (add the last good one again to "
        "call a bad one back)",
        "repo models/face --percent 10 --agent 0.1 0.3",
    )
    _repository(add)
    add.add_argument("package", metavar="PACKAGE", type=Path, help="folder with model.toml")
    add.add_argument("--percent", type=int, default=0, help="share of all boxes (default 0)")
    add.add_argument("--boxes", metavar="FILE", type=Path, help="these too: site/box, one a line")
    add.add_argument(
        "--agent", nargs=2, metavar=("FROM", "BELOW"), required=True, help="versions that can"
    )
    add.add_argument(
        "--slower",
        metavar="PERCENT",
        type=int,
        default=120,
        help="time of an inference allowed, of the present model's on the box (default 120)",
    )
    publish = _verb(
        verbs,
        "publish",
        _publish,
        "sign what is drafted and put it out; without a draft, renew what expires (each week)",
        "repo --sign models.key --sign online.key",
    )
    _repository(publish)
    publish.add_argument("--fleet", metavar="FILE", type=Path, help="all boxes, to count them")
    publish.add_argument("--yes", action="store_true", help="do not ask")
    for each in (init, publish):
        each.add_argument(
            "--sign", metavar="KEY", type=Path, action="append", required=True, help="private key"
        )
    for each in (key, init, publish):
        each.add_argument(
            "--passphrase",
            metavar="FILE",
            type=Path,
            help="read it there instead of asking; one for all keys named",
        )
    bundle = _verb(verbs, "bundle", _bundle, "one file for a stick", "repo --out stick/models.ota")
    _repository(bundle)
    bundle.add_argument("--out", metavar="FILE", type=Path, required=True, help="the bundle")
    status = _verb(verbs, "status", _status, "what is released and when it expires", "repo --json")
    _repository(status)
    status.add_argument("--json", action="store_true", help="the same for a program")


def _register_box(verbs: _Verbs) -> None:
    verify = _verb(
        verbs,
        "verify",
        _verify,
        "look at a repository as a new box would, and unpack everything",
        "https://office.lan/models --root ota-root.json",
    )
    _source(verify)
    verify.add_argument("--root", metavar="FILE", type=Path, required=True, help="1.root.json")
    apply = _verb(
        verbs,
        "apply",
        _apply,
        "on a box: fetch what is released for it, try it out, make it active for the next start",
        "/media/stick/models.ota -c agent.yaml",
    )
    _source(apply)
    apply.add_argument(
        "--root", metavar="FILE", type=Path, help=f"1.root.json (default: {_ROOT} beside -c)"
    )
    apply.add_argument("--again", action="store_true", help="try what was refused once more")
    back = _verb(verbs, "rollback", _rollback, "on a box: back to the models before", "")
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


def _verb(verbs: _Verbs, name: str, run: Any, words: str, example: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=words,
        description=words,
        epilog=f"example: mahalla ota {name} {example}".rstrip(),
    )
    parser.set_defaults(run=run)
    return parser


def _repository(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("repository", metavar="REPO", type=Path, help="folder of the repository")


def _source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="PATH_OR_URL", help="http(s)://, folder or bundle")
    parser.add_argument("--ca", metavar="FILE", type=Path, help="who vouches for an https server")


def _key(args: argparse.Namespace) -> int:
    from agent.ota.keys import write_key

    private, public = write_key(args.out, _passphrase(args, args.out, twice=True))
    print(f"{private}  private, encrypted")
    print(f"{public}  for `mahalla ota init`")
    return 0


def _init(args: argparse.Namespace) -> int:
    from agent.ota.keys import load_public
    from agent.ota.repository import Keys

    keys = Keys(
        root=[load_public(path) for path in args.root],
        models=load_public(args.models),
        hotlists=load_public(args.hotlists),
        online=load_public(args.online),
    )
    repository = _open(args)
    repository.create(keys, _signers(args))
    print(f"{repository.root_file}: put it on every box as {_ROOT} beside agent.yaml")
    return 0


def _add(args: argparse.Namespace) -> int:
    from agent.infer.package import read_card
    from agent.ota.release import Release

    card = read_card(args.package)
    release = Release(
        model=card.name,
        version=card.version,
        serial=1,
        agent_from=args.agent[0],
        agent_below=args.agent[1],
        slower_percent=args.slower,
        percent=args.percent,
        boxes=tuple(_lines(args.boxes)) if args.boxes else (),
    )
    print(f"drafted: {_open(args).add(args.package, release)}")
    return 0


def _publish(args: argparse.Namespace) -> int:
    repository = _open(args)
    published = set(repository.published())
    news = [each for each in repository.drafted() if each not in published]
    fleet = _lines(args.fleet) if args.fleet else None
    from agent.ota.repository import ring

    for release in news:
        count = "" if fleet is None else f": {sum(map(release.is_for, fleet))} of {len(fleet)}"
        print(f"{release.model} {release.version} goes to {ring(release)}{count}")
    if not news:
        print("no new releases: what expires is renewed")
    if not args.yes and not _agreed():
        print("nothing is published", file=sys.stderr)
        return 1
    print(f"published: {', '.join(repository.publish(_signers(args)))}")
    return 0


def _bundle(args: argparse.Namespace) -> int:
    print(f"{args.out}: {_open(args).bundle(args.out)} bytes")
    return 0


def _status(args: argparse.Namespace) -> int:
    from agent.ota.repository import ring

    repository, now = _open(args), time.time()
    published, drafted = repository.published(), repository.drafted()
    roles = [
        {
            "role": role,
            "version": version,
            "expires": f"{expires:%Y-%m-%d}",
            "expired": expires.timestamp() <= now,
        }
        for role, (version, expires) in repository.expiries().items()
    ]
    if not roles:
        raise UpdateError(f"{args.repository}: no repository here; begin with `mahalla ota init`")
    rows = [
        {"model": each.model, "version": each.version, "serial": each.serial, "for": ring(each)}
        | {"published": each in published}
        for each in drafted
    ]
    if args.json:
        print(json.dumps({"roles": roles, "releases": rows}, indent=2))
    else:
        for role in roles:
            ended = "  EXPIRED" if role["expired"] else ""
            print(f"{role['role']:<12}{role['version']:>5}  until {role['expires']}{ended}")
        for row in rows:
            draft = "" if row["published"] else "  DRAFT"
            print(f"{row['model']} {row['version']}  {row['for']}{draft}")
    return 1 if any(role["expired"] for role in roles) else 0


def _verify(args: argparse.Namespace) -> int:
    from agent.infer.package import load_package
    from agent.ota.packing import unpack

    with TemporaryDirectory() as folder:
        client = _client(args, Path(folder), args.root)
        for number, release in enumerate(client.releases()):
            place = Path(folder) / str(number) / release.model
            unpack(client.download(client.find(release)), place)
            load_package(place)
            print(f"{release.model} {release.version}  ok")
    return 0


def _apply(args: argparse.Namespace) -> int:
    from agent.config.load import load
    from agent.ota.apply import BoxModels

    config = load(args.config)
    models = BoxModels(args.state)
    with models.alone():
        client = _client(args, models.ota, args.root or args.config.parent / _ROOT)
        outcomes = models.apply(
            client, box=f"{config.site}/{config.box}", agent=__version__, again=args.again
        )
        if client.clock_is_behind:
            print("mahalla ota: this box's clock is behind the repository's", file=sys.stderr)
    for each in outcomes:
        verdict = "active at the next start" if each.taken else "REFUSED"
        print(f"{each.model} {each.version}  {verdict}: {each.why}")
    if not outcomes:
        print("nothing new for this box")
    return 0 if all(each.taken for each in outcomes) else 1


def _rollback(args: argparse.Namespace) -> int:
    from agent.ota.apply import BoxModels

    models = BoxModels(args.state)
    with models.alone():
        now = models.roll_back()
    active = ", ".join(f"{model} {sha256[:12]}…" for model, sha256 in now.items())
    print(f"at the next start: {active or 'the installed models'}")
    return 0


def _client(args: argparse.Namespace, folder: Path, root: Path) -> Any:
    from agent.ota.client import Client
    from agent.ota.fetching import open_source

    base, fetcher = open_source(args.source, args.ca)
    try:
        trusted = root.read_bytes()
    except OSError as error:
        raise UpdateError(
            f"{root}: {error.strerror}; it is 1.root.json of the repository"
        ) from None
    return Client(folder, root=trusted, base=base, fetcher=fetcher, now_s=time.time())


def _open(args: argparse.Namespace) -> Repository:
    from agent.ota.repository import Repository, utc_now

    return Repository(args.repository, utc_now())


def _signers(args: argparse.Namespace) -> list[CryptoSigner]:
    from agent.ota.keys import load_signer

    return [load_signer(path, _passphrase(args, path)) for path in args.sign]


def _passphrase(args: argparse.Namespace, of: Path, *, twice: bool = False) -> str:
    if args.passphrase:
        return next(iter(_lines(args.passphrase)), "")
    if not sys.stdin.isatty():
        raise UsageError("no terminal to ask for the passphrase; give --passphrase FILE")
    given = getpass.getpass(f"passphrase of {of}: ")
    if twice and getpass.getpass("once more: ") != given:
        raise UpdateError("the two passphrases differ")
    return given


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("no terminal to ask; look at what is said above and give --yes")
    return bool(re.fullmatch(r"(?i)y|yes", input("publish? [y/N] ").strip()))


def _lines(path: Path) -> list[str]:
    try:
        return list(_filled(path.read_text("utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise UpdateError(f"{path}: {error}") from error


def _filled(lines: list[str]) -> Iterator[str]:
    return (line.strip() for line in lines if line.strip())
