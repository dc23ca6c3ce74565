"""What a camera offers (SDP, RFC 8866): its one video track, if we may decode it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from agent.errors import CaptureError

# The three codecs that cameras speak; every other decoder is attack surface for nothing.
CODECS = {"H264": "h264", "H265": "hevc", "JPEG": "mjpeg"}
_JPEG_PAYLOAD_TYPE = "26"  # the one static payload type among them (RFC 3551), has no rtpmap
_PAYLOAD_TYPE = re.compile(r"[0-9]{1,3}")
_START_CODE = b"\0\0\0\1"


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTrack:
    """How to ask for the video, and what its packets hold."""

    codec: str  # h264 | hevc | mjpeg
    payload_type: int
    control_url: str
    parameter_sets: bytes
    """SPS and PPS (and VPS) told beforehand, with start codes; empty when sent in the stream."""


def video_track(description: str, base_url: str) -> VideoTrack:
    """The first video track; CaptureError when there is none or its codec is refused."""
    attributes: dict[str, str] = {}
    payload_type = None
    for line in description.splitlines():
        kind, _, value = line.strip().partition("=")
        if kind == "m":
            if payload_type is not None:
                break
            words = value.split()
            if len(words) >= 4 and words[0] == "video" and _PAYLOAD_TYPE.fullmatch(words[3]):
                payload_type = words[3]
        elif kind == "a" and payload_type is not None:
            name, _, text = value.partition(":")
            attributes.setdefault(_attribute(name, text, payload_type), text)
    if payload_type is None:
        raise CaptureError("the camera offers no video on this address")
    return VideoTrack(
        codec=_codec(attributes, payload_type),
        payload_type=int(payload_type),
        control_url=_control_url(base_url, attributes.get("control", "*")),
        parameter_sets=_parameter_sets(attributes.get("fmtp", "")),
    )


def _attribute(name: str, text: str, payload_type: str) -> str:
    """Attributes of other payload types of the same track get a name nobody asks for."""
    if name in ("rtpmap", "fmtp") and text.split(" ", 1)[0] != payload_type:
        return f"{name} of another"
    return name


def _codec(attributes: dict[str, str], payload_type: str) -> str:
    default = "0 JPEG/90000" if payload_type == _JPEG_PAYLOAD_TYPE else ""
    name = attributes.get("rtpmap", default).partition(" ")[2].partition("/")[0].upper()
    if name not in CODECS:
        # What a camera calls its codec is its own text: only plain letters of it are repeated.
        shown = "".join(c for c in name if c.isalnum() and c.isascii())[:16]
        raise CaptureError(
            f"the camera sends {shown or 'an unknown codec'}: only H.264, H.265 and MJPEG are"
            " decoded; choose one in the camera's settings"
        )
    return CODECS[name]


def _control_url(base_url: str, control: str) -> str:
    if control == "*":
        return base_url
    if control.startswith(("rtsp://", "rtsps://")):
        return control  # only a name: it is sent over the connection that we have
    return base_url + ("" if base_url.endswith("/") else "/") + control


def _parameter_sets(fmtp: str) -> bytes:
    found = b""
    for field in fmtp.partition(" ")[2].split(";"):
        name, _, value = field.strip().partition("=")
        if name.lower() not in ("sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps"):
            continue
        for text in value.split(","):
            try:
                found += _START_CODE + base64.b64decode(text, validate=True)
            except ValueError:  # no base64, or not even ASCII
                continue  # they come in the stream too
    return found
