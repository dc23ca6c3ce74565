"""Where a box reads a repository: a web server, a folder, or a bundle file on a stick.

Each yields bytes only; what they are worth is judged by their signatures. python-tuf stops a
file at the length that its signed metadata name, or at the ceilings in `client.py`.
"""

from __future__ import annotations

import hashlib
import itertools
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import urllib3
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient import FetcherInterface

from agent.errors import UpdateError

LOCAL = "local:/"
_PIECE_BYTES = 1 << 16
_MISSING = 404  # ends the walk over the roots, as on a web server
_MOST_MEMBERS = 10_000
_MOST_PARTS = 3  # packages begun and not finished
_NO_SUCH_RANGE = 416
_PACKAGE = ".tar"


def open_source(
    where: str, line: Line | None = None, parts: Path | None = None
) -> tuple[str, FetcherInterface]:
    """Base address and fetcher of http(s)://, a folder or a bundle; UpdateError if it is none."""
    if where.startswith(("http://", "https://")):
        return where.rstrip("/"), WebFetcher(line, parts)
    path = Path(where)
    if path.is_dir():
        return LOCAL, FolderFetcher(path)
    if path.is_file():
        return LOCAL, BundleFetcher(path)
    raise UpdateError(f"{where}: is no address (http, https), folder or bundle file")


class OverBudgetError(DownloadError):
    """A metered line has carried what it may for today."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How a web server is reached, and what the line may carry."""

    ca: Path | None = None  # who vouches for the server
    cert: Path | None = None  # ours, where the server asks for one
    key: Path | None = None
    proxy: str | None = None  # http://host:port
    rate_bytes_s: int | None = None
    left_bytes: int | None = None  # of packages, today; None: not metered
    silence_s: float = 20
    whole_s: float = 900


class WebFetcher(FetcherInterface):
    """HTTP without redirects and without decompression, within `whole_s` seconds a file.

    What of a package has come when the line breaks is kept in `parts`, and the next look asks for
    the rest. Names of packages carry their hash, so a part is never of something else.
    """

    def __init__(self, line: Line | None = None, parts: Path | None = None) -> None:
        self._line = line = line or Line()
        self._parts = parts
        self.package_bytes = 0  # that came over the line
        self._continues = False  # where the part ends
        timeout = urllib3.Timeout(connect=line.silence_s, read=line.silence_s)
        settings: dict[str, Any] = {
            "timeout": timeout,
            "retries": False,
            "ca_certs": line.ca and str(line.ca),
            "cert_file": line.cert and str(line.cert),
            "key_file": line.key and str(line.key),
        }
        self._pool = (
            urllib3.ProxyManager(line.proxy, **settings)
            if line.proxy
            else urllib3.PoolManager(**settings)
        )

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            if self._parts is None or not url.endswith(_PACKAGE):
                yield from self._pieces(url, 0)
            else:
                yield from self._resumed(url, self._parts)
        except urllib3.exceptions.HTTPError as error:
            raise DownloadError(f"{url}: {error}") from error

    def _resumed(self, url: str, folder: Path) -> Iterator[bytes]:
        """The part that is here already, then the rest as it comes."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = folder / hashlib.sha256(url.rpartition("/")[2].encode()).hexdigest()
        for stale in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[:-_MOST_PARTS]:
            stale.unlink()
        begun = part.stat().st_size if part.exists() else 0
        is_whole_or_wrong = True
        try:
            pieces = self._pieces(url, begun)
            first = next(pieces, b"")
            if begun and not self._continues:
                part.unlink()
            elif begun:
                yield from _read(part)
            with part.open("ab") as file:
                for piece in itertools.chain([first], pieces):
                    file.write(piece)
                    self._spend(url, len(piece))
                    yield piece
        except (urllib3.exceptions.HTTPError, SlowRetrievalError, OverBudgetError):
            is_whole_or_wrong = False  # the line's fault: the next look goes on from here
            raise
        finally:
            if is_whole_or_wrong:  # all of it is here, or nobody wants more: it is judged now
                part.unlink(missing_ok=True)

    def _pieces(self, url: str, begun: int) -> Iterator[bytes]:
        """What the server gives from byte `begun` on; `_continues` says whether it does."""
        line, began = self._line, time.monotonic()
        headers = {"Range": f"bytes={begun}-"} if begun else {}
        answer = self._pool.request(
            "GET", url, preload_content=False, redirect=False, headers=headers
        )
        try:
            if begun and answer.status == _NO_SUCH_RANGE:
                answer.close()
                yield from self._pieces(url, 0)
                return
            self._continues = answer.status == 206 and answer.headers.get(
                "Content-Range", ""
            ).startswith(f"bytes {begun}-")
            if answer.status != 200 and not self._continues:
                raise DownloadHTTPError(f"{url}: HTTP status {answer.status}", answer.status)
            came = 0
            # read1: what has come is handed on, so that the clock is looked at between drops.
            while piece := answer.read1(_PIECE_BYTES, decode_content=False):
                took_s = time.monotonic() - began
                if took_s > line.whole_s:
                    raise SlowRetrievalError(f"{url}: not here after {line.whole_s:g} s")
                came += len(piece)
                if line.rate_bytes_s:
                    time.sleep(max(0.0, came / line.rate_bytes_s - took_s))
                yield piece
        finally:
            answer.close()

    def _spend(self, url: str, length: int) -> None:
        self.package_bytes += length
        left = self._line.left_bytes
        if left is not None and self.package_bytes > left:
            raise OverBudgetError(f"{url}: the line may carry no more today")


class FolderFetcher(FetcherInterface):
    """Files below a folder; a link or a path that leads out of it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = (self._folder / _inside(url)).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file():
            raise DownloadHTTPError(f"{path.name}: is not there", _MISSING)
        try:
            yield from _read(path)
        except OSError as error:
            raise DownloadError(f"{path}: {error.strerror}") from error


class BundleFetcher(FetcherInterface):
    """Regular files of a plain tar, read in their place: nothing is ever unpacked by name."""

    def __init__(self, bundle: Path) -> None:
        self._bundle = bundle
        self._places: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(bundle, "r:") as archive:
                for member in archive:
                    if len(self._places) >= _MOST_MEMBERS:
                        raise UpdateError(f"{bundle}: has too many files")
                    if member.isreg() and not member.issparse():
                        self._places[member.name] = (member.offset_data, member.size)
        except (tarfile.TarError, OSError) as error:
            raise UpdateError(f"{bundle}: is no bundle of `ota bundle`: {error}") from error

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = _inside(url)
        if name not in self._places:
            raise DownloadHTTPError(f"{name}: is not in the bundle", _MISSING)
        offset, left = self._places[name]
        try:
            with self._bundle.open("rb") as file:
                file.seek(offset)
                while left > 0 and (piece := file.read(min(left, _PIECE_BYTES))):
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise DownloadError(f"{self._bundle}: {error.strerror}") from error


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _inside(url: str) -> str:
    return unquote(url.removeprefix(LOCAL).lstrip("/"))
