"""Coded pictures to RTP packets: the sending half of RFC 6184, 7798 and 2435, in short."""

import re
import struct

_NAL = re.compile(rb"\x00\x00\x00?\x01")


class RtpPacker:
    """Packets of one track, numbered on; `aggregate` puts small NAL units into one packet."""

    def __init__(self, codec, *, payload_type=96, mtu=1200, aggregate=False, sequence=65530):
        self._codec = codec
        self._payload_type = payload_type
        self._mtu = mtu
        self._aggregate = aggregate
        self._sequence = sequence

    def pack(self, unit, timestamp):
        payloads = self._jpeg(unit) if self._codec == "mjpeg" else self._nals(unit)
        return [
            self.packet(payload, timestamp, marker=number == len(payloads) - 1)
            for number, payload in enumerate(payloads)
        ]

    def packet(self, payload, timestamp, *, marker=False):
        head = struct.pack(
            "!BBHII",
            0x80,
            self._payload_type | (0x80 if marker else 0),
            self._sequence & 0xFFFF,
            timestamp & 0xFFFFFFFF,
            0x1234,
        )
        self._sequence += 1
        return head + payload

    def _nals(self, unit):
        hevc = self._codec == "hevc"
        payloads, small = [], []
        for nal in filter(None, _NAL.split(unit)):
            if self._aggregate and len(nal) < 100:
                small.append(nal)
                continue
            payloads += self._together(small, hevc)
            small = []
            payloads += [nal] if len(nal) <= self._mtu else self._fragments(nal, hevc)
        return payloads + self._together(small, hevc)

    def _together(self, nals, hevc):
        if not nals:
            return []
        head = bytes([48 << 1, 1]) if hevc else bytes([24])
        return [head + b"".join(struct.pack("!H", len(nal)) + nal for nal in nals)]

    def _fragments(self, nal, hevc):
        if hevc:
            head, kind, body = bytes([nal[0] & 0x81 | 49 << 1, nal[1]]), nal[0] >> 1 & 0x3F, nal[2:]
        else:
            head, kind, body = bytes([nal[0] & 0xE0 | 28]), nal[0] & 0x1F, nal[1:]
        pieces = [body[at : at + self._mtu] for at in range(0, len(body), self._mtu)]
        last = len(pieces) - 1
        return [
            head + bytes([kind | (0x80 if n == 0 else 0) | (0x40 if n == last else 0)]) + piece
            for n, piece in enumerate(pieces)
        ]

    def _jpeg(self, picture):
        """A baseline JPEG with the standard's Huffman tables, as RFC 2435 demands."""
        tables, at, kind, width, height = b"", 2, 0, 0, 0
        while picture[at + 1] != 0xDA:
            marker, size = picture[at + 1], int.from_bytes(picture[at + 2 : at + 4], "big")
            body = picture[at + 4 : at + 2 + size]
            if marker == 0xDB:
                tables += b"".join(body[n + 1 : n + 65] for n in range(0, len(body), 65))
            if marker == 0xC0:
                height, width = struct.unpack_from("!HH", body, 1)
                kind = 1 if body[7] == 0x22 else 0
            at += 2 + size
        scan = picture[at + 2 + int.from_bytes(picture[at + 2 : at + 4], "big") :]
        told = b"\0\0" + struct.pack("!H", len(tables)) + tables
        return [
            b"\0" + start.to_bytes(3, "big") + bytes([kind, 255, width // 8, height // 8])
            + (told if start == 0 else b"") + scan[start : start + self._mtu]
            for start in range(0, len(scan), self._mtu)
        ]  # fmt: skip
