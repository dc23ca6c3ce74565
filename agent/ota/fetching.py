"""Where a box reads a repository: a web server, a folder, or a bundle file on a stick.

Each yields bytes only; what they are worth is judged by their signatures. python-tuf stops a
file at the length that its signed metadata name, or at the ceilings in `client.py`.
"""

from __future__ import annotations

import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import urllib3
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient import FetcherInterface

from agent.errors import UpdateError

LOCAL = "local:/"
_PIECE_BYTES = 1 << 16
_MISSING = 404  # ends the walk over the roots, as on a web server
_MOST_MEMBERS = 10_000


def open_source(where: str, ca: Path | None = None) -> tuple[str, FetcherInterface]:
    """Base address and fetcher of http(s)://, a folder or a bundle; UpdateError if it is none."""
    if where.startswith(("http://", "https://")):
        return where.rstrip("/"), WebFetcher(ca=ca)
    path = Path(where)
    if path.is_dir():
        return LOCAL, FolderFetcher(path)
    if path.is_file():
        return LOCAL, BundleFetcher(path)
    raise UpdateError(f"{where}: is no address (http, https), folder or bundle file")


class WebFetcher(FetcherInterface):
    """HTTP without redirects and without decompression, within `whole_s` seconds a file."""

    def __init__(self, *, ca: Path | None = None, silence_s: float = 20, whole_s: float = 900):
        self._whole_s = whole_s
        timeout = urllib3.Timeout(connect=silence_s, read=silence_s)
        self._pool = urllib3.PoolManager(timeout=timeout, retries=False, ca_certs=ca and str(ca))

    def _fetch(self, url: str) -> Iterator[bytes]:
        until = time.monotonic() + self._whole_s
        try:
            answer = self._pool.request("GET", url, preload_content=False, redirect=False)
            try:
                if answer.status != 200:
                    raise DownloadHTTPError(f"{url}: HTTP status {answer.status}", answer.status)
                # read1: what has come is handed on, so that the clock is looked at between drops.
                while piece := answer.read1(_PIECE_BYTES, decode_content=False):
                    if time.monotonic() > until:
                        raise SlowRetrievalError(f"{url}: not here after {self._whole_s:g} s")
                    yield piece
            finally:
                answer.close()
        except urllib3.exceptions.HTTPError as error:
            raise DownloadError(f"{url}: {error}") from error


class FolderFetcher(FetcherInterface):
    """Files below a folder; a link or a path that leads out of it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = (self._folder / _inside(url)).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file():
            raise DownloadHTTPError(f"{path.name}: is not there", _MISSING)
        try:
            with path.open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece
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


def _inside(url: str) -> str:
    return unquote(url.removeprefix(LOCAL).lstrip("/"))
