"""RTP packets to access units: H.264 (RFC 6184), H.265 (RFC 7798) and JPEG (RFC 2435).

Written out here, and not left to a demuxer that does its own networking, so that nothing a
camera sends can open a connection, start a decoder or grow without bound.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from agent.capture.jpeg import jpeg_headers

# A keyframe of a 4K camera at its highest quality is 2 to 3 MB.
MAX_UNIT_BYTES = 8_000_000

_MAX_SETS_BYTES = 4096  # parameter sets are some hundred bytes

_PIECE_BYTES = 64  # what a piece costs in memory beside its bytes, be it ever so small

_START_CODE = b"\0\0\0\1"
_HEADER = struct.Struct("!BBHII")
_H264_KEY = 5  # IDR
_H264_SLICES = range(1, 6)
_H265_KEYS = range(16, 22)  # BLA, IDR, CRA
_H265_SLICES = range(32)


class RtpPacket(NamedTuple):
    """The fields that matter of one packet."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessUnit:
    """One coded picture."""

    coded: bytes
    keyframe: bool
    taken_ns: int  # monotonic, when its first packet came


def parse_rtp(packet: bytes) -> RtpPacket | None:
    """The packet taken apart, or None when it is none of RTP version 2."""
    if len(packet) < _HEADER.size or packet[0] >> 6 != 2:
        return None
    first, second, sequence, timestamp, _ = _HEADER.unpack_from(packet)
    start = _HEADER.size + 4 * (first & 0x0F)
    if first & 0x10:  # header extension
        if len(packet) < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    end = len(packet) - (packet[-1] if first & 0x20 else 0)  # padding
    if start >= end:
        return None
    return RtpPacket(bool(second & 0x80), second & 0x7F, sequence, timestamp, packet[start:end])


class _Parts(Protocol):
    """Puts the payloads of one picture together."""

    def add(self, payload: bytes) -> bytes:
        """What this payload adds to the coded picture; empty for a piece to be continued."""
        ...

    def reset(self) -> None: ...

    keyframe: bool
    pictured: bool  # some part of a picture has come, not only what tells how to decode it


class _Nals:
    """NAL units, whole, aggregated or in fragments; the numbers of both codecs differ only."""

    def __init__(self, *, hevc: bool) -> None:
        self._hevc = hevc
        self._header_bytes = 2 if hevc else 1
        self._aggregate, self._fragment = (48, 49) if hevc else (24, 28)
        self._pieces: list[bytes] = []
        self.keyframe = self.pictured = False

    def reset(self) -> None:
        self._pieces = []
        self.keyframe = self.pictured = False

    def add(self, payload: bytes) -> bytes:
        if len(payload) <= self._header_bytes:
            return b""
        kind = self._kind(payload[0])
        if kind == self._aggregate:
            return self._split(payload)
        if kind == self._fragment:
            return self._continue(payload)
        return self._nal(kind, payload)

    def _kind(self, first: int) -> int:
        return (first >> 1) & 0x3F if self._hevc else first & 0x1F

    def _nal(self, kind: int, nal: bytes) -> bytes:
        self.keyframe |= kind in _H265_KEYS if self._hevc else kind == _H264_KEY
        self.pictured |= kind in (_H265_SLICES if self._hevc else _H264_SLICES)
        return _START_CODE + nal

    def _split(self, payload: bytes) -> bytes:
        found, at = [], self._header_bytes
        while at + 2 < len(payload):
            size = int.from_bytes(payload[at : at + 2], "big")
            nal = payload[at + 2 : at + 2 + size]
            at += 2 + size
            if nal:
                found.append(self._nal(self._kind(nal[0]), nal))
        return b"".join(found)

    def _continue(self, payload: bytes) -> bytes:
        flags, body = payload[self._header_bytes], payload[self._header_bytes + 1 :]
        if flags & 0x80:
            self._pieces = [self._rebuilt_header(payload, flags), body]
        elif self._pieces:
            self._pieces.append(body)
        if not flags & 0x40 or not self._pieces:
            return b""
        nal, self._pieces = b"".join(self._pieces), []
        return self._nal(self._kind(nal[0]), nal)

    def _rebuilt_header(self, payload: bytes, flags: int) -> bytes:
        if self._hevc:
            return bytes([payload[0] & 0x81 | (flags & 0x3F) << 1, payload[1]])
        return bytes([payload[0] & 0xE0 | flags & 0x1F])


class _Jpeg:
    """Scans in fragments; the headers that RFC 2435 leaves out are put back."""

    keyframe = pictured = True  # every picture stands by itself

    def __init__(self) -> None:
        self._expected = 0

    def reset(self) -> None:
        self._expected = 0

    def add(self, payload: bytes) -> bytes:
        if len(payload) < 8:
            return b""
        offset = int.from_bytes(payload[1:4], "big")
        if offset != self._expected:  # a lost piece: the rest of this scan is noise
            return b""
        headers, scan = jpeg_headers(payload)
        if not scan:  # else a first piece could come for ever, and bring its headers each time
            return b""
        self._expected += len(scan)
        return (headers if offset == 0 else b"") + scan


class Depacketizer:
    """Collects the packets of one track into access units."""

    def __init__(self, codec: str, payload_type: int) -> None:
        self._parts: _Parts = _Jpeg() if codec == "mjpeg" else _Nals(hevc=codec == "hevc")
        self._payload_type = payload_type
        self._next_sequence: int | None = None
        self._timestamp: int | None = None
        self._coded: list[bytes] = []
        self._before = b""  # parameter sets that came as a unit of their own
        self._bytes = 0
        self._taken_ns = 0

    def push(self, packet: bytes, now_ns: int) -> list[AccessUnit]:
        """The units that this packet completes: none or one, two where a marker was missing."""
        rtp = parse_rtp(packet)
        if rtp is None or rtp.payload_type != self._payload_type:
            return []
        done: list[AccessUnit] = []
        if self._next_sequence not in (None, rtp.sequence):
            self._begin()  # what is left of a damaged picture the decoder conceals
        self._next_sequence = (rtp.sequence + 1) & 0xFFFF
        if self._timestamp not in (None, rtp.timestamp):
            done += self._finish()
        self._timestamp = rtp.timestamp
        self._taken_ns = self._taken_ns or now_ns
        self._add(rtp.payload)
        if rtp.marker:
            done += self._finish()
            self._timestamp = None
        return done

    def _begin(self) -> None:
        self._coded = []
        self._bytes = 0
        self._taken_ns = 0
        self._parts.reset()

    def _add(self, payload: bytes) -> None:
        # Counted as received, because fragments wait inside the parts before they come out.
        self._bytes += len(payload) + _PIECE_BYTES
        if self._bytes > MAX_UNIT_BYTES:
            self._begin()
        coded = self._parts.add(payload)
        if coded:
            self._coded.append(coded)

    def _finish(self) -> list[AccessUnit]:
        coded = b"".join(self._coded)
        if coded and not self._parts.pictured:
            # Some cameras mark them as a picture: they belong to the keyframe that follows.
            sets = self._before + coded
            self._before, coded = sets if len(sets) <= _MAX_SETS_BYTES else b"", b""
        if coded:
            coded, self._before = self._before + coded, b""
        unit = AccessUnit(coded=coded, keyframe=self._parts.keyframe, taken_ns=self._taken_ns)
        self._begin()
        return [unit] if coded else []
