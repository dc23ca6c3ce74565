"""What a TCP connection has cost on the line, by the kernel's own count."""

from __future__ import annotations

import socket
import struct

_HEADERS_BYTES = 52  # IPv4 20, TCP 20, its time stamps 12

# struct tcp_info of linux/tcp.h: bytes acknowledged to us and received, segments out and in.
_BYTES, _BYTES_AT = struct.Struct("=QQ"), 120
_SEGMENTS, _SEGMENTS_AT = struct.Struct("=II"), 136
_SIZE = _SEGMENTS_AT + _SEGMENTS.size


def wire_bytes(connected: socket.socket) -> int:
    """Bytes both ways since it was connected, headers included; 0 where the kernel does not say."""
    try:
        told = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except (OSError, AttributeError):
        return 0
    if len(told) < _SIZE:
        return 0
    carried = sum(_BYTES.unpack_from(told, _BYTES_AT))
    return int(carried + _HEADERS_BYTES * sum(_SEGMENTS.unpack_from(told, _SEGMENTS_AT)))
