"""The maintainer's side: a folder whose `public/` any web server may serve.

    public/metadata/     N.root.json N.targets.json N.models.json N.snapshot.json timestamp.json
    public/targets/      models/releases.json and the packages, each with its hash before its name
    draft/               releases that are added and not yet published

Root and targets are signed by two of the root keys, which stay offline; `models` is delegated to
the release key, `hotlists` to a key of its own; snapshot and timestamp have the online key.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.exceptions import UnsignedMetadataError
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
from agent.ota.packing import pack
from agent.ota.release import RELEASES, Release, from_json, to_json

THRESHOLD = 2  # of the root keys

# A box that was away fetches fresh metadata before it judges, so only what no weekly `publish`
# renews has to live long; a stick's travel has to fit into the shortest.
_LIFE_DAYS = {"root": 730, "targets": 730, "models": 365, "snapshot": 45, "timestamp": 45}
_DELEGATED = {"models": ["models/*", "models/*/*"], "hotlists": ["hotlists/*"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The public keys of a repository, by role."""

    root: Sequence[SSlibKey]
    models: SSlibKey
    hotlists: SSlibKey
    online: SSlibKey


class Repository:
    """A repository in a folder; every method raises UpdateError, in one line."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self._public = folder / "public"
        self._metadata = self._public / "metadata"
        self._draft = folder / "draft"
        self._now = now.replace(microsecond=0)

    @property
    def root_file(self) -> Path:
        """What goes to every box: the root that it trusts first."""
        return self._metadata / "1.root.json"

    def create(self, keys: Keys, signers: Sequence[CryptoSigner]) -> None:
        """Write root and targets, signed by the holders of root keys."""
        if self._metadata.exists():
            raise UpdateError(f"{self._metadata}: is there already; a repository begins once")
        every = [*keys.root, keys.models, keys.hotlists, keys.online]
        if len({key.keyid for key in every}) < len(every):
            raise UpdateError("one key has two parts to play; each needs a key of its own")
        if len(keys.root) < THRESHOLD:
            raise UpdateError(f"{THRESHOLD} root keys sign together; give that many at least")
        root = Root(expires=self._expires("root"), consistent_snapshot=True)
        for role in ("root", "targets"):
            for key in keys.root:
                root.add_key(key, role)
            root.roles[role].threshold = THRESHOLD
        for role in ("snapshot", "timestamp"):
            root.add_key(keys.online, role)
        targets = Targets(expires=self._expires("targets"))
        delegated = {"models": keys.models, "hotlists": keys.hotlists}
        targets.delegations = Delegations(
            keys={key.keyid: key for key in delegated.values()},
            roles={
                name: DelegatedRole(name, [key.keyid], 1, True, _DELEGATED[name])
                for name, key in delegated.items()
            },
        )
        signed_root = self._signed(root, signers)
        signed_targets = self._signed(targets, signers)
        self._trusted(root, "root", signed_root)
        self._trusted(root, "targets", signed_targets)
        self._write("1.targets.json", signed_targets)
        self._write("1.root.json", signed_root)

    def add(self, folder: Path, release: Release) -> str:
        """Draft a package for release, or another ring for one that is there; what changes."""
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
        write_whole(self._drafted, to_json([*kept, replace(release, serial=serial)]))
        before = f", before: {ring(old[0])}" if old else ""
        return f"{name}: {ring(release)}{before}"

    def drafted(self) -> list[Release]:
        """The releases as the next `publish` would have them."""
        if self._drafted.is_file():
            return from_json(self._drafted.read_bytes())
        return self.published()

    def published(self) -> list[Release]:
        """The releases that boxes see; none before the first `publish`."""
        target = self._target(RELEASES)
        return from_json(self._place(target).read_bytes()) if target else []

    def publish(self, signers: Sequence[CryptoSigner]) -> list[str]:
        """Sign and put out what is drafted, and renew what expires; what was written.

        The timestamp is written last: until then boxes see the repository as it was.
        """
        root, written = self._newest("root"), []
        snapshot = self._newest("snapshot") or Metadata(Snapshot())
        if root is None:
            raise UpdateError("there is no repository here; begin with `mahalla ota init`")
        snapshot.signed.meta["targets.json"] = MetaFile(self._version("targets"))
        if self._drafted.is_file() or "models.json" not in snapshot.signed.meta:
            models = self._models(self.drafted())
            signed = self._signed(models, signers)
            targets = self._newest("targets")
            assert targets is not None  # as the root is
            self._trusted(targets.signed, "models", signed)
            self._copy_drafts(models)
            self._write(f"{models.version}.models.json", signed)
            snapshot.signed.meta["models.json"] = MetaFile(models.version)
            written.append(f"models {models.version}")
        for role, signed_part in (("snapshot", snapshot.signed), ("timestamp", Timestamp())):
            if role == "timestamp":
                signed_part.snapshot_meta = MetaFile(snapshot.signed.version)
            signed_part.version = self._version(role) + 1
            signed_part.expires = self._expires(role)
            signed = self._signed(signed_part, signers)
            self._trusted(root.signed, role, signed)
            prefix = "" if role == "timestamp" else f"{signed_part.version}."
            self._write(f"{prefix}{role}.json", signed)
            written.append(f"{role} {signed_part.version}")
        self._drafted.unlink(missing_ok=True)
        return written

    def bundle(self, out: Path) -> int:
        """One file with the metadata and what is released now, for a stick; its length, bytes."""
        wanted = {path.relative_to(self._public) for path in self._metadata.glob("*.root.json")}
        for role in ("timestamp", "snapshot", "targets", "models"):
            name = "timestamp.json" if role == "timestamp" else f"{self._version(role)}.{role}.json"
            wanted.add(Path("metadata", name))
        targets = (self._target(each.target) for each in self.published())
        for target in (self._target(RELEASES), *targets):
            if target is None:
                raise UpdateError("nothing is published yet; begin with `mahalla ota publish`")
            wanted.add(self._place(target).relative_to(self._public))
        part = out.with_name(f"{out.name}.part")
        with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(wanted):
                member = tarfile.TarInfo(path.as_posix())
                member.size, member.mode = (self._public / path).stat().st_size, 0o644
                with (self._public / path).open("rb") as file:
                    archive.addfile(member, file)
        part.replace(out)
        return out.stat().st_size

    def expiries(self) -> dict[str, tuple[int, datetime]]:
        """Version and end of each role's newest metadata."""
        found = {role: self._newest(role) for role in _LIFE_DAYS}
        return {
            role: (each.signed.version, each.signed.expires) for role, each in found.items() if each
        }

    @property
    def _drafted(self) -> Path:
        return self._draft / "releases.json"

    def _models(self, releases: Iterable[Release]) -> Targets:
        models = Targets(version=self._version("models") + 1, expires=self._expires("models"))
        releases = list(releases)
        for release in releases:
            target = self._target(release.target)
            drafted = self._draft / release.target
            if drafted.is_file():
                target = TargetFile.from_file(release.target, str(drafted), ["sha256"])
            if target is None:
                raise UpdateError(f"{drafted}: is not there; add {release.model} again")
            models.targets[release.target] = target
        models.targets[RELEASES] = TargetFile.from_data(RELEASES, to_json(releases), ["sha256"])
        return models

    def _copy_drafts(self, models: Targets) -> None:
        for path, target in models.targets.items():
            place, drafted = self._place(target), self._draft / path
            if place.is_file():
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if path == RELEASES:
                write_whole(place, to_json(self.drafted()))
            else:
                part = place.with_name(f"{place.name}.part")
                shutil.copyfile(drafted, part)
                part.replace(place)
        shutil.rmtree(self._draft / "models", ignore_errors=True)

    def _target(self, path: str) -> TargetFile | None:
        models = self._newest("models")
        found: TargetFile | None = models.signed.targets.get(path) if models else None
        return found

    def _place(self, target: TargetFile) -> Path:
        folder, _, name = target.path.rpartition("/")
        return self._public / "targets" / folder / f"{target.hashes['sha256']}.{name}"

    def _signed(self, content: Any, signers: Sequence[CryptoSigner]) -> Metadata[Any]:
        """Signed by all; signatures of keys that a role does not know count for nothing."""
        content.unrecognized_fields["issued"] = int(self._now.timestamp())
        metadata: Metadata[Any] = Metadata(content)
        for signer in signers:
            metadata.sign(signer, append=True)
        return metadata

    def _trusted(self, parent: Any, role: str, signed: Metadata[Any]) -> None:
        """Sort out what is not this role's and check as a box would, before anything is written."""
        keys = parent.get_delegated_role(role).keyids
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
        self._metadata.mkdir(parents=True, exist_ok=True)
        write_whole(self._metadata / name, signed.to_bytes())


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def ring(release: Release) -> str:
    """Whom a release is meant for, in words."""
    named = f" and {len(release.boxes)} named boxes" if release.boxes else ""
    return (
        f"{release.percent} % of all boxes{named}, agents {release.agent_from} to below "
        f"{release.agent_below}"
    )
