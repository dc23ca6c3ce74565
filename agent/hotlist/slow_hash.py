"""The slow keyed hash under which a plate stands in a list.

scrypt (RFC 7914) with N 4096, r 8, p 1 takes 4 MiB and 12 ms, measured on one core of an AMD EPYC.
There are 14 regions x 25^3 letters x 1000 numbers = 219 million private plates of Uzbekistan: who
holds the list and the key of a box it is sealed to needs 219e6 x 12 ms = 30 days of such a core to
try them all, two days on 16 cores; a plain HMAC falls in minutes. Computed, not measured: a
graphics card that moves 1 TB/s, of which a guess takes 8 MiB, needs half an hour. So the hash
slows down whoever has stolen a box; what keeps the plates from everybody else is the seal.
A box pays the same once for each candidate and list, a Raspberry Pi some 25 to 60 ms (reckoned
from its speed elsewhere, not measured).

The key is 32 random bytes of one version of one list, kept inside the sealed part.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

KEY_BYTES = 32
HASH_BYTES = 16

_MEMORY_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Parameters of scrypt; they stand in the signed header of a list."""

    n: int = 4096
    r: int = 8
    p: int = 1

    def fault(self) -> str:
        """Why a box will not work with them; nothing: it will."""
        n, r, p = self.n, self.r, self.p
        if any(type(part) is not int or part < 1 for part in (n, r, p)) or n & (n - 1):
            return "are no parameters of scrypt"
        if n * r < 4096 * 8:
            return "are too cheap"
        if 128 * n * r > _MEMORY_LIMIT_BYTES // 2 or p > 4:
            return "are too dear for a box"
        return ""

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def plate_hash(country: str, text: str, key: bytes, cost: Cost) -> bytes:
    """16 bytes for a plate in its canonical text; other threads run meanwhile."""
    return hashlib.scrypt(
        f"{country}\0{text}".encode(),
        salt=key,
        n=cost.n,
        r=cost.r,
        p=cost.p,
        dklen=HASH_BYTES,
        maxmem=_MEMORY_LIMIT_BYTES,
    )
