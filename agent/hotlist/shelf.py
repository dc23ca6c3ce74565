"""The lists in force on this box: loaded, renewed, refused, expired."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent import durable
from agent.errors import HotlistError
from agent.hotlist.hotlist import Hotlist

_log = logging.getLogger(__name__)

ARRIVED = Path("ota", "hotlists")
"""Below the state folder of a box: where lists lie that came over the air."""

_SUFFIX = ".list"
_Stamp = tuple[int, int, int]


class ListSource(Protocol):
    """Where one list comes from, who has to have signed it, and what opens it on this box."""

    @property
    def name(self) -> str: ...

    @property
    def file(self) -> Path: ...

    @property
    def signers(self) -> Sequence[Path]: ...

    @property
    def keys(self) -> Sequence[Path]: ...

    @property
    def max_age_s(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What has become of a list: one word, and of which version where that is known."""

    hotlist: str
    why: str  # loaded | kept | expired | too-old | future | refused-…
    label: str | None = None
    size: int | None = None


def newest(source: ListSource, arrived: Path | None) -> Path:
    """Of its own file and the one in `arrived`, that which was written last."""
    if arrived is None:
        return source.file
    return max(source.file, arrived / f"{source.name}{_SUFFIX}", key=_stamp)


class Shelf:
    """Keeps every list as long as it may be used and takes over a newer one; `look` each minute.

    A file that is refused changes nothing: the list before it stays until its own end. The last
    file that was good is kept in `folder` (sealed as it came), so that this holds over a power
    cut, and so that an older version is not taken for a newer one after it either.

    A list may also lie in `arrived` (it came over the air): of the two, the file that was
    written last is looked at.
    """

    def __init__(
        self, sources: Iterable[ListSource], folder: Path, arrived: Path | None = None
    ) -> None:
        self._places = [_Place(source, folder, arrived) for source in sources]
        names = {f"{place.name}{_SUFFIX}" for place in self._places}
        for stray in folder.glob(f"*{_SUFFIX}"):
            if stray.name not in names:
                _forget(stray)

    def look(self, utc_ms: int) -> list[News]:
        """See what has changed since the last look."""
        return [news for place in self._places for news in place.look(utc_ms)]

    def in_force(self, utc_ms: int) -> list[Hotlist]:
        """The lists that may be used at `utc_ms`, in the order of the sources; from any thread."""
        lists = [place.hotlist_at(utc_ms) for place in self._places]
        return [hotlist for hotlist in lists if hotlist is not None]


class _Place:
    """One list's place on the shelf."""

    def __init__(self, source: ListSource, folder: Path, arrived: Path | None) -> None:
        self.name = source.name
        self._source = source
        self._arrived = arrived
        self._copy = folder / f"{source.name}{_SUFFIX}"
        self._hotlist: Hotlist | None = None
        self._kept: Hotlist | None = None  # was in force, and is again if the clock lets it
        self._unkept: bytes | None = None  # what could not be copied yet
        self._newest = (0, "")  # version and sha256 of the newest ever taken
        self._looked = False
        self._taken: _Stamp | None = None  # of the file that was taken last
        self._told: tuple[_Stamp, str] | None = None  # the refusal told last

    def hotlist_at(self, utc_ms: int) -> Hotlist | None:
        hotlist = self._hotlist
        return hotlist if hotlist and not self._fault(hotlist, utc_ms) else None

    def look(self, utc_ms: int) -> list[News]:
        if not self._looked:
            self._kept = self._opened_copy()
        kept = self._restored(utc_ms)
        file = newest(self._source, self._arrived)
        stamp = _stamp(file)
        news = self._ended(stamp, utc_ms)
        if self._hotlist is None or stamp != self._taken:
            news += self._take(file, stamp, utc_ms)
        if self._unkept is not None:
            self._keep(self._unkept)
        if kept and all(each.why != "loaded" for each in news):
            news.append(self._news("kept", kept))
        self._looked = True
        return news

    def _opened_copy(self) -> Hotlist | None:
        if not self._copy.exists():
            return None
        try:
            hotlist, _ = self._opened(self._copy)
        except HotlistError as error:  # other signers or keys since
            _log.info("hotlist %s: the kept copy is of no use: %s", self.name, error)
            return None
        self._newest = (hotlist.version, hotlist.sha256)
        return hotlist

    def _restored(self, utc_ms: int) -> Hotlist | None:
        """What was in force when the box went down is in force again, once the clock lets it."""
        kept = self._kept
        if kept is None or self._fault(kept, utc_ms):
            return None
        self._hotlist, self._kept = kept, None
        return kept

    def _ended(self, stamp: _Stamp, utc_ms: int) -> list[News]:
        """The list in force has come to its end."""
        hotlist = self._hotlist
        fault = hotlist and self._fault(hotlist, utc_ms)
        if not hotlist or not fault:
            return []
        _log.warning("hotlist %s: version %d %s", self.name, hotlist.version, fault)
        self._hotlist, self._kept = None, hotlist  # a clock that has leapt may come back
        if stamp == self._taken:  # still in its file, which will be refused for the same
            self._told = (stamp, fault.why)
        return [self._news(fault.why, hotlist)]

    def _take(self, file: Path, stamp: _Stamp, utc_ms: int) -> list[News]:
        """The file's list comes in force, or is refused; the same refusal is told once."""
        try:
            hotlist, content = self._opened(file)
            hotlist.check_time(utc_ms, round(self._source.max_age_s * 1000))
            self._refuse_older(hotlist)
        except HotlistError as error:
            if self._told == (stamp, error.why):
                return []
            self._told = (stamp, error.why)
            left = "the one before stays in force" if self._hotlist else "none is in force"
            _log.warning("hotlist %s: %s: %s; %s", self.name, file, error, left)
            return [News(hotlist=self.name, why=f"refused-{error.why}")]
        self._taken, self._told, self._kept = stamp, None, None
        before = self._hotlist if self._looked else None
        if before and before.sha256 == hotlist.sha256:  # only touched
            return []
        self._keep(content)
        self._newest, self._hotlist = (hotlist.version, hotlist.sha256), hotlist
        _log.info("hotlist %s: %d plates, version %s", self.name, hotlist.size, hotlist.label)
        return [self._news("loaded", hotlist)]

    def _refuse_older(self, hotlist: Hotlist) -> None:
        version, sha256 = self._newest
        if hotlist.version < version:
            raise HotlistError(
                f"is version {hotlist.version}, and {version} was here already", why="older"
            )
        if hotlist.version == version and hotlist.sha256 != sha256:
            raise HotlistError(f"is another version {version}; give it a new number", why="older")

    def _opened(self, path: Path) -> tuple[Hotlist, bytes]:
        # Here: a box without lists does not pay 12 MB of memory for `cryptography`.
        from agent.hotlist.opening import open_bytes, read_file

        content, source = read_file(path), self._source
        hotlist = open_bytes(content, name=self.name, signers=source.signers, keys=source.keys)
        return hotlist, content

    def _keep(self, content: bytes) -> None:
        try:
            self._copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.replace(self._copy, content)
        except OSError as error:
            if self._unkept is None:
                _log.warning("hotlist %s: no copy can be kept so far: %s", self.name, error)
            self._unkept = content
        else:
            self._unkept = None

    def _fault(self, hotlist: Hotlist, utc_ms: int) -> HotlistError | None:
        try:
            hotlist.check_time(utc_ms, round(self._source.max_age_s * 1000))
        except HotlistError as error:
            return error
        return None

    def _news(self, why: str, hotlist: Hotlist) -> News:
        return News(hotlist=self.name, why=why, label=hotlist.label, size=hotlist.size)


def _forget(copy: Path) -> None:
    """A card that has become read-only keeps what it has; the box runs all the same."""
    try:
        copy.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("%s: cannot be deleted: %s", copy, error.strerror)


def _stamp(path: Path) -> _Stamp:
    """Changes when the file does; (0, 0, 0) while there is none."""
    try:
        state = path.stat()
    except OSError:
        return (0, 0, 0)
    return (state.st_mtime_ns, state.st_size, state.st_ino)
