"""A small RTSP client (RFC 2326) over one TCP or TLS connection, video only.

Why not the client inside FFmpeg: it follows a redirect to any host and takes the password along,
opens a decoder for whatever is offered before anyone can object, and cannot be woken to stop.
Here nothing but the one connection to the configured host is ever opened.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from agent.capture.credentials import AuthenticationError, Credentials, Login
from agent.capture.frames import PATIENT, Patience
from agent.capture.rtp import AccessUnit, Depacketizer
from agent.capture.sdp import VideoTrack, video_track
from agent.errors import CaptureError

log = logging.getLogger(__name__)

_POLL_S = 1.0  # how late the time for a keep-alive is noticed
_WAKE_S = 0.1  # how late who waits for a connection notices that it is closed
_READ_BYTES = 65536
_MAX_HEADER_BYTES = 16384  # real answers stay under 1 kB
_MAX_BODY_BYTES = 65536  # a description of several tracks is 2 kB
_SESSION_S = 60  # the time-out of a session when the camera names none (RFC 2326, 12.37)
_PORTS = {"rtsp": 554, "rtsps": 322}
_INTERLEAVED = re.compile(r"interleaved=([0-9]{1,3})")
_UDP_ONLY = "over UDP only: allow RTP over RTSP (TCP) in its settings"
_TIMEOUT = re.compile(r"[0-9]{1,5}")


class Response(NamedTuple):
    status: int
    headers: dict[str, list[str]]
    body: bytes

    def first(self, name: str, default: str = "") -> str:
        return self.headers.get(name, [default])[0]


class RtspSession:
    """One camera's video: opened, playing, closed."""

    def __init__(
        self, url: str, credentials: Credentials | None, patience: Patience = PATIENT
    ) -> None:
        self._where = parts = _split(url)
        self._url = f"{parts.scheme}://{parts.netloc}{parts.path or '/'}"
        self._url += f"?{parts.query}" if parts.query else ""
        self._patience = patience
        self._login = Login(credentials) if credentials else None
        self._proven = False
        self._sequence = 0
        self._session = ""
        self._channel = 0
        self._session_s = _SESSION_S
        self._keep_alive_method = "OPTIONS"
        self._received = bytearray()
        self._socket: socket.socket | None = None
        self._closed = False

    def open(self, progress: Callable[[], None] = lambda: None) -> VideoTrack:
        """Connects, logs in and lets the video play; what it is of.

        `progress` is called several times a second until it is connected.
        """
        open_s = self._patience.open_s
        self._expect_within(open_s, f"the camera does not answer within {open_s:.0f} s")
        self._socket = self._connected(progress)
        if self._closed:  # while it was connecting
            raise CaptureError("closed")
        track = self._play()
        self._collect = Depacketizer(track.codec, track.payload_type)
        return track

    def units(self) -> Iterator[AccessUnit]:
        """Coded pictures as they come; CaptureError when the camera falls silent or hangs up."""
        keep_alive_s = time.monotonic() + self._session_s / 2
        picture_s = self._patience.picture_s
        silence = f"no picture for {picture_s:.0f} s"
        self._expect_within(picture_s, silence)
        while True:
            packet = self._next_packet()
            units = self._collect.push(packet, time.monotonic_ns()) if packet else []
            if units:
                yield from units
                self._expect_within(picture_s, silence)
            self._check_deadline()
            if time.monotonic() >= keep_alive_s:
                self._send(self._keep_alive_method, self._url)
                keep_alive_s = time.monotonic() + self._session_s / 2

    def close(self) -> None:
        """Hangs up; wakes a reader on another thread."""
        self._closed = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # Past the TLS layer, which must not be torn down under the reader's feet.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def release(self) -> None:
        """Closes the connection, once nobody reads from it any more."""
        if self._socket is None:
            return
        with contextlib.suppress(CaptureError):
            if self._session:
                self._send("TEARDOWN", self._url)
        self._socket.close()

    def _connected(self, progress: Callable[[], None]) -> socket.socket:
        """Waits for the connection no longer than the camera has to open, and not once closed."""
        opening = None if self._closed else _opening(self._where, self._patience.open_s / 2)
        while opening and not self._closed and time.monotonic() < self._deadline_s:
            progress()
            wait([opening], _WAKE_S)
            if opening.done():
                return opening.result()
        if opening and not opening.cancel():  # it came at the last moment
            return opening.result()
        if self._closed:
            raise CaptureError("closed")
        raise CaptureError(f"{_address(self._where)}: no answer", why="unreachable")

    def _expect_within(self, seconds: float, otherwise: str) -> None:
        self._deadline_s = time.monotonic() + seconds
        self._otherwise = otherwise

    def _check_deadline(self) -> None:
        if time.monotonic() >= self._deadline_s:
            raise CaptureError(self._otherwise)

    def _play(self) -> VideoTrack:
        public = self._ask("OPTIONS", self._url).first("public")
        if "GET_PARAMETER" in public:
            self._keep_alive_method = "GET_PARAMETER"
        described = self._ask("DESCRIBE", self._url, {"Accept": "application/sdp"})
        base = described.first("content-base") or described.first("content-location") or self._url
        track = video_track(described.body.decode("utf-8", "replace"), base)
        transport = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
        granted = self._ask("SETUP", track.control_url, transport)
        self._channel = _channel(granted.first("transport"))
        session, _, timeout = granted.first("session").partition(";")
        self._session = session.strip()
        seconds = timeout.strip().lower().removeprefix("timeout=")
        if _TIMEOUT.fullmatch(seconds):
            self._session_s = max(2, int(seconds))
        self._ask("PLAY", base, {"Range": "npt=0.000-"})
        return track

    def _ask(self, method: str, url: str, headers: dict[str, str] | None = None) -> Response:
        """The camera's answer, after a login where it wants one; CaptureError if it refuses."""
        response = self._exchange(method, url, headers)
        for _ in range(2):  # a challenge, and once more when its nonce was stale
            if response.status != HTTPStatus.UNAUTHORIZED:
                break
            self._answer_challenge(response)
            response = self._exchange(method, url, headers)
        if response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise AuthenticationError("the camera refuses the user or password in `auth`")
        if 300 <= response.status < 400:
            raise CaptureError(f"the camera redirects to {_host(response)}: not followed")
        if response.status != HTTPStatus.OK:
            raise CaptureError(f"the camera answers {method} with {_words(response.status)}")
        self._proven = True
        return response

    def _answer_challenge(self, response: Response) -> None:
        if self._login is None:
            raise AuthenticationError("the camera wants a user and password: give it `auth`")
        again = self._login.started
        stale = self._login.challenge(response.headers.get("www-authenticate", []))
        if self._login.in_clear and self._where.scheme == "rtsp":
            _warn_in_clear(_address(self._where))
        # Many cameras do not say that a nonce is stale: who was let in before asks once more.
        if again and not stale and not self._proven:
            raise AuthenticationError("the camera refuses the user or password in `auth`")
        self._proven = False

    def _exchange(self, method: str, url: str, headers: dict[str, str] | None) -> Response:
        expected = self._send(method, url, headers)
        while True:
            response = self._next_response()
            if response.first("cseq").strip() in ("", str(expected)):
                return response

    def _send(self, method: str, url: str, headers: dict[str, str] | None = None) -> int:
        self._sequence += 1
        fields = {"CSeq": str(self._sequence), "User-Agent": "mahalla"} | (headers or {})
        if self._session:
            fields["Session"] = self._session
        login = self._login.header(method, url) if self._login else None
        if login:
            fields["Authorization"] = login
        lines = [f"{method} {url} RTSP/1.0"] + [f"{name}: {text}" for name, text in fields.items()]
        assert self._socket is not None
        try:
            self._socket.settimeout(_POLL_S)
            self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        except OSError as error:
            raise CaptureError(f"the connection broke: {_reason(error)}") from None
        return self._sequence

    def _next_response(self) -> Response:
        """The next answer; video packets before it are let go."""
        while True:
            message = self._next_message()
            if isinstance(message, Response) and message.status:
                return message
            self._check_deadline()

    def _next_packet(self) -> bytes | None:
        """The next RTP packet of the video, or None after a second or some other message."""
        message = self._next_message()
        if isinstance(message, Response):
            if message.status == HTTPStatus.UNAUTHORIZED:
                # A keep-alive found the nonce stale; the next one uses the new.
                self._answer_challenge(message)
            self._proven |= message.status == HTTPStatus.OK
        if isinstance(message, bytes) and message[1] == self._channel:
            return message[4:]
        return None

    def _next_message(self) -> Response | bytes | None:
        """An answer or an interleaved packet with its 4-byte head; None when a second passed."""
        while True:
            message = self._taken_packet() if self._received[:1] == b"$" else self._taken_text()
            if message is not None:
                return message
            if not self._fill():
                return None

    def _taken_packet(self) -> bytes | None:
        received = self._received
        if len(received) < 4:
            return None
        end = 4 + int.from_bytes(received[2:4], "big")
        return self._cut(end) if len(received) >= end else None

    def _taken_text(self) -> Response | bytes | None:
        end = self._received.find(b"\r\n\r\n", 0, _MAX_HEADER_BYTES)
        if end < 0:
            if len(self._received) >= _MAX_HEADER_BYTES:
                raise CaptureError("the camera does not speak RTSP")
            return None
        status, headers = _parsed(bytes(self._received[:end]))
        length = headers.get("content-length", ["0"])[0].strip()
        size = int(length) if length.isdecimal() and len(length) < 9 else 0
        if size > _MAX_BODY_BYTES:
            raise CaptureError("the camera's answer is longer than any real one")
        if len(self._received) < end + 4 + size:
            return None
        whole = self._cut(end + 4 + size)
        return Response(status, headers, whole[end + 4 :])

    def _cut(self, end: int) -> bytes:
        taken = bytes(self._received[:end])
        del self._received[:end]
        return taken

    def _fill(self) -> bool:
        """Reads what has come; False when nothing did for a second."""
        self._check_deadline()  # here too, against a camera that feeds us byte by byte
        assert self._socket is not None
        left_s = self._deadline_s - time.monotonic()
        try:
            self._socket.settimeout(min(_POLL_S, max(left_s, 0.01)))
            more = self._socket.recv(_READ_BYTES)
        except TimeoutError:
            return False
        except (OSError, ValueError) as error:
            raise CaptureError(f"the connection broke: {_reason(error)}") from None
        if not more:
            raise CaptureError("the camera hung up", why="ended")
        self._received += more
        return True


@functools.cache  # once a camera, not with each connection
def _warn_in_clear(address: str) -> None:
    log.warning(
        "%s: the password goes over the network in clear: switch on Digest in the camera, or"
        " address it as rtsps://",
        address,
    )


def _split(url: str) -> SplitResult:
    """The URL taken apart; its text is in no message, because a password may be inside."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise CaptureError(
            "the camera's address is no URL: write rtsp://HOST[:PORT]/PATH"
        ) from None
    if parts.username is not None or parts.password is not None:
        raise CaptureError("the camera's address holds a password: move it to an `auth` file")
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise CaptureError("the camera's address must be like rtsp://HOST[:PORT]/PATH")
    if any(character <= " " or character > "~" for character in url):
        raise CaptureError("the camera's address holds a character that no URL has: %-encode it")
    return parts


def _opening(parts: SplitResult, each_s: float) -> Future[socket.socket]:
    """The connection to come, at most `each_s` for each address that the name has.

    In a thread of its own, because a look-up among silent name servers can be neither woken nor
    given a limit. Who waits no longer cancels; what comes later is closed.
    """
    opening: Future[socket.socket] = Future()

    def connect() -> None:
        try:
            connection = _connect(parts, each_s)
        except CaptureError as error:
            if opening.set_running_or_notify_cancel():
                opening.set_exception(error)
            return
        if opening.set_running_or_notify_cancel():
            opening.set_result(connection)
        else:
            connection.close()

    threading.Thread(target=connect, name=f"connect {parts.hostname}", daemon=True).start()
    return opening


def _connect(parts: SplitResult, each_s: float) -> socket.socket:
    where = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    try:
        connection = socket.create_connection(where, timeout=each_s)
        return _encrypted(connection, where[0]) if parts.scheme == "rtsps" else connection
    except (OSError, UnicodeError) as error:
        raise CaptureError(f"{_address(parts)}: {_reason(error)}", why="unreachable") from None


def _address(parts: SplitResult) -> str:
    return f"{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"


def _encrypted(connection: socket.socket, host: str) -> socket.socket:
    try:
        return _encrypting().wrap_socket(connection, server_hostname=host)
    except (OSError, ValueError):
        connection.close()
        raise


def _encrypting() -> ssl.SSLContext:
    """TLS against listeners on the wire: cameras sign their own certificates, so who is at the
    other end is not proven."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _parsed(head: bytes) -> tuple[int, dict[str, list[str]]]:
    """Status (0 for a request of the camera's own) and headers by lower-case name."""
    first, *lines = head.decode("utf-8", "replace").split("\r\n")
    words = first.split(" ")
    if words[0].startswith("RTSP/") and len(words) > 1 and words[1].isdecimal():
        status = int(words[1][:4])
    elif words[-1].startswith("RTSP/") and len(words) > 1:
        status = 0
    else:
        raise CaptureError("the camera does not speak RTSP")
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), []).append(value.strip())
    return status, headers


def _channel(granted: str) -> int:
    """Where the video comes inside the connection: the camera may choose another than asked for.

    UDP, which anybody on the network can forge, is refused; no answer at all means as asked.
    """
    chosen = _INTERLEAVED.search(granted)
    if chosen is None and granted:
        raise CaptureError(f"the camera sends {_UDP_ONLY}")
    return int(chosen[1]) & 0xFF if chosen else 0


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or 'not a TLS server'}"
    return (error.strerror if isinstance(error, OSError) else None) or "cannot be reached"


def _words(status: int) -> str:
    """The standard's words for a status: the camera's own text is never repeated."""
    known = {454: "Session Not Found", 461: f"Unsupported Transport: it sends {_UDP_ONLY}"}
    with contextlib.suppress(ValueError):
        return f"{status} {known.get(status) or HTTPStatus(status).phrase}"
    return str(status)


def _host(response: Response) -> str:
    with contextlib.suppress(ValueError):
        host = urlsplit(response.first("location")).hostname or ""
        return "".join(c for c in host if c.isalnum() or c in ".-:")[:64] or "nowhere"
    return "nowhere"
