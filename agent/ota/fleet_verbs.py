"""`mahalla ota status`: what is released."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from agent.errors import UpdateError
from agent.ota.repository_verbs import opened, repository, status_lines, status_of
from agent.ota.verbs import verb

if TYPE_CHECKING:
    from agent.ota.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add it."""
    status = verb(verbs, "status", _status, "what is released and when it expires", "repo --json")
    repository(status)
    status.add_argument("--json", action="store_true", help="the same for a program")


def _status(args: argparse.Namespace) -> int:
    found = status_of(opened(args))
    if not found["roles"]:
        raise UpdateError(f"{args.repository}: no repository here; begin with `mahalla ota init`")
    print(json.dumps(found, indent=2) if args.json else "\n".join(status_lines(found)))
    return 1 if any(role["expired"] for role in found["roles"]) else 0
