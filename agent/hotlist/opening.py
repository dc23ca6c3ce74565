"""A file on disk to a `Hotlist`, or one line that says why not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from agent.errors import HotlistError
from agent.hotlist.hotlist import Hotlist
from agent.hotlist.keys import BoxKey, load_box_key, load_signer
from agent.hotlist.sealed import FILE_LIMIT_BYTES, parse


def open_hotlist(
    path: Path, *, name: str, signers: Sequence[Path], keys: Sequence[Path]
) -> Hotlist:
    """The list called `name` in the file, signed by all of `signers`, opened with one of `keys`.

    HotlistError says why it is refused. What the time forbids is not looked at: see
    `Hotlist.check_time`.
    """
    try:
        return open_bytes(read_file(path), name=name, signers=signers, keys=keys)
    except HotlistError as error:
        raise HotlistError(f"{path}: {error}", why=error.why) from error


def read_file(path: Path) -> bytes:
    """The bytes of a list; HotlistError when it cannot be read or is too large to be one."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise HotlistError("is not there", why="missing") from None
    except OSError as error:
        raise HotlistError(f"cannot be read: {error.strerror}", why="unreadable") from error
    if len(content) > FILE_LIMIT_BYTES:
        raise HotlistError("is larger than any hotlist")
    return content


def open_bytes(
    content: bytes, *, name: str, signers: Sequence[Path], keys: Sequence[Path]
) -> Hotlist:
    """The same from the bytes of the file."""
    sealed = parse(content)
    sealed.verify([load_signer(signer) for signer in signers])
    header = sealed.read_header()
    if header.name != name:
        raise HotlistError(f"is the list {header.name}, not {name}", why="wrong-name")
    inside = sealed.unseal(header, _box_keys(keys))
    return Hotlist(
        name=name,
        version=header.version,
        sha256=hashlib.sha256(content).hexdigest(),
        made_ms=header.made_ms,
        expires_ms=header.expires_ms,
        key=inside.key,
        cost=header.cost,
        entries=inside.entries,
    )


def _box_keys(paths: Sequence[Path]) -> list[BoxKey]:
    """Those that can be read: brokers may know a box by keys of different kinds."""
    keys, faults = [], []
    for path in paths:
        try:
            keys.append(load_box_key(path))
        except HotlistError as error:
            faults.append(error)
    if faults and not keys:
        raise faults[0]
    return keys
