"""JSON data as deterministic CBOR (RFC 8949, section 4.2.1): one content, one row of bytes."""

from __future__ import annotations

import struct
from typing import Any

_WHOLE, _NEGATIVE, _TEXT, _ARRAY, _MAP = 0, 1, 3, 4, 5
_FALSE, _TRUE, _NULL = b"\xf4", b"\xf5", b"\xf6"
_FLOATS = ((b"\xf9", ">e"), (b"\xfa", ">f"), (b"\xfb", ">d"))  # the first that keeps the value


def encode(value: Any) -> bytes:
    """`value` as `json.loads` gives it; raises ValueError for what JSON cannot say."""
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, int):
        return _head(_WHOLE, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        text = value.encode()
        return _head(_TEXT, len(text)) + text
    if isinstance(value, list):
        return _head(_ARRAY, len(value)) + b"".join(map(encode, value))
    if isinstance(value, dict):
        pairs = sorted((encode(key), encode(each)) for key, each in value.items())
        return _head(_MAP, len(pairs)) + b"".join(key + each for key, each in pairs)
    raise ValueError(f"{type(value).__name__} is nothing that JSON knows")


def _head(major: int, number: int) -> bytes:
    """Major type and its argument in the shortest form."""
    if number < 24:
        return bytes([major << 5 | number])
    for more, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            return bytes([major << 5 | more]) + number.to_bytes(size, "big")
    raise ValueError(f"{number} has more than 64 bits")


def _number(value: float) -> bytes:
    for head, form in _FLOATS:
        try:
            packed = struct.pack(form, value)
        except OverflowError:  # too large for so few bits
            continue
        if struct.unpack(form, packed)[0] == value:
            return head + packed
    raise ValueError("NaN is nothing that JSON knows")
