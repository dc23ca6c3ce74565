"""Masked pictures of events, for those who may ask: few, for a while, and unreadable elsewhere."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.errors import StoreError

_log = logging.getLogger(__name__)

_NONCE_BYTES = 12
_IN_MEMORY = 32  # pictures that wait for the disk; with more the oldest is given up


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    made_ns: int
    size_bytes: int


class Cipher(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


class Album:
    """A ring of JPEGs on the disk, by event id; bounded by `keep_s` and `max_bytes`.

    Each is sealed (AES-256-GCM) under a key that lives in this object only: after a power cut, or
    on a stolen card, they are noise, and the next start deletes them. Safe between threads; `add`
    never waits for the disk, `tidy` does, and is called each second.
    """

    def __init__(self, folder: Path, *, keep_s: float, max_bytes: int) -> None:
        # Here: a box that keeps no pictures does not pay 12 MB of memory for `cryptography`.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._folder = folder
        self._keep_ns = round(keep_s * 1e9)
        self._max_bytes = max_bytes
        self._cipher: Cipher = AESGCM(AESGCM.generate_key(256))
        self._lock = threading.Lock()
        self._new: deque[tuple[str, bytes, int]] = deque(maxlen=_IN_MEMORY)
        self._pages: OrderedDict[str, _Page] = OrderedDict()
        self._bytes = 0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for old in folder.iterdir():
                old.unlink()
        except OSError as error:
            raise StoreError(f"{folder}: {error.strerror}; make it a folder of ours") from error

    def add(self, event_id: str, jpeg: bytes, mono_ns: int) -> None:
        """Keep the picture of an event, taken at `mono_ns`."""
        with self._lock:
            self._new.append((event_id, jpeg, mono_ns))

    def get(self, event_id: str) -> bytes | None:
        """The JPEG, None where there is none (any more)."""
        with self._lock:
            fresh = next((jpeg for name, jpeg, _ in self._new if name == event_id), None)
            known = event_id in self._pages
        if fresh is not None or not known:
            return fresh
        from cryptography.exceptions import InvalidTag

        try:
            sealed = (self._folder / event_id).read_bytes()
            nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, rest, event_id.encode())
        except (OSError, InvalidTag, ValueError):  # deleted meanwhile, or torn
            return None

    def tidy(self, mono_ns: int) -> None:
        """Write what is new; delete what is too old, and the oldest of too much."""
        with self._lock:
            new = list(self._new)
        for event_id, jpeg, made_ns in new:
            self._write(event_id, jpeg, made_ns)
        while self._pages:
            event_id, page = next(iter(self._pages.items()))
            if mono_ns - page.made_ns <= self._keep_ns and self._bytes <= self._max_bytes:
                return
            self._delete(event_id, page)

    def _write(self, event_id: str, jpeg: bytes, made_ns: int) -> None:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, jpeg, event_id.encode())
        try:
            (self._folder / event_id).write_bytes(sealed)
        except OSError as error:  # full: events are more important
            _log.warning("%s: no picture of %s: %s", self._folder, event_id, error.strerror)
            (self._folder / event_id).unlink(missing_ok=True)
        else:
            with self._lock:
                self._pages[event_id] = _Page(made_ns=made_ns, size_bytes=len(sealed))
                self._bytes += len(sealed)
        with self._lock:
            if self._new and self._new[0][0] == event_id:
                self._new.popleft()

    def _delete(self, event_id: str, page: _Page) -> None:
        (self._folder / event_id).unlink(missing_ok=True)
        with self._lock:
            del self._pages[event_id]
            self._bytes -= page.size_bytes
