"""Reaching a broker: look-up, TCP and TLS, none of which can be woken, in a thread of their own."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable

from agent.errors import LinkError
from agent.publish.endpoint import Endpoint

_LOOK_S = 0.1


class UnreachableError(LinkError):
    """Nobody answers there, and to ask again costs next to nothing."""


def dial(
    endpoint: Endpoint,
    tls: ssl.SSLContext | None,
    *,
    deadline: float,
    progress: Callable[[], None],
    stop: threading.Event,
) -> socket.socket | None:
    """A socket on which the broker can be spoken to; None once `stop` is set.

    `deadline` (monotonic) holds for everything, however many addresses the name has. Raises
    LinkError with one line on what is wrong.
    """
    call = _Call(endpoint, tls, deadline)
    threading.Thread(target=call.run, name=f"dial {endpoint}", daemon=True).start()
    while not (call.ended.wait(_LOOK_S) or stop.is_set() or time.monotonic() > deadline):
        progress()
    try:
        found = call.take()
    except ssl.SSLCertVerificationError as error:
        raise LinkError(
            f"{endpoint}: its certificate is refused: {error.verify_message}"
        ) from error
    except ssl.SSLError as error:
        raise LinkError(f"{endpoint}: TLS failed: {tls_reason(str(error))}") from error
    except OSError as error:
        text = f"{endpoint}: cannot connect: {error.strerror or error}"
        raise UnreachableError(text) from error
    except ValueError as error:
        raise LinkError(f"{endpoint}: is no name of a host: {error}") from error
    if found is None and not stop.is_set():
        raise UnreachableError(f"{endpoint}: cannot connect: timed out")
    return found


def tls_reason(text: str) -> str:
    """The telling part of OpenSSL's message, in words."""
    found = re.search(r"\[SSL: (\w+)\]", text)
    return found.group(1).lower().replace("_", " ") if found else text


class _Call:
    """One attempt. It sends nothing of MQTT, and whoever is late closes what it has opened."""

    def __init__(self, endpoint: Endpoint, tls: ssl.SSLContext | None, deadline: float) -> None:
        self.ended = threading.Event()
        self._endpoint = endpoint
        self._tls = tls
        self._deadline = deadline
        self._lock = threading.Lock()
        self._given_up = False
        self._socket: socket.socket | None = None
        self._error: OSError | ValueError | None = None

    def take(self) -> socket.socket | None:
        """What the call has come to; None when it has not, and then it is given up."""
        with self._lock:
            if self._error is not None:
                raise self._error
            if self.ended.is_set():
                return self._socket
            self._given_up = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        return None

    def run(self) -> None:
        error = None
        try:
            self._hold(self._reach())
            self._secure()
        except (OSError, ValueError) as raised:
            error = raised
        with self._lock:
            self._error = error
            self.ended.set()
            if self._socket is not None and (self._given_up or error is not None):
                self._socket.close()

    def _reach(self) -> socket.socket:
        """The first address that answers; each gets its share of the time that is left."""
        where = self._endpoint
        found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
        error: OSError = TimeoutError("timed out")
        for index, (family, kind, number, _, address) in enumerate(found):
            share_s = self._left_s() / (len(found) - index)
            try:
                return _connected(socket.socket(family, kind, number), address, share_s)
            except OSError as raised:
                error = raised
        raise error

    def _secure(self) -> None:
        if self._tls is None or self._socket is None:
            return
        self._socket.settimeout(self._left_s())
        wrapped = self._tls.wrap_socket(
            self._socket, server_hostname=self._endpoint.host, do_handshake_on_connect=False
        )
        self._hold(wrapped)
        wrapped.do_handshake()

    def _hold(self, found: socket.socket) -> None:
        with self._lock:
            self._socket = found
            if self._given_up:
                raise TimeoutError("given up")

    def _left_s(self) -> float:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        return left_s


def _connected(fresh: socket.socket, address: object, timeout_s: float) -> socket.socket:
    fresh.settimeout(timeout_s)
    try:
        fresh.connect(address)  # type: ignore[arg-type]
    except OSError:
        fresh.close()
        raise
    return fresh
