"""`mahalla ota` on the maintainer's machine: keys, releases, rings, halts, bundles."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import passphrase
from agent.errors import UpdateError, UsageError
from agent.ota.verbs import content, lines, verb

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from agent.ota.release import Ring
    from agent.ota.repository import Repository
    from agent.ota.verbs import Verbs

_LIMITS = {
    "slower": ("slower_percent", "PERCENT", "time of an inference, of the present model's (120)"),
    "heavier": ("heavier_mb", "MB", "memory more than the present model's (50)"),
    "worse": ("worse_points", "POINTS", "accuracy less on labelled golden pictures (1)"),
    "fewest": ("fewest_percent", "PERCENT", "things found on the same frames, at least (70)"),
    "most": ("most_percent", "PERCENT", "things found on the same frames, at most (150)"),
    "shadow": ("shadow_s", "S", "seconds beside the present model, unheard (3600)"),
    "live": ("live_s", "S", "seconds in its place before it is confirmed (86400)"),
}


def register(verbs: Verbs) -> None:
    """Add them."""
    _register_keys(verbs)
    _register_releases(verbs)
    bundle = verb(verbs, "bundle", _bundle, "one file for a stick", "repo --out stick/models.ota")
    repository(bundle)
    bundle.add_argument("--out", metavar="FILE", type=Path, required=True, help="the bundle")


def _register_keys(verbs: Verbs) -> None:
    key = verb(verbs, "key", _key, "make a key pair, the private half encrypted", "--out models")
    key.add_argument("--out", metavar="NAME", type=Path, required=True, help="without ending")
    key.add_argument(
        "--token",
        metavar="hsm[:KEYID][?label=LABEL]",
        help="the key is on a hardware token (ECDSA P-256; default: key 2, a YubiKey's slot 9c); "
        "PYKCS11LIB names its PKCS#11 library; the passphrase is its PIN",
    )
    passphrase.add_argument(key)
    init = verb(
        verbs,
        "init",
        _init,
        "begin a repository; two of the root keys sign it",
        "repo --root a.pub --root b.pub --root c.pub --models models.pub --hotlists hotlists.pub "
        "--config config.pub --online online.pub --sign a.key --sign b.key",
    )
    repository(init)
    init.add_argument(
        "--root", metavar="PUB", type=Path, action="append", required=True, help="two at least"
    )
    for role in ("models", "hotlists", "config", "online"):
        init.add_argument(f"--{role}", metavar="PUB", type=Path, required=True)
    rotate = verb(
        verbs,
        "rotate",
        _rotate,
        "another key for a role: root, online, models, hotlists, config; two root "
        "keys sign it, for root two of the old and two of the new ones; then publish",
        "repo models models-2.pub --sign a.key --sign b.key",
    )
    repository(rotate)
    rotate.add_argument("role", metavar="ROLE")
    rotate.add_argument("new", metavar="PUB", type=Path, help="the key that signs from now on")
    rotate.add_argument(
        "--instead",
        metavar="PUB",
        type=Path,
        help="root: the key that goes; left out: the new one joins the others",
    )
    renew = verb(
        verbs,
        "renew",
        _renew,
        "sign anew what these keys may, without drafts: each week with the online key, each year "
        "with models.key and with two root keys",
        "repo --sign online.key",
    )
    repository(renew)
    for each in (init, rotate, renew):
        signing(each)


def _register_releases(verbs: Verbs) -> None:
    add = verb(
        verbs,
        "add",
        _add,
        "draft a package for release, or change the rings of one (add the last good one again to "
        "call a bad one back)",
        "repo models/face --ring canary=canaries.txt --ring rest=100% --agent 0.1 0.3",
    )
    repository(add)
    add.add_argument("package", metavar="PACKAGE", type=Path, help="folder with model.toml")
    add.add_argument(
        "--ring",
        metavar="NAME=FILE|PERCENT%",
        action="append",
        required=True,
        help="in the order in which they open: a file with site/box or site/* a line, or a share "
        "of all boxes; the first is open at once, `promote` opens the next",
    )
    add.add_argument(
        "--agent", nargs=2, metavar=("FROM", "BELOW"), required=True, help="versions that can"
    )
    add.add_argument(
        "--hardware",
        metavar="WORDS",
        action="append",
        default=[],
        help='boards that can, any of: "raspberry pi 5", aarch64 (default: all)',
    )
    add.add_argument("--channel", default="stable", help="who follows it (default: stable)")
    add.add_argument(
        "--fail",
        metavar="PERCENT",
        type=int,
        default=10,
        help="of a ring may fail or fall silent before `watch` halts the release (default 10)",
    )
    for name, (_, unit, words) in _LIMITS.items():
        add.add_argument(f"--{name}", metavar=unit, type=int, help=words)
    promote = verb(verbs, "promote", _promote, "draft the next ring of a release", "repo face")
    halt = verb(
        verbs,
        "halt",
        _halt,
        "stop a release now: who has not begun does not, who tries it goes back, who has "
        "confirmed it stays",
        "repo face 0.6.1 --why misses-bicycles --sign online.key",
    )
    for each in (promote, halt):
        repository(each)
        each.add_argument("model", metavar="MODEL")
        each.add_argument("version", metavar="VERSION", nargs="?", help="default: the newest")
    halt.add_argument("--why", default="halted", help="what boxes and `status` say")
    halt.add_argument("--lift", action="store_true", help="let it go on")
    put = verb(
        verbs,
        "put",
        _put,
        "draft a hotlist; NAME as in the boxes' agent.yaml",
        "repo stolen stolen.list",
    )
    repository(put)
    put.add_argument("name", metavar="NAME")
    put.add_argument("file", metavar="FILE", type=Path, help="of `mahalla hotlist make`")
    config = verb(
        verbs,
        "config",
        _config,
        "draft settings of a box's cameras: zones, lines, rules, hours, preset, pace; the box "
        "checks them and takes them back when its agent does not run with them",
        "repo alpomish/north-gate gate-in.yaml --against boxes/north-gate/agent.yaml",
    )
    certificate = verb(
        verbs,
        "certificate",
        _certificate,
        "draft the renewed certificate of a box; it takes none that does not fit its key",
        "repo alpomish/north-gate north-gate.pem",
    )
    for each, name in ((config, "a fragment: cameras: {…}"), (certificate, "PEM, no key")):
        repository(each)
        each.add_argument("box", metavar="SITE/BOX")
        each.add_argument("file", metavar="FILE", type=Path, help=name)
    config.add_argument(
        "--against", metavar="agent.yaml", type=Path, help="check it as the box will"
    )
    publish = verb(
        verbs,
        "publish",
        _publish,
        "say what will happen to how many boxes, ask, sign what is drafted and put it out",
        "repo --sign models.key --sign online.key",
    )
    repository(publish)
    publish.add_argument("--fleet", metavar="FILE", type=Path, help="all boxes, to count them")
    publish.add_argument("--yes", action="store_true", help="do not ask")
    for each in (halt, publish):
        signing(each)


def repository(parser: argparse.ArgumentParser) -> None:
    """Its first argument."""
    parser.add_argument("repository", metavar="REPO", type=Path, help="folder of the repository")


def signing(parser: argparse.ArgumentParser) -> None:
    """With which keys."""
    parser.add_argument(
        "--sign", metavar="KEY", type=Path, action="append", required=True, help="private key"
    )
    passphrase.add_argument(parser)


def opened(args: argparse.Namespace) -> Repository:
    """The repository of the arguments."""
    from agent.ota.repository import Repository, utc_now

    return Repository(args.repository, utc_now())


def signers(args: argparse.Namespace) -> list[Signer]:
    """The keys of the arguments, opened."""
    from agent.ota.keys import load_signer

    return [load_signer(path, passphrase.given(args.passphrase, path)) for path in args.sign]


def status_of(repo: Repository) -> dict[str, list[dict[str, Any]]]:
    """Roles with their ends, releases with their rings; plain data."""
    from agent.ota.fragments import version
    from agent.ota.repository import ring

    now, published, halts = time.time(), repo.published(), repo.halts()
    roles = [
        {
            "role": role,
            "version": version,
            "expires": f"{expires:%Y-%m-%d}",
            "expired": expires.timestamp() <= now,
        }
        for role, (version, expires) in repo.expiries().items()
    ]
    releases = [
        {"model": each.model, "version": each.version, "serial": each.serial, "for": ring(each)}
        | {"published": each in published, "halted": halts.get(each.serial)}
        for each in repo.drafted()
    ]
    drafts = set(repo.drafts())
    files = [
        {"path": path, "version": version(sha256), "published": path not in drafts}
        for path, sha256 in sorted(repo.files().items())
    ]
    return {"roles": roles, "releases": releases, "files": files}


def status_lines(status: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The same for people."""
    said = []
    for role in status["roles"]:
        ended = "  EXPIRED" if role["expired"] else ""
        said.append(f"{role['role']:<14}{role['version']:>5}  until {role['expires']}{ended}")
    for row in status["releases"]:
        draft = "" if row["published"] else "  DRAFT"
        halted = f"  HALTED: {row['halted']}" if row["halted"] else ""
        said.append(f"{row['model']} {row['version']}  {row['for']}{draft}{halted}")
    for row in status["files"]:
        newer = "" if row["published"] else "  a newer DRAFT"
        said.append(f"{row['path']}  {row['version']}{newer}")
    return said


def _key(args: argparse.Namespace) -> int:
    from agent.ota.keys import write_key, write_token_key

    def secret(*, twice: bool = False) -> str:
        return passphrase.given(args.passphrase, args.token or args.out, twice=twice)

    if args.token:
        private, public = write_token_key(args.out, args.token, secret)
    else:
        private, public = write_key(args.out, secret(twice=True))
    print(f"{private}  {'where the token is, no secret' if args.token else 'private, encrypted'}")
    print(f"{public}  for `mahalla ota init`")
    return 0


def _init(args: argparse.Namespace) -> int:
    from agent.ota.keys import load_public
    from agent.ota.repository import Keys

    keys = Keys(
        root=[load_public(path) for path in args.root],
        models=load_public(args.models),
        hotlists=load_public(args.hotlists),
        config=load_public(args.config),
        online=load_public(args.online),
    )
    repo = opened(args)
    repo.create(keys, signers(args))
    print(f"{repo.root_file}: put it on every box as ota-root.json beside agent.yaml")
    return 0


def _rotate(args: argparse.Namespace) -> int:
    from agent.ota.keys import load_public

    instead = load_public(args.instead) if args.instead else None
    written = opened(args).rotate(args.role, load_public(args.new), instead, signers(args))
    print(f"signed: {', '.join(written)}; boxes follow with the next publish or renew")
    return 0


def _renew(args: argparse.Namespace) -> int:
    written = opened(args).renew(signers(args))
    if not written:
        raise UpdateError(
            "these keys put nothing out by themselves: name the online key too (--sign), or two "
            "root keys"
        )
    print(f"renewed: {', '.join(written)}")
    return 0


def _add(args: argparse.Namespace) -> int:
    from agent.infer.package import read_card
    from agent.ota.gate import LABELS
    from agent.ota.release import Limits, Release

    card = read_card(args.package)
    limits = {
        key: getattr(args, name)
        for name, (key, _, _) in _LIMITS.items()
        if getattr(args, name) is not None
    }
    release = Release(
        model=card.name,
        version=card.version,
        serial=1,
        channel=args.channel,
        agent_from=args.agent[0],
        agent_below=args.agent[1],
        hardware=tuple(words.lower() for words in args.hardware),
        rings=tuple(_ring(text) for text in args.ring),
        fail_percent=args.fail,
        limits=Limits(**limits),
    )
    print(f"drafted: {opened(args).add(args.package, release)}")
    if not (args.package / "golden" / LABELS).is_file():
        note = "it brings no labelled pictures: boxes compare times and counts, and no accuracy"
        print(f"mahalla ota: {note}", file=sys.stderr)
    return 0


def _ring(text: str) -> Ring:
    from agent.ota.release import Ring

    name, _, what = text.partition("=")
    if share := re.fullmatch(r"(\d{1,3})%", what):
        return Ring(name=name, percent=int(share[1]))
    if not what:
        raise UsageError(f"--ring {text}: write NAME=FILE or NAME=10%")
    return Ring(name=name, boxes=tuple(lines(Path(what))))


def _promote(args: argparse.Namespace) -> int:
    from agent.ota.repository import ring

    wider = opened(args).promote(args.model, args.version)
    print(f"drafted: {wider.model} {wider.version}: {ring(wider)}")
    return 0


def _halt(args: argparse.Namespace) -> int:
    repo = opened(args)
    release = repo.find(args.model, args.version)
    repo.halt(release, None if args.lift else args.why)
    repo.publish_halts(signers(args))
    print(f"{release.model} {release.version}: {'goes on' if args.lift else 'halted'}")
    return 0


def _put(args: argparse.Namespace) -> int:
    from agent.hotlist.sealed import parse
    from agent.ota.hotlists import LIMIT_BYTES, path_of

    found = content(args.file, LIMIT_BYTES)
    parse(found)  # HotlistError when it is none
    opened(args).put(path_of(args.name), found)
    print(f"drafted: {path_of(args.name)}, {len(found)} bytes")
    return 0


def _config(args: argparse.Namespace) -> int:
    from agent.config.fragment import problems_of
    from agent.config.load import check
    from agent.ota.settings import LIMIT_BYTES, fragment_path, label_of

    found = content(args.file, LIMIT_BYTES)
    problems = problems_of(str(args.file), found)
    if args.against:
        problems = check(args.against, args.file)[1]
    errors = [each for each in problems if each.severity == "error"]
    for problem in errors:
        print(f"mahalla ota: {problem}", file=sys.stderr)
    if errors:
        return 1
    opened(args).put(fragment_path(args.box), found)
    print(f"drafted: {fragment_path(args.box)}, version {label_of(found)}")
    return 0


def _certificate(args: argparse.Namespace) -> int:
    from agent.ota.certificates import LIMIT_BYTES, certificate_of
    from agent.ota.settings import certificate_path, label_of

    found = content(args.file, LIMIT_BYTES)
    try:
        ends = certificate_of(found).not_valid_after_utc
    except UpdateError as error:
        raise UpdateError(f"{args.file}: {error}") from error
    opened(args).put(certificate_path(args.box), found)
    path = certificate_path(args.box)
    print(f"drafted: {path}, version {label_of(found)}, until {ends:%Y-%m-%d}")
    return 0


def _publish(args: argparse.Namespace) -> int:
    from agent.ota.repository import ring

    repo = opened(args)
    published = set(repo.published())
    news = [each for each in repo.drafted() if each not in published]
    fleet = lines(args.fleet) if args.fleet else None
    for release in news:
        count = "" if fleet is None else f": {sum(map(release.is_for, fleet))} of {len(fleet)}"
        print(f"{release.model} {release.version} goes to {ring(release)}{count}")
    for path in repo.drafts():
        print(f"{path} goes out")
    if not news and not repo.drafts():
        print("nothing is drafted: what expires is renewed")
    if not args.yes and not _agreed():
        print("nothing is published", file=sys.stderr)
        return 1
    print(f"published: {', '.join(repo.publish(signers(args)))}")
    return 0


def _bundle(args: argparse.Namespace) -> int:
    print(f"{args.out}: {opened(args).bundle(args.out)} bytes")
    return 0


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("no terminal to ask; look at what is said above and give --yes")
    return bool(re.fullmatch(r"(?i)y|yes", input("publish? [y/N] ").strip()))
