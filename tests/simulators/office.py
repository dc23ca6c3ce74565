"""An office that makes hotlists, and the keys of boxes: everything in one folder."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519

from agent.hotlist.hotlist import DAY_MS, Entry
from agent.hotlist.keys import load_recipient, load_signing_key, write_key_pair
from agent.hotlist.sealed import Content, seal
from agent.hotlist.slow_hash import KEY_BYTES, Cost, plate_hash

NOW_MS = time.time_ns() // 1_000_000

KINDS = {
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "x25519": x25519.X25519PrivateKey.generate,
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}
COST = Cost()


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a configuration says of a list."""

    name: str
    file: Path
    signers: Sequence[Path]
    keys: Sequence[Path]
    max_age_s: float = 30 * 86400.0


class Office:
    """Signs with keys by name and seals to boxes by name, each made when it is first named."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def signer(self, name: str = "office") -> Path:
        """The public key of a signer."""
        if not (self.folder / f"{name}.key").exists():
            write_key_pair(self.folder / name)
        return self.folder / f"{name}.pub"

    def box(self, name: str = "north", kind: str = "ec") -> Path:
        """The private key of a box; its public one lies beside it as `box-NAME.pem`."""
        private = self.folder / f"box-{name}.key"
        if not private.exists():
            key = KINDS[kind]()
            private.write_bytes(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
            private.chmod(0o600)
            private.with_suffix(".pem").write_bytes(
                key.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                )
            )
        return private

    def make(
        self,
        *plates: str,
        name: str = "stolen",
        file: str = "stolen.list",
        signers: Sequence[str] = ("office",),
        boxes: Sequence[str] = ("north",),
        version: int = 1,
        made_ms: int = NOW_MS,
        life_ms: int = 7 * DAY_MS,
        entry_life_ms: int | None = None,
        cost: Cost = COST,
        hashes: Sequence[bytes] = (),
    ) -> Path:
        """A list of these plates, each as `UZ 01A123BC`."""
        key = os.urandom(KEY_BYTES)
        found = [plate_hash(*plate.split(), key, cost) for plate in plates]
        entries = tuple(
            Entry(
                hash=each,
                case=f"77-{number}",
                reason="theft",
                expires_ms=made_ms + (life_ms if entry_life_ms is None else entry_life_ms),
            )
            for number, each in enumerate((*found, *hashes))
        )
        for signer in signers:
            self.signer(signer)
        content = seal(
            name=name,
            version=version,
            made_ms=made_ms,
            expires_ms=made_ms + life_ms,
            cost=cost,
            content=Content(key=key, entries=entries),
            recipients=[load_recipient(self.box(box).with_suffix(".pem")) for box in boxes],
            signing_keys=[load_signing_key(self.folder / f"{each}.key") for each in signers],
        )
        path = self.folder / file
        path.with_suffix(".part").write_bytes(content)
        path.with_suffix(".part").replace(path)
        return path

    def source(self, name: str = "stolen", signers: Sequence[str] = ("office",), **what) -> Source:
        """The configuration of a list that box `north` takes."""
        return Source(
            name=name,
            file=self.folder / f"{name}.list",
            signers=[self.signer(signer) for signer in signers],
            keys=[self.box()],
            **what,
        )
