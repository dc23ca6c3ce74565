"""A bad link: a TCP relay that can be cut, frozen and mended."""

from __future__ import annotations

import contextlib
import select
import socket
import threading


class Link:
    """Relays one loopback port to another. A context; `url` is the near end."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._up = True
        self._frozen = False
        self._ended = False
        self._thread = threading.Thread(target=self._run)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        """Close every connection and let no new one through."""
        self._up = False

    def freeze(self) -> None:
        """Pass nothing on, close nothing: the other side just falls silent."""
        self._frozen = True

    def mend(self) -> None:
        self._up, self._frozen = True, False

    def _run(self) -> None:
        while not self._ended:
            if not self._up:
                self._close_all()
            self._accept()
            self._relay()
        self._close_all()

    def _accept(self) -> None:
        ready = select.select([self._listener], [], [], 0.0 if self._pairs else 0.05)[0]
        if not ready:
            return
        near, _ = self._listener.accept()
        if not self._up:
            near.close()
            return
        try:
            far = socket.create_connection(("127.0.0.1", self._target_port), timeout=1)
        except OSError:
            near.close()
            return
        self._pairs.append((near, far))

    def _relay(self) -> None:
        if self._frozen:
            threading.Event().wait(0.02)
            return
        ends = dict(self._pairs) | {far: near for near, far in self._pairs}
        for source in select.select(list(ends), [], [], 0.02)[0]:
            with contextlib.suppress(OSError):
                piece = source.recv(65536)
                if piece:
                    ends[source].sendall(piece)
                    continue
            self._drop(source)

    def _drop(self, end: socket.socket) -> None:
        for pair in [pair for pair in self._pairs if end in pair]:
            self._pairs.remove(pair)
            for side in pair:
                side.close()

    def _close_all(self) -> None:
        for near, _ in list(self._pairs):
            self._drop(near)

    def __enter__(self) -> Link:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join(5)
        self._listener.close()
