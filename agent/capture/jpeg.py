"""The JPEG headers that RTP leaves out (RFC 2435, appendices A and B)."""

from __future__ import annotations

import struct
from functools import lru_cache

# Quantisation at quality 50, in zigzag order, and the Huffman tables of ITU-T T.81 annex K.
_LUMA_50 = bytes.fromhex(
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933"
    "383740485c4e404457453738506d51575f626768673e4d71797064785c656763"
)
_CHROMA_50 = bytes.fromhex("1112121815182f1a1a2f63423842") + bytes([99]) * 50
_DC_LUMA = bytes.fromhex("00010501010101010100000000000000") + bytes(range(12))
_DC_CHROMA = bytes.fromhex("00030101010101010101010000000000") + bytes(range(12))
_AC_LUMA = bytes.fromhex(
    "0002010303020403050504040000017d"
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f0"
    "2433627282090a161718191a25262728292a3435363738393a434445464748494a"
    "535455565758595a636465666768696a737475767778797a838485868788898a"
    "92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6"
    "c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)
_AC_CHROMA = bytes.fromhex(
    "00020102040403040705040400010277"
    "000102031104052131061241510761711322328108144291a1b1c109233352f0"
    "156272d10a162434e125f11718191a262728292a35363738393a434445464748"
    "494a535455565758595a636465666768696a737475767778797a828384858687"
    "88898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3"
    "c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
)
_RESTARTS_FROM_TYPE = 64
_TABLES_FROM_Q = 128


def jpeg_headers(payload: bytes) -> tuple[bytes, bytes]:
    """An RTP payload of JPEG (at least 8 bytes) to the headers before its scan, and the scan."""
    kind, quality, width, height = payload[4], payload[5], payload[6] * 8, payload[7] * 8
    first = payload[1:4] == b"\0\0\0"
    at, restart = 8, 0
    if kind >= _RESTARTS_FROM_TYPE:
        restart = int.from_bytes(payload[8:10], "big")
        at += 4
    tables = b""
    if first and quality >= _TABLES_FROM_Q:
        size = int.from_bytes(payload[at + 2 : at + 4], "big")
        tables = payload[at + 4 : at + 4 + size]
        at += 4 + size
    if first:
        tables = tables or _tables(quality)
        return _headers(kind & 1, width, height, restart, tables), payload[at:]
    return b"", payload[at:]


@lru_cache(maxsize=16)
def _tables(quality: int) -> bytes:
    quality = min(max(quality, 1), 99)
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    scaled = [(value * scale + 50) // 100 for value in _LUMA_50 + _CHROMA_50]
    return bytes(min(max(value, 1), 255) for value in scaled)


@lru_cache(maxsize=16)  # the same for every picture of a camera
def _headers(kind: int, width: int, height: int, restart: int, tables: bytes) -> bytes:
    luma_sampling = 0x22 if kind else 0x21  # 4:2:0 or 4:2:2
    frame = struct.pack("!BHHB", 8, height, width, 3) + bytes(
        [1, luma_sampling, 0, 2, 0x11, 1, 3, 0x11, 1]
    )
    found = b"\xff\xd8"
    for number, start in enumerate(range(0, min(len(tables), 128) - 63, 64)):
        found += _segment(0xDB, bytes([number]) + tables[start : start + 64])
    if len(tables) < 128:  # one table for both
        found += _segment(0xDB, b"\1" + tables[:64])
    if restart:
        found += _segment(0xDD, restart.to_bytes(2, "big"))
    found += _segment(0xC0, frame)
    for number, table in ((0, _DC_LUMA), (0x10, _AC_LUMA), (1, _DC_CHROMA), (0x11, _AC_CHROMA)):
        found += _segment(0xC4, bytes([number]) + table)
    return found + _segment(0xDA, bytes([3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]))


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body
