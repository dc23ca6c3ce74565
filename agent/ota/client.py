"""The box's view of a repository: python-tuf's checks, and two floors that it does not keep.

The time floor: a clock that was set back must not make old metadata fresh, so expiry is judged by
the latest of the clock, this agent's build, the time that a time server has told an earlier run,
and the signed `issued` of what was seen before. The version floor: python-tuf remembers versions
only in its own files, and when a power cut empties two of them an old repository would be taken;
the versions are kept here too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tuf.api.exceptions import DownloadError, ExpiredMetadataError, RepositoryError
from tuf.api.metadata import Metadata, TargetFile
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from agent.errors import UpdateError
from agent.ota.fetching import OverBudgetError
from agent.ota.floors import Floors
from agent.ota.looks import UNREACHABLE
from agent.ota.release import HALTS, RELEASES, Release, from_json, halts_from_json
from agent.timekeeper import BUILT_UTC_MS

MODEL_LIMIT_BYTES = 200_000_000
_DOCUMENT_LIMIT_BYTES = 4_000_000
_CEILINGS = UpdaterConfig(
    max_root_rotations=64,
    root_max_length=64_000,
    timestamp_max_length=16_000,
    snapshot_max_length=64_000,
    targets_max_length=1_000_000,
)
_ROLES = ("root", "timestamp", "snapshot", "targets", "models", "halts", "hotlists", "config")


class Client:
    """One look at a repository. Every method raises UpdateError, in one line."""

    def __init__(
        self,
        folder: Path,
        *,
        root: bytes,
        base: str,
        fetcher: FetcherInterface,
        now_s: float,
        floor_s: float = BUILT_UTC_MS / 1000,
    ) -> None:
        """`now_s` is what the clock says, `floor_s` what this box knows that it is later than."""
        self._tuf = folder / "tuf"
        self._incoming = folder / "incoming"
        self._lists = folder / "lists"
        for each in (self._tuf, self._incoming, self._lists):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stray in self._incoming.iterdir():
            stray.unlink()
        self._folder = folder
        self.now_s = now_s
        self._told_s = max(now_s, floor_s, self.floors().issued_s)
        with self._checked():
            self._updater = Updater(
                str(self._tuf),
                f"{base}/metadata/",
                str(self._incoming),
                f"{base}/targets/",
                fetcher,
                _CEILINGS,
                bootstrap=root,
            )
        # The one hook that python-tuf has for it; a test holds it in its place.
        best_time = datetime.fromtimestamp(self._told_s, tz=timezone.utc)
        self._updater._trusted_set.reference_time = best_time
        self._is_fresh = False
        self._fetcher = fetcher

    @property
    def package_bytes(self) -> int:
        """Of packages, that came over a line so far."""
        return getattr(self._fetcher, "package_bytes", 0)

    def floors(self) -> Floors:
        """As they are on the disk now."""
        return Floors(self._folder)

    @property
    def clock_is_behind(self) -> bool:
        """The repository was signed after what this box takes for now."""
        return self.floors().issued_s > self.now_s + 3600

    def releases(self) -> list[Release]:
        """What is released; UpdateError where nothing is."""
        content = self.document(RELEASES)
        if content is None:
            raise UpdateError("the repository has released nothing", why="empty")
        return from_json(content)

    def halts(self) -> dict[int, str]:
        """Serial numbers of halted releases and why."""
        content = self.document(HALTS)
        return {} if content is None else halts_from_json(content)

    def document(self, path: str) -> bytes | None:
        """A small signed file, fetched only when it has changed; None where there is none."""
        target = self.target(path)
        if target is None:
            return None
        with self._checked():
            kept = str(self._lists / quote(path, safe=""))
            found = self._updater.find_cached_target(target, kept)
            if found:
                return Path(found).read_bytes()
        return self.download(target, _DOCUMENT_LIMIT_BYTES, kept).read_bytes()

    def find(self, release: Release) -> TargetFile:
        """What the signed metadata say of its file."""
        target = self.target(release.target)
        if target is None:
            raise UpdateError(f"{release.target}: nobody who may has signed it")
        return target

    def target(self, path: str) -> TargetFile | None:
        """What is signed of a file, by the role that may; refreshed once and above the floors."""
        with self._checked():
            if not self._is_fresh:
                self._updater.refresh()
                self._is_fresh = True
            # A role that has never signed anything is not in the snapshot, and nobody's fault.
            role = f"{path.partition('/')[0]}.json"
            is_there = role in self._updater._trusted_set.snapshot.meta
            target = self._updater.get_targetinfo(path) if is_there else None
        self._raise_floors()
        if target is not None and "sha256" not in target.hashes:
            raise UpdateError(f"{path}: is signed without its sha256")
        return target

    def download(
        self, target: TargetFile, limit_bytes: int = MODEL_LIMIT_BYTES, to: str | None = None
    ) -> Path:
        """The file, with the length and hash that were signed; in a folder emptied next time."""
        if target.length > limit_bytes:
            raise UpdateError(f"{target.path}: {target.length} bytes, {limit_bytes} are allowed")
        with self._checked():
            return Path(self._updater.download_target(target, to))

    def _raise_floors(self) -> None:
        floors = self.floors()
        before = dict(floors.versions), floors.issued_s
        for role in _ROLES:
            path = self._tuf / f"{role}.json"
            if not path.exists():
                continue
            signed: Any = Metadata.from_file(str(path)).signed
            # Whoever stole a key may have spent all numbers: with another key they begin anew.
            keys = self._keys_of(role)
            floor, floor_keys = floors.versions.get(role, (0, keys))
            if signed.version < floor and keys == floor_keys:
                raise UpdateError(
                    f"the repository is older than what this box has seen: "
                    f"{role} {signed.version}, and {floor} was here already",
                    why="old",
                )
            floors.versions[role] = (signed.version, keys)
            issued_s = signed.unrecognized_fields.get("issued")
            if type(issued_s) is int:
                floors.issued_s = max(floors.issued_s, issued_s)
        if (floors.versions, floors.issued_s) != before:
            floors.save()

    def _keys_of(self, role: str) -> str:
        trusted = self._updater._trusted_set
        if role == "root":
            return ""  # its versions are walked one by one, each signed by the one before
        parent: Any = trusted.root if role in trusted.root.roles else trusted.targets
        return ",".join(sorted(parent.get_delegated_role(role).keyids))

    @contextmanager
    def _checked(self) -> Iterator[None]:
        before = tempfile.tempdir
        # /tmp is memory on many boxes; a model does not belong there.
        tempfile.tempdir = str(self._incoming)
        try:
            yield
        except ExpiredMetadataError as error:
            day = f"{datetime.fromtimestamp(self._told_s, tz=timezone.utc):%Y-%m-%d}"
            raise UpdateError(
                f"{error}: it was not renewed, or somebody holds it back, or the clock is wrong "
                f"(this box takes it for {day}); the models stay",
                why="expired",
            ) from error
        except RepositoryError as error:
            text = f"the repository does not verify: {error}"
            raise UpdateError(text, why="does-not-verify") from error
        except OverBudgetError as error:
            raise UpdateError(f"{error}; it goes on another day", why="budget") from error
        except DownloadError as error:
            text = f"cannot be read: {error}; the models stay"
            raise UpdateError(text, why=UNREACHABLE) from error
        except OSError as error:
            raise UpdateError(f"{error.filename}: {error.strerror}; the models stay") from error
        finally:
            tempfile.tempdir = before
