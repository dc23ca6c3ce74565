"""Where pictures come from: the grammar of `source` and `detect_source`."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from agent.config.files import NamedFile
from agent.config.letters import look_alike
from agent.config.place import Place
from agent.config.problems import INLINE, LOGIN_FILE, Refusal, closest, meant, quoted
from agent.config.scenes import parse_scene

GRAMMAR = (
    "one of rtsp(s)://HOST[:PORT]/PATH, picamera:N, v4l2:/dev/videoN, "
    "gst:PIPELINE, clip:PATH, synthetic:SCENE"
)

_PASSWORD = re.compile(r"(?i)(pass(word|wd)?|pwd|user-pw)\s*=|://\S*@")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*|[0-9A-Fa-f:]+")

_NUMBERS = re.compile(r"[0-9.]+")


def split_url(text: str) -> tuple[SplitResult, int | None]:
    """An address and its port; raises Refusal where host or port are none."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise Refusal("is no address: host or port is wrong", "a port from 1 to 65535") from None
    hint = look_alike(url.hostname or "")
    if not url.hostname or not _HOST.fullmatch(url.hostname):
        raise Refusal("is no address: host is missing or wrong", "scheme://HOST[:PORT]", hint)
    if _NUMBERS.fullmatch(url.hostname) and not _is_ipv4(url.hostname):
        raise Refusal(f"{url.hostname} is no IPv4 address", "four numbers from 0 to 255")
    if port == 0:
        raise Refusal("is no address: host or port is wrong", "a port from 1 to 65535")
    return url, port


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _rtsp(text: str, place: Place) -> str:
    url, _ = split_url(text)
    if not url.path or re.search(r"\s", text):
        raise Refusal("the path is missing or has spaces", "rtsp(s)://HOST[:PORT]/PATH")
    return text


def _picamera(text: str, place: Place) -> str:
    return _matched(text, r"picamera:[0-7]", "picamera:N, N from 0 to 7")


def _v4l2(text: str, place: Place) -> str:
    _matched(text, r"v4l2:/dev/video[0-9]{1,3}", "v4l2:/dev/videoN")
    device = text.removeprefix("v4l2:")
    if not Path(device).exists():
        place.warn(f"device {device} does not exist", "it may be plugged in later")
    return text


def _gst(text: str, place: Place) -> str:
    return _matched(text, r"gst:.*\S.*", "gst: and a GStreamer pipeline")


def _synthetic(text: str, place: Place) -> str:
    parse_scene(text.removeprefix("synthetic:"))
    return text


def _matched(text: str, pattern: str, allowed: str) -> str:
    if not re.fullmatch(pattern, text):
        raise Refusal(f"{quoted(text)} is no source", allowed)
    return text


def _clip(text: str, place: Place) -> str:
    name = text.removeprefix("clip:")
    if not name:
        raise Refusal(f"{quoted(text)} is no source", "clip: and the path of a video")
    return f"clip:{NamedFile().find(name, place)}"


_READERS: Mapping[str, Callable[[str, Place], str]] = {
    "rtsp": _rtsp,
    "rtsps": _rtsp,
    "picamera": _picamera,
    "v4l2": _v4l2,
    "gst": _gst,
    "clip": _clip,
    "synthetic": _synthetic,
}


def canonical(text: str) -> str:
    """The same text for the same source: to see that two cameras share one."""
    if text.startswith("clip:"):
        return f"clip:{posixpath.normpath(text.removeprefix('clip:'))}"
    return re.sub(r"^(rtsp://[^/]*):554/", r"\1/", text)


@dataclass(frozen=True, slots=True)
class Source:
    """A source in its own grammar; the path of a clip becomes absolute."""

    def read(self, place: Place) -> str:
        text = place.text()
        scheme, colon, _ = text.partition(":")
        if _PASSWORD.search(text):
            raise Refusal(INLINE, LOGIN_FILE)
        if not colon:
            raise Refusal(f"{quoted(text)} is no source", GRAMMAR, _hint(text))
        if scheme not in _READERS:
            raise Refusal(f"{quoted(scheme + ':')} is not known", GRAMMAR, _nearest_scheme(scheme))
        return _READERS[scheme](text, place)

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^({'|'.join(_READERS)}):"}


def _nearest_scheme(scheme: str) -> str:
    near = closest(scheme, _READERS)
    return look_alike(scheme) or (meant(f"{near}:") if near else "")


def _hint(text: str) -> str:
    if text.startswith("/dev/video"):
        return meant(f"v4l2:{text}")
    return meant(f"clip:{text}") if re.search(r"\.(mp4|mkv|avi|mov|webm)$", text) else ""
