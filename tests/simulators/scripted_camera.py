"""An RTSP camera that does as the test says: polite by default, hostile where told.

Each connection has its own thread. A method's answer is a function of the request to bytes; what
follows PLAY is a function of the connection. Both default to those of a decent camera.
"""

import socket
import threading
import time
from contextlib import suppress
from typing import NamedTuple

from rtp_packer import RtpPacker

_NAMES = {"h264": "H264", "hevc": "H265", "mjpeg": "JPEG"}


class Request(NamedTuple):
    method: str
    url: str
    headers: dict

    @property
    def path(self):
        return "/" + self.url.split("://", 1)[-1].partition("/")[2]


def answer(request, status="200 OK", body=b"", **headers):
    """A well-formed answer; underscores in header names become dashes."""
    fields = {"CSeq": request.headers.get("cseq", "0")} | headers
    if body:
        fields |= {"Content-Type": "application/sdp", "Content-Length": len(body)}
    lines = [f"RTSP/1.0 {status}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def interleaved(packet, channel=0):
    return b"$" + bytes([channel]) + len(packet).to_bytes(2, "big") + packet


def description(codec="h264", extra=""):
    return (
        f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
        f"a=rtpmap:96 {_NAMES.get(codec, codec)}/90000\r\n{extra}a=control:track1\r\n"
    ).encode()


class Connection:
    def __init__(self, link):
        self.link = link
        self.ended = threading.Event()

    def send(self, data):
        self.link.sendall(data)

    def drip(self, data, every_s=0.01):
        """Byte by byte."""
        for byte in data:
            self.send(bytes([byte]))
            time.sleep(every_s)

    def wait(self, seconds):
        """Until the client hangs up, or so long; true when it hung up."""
        return self.ended.wait(seconds)


def polite_answers(codec="h264"):
    return {
        "OPTIONS": lambda request: answer(request, Public="OPTIONS, DESCRIBE, SETUP, PLAY"),
        "DESCRIBE": lambda request: answer(request, body=description(codec)),
        "SETUP": lambda request: answer(
            request, Transport="RTP/AVP/TCP;unicast;interleaved=0-1", Session="42;timeout=60"
        ),
        "PLAY": answer,
    }


class ScriptedCamera:
    """Listens until the block ends; `answers` by method, `play` what comes after PLAY."""

    def __init__(self, *, answers=None, units=(), codec="h264", play=None, fps=50, greet=None):
        self._answers = polite_answers(codec) | (answers or {})
        self._units = list(units)
        self._codec = codec
        self._play = play or self._stream
        self._fps = fps
        self._greet = greet
        self.requests = []
        self.connections = 0
        self._links = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"rtsp://127.0.0.1:{self.port}/live"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        # Shut down, not only closed: a thread that accepts holds a closed listener open.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self._links:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def methods(self):
        return [request.method for request in self.requests]

    def _accept(self):
        with suppress(OSError):
            while True:
                link, _ = self._listener.accept()
                self.connections += 1
                self._links.append(link)
                threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link):
        connection = Connection(link)
        with link, suppress(OSError):
            if self._greet:
                self._greet(connection)
            reader = link.makefile("rb")
            try:
                while True:
                    request = _read(reader)
                    if request is None:
                        return
                    self.requests.append(request)
                    make = self._answers.get(request.method, answer)
                    connection.send(make(request))
                    if request.method == "PLAY":
                        threading.Thread(
                            target=self._played, args=(connection, request), daemon=True
                        ).start()
            finally:
                connection.ended.set()

    def _played(self, connection, request):
        with suppress(OSError):
            self._play(connection)

    def _stream(self, connection, channel=0):
        """The units over and over, at the pace of a camera."""
        packer = RtpPacker(self._codec)
        number = 0
        while self._units and not connection.ended.is_set():
            unit = self._units[number % len(self._units)]
            for packet in packer.pack(unit, 90000 * number // self._fps):
                connection.send(interleaved(packet, channel))
            number += 1
            connection.wait(1 / self._fps)


def _read(reader):
    """One request; None at the end of the connection."""
    first = reader.readline().decode().split()
    if len(first) < 2:
        return None
    headers = {}
    while True:
        name, _, value = reader.readline().decode().strip().partition(":")
        if not name:
            return Request(first[0], first[1], headers)
        headers[name.lower()] = value.strip()
