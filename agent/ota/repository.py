"""The maintainer's side: a folder whose `public/` any web server may serve.

    public/metadata/     N.root.json N.targets.json N.ROLE.json N.snapshot.json timestamp.json
    public/targets/      what the roles have signed, each with its hash before its name
    metadata/            all that was ever signed, the same files: the maintainer's own
    draft/               what is added and not yet published, in the same places

What is signed next is made of `metadata/` and never of `public/`, into which a web server, or who
has broken into it, may write: else a key would put its name to what somebody else has put there.
Root and targets are signed by two of the root keys, which stay offline. Each kind of content is
delegated to a key of its own; halts, snapshot and timestamp have the key that is online.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from securesystemslib.signer import Signer, SSlibKey
from tuf.api.exceptions import LengthOrHashMismatchError, UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError

from agent.durable import replace as write_whole
from agent.errors import UpdateError
from agent.infer.package import read_card
from agent.ota.lock import locked
from agent.ota.packing import pack
from agent.ota.release import (
    HALTS,
    RELEASES,
    Release,
    from_json,
    halts_from_json,
    halts_to_json,
    to_json,
)

THRESHOLD = 2  # of the root keys
_PATIENCE_S = 20.0  # while somebody else, `watch` for instance, signs

# A box that was away fetches fresh metadata before it judges, so only what no weekly `publish`
# renews has to live long; a stick's travel has to fit into the shortest.
_LIFE_DAYS = {
    "root": 730,
    "targets": 730,
    "models": 365,
    "hotlists": 30,
    "config": 365,
    "halts": 45,
    "snapshot": 45,
    "timestamp": 45,
}
DELEGATED: Mapping[str, Sequence[str]] = {
    "models": ["models/*", "models/*/*"],
    "halts": ["halts/*"],
    "hotlists": ["hotlists/*"],
    "config": ["config/*/*"],
}
"""Paths that each role may sign; a `*` is one level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The public keys of a repository, by role."""

    root: Sequence[SSlibKey]
    models: SSlibKey
    hotlists: SSlibKey
    config: SSlibKey
    online: SSlibKey

    def delegated(self) -> dict[str, SSlibKey]:
        """The key of each delegated role."""
        return {
            "models": self.models,
            "halts": self.online,
            "hotlists": self.hotlists,
            "config": self.config,
        }


_P = ParamSpec("_P")
_T = TypeVar("_T")
_Method = Callable[Concatenate["Repository", _P], _T]


def _alone(change: _Method[_P, _T]) -> _Method[_P, _T]:
    """Two at once would give the same number to what each of them signs, and one be lost."""

    @functools.wraps(change)
    def alone(repo: Repository, /, *args: _P.args, **rest: _P.kwargs) -> _T:
        with repo.locked():
            return change(repo, *args, **rest)

    return alone


class Repository:
    """A repository in a folder; every method raises UpdateError, in one line."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self._folder = folder
        self._public = folder / "public"
        self._metadata = folder / "metadata"
        self._shown = self._public / "metadata"
        self._draft = folder / "draft"
        self._now = now.replace(microsecond=0)

    @property
    def root_file(self) -> Path:
        """What goes to every box: the root that it trusts first."""
        return self._shown / "1.root.json"

    @_alone
    def create(self, keys: Keys, signers: Sequence[Signer]) -> None:
        """Begin: root and targets, signed by root keys."""
        for there in (self._metadata, self._shown):
            if there.exists():
                raise UpdateError(f"{there}: is there already; a repository begins once")
        delegated = keys.delegated()
        every = [
            *keys.root,
            keys.online,
            *(delegated[role] for role in delegated if role != "halts"),
        ]
        if len({key.keyid for key in every}) < len(every):
            raise UpdateError("one key has two parts to play; each needs a key of its own")
        if len(keys.root) < THRESHOLD:
            raise UpdateError(f"{THRESHOLD} root keys sign together; give that many at least")
        root = Root(expires=self._now, consistent_snapshot=True)
        for role in ("root", "targets"):
            for key in keys.root:
                root.add_key(key, role)
            root.roles[role].threshold = THRESHOLD
        for role in ("snapshot", "timestamp"):
            root.add_key(keys.online, role)
        targets = Targets(expires=self._now)
        targets.delegations = Delegations(
            keys={key.keyid: key for key in delegated.values()},
            roles={
                name: DelegatedRole(name, [key.keyid], 1, True, list(DELEGATED[name]))
                for name, key in delegated.items()
            },
        )
        self._root_and_targets(root, targets, None, signers)

    @_alone
    def rotate(
        self, role: str, new: SSlibKey, instead: SSlibKey | None, signers: Sequence[Signer]
    ) -> list[str]:
        """Another key for a role: `new` joins, or takes the place of `instead`; what was written.

        Root needs two of the old keys and two of the new ones. `publish` has to follow.
        """
        old, (root, targets) = self._offline()[0], self._offline()
        if role == "root":
            for each in ("root", "targets"):
                if instead is not None:
                    _revoke(root, instead, each)
                root.add_key(new, each)
        elif role == "online":
            for each in ("snapshot", "timestamp"):
                _only(root, new, each)
            _only(targets, new, "halts")
        elif role in DELEGATED:
            _only(targets, new, role)
        else:
            raise UpdateError(f"{role}: no such role; one of root, online, {', '.join(DELEGATED)}")
        return self._root_and_targets(root, targets, old, signers)

    @_alone
    def add(self, folder: Path, release: Release) -> str:
        """Draft a package for release, or other rings for one that is there; what changes."""
        card = read_card(folder)
        release = replace(release, model=card.name, version=card.version)
        releases = self.drafted()
        packed = self._draft / release.target
        pack(folder, packed)
        sha256 = hashlib.sha256(packed.read_bytes()).hexdigest()
        name = f"{release.model} {release.version}"
        known = self._target(release.target)
        if known and known.hashes["sha256"] != sha256:
            packed.unlink()
            raise UpdateError(f"{name} is published with other content; give it a new version")
        serial = 1 + max((each.serial for each in releases), default=0)
        old = [each for each in releases if each.target == release.target]
        kept = [each for each in releases if each.target != release.target]
        write_whole(self._draft / RELEASES, to_json([*kept, replace(release, serial=serial)]))
        before = f", before: {ring(old[0])}" if old else ""
        return f"{name}: {ring(release)}{before}"

    @_alone
    def promote(self, model: str, version: str | None) -> Release:
        """Draft the next ring of a release, the newest of `model` without `version`."""
        release = self.find(model, version)
        if release.serial in self.halts():
            raise UpdateError(f"{release.target}: is halted; lift that first: ota halt --lift")
        if release.open_rings == len(release.rings):
            raise UpdateError(f"{release.target}: all its rings are open")
        wider = replace(release, open_rings=release.open_rings + 1)
        releases = [wider if each == release else each for each in self.drafted()]
        self._draft.joinpath(RELEASES).parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._draft / RELEASES, to_json(releases))
        return wider

    def find(self, model: str, version: str | None) -> Release:
        """A release by name, the newest without `version`."""
        found = [
            each
            for each in self.drafted()
            if each.model == model and version in (None, each.version)
        ]
        if not found:
            raise UpdateError(f"{model} {version or ''}: no such release; see `ota status`")
        return max(found, key=lambda each: each.serial)

    @_alone
    def halt(self, release: Release, why: str | None) -> None:
        """Draft the halt of a release, or with None its end."""
        halts = {serial: text for serial, text in self.halts().items() if serial != release.serial}
        if why is not None:
            halts[release.serial] = why
        place = self._draft / HALTS
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, halts_to_json(halts))

    @_alone
    def put(self, path: str, content: bytes) -> None:
        """Draft a file of a role other than models: `hotlists/stolen.list`."""
        self._put(path, content)

    def drafted(self) -> list[Release]:
        """The releases as the next `publish` would have them."""
        place = self._draft / RELEASES
        return from_json(place.read_bytes()) if place.is_file() else self.published()

    def published(self) -> list[Release]:
        """The releases that boxes see; none before the first `publish`."""
        target = self._target(RELEASES)
        return from_json(self._read(target)) if target else []

    def files(self) -> dict[str, str]:
        """Path and sha256 of what boxes see beside releases: lists, settings, certificates."""
        found = (self._targets(role) for role in ("hotlists", "config"))
        return {path: each.hashes["sha256"] for role in found for path, each in role.items()}

    def halts(self) -> dict[int, str]:
        """Halted releases by serial number, as the next `publish` would have them."""
        place = self._draft / HALTS
        if place.is_file():
            return halts_from_json(place.read_bytes())
        return self.published_halts()

    def published_halts(self) -> dict[int, str]:
        """Halted releases by serial number, as boxes see them."""
        target = self._target(HALTS)
        return halts_from_json(self._read(target)) if target else {}

    def drafts(self) -> list[str]:
        """Paths of what is drafted beside releases."""
        return [path for path in self._drafts() if not path.startswith("models/")]

    @_alone
    def publish(self, signers: Sequence[Signer]) -> list[str]:
        """Sign and put out what is drafted, and renew what these keys may; what was written."""
        given = _keyids(signers)
        due = [
            role
            for role, delegation in self._delegations().items()
            if self._has_drafts(role)
            or self._is_open(role)
            or (self._newest(role) and given & set(delegation.keyids))
        ]
        return self._put_out(due, due, signers)

    @_alone
    def publish_halts(self, signers: Sequence[Signer]) -> list[str]:
        """Halts alone, whatever else is drafted: they cannot wait for other keys."""
        return self._put_out(["halts"], ["halts"], signers)

    @_alone
    def renew(self, signers: Sequence[Signer]) -> list[str]:
        """Sign anew what these keys may, without drafts, for another while; what was written."""
        given, written = _keyids(signers), []
        root, targets = self._offline()
        if len(given & set(root.roles["root"].keyids)) >= THRESHOLD:
            written = self._root_and_targets(root, targets, self._offline()[0], signers)
        if not given & set(root.roles["timestamp"].keyids):
            return written
        due = [
            role
            for role, delegation in self._delegations().items()
            if self._newest(role) and (given & set(delegation.keyids) or self._is_open(role))
        ]
        return written + self._put_out(due, [], signers)

    def _put_out(
        self, roles: Sequence[str], drafted: Sequence[str], signers: Sequence[Signer]
    ) -> list[str]:
        """Sign these roles, some with what is drafted, and what leads to them.

        The timestamp is written last: until then boxes see the repository as it was.
        """
        root, targets = self._offline()
        self._mend()
        snapshot = self._newest("snapshot") or Metadata(Snapshot())
        snapshot.signed.meta["targets.json"] = MetaFile(targets.version)
        signed_roles = []
        for role in roles:
            content = self._content(role, with_drafts=role in drafted)
            signed = self._signed(content, signers)
            self._trusted(targets, role, signed)
            signed_roles.append((role, content, signed))
            snapshot.signed.meta[f"{role}.json"] = MetaFile(content.version)
        last = self._snapshot_and_timestamp(root, snapshot.signed, signers)
        for role, content, signed in signed_roles:  # all keys are there: nothing stays half done
            self._copy_drafts(content)
            self._write(f"{content.version}.{role}.json", signed)
        for name, signed in last.items():
            self._write(name, signed)
        for role in drafted:
            shutil.rmtree(self._draft / role, ignore_errors=True)
        written = [f"{role} {content.version}" for role, content, _ in signed_roles]
        return [*written, *(f"{each.signed.type} {each.signed.version}" for each in last.values())]

    def bundle(self, out: Path) -> int:
        """One file with the metadata and what is released now, for a stick; its length, bytes."""
        self._mend()
        wanted = {path.relative_to(self._public) for path in self._shown.glob("*.root.json")}
        current = {Path("metadata", "timestamp.json")}
        for role in ("snapshot", "targets", *DELEGATED):
            if version := self._version(role):
                current.add(Path("metadata", f"{version}.{role}.json"))
            for target in self._targets(role).values() if role in DELEGATED else ():
                current.add(self._place(target).relative_to(self._public))
        if not self.published():
            raise UpdateError("nothing is published yet; begin with `mahalla ota publish`")
        part = out.with_name(f"{out.name}.part")
        with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(wanted | current):
                member = tarfile.TarInfo(path.as_posix())
                member.size, member.mode = (self._public / path).stat().st_size, 0o644
                with (self._public / path).open("rb") as file:
                    archive.addfile(member, file)
        part.replace(out)
        return out.stat().st_size

    def expiries(self) -> dict[str, tuple[int, datetime]]:
        """Version and end of each role's newest metadata."""
        self._own()
        found = {role: self._newest(role) for role in _LIFE_DAYS}
        return {
            role: (each.signed.version, each.signed.expires) for role, each in found.items() if each
        }

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes anything here meanwhile; UpdateError where somebody does for long."""
        self._folder.mkdir(parents=True, exist_ok=True)
        busy = f"{self._folder}: somebody else signs here; try again"
        with locked(self._folder / "lock", _PATIENCE_S, busy):
            yield

    def _put(self, path: str, content: bytes) -> None:
        place = self._draft / path
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, content)

    def _own(self) -> None:
        if self._shown.exists() and not self._metadata.exists():
            raise UpdateError(
                f"{self._metadata}: the maintainer's own copy is not here; put it back, or look "
                f"at {self._public} with `mahalla ota verify` and copy its metadata there"
            )

    def _offline(self) -> tuple[Root, Targets]:
        self._own()
        root, targets = self._newest("root"), self._newest("targets")
        if root is None or targets is None:
            raise UpdateError("there is no repository here; begin with `mahalla ota init`")
        return root.signed, targets.signed

    def _root_and_targets(
        self, root: Root, targets: Targets, old: Root | None, signers: Sequence[Signer]
    ) -> list[str]:
        """The next version of both, checked as a box would, before anything is written."""
        if old is not None:
            root.version, targets.version = root.version + 1, targets.version + 1
        root.expires, targets.expires = self._expires("root"), self._expires("targets")
        signed_root, signed_targets = self._signed(root, signers), self._signed(targets, signers)
        keep = set(root.roles["root"].keyids) | set(old.roles["root"].keyids if old else ())
        for parent in (root, old or root):
            self._trusted(parent, "root", signed_root, keep)
        self._trusted(root, "targets", signed_targets)
        self._write(f"{targets.version}.targets.json", signed_targets)
        self._write(f"{root.version}.root.json", signed_root)
        return [f"root {root.version}", f"targets {targets.version}"]

    def _snapshot_and_timestamp(
        self, root: Root, snapshot: Snapshot, signers: Sequence[Signer]
    ) -> dict[str, Metadata[Any]]:
        """By file name, in the order in which they have to be written."""
        timestamp, written = Timestamp(), {}
        for role, content in (("snapshot", snapshot), ("timestamp", timestamp)):
            content.version = self._version(role) + 1
            content.expires = self._expires(role)
            timestamp.snapshot_meta = MetaFile(snapshot.version)
            signed = self._signed(content, signers)
            self._trusted(root, role, signed)
            prefix = "" if role == "timestamp" else f"{content.version}."
            written[f"{prefix}{role}.json"] = signed
        return written

    def _delegations(self) -> dict[str, DelegatedRole]:
        delegations = self._offline()[1].delegations
        return dict(delegations.roles or {}) if delegations else {}

    def _has_drafts(self, role: str) -> bool:
        return any(path.startswith(f"{role}/") for path in self._drafts())

    def _is_open(self, role: str) -> bool:
        """It was never signed and has to be, or its key has been replaced since."""
        metadata = self._newest(role)
        if metadata is None:
            return role == "models"
        try:
            targets = self._offline()[1]
            targets.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
        except UnsignedMetadataError:
            return True
        return False

    def _content(self, role: str, *, with_drafts: bool) -> Targets:
        """The role's next metadata."""
        content = Targets(version=self._version(role) + 1, expires=self._expires(role))
        content.targets = self._targets(role)
        if not with_drafts:
            return content
        if role == "models":
            releases = self.drafted()
            if RELEASES not in self._drafts():  # the first time: an empty list is a list
                self._put(RELEASES, to_json(releases))
            wanted = {RELEASES, *(release.target for release in releases)}
            known = content.targets.keys() | set(self._drafts())
            if missing := wanted - known:
                raise UpdateError(f"{min(missing)}: its draft is not there; add it again")
            content.targets = {
                path: target for path, target in content.targets.items() if path in wanted
            }
        for path in self._drafts():
            if path.startswith(f"{role}/"):
                content.targets[path] = TargetFile.from_file(
                    path, str(self._draft / path), ["sha256"]
                )
        return content

    def _drafts(self) -> list[str]:
        files = self._draft.rglob("*") if self._draft.is_dir() else ()
        names = (path.relative_to(self._draft).as_posix() for path in files if path.is_file())
        return sorted(name for name in names if not name.endswith(".part"))

    def _copy_drafts(self, content: Targets) -> None:
        for path, target in content.targets.items():
            place, drafted = self._place(target), self._draft / path
            if not drafted.is_file():
                if not place.is_file():
                    raise UpdateError(f"{place}: is not there; add it again, or put it back")
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            part = place.with_name(f"{place.name}.part")
            shutil.copyfile(drafted, part)
            part.replace(place)

    def _targets(self, role: str) -> dict[str, TargetFile]:
        metadata = self._newest(role)
        return dict(metadata.signed.targets) if metadata else {}

    def _target(self, path: str) -> TargetFile | None:
        return self._targets(path.partition("/")[0]).get(path)

    def _place(self, target: TargetFile) -> Path:
        folder, _, name = target.path.rpartition("/")
        return self._public / "targets" / folder / f"{target.hashes['sha256']}.{name}"

    def _read(self, target: TargetFile) -> bytes:
        """A small file as it was signed."""
        place = self._place(target)
        try:
            content = place.read_bytes()
            target.verify_length_and_hashes(content)
        except (OSError, LengthOrHashMismatchError) as error:
            raise UpdateError(
                f"{place}: is not what was signed: {error}; put it back from a copy or a bundle"
            ) from error
        return content

    def _signed(self, content: Any, signers: Sequence[Signer]) -> Metadata[Any]:
        """Signed by all; signatures of keys that a role does not know count for nothing."""
        content.unrecognized_fields["issued"] = int(self._now.timestamp())
        metadata: Metadata[Any] = Metadata(content)
        try:
            for signer in signers:
                metadata.sign(signer, append=True)
        except UnsignedMetadataError as error:  # a token that was pulled out, say
            raise UpdateError(f"a key does not sign: {error.__cause__!r}; try again") from error
        return metadata

    def _trusted(
        self, parent: Any, role: str, signed: Metadata[Any], keep: set[str] | None = None
    ) -> None:
        """Sort out what is not this role's and check as a box would, before anything is written."""
        keys = keep or set(parent.get_delegated_role(role).keyids)
        signed.signatures = {
            keyid: each for keyid, each in signed.signatures.items() if keyid in keys
        }
        try:
            parent.verify_delegate(role, signed.signed_bytes, signed.signatures)
        except UnsignedMetadataError as error:
            raise UpdateError(
                f"keys are missing in --sign: {error}; nothing is published"
            ) from error

    def _newest(self, role: str) -> Metadata[Any] | None:
        version = self._version(role)
        name = "timestamp.json" if role == "timestamp" else f"{version}.{role}.json"
        try:
            return Metadata.from_file(str(self._metadata / name)) if version else None
        except DeserializationError as error:
            raise UpdateError(f"{self._metadata / name}: damaged") from error

    def _version(self, role: str) -> int:
        if role == "timestamp":
            path = self._metadata / "timestamp.json"
            return Metadata.from_file(str(path)).signed.version if path.is_file() else 0
        found = self._metadata.glob(f"*.{role}.json")
        return max((int(path.name.partition(".")[0]) for path in found), default=0)

    def _expires(self, role: str) -> datetime:
        return self._now + timedelta(days=_LIFE_DAYS[role])

    def _write(self, name: str, signed: Metadata[Any]) -> None:
        for folder in (self._metadata, self._shown):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, signed.to_bytes())

    def _mend(self) -> None:
        """Show what was signed, whatever a power cut or somebody else has made of it."""
        for kept in self._metadata.glob("*.json"):
            shown, content = self._shown / kept.name, kept.read_bytes()
            if not shown.is_file() or shown.read_bytes() != content:
                shown.parent.mkdir(parents=True, exist_ok=True)
                write_whole(shown, content)


def _keyids(signers: Sequence[Signer]) -> set[str]:
    return {signer.public_key.keyid for signer in signers}


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def ring(release: Release) -> str:
    """Whom a release is meant for, in words."""
    rings = []
    for each in release.rings[: release.open_rings]:
        share = [f"{each.percent} % of all boxes"] if each.percent else []
        named = [f"{len(each.boxes)} named"] if each.boxes else []
        rings.append(f"{each.name} ({', '.join(share + named) or 'nobody'})")
    closed = len(release.rings) - release.open_rings
    later = f", {closed} more by promote" if closed else ""
    hardware = f", on {' or '.join(release.hardware)}" if release.hardware else ""
    return (
        f"{' + '.join(rings)}{later}; agents {release.agent_from} to below "
        f"{release.agent_below}{hardware}"
    )


def _revoke(parent: Any, key: SSlibKey, role: str) -> None:
    try:
        parent.revoke_key(key.keyid, role)
    except ValueError as error:
        raise UpdateError(f"the key to be replaced is none of {role}: {error}") from error


def _only(parent: Any, key: SSlibKey, role: str) -> None:
    """`key` alone signs for the role from now on."""
    known: Iterable[str] = list(_role(parent, role).keyids)
    for keyid in known:
        parent.revoke_key(keyid, role)
    parent.add_key(key, role)


def _role(parent: Any, role: str) -> Any:
    try:
        return parent.get_delegated_role(role)
    except ValueError as error:
        raise UpdateError(
            f"this repository has no role {role}; it was not given to init"
        ) from error
