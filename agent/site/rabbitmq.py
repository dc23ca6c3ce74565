"""Rights as RabbitMQ imports them (definitions), and the revoked under the name it looks for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from cryptography import x509

from agent.site.grants import Grant

_EXCHANGES = r"^amq\.(topic|default)$"


def definitions(grants: Sequence[Grant], templates: Sequence[str]) -> dict[str, Any]:
    """For `rabbitmqctl import_definitions`: an account a box, known by certificate alone.

    `templates` are regular expressions of further routing keys that the box of the same place in
    `grants` may write; "" for none.
    """
    # Without a password hash nobody comes in by password.
    nobody = {"password_hash": "", "hashing_algorithm": "rabbit_password_hashing_sha256"}
    users = [{"name": grant.account, "tags": [], **nobody} for grant in grants]
    return {
        "users": users,
        "permissions": [_permission(grant.account) for grant in grants],
        "topic_permissions": [
            {
                "user": grant.account,
                "vhost": "/",
                "exchange": "amq.topic",
                "write": _any_of([*map(_key, grant.writes), *filter(None, [template])]),
                "read": _any_of(map(_key, grant.reads)),
            }
            for grant, template in zip(grants, templates, strict=True)
        ],
    }


def _permission(account: str) -> dict[str, str]:
    """Its own session queue, its own will, and the exchange that MQTT goes through."""
    name = re.escape(account)
    queues = rf"^mqtt-subscription-{name}qos[01]$|^mqtt-will-{name}$"
    return {
        "user": account,
        "vhost": "/",
        "configure": queues,
        "write": f"{queues}|{_EXCHANGES}",
        "read": f"{queues}|{_EXCHANGES}",
    }


def template_key(template: str, site: str, box: str) -> str:
    """What a topic template of `agent.yaml` may become, as a regular expression of routing keys."""
    parts = {
        "{site}": re.escape(site),
        "{box}": re.escape(box),
        "{camera}": r"[a-z0-9_-]+",
        "{kind}": r"[a-z0-9-]+(\.[a-z0-9-]+)?",
    }
    levels = [
        "".join(parts.get(part) or re.escape(part) for part in re.split(r"(\{[^{}]*\})", level))
        for level in template.split("/")
    ]
    return r"\.".join(levels)


def _key(topic: str) -> str:
    """A topic filter as a regular expression of routing keys: RabbitMQ writes / as a dot."""
    parts = {"#": ".+", "+": "[^.]+"}
    return r"\.".join(parts.get(level) or re.escape(level) for level in topic.split("/"))


def _any_of(patterns: Any) -> str:
    return f"^({'|'.join(patterns)})$"


def crl_file_name(issuer: x509.Name) -> str:
    """How OpenSSL and Erlang name the list of an issuer in a folder: HASH.r0.

    SHA-1 over the names, each a set of one pair, lower case, one space between words (OpenSSL's
    X509_NAME_hash); the first four bytes, the last one first.
    """
    canonical = b"".join(_canonical(attribute) for attribute in issuer)
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}.r0"


def _canonical(attribute: x509.NameAttribute[str | bytes]) -> bytes:
    plain = " ".join(str(attribute.value).lower().split()).encode()
    # The identifier in DER, as a name of this one attribute has it: SEQUENCE, SET, SEQUENCE.
    encoded = x509.Name([attribute]).public_bytes()[6:]
    oid = encoded[: 2 + encoded[1]]
    return _der(0x31, _der(0x30, oid + _der(0x0C, plain)))


def _der(tag: int, content: bytes) -> bytes:
    """One element with less than 128 bytes in it."""
    return bytes([tag, len(content)]) + content
