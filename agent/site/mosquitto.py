"""Rights and passwords as mosquitto reads them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping

from agent.site.grants import Grant

_ROUNDS = 10_000  # PBKDF2; the passwords are random and long, so few would do
_SALT_BYTES = 12
_HASH_BYTES = 64


def acl(grants: Iterable[Grant]) -> str:
    """An `acl_file`, written out for each account: with a pattern boxes could command boxes."""
    lines = ["# Written by `mahalla site build`; changes are lost with the next one."]
    for grant in grants:
        lines += ["", f"user {grant.account}"]
        lines += [f"topic write {topic}" for topic in grant.writes]
        lines += [f"topic read {topic}" for topic in grant.reads]
    return "\n".join(lines) + "\n"


def passwords(logins: Mapping[str, str]) -> str:
    """A `password_file` ($7$: PBKDF2 with SHA-512) of these accounts.

    The salt comes from account and password, so that the file changes only when they do.
    """
    return "".join(f"{name}:{_hash(name, password)}\n" for name, password in logins.items())


def _hash(name: str, password: str) -> str:
    salt = hashlib.sha256(f"mahalla {name}\0{password}".encode()).digest()[:_SALT_BYTES]
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS, _HASH_BYTES)
    salted, hashed = (base64.b64encode(part).decode() for part in (salt, key))
    return f"$7${_ROUNDS}${salted}${hashed}"
