"""The file of a hotlist: signed, sealed to the boxes entitled to it.

Format 1, numbers big-endian:

    "MAHALLA HOTLIST 1\\n"
    4 bytes, length of the header; the header, JSON in UTF-8
        {"name", "version", "made", "expires" (Unix ms), "scrypt": {"n", "r", "p"},
         "recipients": [{"id", "fresh", "wrapped"}, …]}: the list's key, once for each box
    4 bytes, length of the sealed part; ChaCha20-Poly1305 of JSON, the header authenticated beside
        {"key", "entries": [[hash, case, reason, expires], …]}
    1 byte, number of signatures, 1 or 2; each is 8 bytes, whose, and 64 bytes, Ed25519 over
        everything before that number

Each list has a random key of its own, wrapped for each box (`keys.py`); who has no box's key
sees a name, dates, how many boxes may open it and how large it is. Even inside, a plate is a slow
keyed hash (`slow_hash.py`), in the order of the hashes. Ids are the first 8 bytes of the SHA-256
of a public key; bytes inside JSON are hexadecimal.

The order of reading is fixed: lengths, signatures, header, seal. Nothing of an unsigned file is
looked at, and a signer that the configuration does not name makes a file as wrong as one that
lacks: no byte can be changed unnoticed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from agent.errors import HotlistError
from agent.hotlist.hotlist import ENTRIES_LIMIT, LIFE_LIMIT_MS, VERSION_LIMIT, Entry
from agent.hotlist.keys import (
    ID_BYTES,
    SIGNATURE_BYTES,
    BoxKey,
    Recipient,
    Signer,
    SigningKey,
    decrypt,
    encrypt,
    is_signed,
    key_id,
    new_list_key,
    unwrap,
    wrap,
)
from agent.hotlist.slow_hash import HASH_BYTES, KEY_BYTES, Cost

_MAGIC = b"MAHALLA HOTLIST "
_FORMAT_1 = _MAGIC + b"1\n"
_LENGTH_BYTES = 4
_MOST_SIGNERS = 2
_NAME = re.compile("[a-z0-9-]{1,31}")
_LAST_MADE_MS = 250_000_000_000_000  # in the year 9892: a date can still be told

FILE_LIMIT_BYTES = 8 << 20
"""10,000 entries with the longest words and 2,000 boxes take less."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a list says of itself in the clear."""

    name: str
    version: int
    made_ms: int
    expires_ms: int
    cost: Cost
    recipients: Mapping[str, tuple[bytes, bytes]]  # id of a box's key -> fresh key, wrapped key


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What the boxes entitled to it see."""

    key: bytes  # of the hashes
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """The parts of a file, as yet unverified."""

    signed: bytes  # everything before the signatures
    header: bytes
    payload: bytes
    signatures: Mapping[str, bytes]  # id of the signer's key -> signature

    def verify(self, signers: Sequence[Signer]) -> None:
        """HotlistError unless exactly these have signed it."""
        wanted = {key_id(signer): signer for signer in signers}
        for name, signer in wanted.items():
            if name not in self.signatures:
                raise HotlistError(f"is not signed by key {name}", why="signature")
            if not is_signed(signer, self.signatures[name], self.signed):
                raise HotlistError(f"the signature by key {name} is wrong", why="signature")
        if strangers := self.signatures.keys() - wanted.keys():
            unknown = ", ".join(sorted(strangers))
            raise HotlistError(
                f"is signed by key {unknown} too; name it as signer or sign anew", why="signature"
            )

    def read_header(self) -> Header:
        """The header; trust it after `verify` only."""
        header = _made(_header, self.header)
        fault = header.cost.fault()
        if fault:
            raise HotlistError(f"its scrypt parameters {fault}", why="format")
        if not _NAME.fullmatch(header.name) or header.made_ms > _LAST_MADE_MS:
            raise HotlistError("has no name or no date that could be one", why="format")
        if not 0 < header.version < VERSION_LIMIT:
            raise HotlistError(f"its version is not below {VERSION_LIMIT}", why="format")
        if not 0 < header.expires_ms - header.made_ms <= LIFE_LIMIT_MS:
            raise HotlistError("expires later than 30 days after it was made", why="too-long")
        return header

    def unseal(self, header: Header, keys: Sequence[BoxKey]) -> Content:
        """The content, opened with the first of the box's keys that fits."""
        for key in keys:
            mine = header.recipients.get(key_id(key.public_key()))
            if mine is not None:
                inside = decrypt(unwrap(*mine, key), self.payload, self.header)
                return _checked(_made(_content, inside), header)
        raise HotlistError(
            "is not sealed to a key of this box; make it with its certificate", why="key"
        )


def parse(content: bytes) -> Sealed:
    """The parts of a file; HotlistError when it is none, or its lengths do not add up."""
    if not content.startswith(_FORMAT_1):
        if content.startswith(_MAGIC):
            raise HotlistError("is of a format that this agent does not know", why="format")
        raise HotlistError("is no hotlist; make one with `mahalla hotlist make`")
    header, at = _counted(content, len(_FORMAT_1))
    payload, at = _counted(content, at)
    signatures, rest = content[at + 1 :], content[at : at + 1]
    size = ID_BYTES + SIGNATURE_BYTES
    count = rest[0] if rest else 0
    if not 1 <= count <= _MOST_SIGNERS or len(signatures) != count * size:
        raise HotlistError("is cut off, or has something at its end; copy it again")
    by_id = {
        signatures[start : start + ID_BYTES].hex(): signatures[start + ID_BYTES : start + size]
        for start in range(0, len(signatures), size)
    }
    if list(by_id) != sorted(by_id) or len(by_id) != count:
        raise HotlistError("its signatures are out of order; copy it again")
    return Sealed(signed=content[:at], header=header, payload=payload, signatures=by_id)


def seal(
    *,
    name: str,
    version: int,
    made_ms: int,
    expires_ms: int,
    cost: Cost,
    content: Content,
    recipients: Sequence[Recipient],
    signing_keys: Sequence[SigningKey],
) -> bytes:
    """The file of a list."""
    list_key = new_list_key()
    boxes = {key_id(recipient): wrap(list_key, recipient) for recipient in recipients}
    header = _compact(
        {
            "name": name,
            "version": version,
            "made": made_ms,
            "expires": expires_ms,
            "scrypt": cost.as_dict(),
            "recipients": [
                {"id": box, "fresh": fresh.hex(), "wrapped": wrapped.hex()}
                for box, (fresh, wrapped) in sorted(boxes.items())
            ],
        }
    )
    entries = sorted(content.entries, key=lambda entry: entry.hash)
    inside = _compact(
        {
            "key": content.key.hex(),
            "entries": [[e.hash.hex(), e.case, e.reason, e.expires_ms] for e in entries],
        }
    )
    payload = encrypt(list_key, inside, header)
    signed = b"".join((_FORMAT_1, _length(header), header, _length(payload), payload))
    signatures = {key_id(key.public_key()): key.sign(signed) for key in signing_keys}
    tail = b"".join(bytes.fromhex(signer) + signatures[signer] for signer in sorted(signatures))
    return signed + bytes([len(signatures)]) + tail


def _header(raw: Mapping[str, Any]) -> Header:
    boxes = {
        _sized(box["id"], ID_BYTES).hex(): (
            bytes.fromhex(box["fresh"]),
            bytes.fromhex(box["wrapped"]),
        )
        for box in raw["recipients"]
    }
    return Header(
        name=_text(raw["name"]),
        version=_whole(raw["version"]),
        made_ms=_whole(raw["made"]),
        expires_ms=_whole(raw["expires"]),
        cost=Cost(**raw["scrypt"]),
        recipients=boxes,
    )


def _content(raw: Mapping[str, Any]) -> Content:
    entries = tuple(
        Entry(
            hash=_sized(hashed, HASH_BYTES),
            case=_text(case),
            reason=_text(reason),
            expires_ms=_whole(expires_ms),
        )
        for hashed, case, reason, expires_ms in raw["entries"]
    )
    return Content(key=_sized(raw["key"], KEY_BYTES), entries=entries)


def _checked(content: Content, header: Header) -> Content:
    if len(content.entries) > ENTRIES_LIMIT:
        raise HotlistError(
            f"has {len(content.entries)} entries; a box takes {ENTRIES_LIMIT}", why="too-many"
        )
    if any(entry.expires_ms > header.made_ms + LIFE_LIMIT_MS for entry in content.entries):
        raise HotlistError(
            "an entry expires later than 30 days after the list was made", why="too-long"
        )
    return content


def _made(make: Callable[[Mapping[str, Any]], T], raw: bytes) -> T:
    """What `make` makes of JSON; whoever signed nonsense gets one line too."""
    try:
        return make(json.loads(raw))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise HotlistError(
            "is not as a hotlist is written, or it is damaged", why="format"
        ) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError
    return value


def _sized(value: Any, size: int) -> bytes:
    raw = bytes.fromhex(value)
    if len(raw) != size:
        raise ValueError
    return raw


def _counted(content: bytes, at: int) -> tuple[bytes, int]:
    """The part whose length stands at `at`, and where the next one begins."""
    start = at + _LENGTH_BYTES
    end = start + int.from_bytes(content[at:start], "big")
    if start >= len(content) or end > len(content):
        raise HotlistError("is cut off; copy it again")
    return content[start:end], end


def _length(part: bytes) -> bytes:
    return len(part).to_bytes(_LENGTH_BYTES, "big")


def _compact(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
