"""A model package as one file: a plain tar of the card, the model and its golden samples.

Not compressed: it unpacks to no more than its length, so there are no bombs. Only regular files
of known names come out of it, so there are no paths and no links to follow.
"""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from agent.durable import sync_folder, write
from agent.errors import UpdateError
from agent.infer.package import load_package

_MEMBER = re.compile(
    r"model\.toml|[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}\.tflite|golden/labels\.jsonl"
    r"|golden/[A-Za-z0-9_-]{1,80}\.(npz|jpg|png)"
)
_MOST_MEMBERS = 500


def pack(folder: Path, out: Path) -> None:
    """Write a checked package to `out`, the same bytes each time; ModelError, UpdateError."""
    package = load_package(folder)
    if not package.golden:
        raise UpdateError(f"{folder}: has no golden samples: no box could test it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as archive:
        golden = sorted(path for path in (folder / "golden").iterdir() if path.is_file())
        for path in (folder / "model.toml", package.file, *golden):
            name = path.relative_to(folder).as_posix()
            if not _MEMBER.fullmatch(name):
                raise UpdateError(f"{path}: its name is not allowed in a package")
            member = tarfile.TarInfo(name)
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                archive.addfile(member, file)


def unpack(packed: Path, folder: Path) -> None:
    """Into a new folder, all on disk when it returns; UpdateError when the file is no package."""
    folder.mkdir(parents=True)
    (folder / "golden").mkdir()
    try:
        with tarfile.open(packed, "r:") as archive:
            seen: set[str] = set()
            for member in archive:
                if not member.isreg() or not _MEMBER.fullmatch(member.name) or member.issparse():
                    raise UpdateError(f"the package has {member.name!r:.80}, which is not allowed")
                if member.name in seen or len(seen) >= _MOST_MEMBERS:
                    raise UpdateError("the package has a file twice, or too many files")
                seen.add(member.name)
                content = archive.extractfile(member)
                assert content is not None  # it is a regular file
                write(folder / member.name, content)
    except tarfile.TarError as error:
        raise UpdateError(f"the package cannot be unpacked: {error}") from error
    sync_folder(folder / "golden")
    sync_folder(folder)
