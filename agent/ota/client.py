"""The box's view of a repository: python-tuf's checks, and two floors that it does not keep.

The time floor: a clock that was set back must not make old metadata fresh, so expiry is judged by
the latest of the clock, this agent's build and the signed `issued` of what was seen before. The
version floor: python-tuf remembers versions only in its own files, and when a power cut empties
two of them an old repository would be taken; the versions are kept here too.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tuf.api.exceptions import DownloadError, ExpiredMetadataError, RepositoryError
from tuf.api.metadata import Metadata, TargetFile
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from agent.durable import replace
from agent.errors import UpdateError
from agent.ota.release import RELEASES, Release, from_json
from agent.timekeeper import BUILT_UTC_MS

MODEL_LIMIT_BYTES = 200_000_000
_RELEASES_LIMIT_BYTES = 4_000_000
_CEILINGS = UpdaterConfig(
    max_root_rotations=64,
    root_max_length=64_000,
    timestamp_max_length=16_000,
    snapshot_max_length=64_000,
    targets_max_length=1_000_000,
)
_ROLES = ("root", "timestamp", "snapshot", "targets", "models")


class Memory:
    """What the box must not forget, in one file: floors, and packages that it refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.issued_s = 0
        self.versions: dict[str, int] = {}
        self.refused: dict[str, str] = {}  # sha256 -> why
        try:
            kept = json.loads(path.read_bytes())
            self.issued_s = int(kept["issued_s"])
            self.versions = {str(role): int(n) for role, n in kept["versions"].items()}
            self.refused = {str(sha256): str(why) for sha256, why in kept["refused"].items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UpdateError(f"{path}: damaged; remove it to begin anew: {error}") from error

    def save(self) -> None:
        """On disk when it returns."""
        content = {
            "issued_s": self.issued_s,
            "versions": self.versions,
            "refused": self.refused,
        }
        replace(self._path, json.dumps(content, indent=1).encode())


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
    ) -> None:
        self._tuf = folder / "tuf"
        self._incoming = folder / "incoming"
        for each in (self._tuf, self._incoming):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stray in self._incoming.iterdir():
            stray.unlink()
        self.memory = Memory(folder / "memory.json")
        self._now_s = now_s
        self._told_s = max(now_s, BUILT_UTC_MS / 1000, self.memory.issued_s)
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

    @property
    def clock_is_behind(self) -> bool:
        """The repository was signed after what this box takes for now."""
        return self.memory.issued_s > self._now_s + 3600

    def releases(self) -> list[Release]:
        """Refresh, compare with the floors, and read what is released."""
        with self._checked():
            self._updater.refresh()
            target = self._updater.get_targetinfo(RELEASES)
        self._raise_floors()
        if target is None:
            raise UpdateError("the repository has released nothing")
        return from_json(self.download(target, _RELEASES_LIMIT_BYTES).read_bytes())

    def find(self, release: Release) -> TargetFile:
        """What the signed metadata say of its file."""
        with self._checked():
            target = self._updater.get_targetinfo(release.target)
        if target is None or "sha256" not in target.hashes:
            raise UpdateError(f"{release.target}: nobody who may has signed it")
        return target

    def download(self, target: TargetFile, limit_bytes: int = MODEL_LIMIT_BYTES) -> Path:
        """The file, with the length and hash that were signed; in a folder emptied next time."""
        if target.length > limit_bytes:
            raise UpdateError(f"{target.path}: {target.length} bytes, {limit_bytes} are allowed")
        with self._checked():
            return Path(self._updater.download_target(target))

    def _raise_floors(self) -> None:
        memory = self.memory
        for role in _ROLES:
            signed: Any = Metadata.from_file(str(self._tuf / f"{role}.json")).signed
            floor = memory.versions.get(role, 0)
            if signed.version < floor:
                raise UpdateError(
                    f"the repository is older than what this box has seen: "
                    f"{role} {signed.version}, and {floor} was here already"
                )
            memory.versions[role] = signed.version
            issued_s = signed.unrecognized_fields.get("issued")
            if type(issued_s) is int:
                memory.issued_s = max(memory.issued_s, issued_s)
        memory.save()

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
                f"(this box takes it for {day}); the models stay"
            ) from error
        except RepositoryError as error:
            raise UpdateError(f"the repository does not verify: {error}") from error
        except DownloadError as error:
            raise UpdateError(f"cannot be read: {error}; the models stay") from error
        except OSError as error:
            raise UpdateError(f"{error.filename}: {error.strerror}; the models stay") from error
        finally:
            tempfile.tempdir = before
